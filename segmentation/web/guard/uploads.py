"""The guard: a run reads only what its visitor uploaded to this server, and writes only into a folder of its own.

Gradio checks that a file was uploaded only where the request carries its own mark on it, and it fetches any web address
it is given as a file. So every path is resolved here again, and addresses are refused before Gradio acts on them.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_upload_folder

from segmentation.errors import ImageError
from segmentation.messages import Message

EMPTY_SECONDS = 300.0  # after which an empty folder goes: one of a run that begins is empty for a moment

_RUN_PREFIX = "segmatte-run-"
_UPLOAD = re.compile(r"[0-9a-f]{64}")  # Gradio keeps each upload in a folder named by its hash
_SWEPT = re.compile(rf"{_UPLOAD.pattern}|{_RUN_PREFIX}\w+|tmp\w+|deep_links")


def uploaded_files(paths: Sequence[Any], max_pictures: int) -> list[Path]:
    """The files a visitor named, each proved to be an upload of this server.

    Raises:
        ImageError: None or too many were named, or one is not an upload. What was named is not repeated.
    """
    if not paths:
        raise ImageError(Message("Add at least one picture first."))
    if len(paths) > max_pictures:
        raise ImageError(
            Message(
                "{paths} pictures are too many for one run; at most {max_pictures} are taken.",
                paths=len(paths),
                max_pictures=max_pictures,
            )
        )
    root = Path(get_upload_folder()).resolve()
    return [_uploaded(path, root) for path in paths]


def _uploaded(named: Any, root: Path) -> Path:
    refusal = ImageError(
        Message(
            "A picture is not an upload of this server, or was deleted after its time. Upload it again and name what "
            "the upload returned."
        )
    )
    if not isinstance(named, str) or "\0" in named:
        raise refusal
    try:
        path = Path(named).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # not there, a loop of links, too long
        raise refusal from error
    below = path.relative_to(root).parts if path.is_relative_to(root) else ()
    # exactly <hash>/<name>: results of other visitors lie below the same root
    if len(below) != 2 or not _UPLOAD.fullmatch(below[0]) or not path.is_file():
        raise refusal
    return path


def refuse_addresses(component: gr.blocks.Block) -> None:
    """Keep Gradio from fetching web addresses that a client gives this component as files."""
    move = component.async_move_resource_to_block_cache

    async def move_if_local(url_or_file_path: str | Path | None) -> str | None:
        # a full address, or any other scheme; drive letters of Windows have one letter
        if len(urlsplit(str(url_or_file_path)).scheme) > 1 or str(url_or_file_path).startswith("//"):
            raise gr.Error("Web addresses are not fetched here. Upload the picture itself.", print_exception=False)
        return await move(url_or_file_path)

    component.async_move_resource_to_block_cache = move_if_local  # type: ignore[method-assign]


def new_run_folder() -> Path:
    """A folder with a name nobody can guess, from which Gradio serves without copying."""
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=root))


def is_swept(name: str) -> bool:
    """Whether something of that name in the upload folder is Gradio's or ours."""
    return bool(_SWEPT.fullmatch(name))


def sweep(keep_seconds: float) -> int:
    """Delete what nobody touched for so long: runs, uploads, and the rests of uploads that broke off. Empty folders go.

    Returns:
        How many went.
    """
    root = Path(get_upload_folder())
    gone = 0
    for path in root.iterdir() if root.is_dir() else ():
        try:
            if not is_swept(path.name):
                continue
            age = time.time() - path.stat().st_mtime
            if age > keep_seconds or (age > EMPTY_SECONDS and path.is_dir() and not any(path.iterdir())):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                gone += 1
        except OSError:  # somebody else was quicker
            continue
    return gone
