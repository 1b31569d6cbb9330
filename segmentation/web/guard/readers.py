"""Who still reads the answers of which event, told by the streams that are open: a run nobody reads is ended."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 20.0  # a client may fetch its answer a little later, or come back after its line broke

_lock = threading.Lock()
_open: dict[str, int] = {}
_closed: dict[str, float] = {}
_MOST = 10_000  # keys of closed streams that are remembered


@contextmanager
def reading(key: str) -> Iterator[None]:
    """A stream of this session or event is open."""
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
                while len(_closed) > _MOST:
                    del _closed[next(iter(_closed))]


def is_gone(keys: tuple[str, ...], since: float) -> bool:
    """Whether nobody has read any of these streams for a while, or ever since that time of the monotonic clock."""
    with _lock:
        if any(key in _open for key in keys):
            return False
        last = max(_closed.get(key, since) for key in keys)
    return time.monotonic() - max(last, since) > PATIENCE_SECONDS
