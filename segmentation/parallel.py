"""Work on many things at once, in threads; what happens there comes out of one generator."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from segmentation.network.machine import available_cores
from segmentation.network.watchdog import RunCancelledError

TICK = 0.25  # seconds without an event after which None is yielded

E = TypeVar("E")


class StoppedError(Exception):
    """The caller has closed the generator."""


class Events(Generic[E]):
    """Where the work on one thing reports to."""

    def __init__(self, put: Callable[[E], None], is_stopped: Callable[[], bool]) -> None:
        """Used by `in_parallel`."""
        self._put, self.is_stopped = put, is_stopped

    def add(self, event: E) -> None:
        """Report an event.

        Raises:
            StoppedError: Nobody wants to know any longer; let it end the work.
        """
        if self.is_stopped():
            raise StoppedError
        self._put(event)


def in_parallel(
    things: Sequence[int],
    work: Callable[[int, Events[E]], None],
    *,
    workers: int | None = None,
    slots: AbstractContextManager[Any] | None = None,
) -> Generator[E | None, None, None]:
    """The events of the work on all things, in any order, until all is done.

    When nothing happens for a moment it yields None, so the caller is never blocked and can close it: then no further
    work starts, and what is in progress stops at its next event.

    Args:
        things: Their numbers.
        work: Called with one of them in some thread. Its exceptions are raised here: they are bugs.
        workers: Threads; the number of cores by default.
        slots: Held while `work` runs, and shared by others that want to take turns.
    """
    stopped = threading.Event()
    events: queue.SimpleQueue[tuple[E | None, BaseException | None]] = queue.SimpleQueue()

    waiting, lock = iter(things), threading.Lock()

    def run_all() -> None:  # instead of a task for each thing: a million of them would take a gigabyte
        while not stopped.is_set():
            with lock:
                thing = next(waiting, None)
            if thing is None:
                return
            try:
                with slots or nullcontext():
                    if not stopped.is_set():
                        work(thing, Events(lambda event: events.put((event, None)), stopped.is_set))
                events.put((None, None))
            except (StoppedError, RunCancelledError):
                return
            except BaseException as error:  # re-raised in the caller's thread
                events.put((None, error))

    count = min(workers or available_cores(), max(1, len(things)))
    executor = ThreadPoolExecutor(count, "segment")
    try:
        for _ in range(count):
            executor.submit(run_all)
        left = len(things)
        while left:
            try:
                event, error = events.get(timeout=TICK)
            except queue.Empty:
                yield None
                continue
            if error:
                raise error
            if event is None:
                left -= 1
            else:
                yield event
    finally:
        stopped.set()
        executor.shutdown(wait=False, cancel_futures=True)  # a server closes this in its event loop: it must not block
