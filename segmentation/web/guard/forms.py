"""A request's form, in any of three notations, on disk first: memory holds one body at a time, whoever sends how many.

Gradio has a route of its own for uploads; this is for requests that bring picture and settings at once.
"""

import json
import re
import shutil
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser
from starlette.requests import Request

from segmentation.errors import ImageError, SettingsError
from segmentation.outputs import safe_stems
from segmentation.web.guard.gradio_seams.files import new_upload

MAX_FIELDS = 60
_CHUNK = 1 << 20
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_parsing = threading.Lock()

_ENCODED = "application/x-www-form-urlencoded"


class Tray:
    """The files of one request, which count as uploads until it is cleared."""

    def __init__(self) -> None:
        """Start empty."""
        self._folders: list[Path] = []

    def new_file(self, name: str) -> Path:
        """A path for another file, with a safe form of that name."""
        path = Path(re.sub(r"[^\w ,.()-]", "_", name)[-80:] or "picture")
        file = new_upload(f"{safe_stems([path.name])[0]}{path.suffix}")
        self._folders.append(file.parent)
        return file

    def add(self, file: Path) -> Path:
        """Take over a file that lies in a folder of its own."""
        self._folders.append(file.parent)
        return file

    def clear(self) -> None:
        """Delete all of them."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()


class Form:
    """Names and values: texts, and files by their paths."""

    def __init__(self) -> None:
        """Start empty."""
        self.texts: dict[str, str] = {}
        self.files: dict[str, Path] = {}

    def text(self, name: str, default: str = "") -> str:
        """A text, without the white space around it; the default if it is missing or empty."""
        return self.texts.get(name, "").strip() or default


async def store_body(request: Request, tray: Tray) -> Path:
    """Write a request's body to disk as it arrives."""
    path = tray.new_file("body")
    with path.open("wb") as file:
        async for chunk in request.stream():
            file.write(chunk)
    return path


def read_form(body: Path, content_type: str, tray: Tray, file_names: Collection[str], max_bytes: int) -> Form:
    """The form in a body: multipart, URL-encoded or a flat JSON object. The body is deleted.

    Args:
        body: Its file.
        content_type: The request's header.
        tray: Where files go.
        file_names: Names of the parts that are pictures. They may come as texts too, if a client gives no file name.
        max_bytes: Limit on each picture.

    Raises:
        SettingsError: It is none of these, or has too many parts.
        ImageError: A picture is too large.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        with _parsing:
            if kind == "application/json":
                return _from_json(body.read_bytes())
            if kind in ("multipart/form-data", _ENCODED):
                return _from_parts(body, content_type, tray, file_names, max_bytes)
    finally:
        body.unlink(missing_ok=True)
    raise SettingsError("Send a form (multipart/form-data or application/x-www-form-urlencoded) or a JSON object.")


def _from_json(data: bytes) -> Form:
    outline = _STRING.sub(b'""', data)
    # anything longer could fill the memory, as a number takes many times its digits
    if len(outline) > 8192 or outline.count(b"{") > 1:
        raise _unreadable("too many parts")
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable("not JSON") from error
    if not isinstance(values, dict):
        raise _unreadable("not a JSON object")
    form = Form()
    form.texts = {name: _as_text(value) for name, value in values.items() if value is not None}
    return form


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _from_parts(body: Path, content_type: str, tray: Tray, file_names: Collection[str], max_bytes: int) -> Form:
    form, count = Form(), 0
    is_encoded = content_type.strip().lower().startswith(_ENCODED)

    def plain(data: bytes) -> str:
        text = data.decode("utf-8", "replace")
        return unquote_plus(text) if is_encoded else text

    def name_of(part: Field | File) -> str:
        nonlocal count
        count += 1
        if count > MAX_FIELDS:
            raise _unreadable("too many parts")
        return plain(part.field_name or b"")

    def on_field(part: Field) -> None:
        name, value = name_of(part), part.value or b""
        if name in file_names and value and not is_encoded:
            form.files[name] = tray.new_file("picture")
            form.files[name].write_bytes(_within(value, max_bytes))
        else:
            form.texts[name] = plain(value)

    def on_file(part: File) -> None:
        name, given = name_of(part), (part.file_name or b"").decode("utf-8", "replace")
        try:
            if part.size > max_bytes:
                raise too_large(max_bytes)
            part.file_object.seek(0)
            if name not in file_names:
                form.texts[name] = part.file_object.read().decode("utf-8", "replace")
            elif part.size or given:
                form.files[name] = tray.new_file(given)
                with form.files[name].open("wb") as file:
                    shutil.copyfileobj(part.file_object, file)
        finally:
            part.close()

    options = {
        "UPLOAD_DIR": str(body.parent), "MAX_FIELDS": MAX_FIELDS, "MAX_FIELD_SIZE": 2 * max_bytes,
    }  # fmt: skip
    try:
        parser = create_form_parser({"Content-Type": content_type.encode("latin-1")}, on_field, on_file, options)
        with body.open("rb") as file:
            while chunk := file.read(_CHUNK):
                parser.write(chunk)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise _unreadable(str(error)[:100].rstrip(".")) from error
    return form


def _within(value: bytes, max_bytes: int) -> bytes:
    if len(value) > max_bytes:
        raise too_large(max_bytes)
    return value


def too_large(max_bytes: int) -> ImageError:
    """The error about a picture's file."""
    return ImageError(f"The picture is larger than {max_bytes / (1 << 20):.3g} MB. Make it smaller first.")


def _unreadable(reason: str) -> SettingsError:
    return SettingsError(f"The form cannot be read ({reason}).")
