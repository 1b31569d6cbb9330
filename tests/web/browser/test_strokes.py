"""The strokes of a page as data: few points, an eraser, and a history."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from segmentation.corrections import MAX_STROKE_POINTS, MAX_STROKES, read_correction
from segmentation.web.page.scripts import FOLDER

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page with the module as `strokes`."""
    page = browser.new_page()
    module = base64.b64encode((FOLDER / "strokes.js").read_bytes()).decode()
    page.evaluate("async (text) => { window.strokes = await import(`data:text/javascript;base64,${text}`) }", module)
    yield page
    page.close()


def distance(places: Any, line: Any) -> float:
    """The farthest that a place is from a line of places."""
    starts, ends = np.asarray(line[:-1], float), np.asarray(line[1:], float)
    ways = ends - starts
    squares = np.maximum((ways**2).sum(axis=1), 1e-9)
    farthest = 0.0
    for place in np.asarray(places, float):
        along = np.clip(((place - starts) * ways).sum(axis=1) / squares, 0, 1)
        farthest = max(farthest, np.hypot(*(place - starts - along[:, None] * ways).T).min())
    return farthest


def test_a_stroke_of_a_moving_hand_is_small_and_stays_on_its_way(page: Page) -> None:
    angles = np.linspace(0, 6, 2000)
    hand = np.stack([500 + 300 * np.cos(angles), 400 + 200 * np.sin(angles)], axis=1).tolist()
    stroke = page.evaluate("(places) => strokes.stroke('keep', 20, places)", hand)
    assert len(stroke["points"]) < 60
    assert distance(hand, stroke["points"]) <= 20 / 10 + 0.1
    assert stroke["points"][0] == pytest.approx(hand[0], abs=0.06)
    assert stroke["points"][-1] == pytest.approx(hand[-1], abs=0.06)
    (read,) = read_correction({"strokes": [stroke]}).strokes
    assert read.as_json() == stroke


def test_a_dab_is_one_point(page: Page) -> None:
    assert page.evaluate("strokes.stroke('solve', 3, [[4.04, 5]])") == {
        "kind": "solve", "radius": 3, "points": [[4, 5]]
    }  # fmt: skip


def test_an_eraser_splits_a_stroke_and_leaves_the_others(page: Page) -> None:
    line = {"kind": "keep", "radius": 5, "points": [[0, 0], [100, 0]]}
    other = {"kind": "remove", "radius": 5, "points": [[0, 50], [100, 50]]}
    erase = "([all, from, to]) => strokes.erased(all, from, to, 10)"
    left, right, same = page.evaluate(erase, [[line, other], [50, -20], [50, 20]])
    assert left == line | {"points": [[0, 0], pytest.approx([40, 0], abs=3)]}
    assert right == line | {"points": [pytest.approx([60, 0], abs=3), [100, 0]]}
    assert same == other
    assert page.evaluate(erase, [[line], [0, 0], [100, 0]]) == []
    dab = {"kind": "keep", "radius": 5, "points": [[7, 7]]}
    assert page.evaluate(erase, [[dab], [9, 9], [9, 9]]) == []


def test_history_goes_back_and_forth_and_forgets_what_was_undone(page: Page) -> None:
    shown = page.evaluate(
        """() => {
            const history = new strokes.History();
            const seen = [];
            const see = () => seen.push([history.now.strokes.join(""), history.canUndo, history.canRedo]);
            see();
            for (const step of ["a", "b"]) { history.push({ strokes: [...history.now.strokes, step] }); see(); }
            history.undo(); see();
            history.redo(); see();
            history.undo(); history.push({ strokes: ["c"] }); see();
            history.push(strokes.NOTHING); see();
            history.undo(); see();
            return seen;
        }"""
    )
    assert shown == [
        ["", False, False], ["a", True, False], ["ab", True, False], ["a", True, True], ["ab", True, False],
        ["c", True, False], ["", True, False], ["c", True, True],
    ]  # fmt: skip


def test_what_the_server_knows_can_be_taken_back_part_by_part(page: Page) -> None:
    counts = page.evaluate(
        """() => {
            const known = { strokes: ["a", "b"], points: ["p"], box: [0, 0, 1, 1], candidate: 3 };
            const history = new strokes.History(known);
            const counts = [];
            for (let step = 0; step < 7; step += 1) {
                const { strokes: lines, points, box, candidate } = history.now;
                counts.push([lines.length, points.length, box ? 1 : 0, candidate]);
                history.undo();
            }
            return counts;
        }"""
    )
    assert counts == [
        [2, 1, 1, 3], [2, 1, 1, 1], [2, 1, 0, 1], [2, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]
    ]  # fmt: skip


def test_no_more_is_painted_than_the_server_takes(page: Page) -> None:
    fits = "([count, points]) => strokes.fits(Array(count).fill({ points: Array(points).fill([0, 0]) }))"
    assert page.evaluate(fits, [MAX_STROKES, 2])
    assert not page.evaluate(fits, [MAX_STROKES + 1, 2])
    assert page.evaluate(fits, [10, MAX_STROKE_POINTS // 10])
    assert not page.evaluate(fits, [10, MAX_STROKE_POINTS // 10 + 1])
