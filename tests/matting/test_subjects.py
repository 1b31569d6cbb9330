"""Subjects: told apart by size, with what is soft or a speck going to the nearest, and chosen by clicks and boxes."""

import numpy as np
import pytest

from segmentation import SettingsError
from segmentation.arrays import Alpha
from segmentation.corrections import Box, Point
from segmentation.matting.subjects import MOST, ROWS, choose, find_subjects


@pytest.fixture
def alpha() -> Alpha:
    """A large and a small subject with soft rims, a speck beside the large one, and hair between."""
    alpha = np.zeros((60, 100), np.uint8)
    alpha[8:52, 8:42] = 60
    alpha[10:50, 10:40] = 255
    alpha[18:42, 68:92] = 60
    alpha[20:40, 70:90] = 200
    alpha[2, 2] = 255  # a speck
    alpha[30, 42:48] = 40  # hair of the large one
    return alpha


def test_subjects_are_numbered_by_size(alpha: Alpha) -> None:
    found = find_subjects(alpha)
    assert (found.count, found.areas) == (2, (1200, 400))
    assert found.numbers[30, 20] == 1
    assert found.numbers[30, 80] == 2
    assert found.numbers[30, 60] == 0


def test_what_is_soft_or_a_speck_belongs_to_the_nearest(alpha: Alpha) -> None:
    found = find_subjects(alpha)
    assert found.numbers[30, 47] == found.numbers[2, 2] == found.numbers[8, 8] == 1
    assert found.numbers[18, 68] == 2


def test_all_subjects_together_are_the_cutout(alpha: Alpha) -> None:
    found = find_subjects(alpha)
    parts = [found.only(alpha, [number]) for number in (1, 2)]
    assert np.array_equal(np.maximum(*parts), alpha)
    assert not np.minimum(*parts).any()
    assert np.array_equal(found.only(alpha, [1, 2]), alpha)


def test_one_subject_is_the_whole_cutout(alpha: Alpha) -> None:
    alpha[:, 60:] = 0
    assert np.array_equal(find_subjects(alpha).only(alpha, [1]), alpha)


def test_nothing_has_no_subjects() -> None:
    for level in (0, 100):
        alpha = np.full((20, 30), level, np.uint8)
        found = find_subjects(alpha)
        assert found.count == 0
        assert not found.only(alpha, [1]).any()


def test_a_large_picture_is_told_apart_as_a_small_one() -> None:
    small = np.zeros((60, 100), np.uint8)
    small[10:50, 5:30] = small[10:50, 60:95] = 255
    small[10:50, 30:38] = small[10:50, 54:60] = 90
    large = small.repeat(25, 0).repeat(25, 1)  # 3.75 megapixels
    numbers = find_subjects(large).numbers
    assert np.array_equal(numbers[12::25, 12::25], find_subjects(small).numbers)


def test_subjects_of_a_tall_picture_are_counted_whole() -> None:
    alpha = np.zeros((2 * ROWS + 90, 40), np.uint8)
    alpha[30:-30, 5:15] = alpha[ROWS - 9 : ROWS + 9, 22:32] = 255
    subjects = find_subjects(alpha)
    assert subjects.areas == (10 * (2 * ROWS + 30), 180)
    assert np.array_equal(subjects.numbers > 0, alpha > 0)


def test_a_crowd_has_a_bounded_number_of_subjects() -> None:
    alpha = np.zeros((120, 120), np.uint8)
    alpha[::10, ::10] = 255
    alpha[1::10, ::10] = 255
    found = find_subjects(alpha)
    assert found.count == MOST
    assert np.array_equal(found.only(alpha, range(1, MOST + 1)), alpha)


@pytest.mark.parametrize(
    ("points", "box", "kept"),
    [
        ([Point(20, 30)], None, [1]),
        ([Point(80, 30)], None, [2]),
        ([Point(20, 30), Point(80, 30)], None, [1, 2]),
        ([Point(20, 30, keep=False)], None, [2]),
        ([Point(20, 30), Point(80, 30, keep=False)], None, [1]),
        ([Point(93, 30)], None, [2]),  # just beside it
        ([Point(99.9, 59.9, keep=False)], None, [1, 2]),
        ([], (60.0, 0.0, 100.0, 60.0), [2]),
        ([], (-50.0, -50.0, 500.0, 500.0), [1, 2]),
        ([Point(20, 30)], (60.0, 0.0, 100.0, 60.0), [1, 2]),
        ([Point(20, 30, keep=False)], (0.0, 0.0, 100.0, 60.0), [2]),
        ([], (0.0, 0.0, 78.0, 60.0), [1]),  # less than half of the other
    ],
)
def test_clicks_and_boxes_choose_subjects(alpha: Alpha, points: list[Point], box: Box | None, kept: list[int]) -> None:
    chosen, _ = choose(alpha, points, box)
    assert np.array_equal(chosen, find_subjects(alpha).only(alpha, kept))


def test_a_click_beyond_the_left_edge_is_not_one_on_the_right() -> None:
    alpha = np.zeros((20, 60), np.uint8)
    alpha[:, 50:] = 255
    with pytest.raises(SettingsError, match="no subject under the click"):
        choose(alpha, [Point(-5, 10)], None)


def test_a_click_on_nothing_is_told(alpha: Alpha) -> None:
    chosen, notes = choose(alpha, [Point(20, 30), Point(55, 5)], None)
    assert notes == ("There is no subject under point 2.",)
    assert np.array_equal(chosen, find_subjects(alpha).only(alpha, [1]))


@pytest.mark.parametrize(
    ("points", "box", "sentence"),
    [
        ([Point(55, 5)], None, "There is no subject under the click"),
        ([], (45.0, 0.0, 60.0, 60.0), "There is no subject in the box"),
        ([Point(20, 30, keep=False), Point(80, 30, keep=False)], None, "No subject is left"),
        ([Point(20, 30), Point(25, 30, keep=False)], None, "No subject is left"),
    ],
)
def test_a_choice_of_nothing_is_refused(alpha: Alpha, points: list[Point], box: Box | None, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        choose(alpha, points, box)
