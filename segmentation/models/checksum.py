"""Verifies that a file is the pinned one, by size and then sha256."""

import hashlib
from pathlib import Path

from segmentation.models.spec import Weights

_verified: dict[Path, tuple[int, int, int]] = {}  # path -> (inode, size, mtime) at which its hash was right


class DamagedError(Exception):
    """The file exists but is not the pinned one."""


def verify(path: Path, weights: Weights) -> Path:
    """The path, if the file has the pinned size and hash; hashed once per process unless the file changes."""
    stat = path.stat()
    if stat.st_size == 0:
        raise DamagedError("is empty")
    if weights.sha256 is None:
        return path
    if stat.st_size != weights.size:
        raise DamagedError(f"is damaged ({stat.st_size} bytes instead of {weights.size})")
    seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if _verified.get(path) != seen:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != weights.sha256:
                raise DamagedError("is damaged (its sha256 is not the pinned one)")
        _verified[path] = seen
    return path
