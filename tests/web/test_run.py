"""What the handlers of one visitor's page share: results, tokens of tuning, and a run's beginning and end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segmentation.batch import Outcome
from segmentation.cutout_files import Cutout
from segmentation.predictor import from_predictions
from segmentation.recipe import Recipe
from segmentation.report import Report
from segmentation.web.runs.outcomes import MadeBy, Outcomes
from segmentation.web.runs.predictions import Predictions
from segmentation.web.runs.run import Run
from segmentation.web.runs.tuning import Tuning

RECIPE = Recipe("m")


def outcome(index: int, error: str | None = None, folder: Path = Path()) -> Outcome:
    cutouts = () if error else (Cutout("", folder / f"{index}.png", (0, 0, 1, 1)),)
    return Outcome(index, f"{index}.jpg", cutouts, Report(f"{index}.jpg", "m", "", error=error))


def run_of(folder: Path, pictures: int = 2) -> Run:
    sources = [Path(f"{index}.jpg") for index in range(pictures)]
    return Run(folder, Predictions(sources, RECIPE), RECIPE, predictor=from_predictions("m", {}))


def test_each_move_of_the_hand_makes_the_earlier_ones_stale() -> None:
    tuning = Tuning()
    first = tuning.begin()
    assert (first.is_stale, first.is_done) == (False, False)
    second = tuning.begin()
    assert first.is_stale
    assert not second.is_stale
    second.finish()
    assert (first.is_done, second.is_done) == (True, True)
    first.finish()  # late
    assert tuning.done == second.number


def test_no_move_of_the_hand_is_lost_between_threads() -> None:
    tuning, together = Tuning(), threading.Barrier(8)

    def move(_: int) -> list[int]:
        together.wait()
        return [tuning.begin().number for _ in range(500)]

    with ThreadPoolExecutor(8) as executor:
        numbers = [number for part in executor.map(move, range(8)) for number in part]
    assert sorted(numbers) == list(range(1, 4001))
    assert tuning.current.number == 4000


def test_results_are_in_the_order_of_the_pictures() -> None:
    results = Outcomes((RECIPE, None))
    for index in (2, 0, 1):
        results.add(outcome(index, "It failed." if index == 1 else None))
    assert [index for index, _ in results.cutouts] == [0, 2]
    assert results.failed == [(1, "It failed.")]
    assert results.missing(range(4)) == [1, 3]


def test_results_that_are_read_while_others_finish_are_whole() -> None:
    results, stop = Outcomes((RECIPE, None)), threading.Event()

    def read() -> None:
        while not stop.is_set():
            numbers = [index for index, _ in results.cutouts]
            assert numbers == sorted(numbers)

    with ThreadPoolExecutor(4) as executor:
        readers = [executor.submit(read) for _ in range(3)]
        for index in range(2000):
            results.add(outcome(index))
        stop.set()
        for reader in readers:
            reader.result()
    assert len(results) == 2000


def test_what_a_cutout_was_made_by_follows_its_replacement() -> None:
    results, other = Outcomes((RECIPE, None)), (Recipe("n"), Path("sea.jpg"))
    for index in range(3):
        results.add(outcome(index))
    assert not results.is_mixed
    assert results.replace(outcome(1), other) == [Path("1.png")]
    assert results.is_mixed
    assert results.share_of(other) == (1, 3)
    assert results.backdrops == {Path("sea.jpg")}
    assert results.replace(outcome(1, "It failed."), (RECIPE, None)) is None  # the cutout stays
    assert results.made_by[1] == MadeBy(*other)


def test_a_run_works_once_and_says_while_it_does(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert not run.is_at_work
    run.begin()
    assert run.is_at_work
    run.end()
    assert not run.is_at_work
    with pytest.raises(AssertionError, match="once"):
        run.begin()


def test_pictures_that_join_a_run_count(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.outcomes.add(outcome(0))
    assert (run.total, run.missing, run.done) == (2, [1], 0.5)
    run.predictions.add_sources([Path("2.jpg")])
    assert (run.total, run.missing) == (3, [1, 2])


def test_a_run_is_left_when_its_last_page_is(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.view.add_page()
    assert not run.view.drop_page()
    assert run.view.drop_page()


def test_the_run_that_was_replaced_is_handed_over_once(tmp_path: Path) -> None:
    earlier, run = run_of(tmp_path), run_of(tmp_path)
    run.view.replaced = earlier
    assert run.view.replaced is earlier
    assert run.view.take_replaced() is earlier
    assert run.view.take_replaced() is None


def test_an_abandoned_run_stops_its_part_and_makes_previews_stale(tmp_path: Path) -> None:
    run, part = run_of(tmp_path), run_of(tmp_path)
    token = run.tuning.begin()
    run.do_part(part)
    run.abandon()
    assert run.stop.is_set()
    assert part.stop.is_set()
    assert token.is_stale
