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

from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.web.guard.gradio_seams.files import is_gradios, is_upload, upload_folder

EMPTY_SECONDS = 300.0  # after which an empty folder goes: one of a run that begins is empty for a moment

_RUN_PREFIX = "segmatte-run-"
_RUN = re.compile(rf"{_RUN_PREFIX}\w+")


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
    root = upload_folder().resolve()
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
    # other visitors' results lie below the same root
    if not path.is_relative_to(root) or not is_upload(path.relative_to(root)) or not path.is_file():
        raise refusal
    return path


def new_run_folder() -> Path:
    """A folder with a name nobody can guess, from which Gradio serves without copying."""
    root = upload_folder()
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=root))


def is_swept(name: str) -> bool:
    """Whether something of that name in the upload folder is Gradio's or ours."""
    return is_gradios(name) or bool(_RUN.fullmatch(name))


def sweep(keep_seconds: float) -> int:
    """Delete what nobody touched for so long: runs, uploads, and the rests of uploads that broke off. Empty folders go.

    Returns:
        How many went.
    """
    root = upload_folder()
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
