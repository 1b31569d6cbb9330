"""Work in the background: its progress is shown, its errors arrive, and it ends when nobody waits for it."""

import threading
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from segmentation.errors import WeightsError
from segmentation.web.background import StoppedError, with_progress
from segmentation.web.events import OnProgress
from segmentation.web.texts import file_size

T = TypeVar("T")


def finished(work: Generator[tuple[str, float | None] | None, None, T]) -> tuple[list[tuple[str, float | None]], T]:
    seen: list[tuple[str, float | None]] = []
    while True:
        try:
            progress = next(work)
        except StopIteration as done:
            return seen, done.value
        if progress is not None:
            seen.append(progress)


def test_progress_comes_before_the_result() -> None:
    def work(report: OnProgress) -> int:
        report("half", 0.5)
        return 7

    assert finished(with_progress(work)) == ([("half", 0.5)], 7)


def test_it_runs_in_the_context_of_the_caller() -> None:
    visitor: ContextVar[str] = ContextVar("visitor", default="nobody")
    visitor.set("Ada")
    assert finished(with_progress(lambda _: visitor.get())) == ([], "Ada")


def test_errors_are_raised_where_it_is_waited_for() -> None:
    def work(_: OnProgress) -> None:
        raise WeightsError("no such model")

    with pytest.raises(WeightsError, match="no such model"):
        finished(with_progress(work))


def test_work_that_nobody_waits_for_ends_at_its_next_report() -> None:
    go_on, ended = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def work(report: OnProgress) -> None:
        try:
            report("begun", None)
            go_on.wait(20)
            report("still going", None)
        except BaseException as error:
            raised.append(error)
            raise
        finally:
            ended.set()

    waiting: Generator[Any, None, None] = with_progress(work)
    while next(waiting) is None:
        pass
    waiting.close()
    go_on.set()
    assert ended.wait(20)
    assert [type(error) for error in raised] == [StoppedError]
    assert not isinstance(raised[0], Exception)  # a download must not take it for a failure, and try the next source


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "1 kB"), (1_400, "1 kB"), (42_000, "42 kB"), (949_000, "949 kB"), (960_000, "1.0 MB"), (4_574_861, "4.6 MB"),
     (178_600_000, "179 MB"), (973_000_000, "1.0 GB"), (12_300_000_000, "12 GB")],
)  # fmt: skip
def test_sizes_of_files_are_short(size: int, text: str) -> None:
    assert file_size(size) == text
