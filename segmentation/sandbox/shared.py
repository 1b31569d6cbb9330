"""Memory that two processes share, for arrays: neither side trusts what the other says about it."""

import os
import sys
import tempfile
from collections.abc import Sequence
from io import FileIO
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

AREA_BYTES = 512 << 20  # size of an area; only what is used takes memory

_KINDS = "biuf"  # NumPy's letters for truth values, whole numbers and floats
_MOST_AXES = 16

Array = npt.NDArray[Any]


class Area:
    """A file in memory on Linux, elsewhere a temporary file. It is read and written, never mapped.

    So no size that the other side gives it can end this process: a mapping of a truncated file would. On Linux its
    size is sealed as well, and it does not count against /dev/shm, which is tiny in containers.

    Attributes:
        handle: What the other process opens it by: a file descriptor to inherit, or a path.
    """

    def __init__(self, handle: int | str) -> None:
        """Open an area made by another process."""
        self.handle = handle
        self._file = FileIO(handle, "r+")

    @classmethod
    def create(cls) -> Self:
        """Make a new one."""
        if sys.platform != "linux":
            handle, path = tempfile.mkstemp(prefix="segmatte-")
            os.close(handle)
            return cls(path)
        import fcntl

        area = cls(os.memfd_create("segmatte", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        os.ftruncate(area._file.fileno(), AREA_BYTES)
        seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(area._file.fileno(), fcntl.F_ADD_SEALS, seals)
        return area

    @property
    def held_bytes(self) -> int:
        """Bytes of memory or disk that it takes; 0 if it is closed or that is unknown (Windows)."""
        try:
            return getattr(os.fstat(self._file.fileno()), "st_blocks", 0) * 512
        except (OSError, ValueError):
            return 0

    def write(self, arrays: Sequence[Array]) -> list[Any]:
        """Write arrays from the beginning.

        Returns:
            How to read them, as JSON.

        Raises:
            ValueError: They are not numbers, or too large.
        """
        if sum(array.nbytes for array in arrays) > AREA_BYTES or any(a.dtype.kind not in _KINDS for a in arrays):
            raise ValueError("the arrays are too large, or not of numbers.")
        self._file.seek(0)
        for array in arrays:
            left = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            while len(left):
                left = left[self._file.write(left) :]
        return [[array.dtype.name, list(array.shape)] for array in arrays]

    def read(self, shapes: Any) -> list[Array]:
        """Copies of the arrays that the other side wrote.

        Raises:
            ValueError: What it says about them is wrong.
        """
        if not isinstance(shapes, list) or len(shapes) > _MOST_AXES:
            raise ValueError("not a list of arrays")
        arrays, total = [], 0
        self._file.seek(0)
        for name, shape in shapes:
            dtype = np.dtype(str(name))
            if dtype.kind not in _KINDS or len(shape) > _MOST_AXES or not all(type(n) is int and n >= 0 for n in shape):
                raise ValueError("not an array")
            total += prod(shape) * dtype.itemsize
            if total > AREA_BYTES:
                raise ValueError("too large")
            array = np.empty(shape, dtype)
            left = array.reshape(-1).view(np.uint8).data
            while len(left):
                count = self._file.readinto(left)
                if not count:
                    raise ValueError("truncated")
                left = left[count:]
            arrays.append(array)
        return arrays

    def close(self) -> None:
        """Give it up; its maker deletes it."""
        self._file.close()
        if isinstance(self.handle, str):
            Path(self.handle).unlink(missing_ok=True)
