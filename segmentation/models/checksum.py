"""Verifies that files are the pinned ones, by size and then sha256."""

import hashlib
from pathlib import Path

from segmentation.models.spec import Weights

_verified: dict[Path, tuple[tuple[int, int, int], str]] = {}
"""Path -> its (inode, size, mtime) when its hash was right, and that hash."""


class DamagedError(Exception):
    """The file exists but is not the pinned one."""


def verify(path: Path, size: int | None, sha256: str | None) -> Path:
    """The path, if the file has this size and hash; hashed once per process unless the file changes.

    Args:
        path: The file.
        size: Its pinned size, in bytes.
        sha256: Its pinned hash; None accepts every file that is not empty.

    Raises:
        DamagedError: It has not.
    """
    stat = path.stat()
    if stat.st_size == 0:
        raise DamagedError("is empty")
    if sha256 is None:
        return path
    if stat.st_size != size:
        raise DamagedError(f"is damaged ({stat.st_size} bytes instead of {size})")
    seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns), sha256
    if _verified.get(path) != seen:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise DamagedError("is damaged (its sha256 is not the pinned one)")
        _verified[path] = seen
    return path


def verify_all(path: Path, weights: Weights) -> Path:
    """The path of the `.onnx` file, if it and the files that it needs beside it are the pinned ones.

    Raises:
        DamagedError: One is missing or damaged.
    """
    verify(path, weights.size, weights.sha256)
    for part in weights.beside:
        beside, kind = path.parent / part.file, "decoder" if part is weights.decoder else "data file"
        if not beside.is_file():
            raise DamagedError(f"lacks its {kind} {part.file}")
        try:
            verify(beside, part.size, part.sha256)
        except DamagedError as damage:
            raise DamagedError(f"has a {kind} {part.file} that {damage}") from damage
    return path
