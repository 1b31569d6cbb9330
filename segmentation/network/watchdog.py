"""Ends runs of a network that take too long or were cancelled."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from segmentation.errors import SessionError

POLL_SECONDS = 0.1  # between checks of the runs in progress

Cancelled: TypeAlias = Callable[[], bool]
"""Whether the run was cancelled: nobody needs its answer."""


class RunTimeoutError(Exception):
    """A run exceeded its time limit."""


class TooSlowError(SessionError):
    """The same, as a sentence: another run of that network would take as long."""


class RunCancelledError(Exception):
    """A run was cancelled."""


class Options(Protocol):
    """The relevant part of ONNX Runtime's RunOptions: setting `terminate` ends the run before its next node."""

    terminate: bool


@dataclass(eq=False, slots=True)
class _Watched:
    options: Options
    deadline: float
    cancelled: Cancelled | None
    verdict: type[Exception] | None = None

    def look(self) -> None:
        """Decide whether to end the run; called only while it is in progress."""
        if time.monotonic() > self.deadline:
            self.verdict = RunTimeoutError
        elif self.cancelled and self.cancelled():
            self.verdict = RunCancelledError
        if self.verdict:
            self.options.terminate = True


_under_way: set[_Watched] = set()
_changed = threading.Condition()
_watching = False  # whether the watching thread exists; guarded by `_changed`


@contextmanager
def watched(options: Options, seconds: float | None, cancelled: Cancelled | None = None) -> Iterator[None]:
    """End the run with these options after this many seconds, or once it is cancelled.

    Raises:
        RunTimeoutError: It took too long.
        RunCancelledError: It was cancelled.
    """
    if seconds is None and cancelled is None:
        yield
        return
    run = _Watched(options, float("inf") if seconds is None else time.monotonic() + seconds, cancelled)
    _add(run)
    try:
        yield
    except Exception as error:  # ONNX Runtime's have no common base
        if run.verdict is None:
            raise
        raise run.verdict(str(error)) from None
    else:
        if run.verdict is RunTimeoutError:  # a single node cannot be ended, but its answer is still too late
            raise RunTimeoutError
    finally:
        with _changed:
            _under_way.discard(run)
        options.terminate = False  # they may serve another run


def _add(run: _Watched) -> None:
    global _watching
    with _changed:
        _under_way.add(run)
        _changed.notify()
        if not _watching:
            _watching = True
            threading.Thread(target=_watch, daemon=True, name="watchdog").start()


def _watch() -> None:
    """Check all runs periodically; the thread ends after a while without any."""
    global _watching
    while True:
        with _changed:
            if not _under_way and not _changed.wait_for(lambda: bool(_under_way), timeout=30):
                _watching = False
                return
            for run in _under_way:  # none can end meanwhile, so no flag is set on a later run's options
                run.look()
        time.sleep(POLL_SECONDS)
