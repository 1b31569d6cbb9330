"""Facts about an `.onnx` file, read from its bytes without loading it: whether it is whole, and its data files."""

import os
import re
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from segmentation.messages import Message

SETTLED_SECONDS = 5.0  # without a change, after which a file is taken for what it is
_PIECE = 8 << 20  # bytes read at a time
_LONGEST_NAME = 16 << 10  # bytes, more than any file system allows
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


def is_arriving(path: Path) -> bool:
    """Whether the file, or a data file beside it, seems to be still in the middle of being copied."""
    stat = path.stat()
    if _is_recent(stat) and not (stat.st_size and (_is_something_else(path) or _is_whole(path, stat.st_size))):
        return True
    names = data_names(path)
    found = [file.stat() for file in external_files(path)]
    return any(map(_is_recent, [stat, *found] if len(found) < len(names) else found))


def _is_something_else(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith(_LFS) or bool(_PAGE.match(head))


def _is_recent(stat: os.stat_result) -> bool:
    return abs(time.time() - stat.st_mtime) < SETTLED_SECONDS


def data_names(path: Path) -> tuple[str, ...]:
    """The data files that a network names, whether they exist or not."""
    stat = path.stat()
    return _external_names(path, stat.st_size, stat.st_mtime_ns)


def external_files(path: Path) -> list[Path]:
    """The existing files beside a network that hold its data."""
    return [file for name in data_names(path) if (file := path.parent / name).is_file() and file.parent == path.parent]


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
    names, kept = dict[str, None](), b""
    with path.open("rb") as file:  # read, not mapped: a mapped file that shrinks meanwhile ends the process
        while piece := file.read(_PIECE):
            content = kept + piece
            for found in _LOCATION.finditer(content):
                name = content[found.end() : found.end() + _number(found[1])]
                if len(name) == _number(found[1]):
                    names[name.decode("utf-8", "replace")] = None
            kept = content[-_LONGEST_NAME:]
    return tuple(name for name in names if name and "\0" not in name)


def _number(varint: bytes) -> int:
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(varint))


def _is_whole(path: Path, size: int) -> bool:
    """Whether the outermost protobuf message (ModelProto) ends where the file does."""
    with path.open("rb") as file:
        at = 0
        for _ in range(_FIELDS):
            if at >= size:
                break
            tag, at = _varint(file, at)
            kind = tag & 7
            if kind == 2:  # length-delimited: text, messages
                length, at = _varint(file, at)
                at += length
            elif kind == 0 and tag:  # field 0 does not exist: zeros are space reserved for a copy
                _, at = _varint(file, at)
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                return False
        return at <= size


def _varint(file: BinaryIO, at: int) -> tuple[int, int]:
    """A number and the offset of its end, which is beyond any file if the number is not terminated."""
    file.seek(at)
    data = file.read(10)
    for used, byte in enumerate(data, 1):
        if byte < 0x80:
            return _number(data[:used]), at + used
    return 0, sys.maxsize
