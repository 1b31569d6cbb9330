"""Facts about an `.onnx` file, read from its bytes without loading it: whether it is whole, and its data files."""

import mmap
import re
from functools import lru_cache
from pathlib import Path

from segmentation.messages import Message

_HEAD = 512  # bytes that show what else a file may be
_LFS = b"version https://git-lfs"
_PAGE = re.compile(rb"\s*(?:<!doctype\s+html|<html|<\?xml|<head)", re.IGNORECASE)
# StringStringEntryProto{key: "location", value: <name>} of TensorProto.external_data (onnx.proto3)
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x80-\xff]{0,2}[\x00-\x7f])")
_FIELDS = 64  # of the file's outermost message; exporters write a dozen, plus some metadata


def file_problem(path: Path) -> str:
    """Why a file is not a whole ONNX network, as the end of a sentence; "" if no problem was found."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return Message("it cannot be read ({reason}).", reason=error.strerror or "unknown")
    if not size:
        return Message("it is empty (0 bytes).")
    if head.startswith(_LFS):
        return Message(
            "it is a Git LFS pointer of {size} bytes, not the network itself. Fetch it with `git lfs pull`.", size=size
        )
    if _PAGE.match(head):
        return Message("it is a web page, not a network. Download the file itself ('raw' or 'resolve' in its address).")
    if not _is_whole(path, size):
        return Message("it is truncated, or not an ONNX file. Download it again.")
    return ""


def external_files(path: Path) -> list[Path]:
    """The existing files beside a network that hold its data."""
    stat = path.stat()
    names = _external_names(path, stat.st_size, stat.st_mtime_ns)
    return [file for name in names if (file := path.parent / name).is_file() and file.parent == path.parent]


def data_files(path: Path) -> list[Path]:
    """The existing files that hold a network's data, links resolved.

    They may lie in its folder or, if the network is a link as in the Hub's cache, beside what it links to.

    Raises:
        ValueError: One lies elsewhere.
    """
    stat = path.stat()
    folders = path.parent.resolve(), path.resolve().parent
    files = []
    for name in _external_names(path, stat.st_size, stat.st_mtime_ns):
        file = (path.parent / name).resolve()
        if not any(file.is_relative_to(folder) for folder in folders):
            raise ValueError(name)
        files.append(file)
    return [file for file in files if file.is_file()]


@lru_cache(maxsize=256)
def _external_names(path: Path, size: int, _modified: int) -> tuple[str, ...]:
    if not size:
        return ()
    names = dict[str, None]()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for found in _LOCATION.finditer(content):
            length = _number(found[1])
            names[content[found.end() : found.end() + length].decode("utf-8", "replace")] = None
    return tuple(name for name in names if name and "\0" not in name)


def _number(varint: bytes) -> int:
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(varint))


def _is_whole(path: Path, size: int) -> bool:
    """Whether the outermost protobuf message (ModelProto) ends where the file does."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = 0
        for _ in range(_FIELDS):
            if at >= size:
                break
            tag, at = _varint(content, at)
            kind = tag & 7
            if kind == 2:  # length-delimited: text, messages
                length, at = _varint(content, at)
                at += length
            elif kind == 0:
                _, at = _varint(content, at)
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                return False
        return at <= size


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    """A number and the offset of its end, which is beyond the file if the number is not terminated."""
    data = content[at : at + 10]
    for used, byte in enumerate(data, 1):
        if byte < 0x80:
            return _number(data[:used]), at + used
    return 0, len(content) + 1
