"""Gradio's files: where its uploads are stored, how they are named, and how they arrive."""

import contextlib
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import gradio.route_utils
from gradio.utils import get_upload_folder
from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException

_UPLOAD = re.compile(r"[0-9a-f]{64}")  # the hash of its content
_LEFTOVER = re.compile(r"tmp\w+|deep_links")  # aborted uploads, and stored pages of visitors
_PlainParser = gradio.route_utils.GradioMultiPartParser


def upload_folder() -> Path:
    """The folder of all uploads, whose files Gradio serves to anyone who knows the path. It may not exist yet."""
    return Path(get_upload_folder())


def new_upload(name: str) -> Path:
    """A path for a new file that counts as an upload, in a folder of its own, which is created here.

    Gradio names the folder after a hash of the file and a secret. Here the name is random, and just as unguessable.
    """
    folder = upload_folder() / secrets.token_hex(32)
    folder.mkdir(parents=True)
    return folder / name


def is_upload(path: Path) -> bool:
    """Whether a path relative to the upload folder has the form of an upload. All other files there are results."""
    return len(path.parts) == 2 and bool(_UPLOAD.fullmatch(path.parts[0]))


def is_gradios(name: str) -> bool:
    """Whether an entry of that name in the upload folder was created by Gradio or by `new_upload`."""
    return bool(_UPLOAD.fullmatch(name) or _LEFTOVER.fullmatch(name))


def guard_uploads(on_upload: Callable[[int, int], None]) -> None:
    """Accept only files, in form parts of the name that Gradio reads, and report what arrived.

    Gradio would hold three copies of any other part in memory, whatever its size, and leave files of other parts, and
    those of aborted uploads, on disk.

    Args:
        on_upload: Called with the number of files and their bytes after each upload, successful or not.
    """

    class Parser(_PlainParser):
        def on_headers_finished(self) -> None:
            super().on_headers_finished()
            if self._current_part.file is None or self._current_part.field_name != "files":
                raise MultiPartException("Only files are accepted, in parts named 'files'.")

        async def parse(self) -> Any:
            try:
                form = await super().parse()
            except FormParserError as error:
                self._discard()
                raise MultiPartException(f"The upload cannot be read: {error}.") from error
            except BaseException:
                self._discard()
                raise
            files = [part for _, part in form.multi_items() if hasattr(part, "size")]
            on_upload(len(files), sum(part.size or 0 for part in files))
            return form

        def _discard(self) -> None:
            sizes = 0
            for file in self._files_to_close_on_error:
                path = Path(str(file.name))
                with contextlib.suppress(OSError):
                    sizes += path.stat().st_size
                    path.unlink()
            on_upload(len(self._files_to_close_on_error), sizes)

    gradio.route_utils.GradioMultiPartParser = Parser  # type: ignore[misc]  # where its route looks it up


def refuse_addresses(component: Any) -> None:
    """Keep Gradio from fetching web addresses that a client passes to this component as files."""
    move = component.async_move_resource_to_block_cache

    async def move_if_local(url_or_file_path: str | Path | None) -> str | None:
        # any URL scheme, or // without one; Windows drives parse as one-letter schemes
        if len(urlsplit(str(url_or_file_path)).scheme) > 1 or str(url_or_file_path).startswith("//"):
            raise gr.Error("Web addresses are not fetched here. Upload the picture itself.", print_exception=False)
        moved: str | None = await move(url_or_file_path)
        return moved

    component.async_move_resource_to_block_cache = move_if_local


def photographs() -> Path:
    """The folder of photographs in Gradio's package, which the page offers as examples."""
    return Path(gr.__file__).parent / "media_assets" / "images"
