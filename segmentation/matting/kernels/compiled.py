"""Compile loops over arrays with numba. Only this module imports numba."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code: serial, without the GIL, compiled on its first call and cached on disk.

    Serial on purpose: numba's parallel loops abort the process when two threads meet in them without OpenMP, and
    pictures are matted side by side anyway.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no writable cache folder; NUMBA_CACHE_DIR can set one
        return numba.njit(nogil=True, error_model="numpy")(function)


def use_one_thread() -> None:
    """Let the parallel loops of others that this thread calls run in it alone: many threads mostly wait for another."""
    numba.set_num_threads(1)
