"""Upload checks: a run reads only files uploaded to this server, and writes only to a folder of its own.

Gradio verifies that a file was uploaded only if the request marks it as a file, and fetches any web address passed as
one. So every path is resolved again here, and web addresses are refused before Gradio acts on them.
"""

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.web.guard.gradio_seams.files import is_gradios, is_upload, upload_folder

EMPTY_SECONDS = 300.0  # after which an empty folder is deleted: the folder of a new run is briefly empty

_RUN_PREFIX = "segmatte-run-"
_RUN = re.compile(rf"{_RUN_PREFIX}\w+")


def named_paths(images: Any) -> list[Any]:
    """The server paths in a client's list of files. Malformed entries are rejected later, as they are not uploads."""
    if not isinstance(images, list):
        images = [images]
    return [named_path(image) for image in images if image]


def named_path(image: Any) -> Any:
    """The server path in a client's file object."""
    return image.get("path") if isinstance(image, dict) else image


def uploaded_files(paths: Sequence[Any], max_pictures: int) -> list[Path]:
    """The files at the paths sent by a client, each verified to be an upload to this server.

    Raises:
        ImageError: There are none or too many, or one is not an upload. The message does not repeat the path.
    """
    if not paths:
        raise ImageError(Message("Add at least one picture first."))
    if len(paths) > max_pictures:
        raise ImageError(
            Message(
                "{paths} pictures are too many for one run; the limit is {max_pictures}.",
                paths=len(paths),
                max_pictures=max_pictures,
            )
        )
    root = upload_folder().resolve()
    return [_uploaded(path, root) for path in paths]


def shown_file(name: Any) -> Path:
    """An upload or a result of a run: what Gradio, too, sends to anyone who knows its unguessable path.

    Raises:
        ImageError: It is neither. The message does not repeat the path.
    """
    return _uploaded(name, upload_folder().resolve(), or_result=True)


def _uploaded(name: Any, root: Path, *, or_result: bool = False) -> Path:
    refusal = ImageError(
        Message(
            "A picture was not uploaded to this server, or its upload has expired. Upload it again and pass the path "
            "that the upload returned."
        )
    )
    if not isinstance(name, str) or "\0" in name:
        raise refusal
    try:
        path = Path(name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # missing, a symlink loop, or too long
        raise refusal from error
    # other visitors' results are under the same root
    if not path.is_relative_to(root) or not path.is_file():
        raise refusal
    inside = path.relative_to(root)
    if not is_upload(inside) and not (or_result and len(inside.parts) == 2 and _RUN.fullmatch(inside.parts[0])):
        raise refusal
    return path


def new_run_folder() -> Path:
    """A new folder with an unguessable name, from which Gradio serves files without copying them."""
    root = upload_folder()
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=root))


def is_swept(name: str) -> bool:
    """Whether an entry of that name in the upload folder is Gradio's or ours."""
    return is_gradios(name) or bool(_RUN.fullmatch(name))


def sweep(keep_seconds: float) -> int:
    """Delete runs, uploads and leftovers of aborted uploads that are older than this, and empty folders.

    Returns:
        How many were deleted.
    """
    root = upload_folder()
    deleted = 0
    for path in root.iterdir() if root.is_dir() else ():
        try:
            if not is_swept(path.name):
                continue
            age = time.time() - path.stat().st_mtime
            if age > keep_seconds or (age > EMPTY_SECONDS and path.is_dir() and not any(path.iterdir())):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                deleted += 1
        except OSError:  # deleted meanwhile
            continue
    return deleted


def touch_files(files: Iterable[Path]) -> None:
    """Mark these files and their folders as in use, which restarts their expiry."""
    for path in {path for file in files for path in (file, file.parent)}:
        with contextlib.suppress(OSError):  # deleted; a later read reports it
            os.utime(path)
