"""Work in a thread of its own, whose progress the handler of an event shows meanwhile."""

import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import TypeVar

from segmentation.web.events import OnProgress

T = TypeVar("T")

REGULARLY = 0.3  # seconds between yields without progress: Gradio stops a generator only there


class StoppedError(BaseException):
    """Nobody waits for the work any longer. No `Exception`, so that no layer takes it for a failed download."""


def with_progress(work: Callable[[OnProgress], T]) -> Generator[tuple[str, float | None] | None, None, T]:
    """Do something in the background. If the generator is closed, the work ends at its next report.

    Args:
        work: Is given the progress callback, in the context of the caller.

    Yields:
        Activity and progress when there is any, and None regularly in between.

    Returns:
        What the work returns; what it raises is raised here.
    """
    reports = queue.SimpleQueue[tuple[str, float | None]]()
    answer: Future[T] = Future()
    stopped = threading.Event()

    def report(text: str, share: float | None) -> None:
        if stopped.is_set():
            raise StoppedError
        reports.put((text, share))

    def run() -> None:
        try:
            answer.set_result(work(report))
        except BaseException as error:  # raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), daemon=True, name="background").start()
    try:
        while True:
            wait([answer], REGULARLY)
            latest = None
            while not reports.empty():
                latest = reports.get()
            yield latest
            if answer.done() and reports.empty():
                return answer.result()
    finally:
        stopped.set()
