"""Ends runs of a network that take too long, or whose answer nobody waits for any longer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

POLL_SECONDS = 0.1  # between two looks at the runs under way

Cancelled: TypeAlias = Callable[[], bool]
"""Whether nobody waits for the answer any longer."""


class RunTimeoutError(Exception):
    """A run took longer than it may."""


class RunCancelledError(Exception):
    """Nobody waits for the run any longer."""


class Options(Protocol):
    """What of ONNX Runtime's RunOptions matters here: set, it ends the run before its next node."""

    terminate: bool


@dataclass(eq=False, slots=True)
class _Watched:
    options: Options
    deadline: float
    cancelled: Cancelled | None
    verdict: type[Exception] | None = None

    def look(self) -> None:
        """Decide; called while it is known to be under way."""
        if time.monotonic() > self.deadline:
            self.verdict = RunTimeoutError
        elif self.cancelled and self.cancelled():
            self.verdict = RunCancelledError
        if self.verdict:
            self.options.terminate = True


_under_way: set[_Watched] = set()
_changed = threading.Condition()
_watching = False  # whether there is a thread that looks; guarded by `_changed`


@contextmanager
def watched(options: Options, seconds: float | None, cancelled: Cancelled | None = None) -> Iterator[None]:
    """End what runs with these options after so many seconds, or once it is cancelled.

    Raises:
        RunTimeoutError: It was ended for its time.
        RunCancelledError: It was ended because nobody waits for it.
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
        if run.verdict is RunTimeoutError:  # a single node cannot be ended; its answer comes too late all the same
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
    """Look at all runs now and then; the thread ends after a while without any."""
    global _watching
    while True:
        with _changed:
            if not _under_way and not _changed.wait_for(lambda: bool(_under_way), timeout=30):
                _watching = False
                return
            for run in _under_way:  # none ends meanwhile, so no flag is set on the next one's options
                run.look()
        time.sleep(POLL_SECONDS)
