"""Tracks the open streams that read each event's answers, so that runs nobody reads can be stopped."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 20.0  # a client may fetch its answer a little later, or reconnect

_lock = threading.Lock()
_open: dict[str, int] = {}
_closed: dict[str, float] = {}
_MAX_CLOSED = 10_000  # keys of closed streams that are remembered


@contextmanager
def reading(key: str) -> Iterator[None]:
    """Mark a stream of this session or event as open."""
    with _lock:
        _open[key] = _open.get(key, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _open[key] -= 1
            if not _open[key]:
                del _open[key]
                _closed.pop(key, None)
                _closed[key] = time.monotonic()
                while len(_closed) > _MAX_CLOSED:
                    del _closed[next(iter(_closed))]


def is_gone(keys: tuple[str, ...], since: float) -> bool:
    """Whether none of these streams has been open for a while, counting from `since` (monotonic) at the earliest."""
    with _lock:
        if any(key in _open for key in keys):
            return False
        last = max(_closed.get(key, since) for key in keys)
    return time.monotonic() - max(last, since) > PATIENCE_SECONDS
