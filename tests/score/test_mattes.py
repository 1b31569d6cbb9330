"""The errors of alpha matting against their definitions, written out pixel by pixel."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segmentation.score.mattes import connectivity_error, measure_mattes
from tests.score.cases import Plane, cases

CASES = {name: pair for name, pair in cases().items() if pair[0].size < 30_000}


def naive_gradient(alpha: NDArray[Any], truth: NDArray[Any]) -> float:
    """The 9 x 9 filters of unit length, and the border repeated, as loops."""

    def gauss(x: float) -> float:
        return math.exp(-(x**2) / (2 * 1.4**2))

    kernel = np.array([[gauss(i) * -j * gauss(j) for j in range(-4, 5)] for i in range(-4, 5)])
    kernel /= math.sqrt((kernel**2).sum())

    def slope(plane: NDArray[Any]) -> NDArray[Any]:
        wide = np.pad(plane, 4, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(wide, (9, 9))
        return np.asarray(np.hypot((windows * kernel).sum((2, 3)), (windows * kernel.T).sum((2, 3))))

    return float(((slope(alpha) - slope(truth)) ** 2).sum() / 1000)


def largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 4-connected region, by walking."""
    best: set[tuple[int, int]] = set()
    seen: set[tuple[int, int]] = set()
    for y, x in np.argwhere(mask):
        region, rest = set[tuple[int, int]](), [(int(y), int(x))]
        while rest:
            at = rest.pop()
            inside = 0 <= at[0] < mask.shape[0] and 0 <= at[1] < mask.shape[1]
            if at in seen or not inside or not mask[at]:
                continue
            seen.add(at)
            region.add(at)
            rest += [(at[0] + 1, at[1]), (at[0] - 1, at[1]), (at[0], at[1] + 1), (at[0], at[1] - 1)]
        best = max(best, region, key=len)
    found = np.zeros(mask.shape, bool)
    for at in best:
        found[at] = True
    return found


def naive_connectivity(alpha: Plane, truth: Plane) -> float:
    """Level by level, with the levels as fractions of 255."""
    level_of = np.full(alpha.shape, -1.0)
    for step in range(1, 11):
        both = (alpha.astype(int) * 10 >= step * 255) & (truth.astype(int) * 10 >= step * 255)
        level_of[(level_of < 0) & ~largest(both)] = (step - 1) / 10
    level_of[level_of < 0] = 1.0
    above = [plane / 255 - level_of for plane in (alpha, truth)]
    one, other = (1 - part * (part >= 0.15) for part in above)
    return float(np.abs(one - other).sum() / 1000)


@pytest.mark.parametrize("name", CASES)
def test_every_error_is_its_definition(name: str) -> None:
    alpha, truth = CASES[name]
    one, other = alpha / 255, truth / 255
    errors = measure_mattes(alpha, truth)
    assert errors.sad == pytest.approx(np.abs(one - other).sum() / 1000, abs=1e-9)
    assert errors.mse == pytest.approx(((one - other) ** 2).mean(), abs=1e-9)
    assert errors.gradient == pytest.approx(naive_gradient(one, other), abs=1e-9)
    assert errors.connectivity == pytest.approx(naive_connectivity(alpha, truth), abs=1e-9)


def test_numbers_by_hand() -> None:
    truth = np.zeros((10, 10), np.uint8)
    truth[2:8, 2:8] = 255
    alpha = truth.copy()
    alpha[0, 0] = 51  # a fifth, far from the subject
    errors = measure_mattes(alpha, truth)
    assert errors.sad == pytest.approx(0.2 / 1000)
    assert errors.mse == pytest.approx(0.04 / 100)
    assert errors.connectivity == pytest.approx(0.2 / 1000)  # all of it is unconnected, and more than 0.15
    alpha[0, 0] = 25  # less than 0.15 is forgiven
    assert measure_mattes(alpha, truth).connectivity == 0


def test_a_hole_cuts_what_is_behind_it_off() -> None:
    truth = np.full((3, 9), 255, np.uint8)
    alpha = truth.copy()
    alpha[:, 5] = 0  # three columns remain on its right, connected in the truth only
    assert connectivity_error(alpha, truth) == pytest.approx(3 / 1000)  # in both, they lie above the level alike


def test_equal_mattes_have_no_errors() -> None:
    for _, truth in CASES.values():
        errors = measure_mattes(truth, truth)
        assert (errors.sad, errors.mse, errors.gradient, errors.connectivity) == (0, 0, 0, 0)


def test_only_the_pixels_of_a_trimap_count() -> None:
    alpha, truth = CASES["soft with noise"]
    where = np.zeros(alpha.shape, bool)
    where[20:40, 30:70] = True
    errors, whole = measure_mattes(alpha, truth, where), measure_mattes(alpha, truth)
    difference = (alpha / 255 - truth / 255)[where]
    assert errors.sad == pytest.approx(np.abs(difference).sum() / 1000)
    assert errors.mse == pytest.approx((difference**2).mean())
    rest = measure_mattes(alpha, truth, ~where)
    assert errors.gradient + rest.gradient == pytest.approx(whole.gradient)
    assert errors.connectivity + rest.connectivity == pytest.approx(whole.connectivity)
    assert measure_mattes(alpha, truth, np.zeros(alpha.shape, bool)).mse == 0


def test_mattes_of_floats_score_as_those_of_bytes() -> None:
    alpha, truth = CASES["soft with noise"]
    floats = measure_mattes((alpha / 255).astype(np.float64), truth)
    assert floats == measure_mattes(alpha, truth)


def test_large_pictures_are_measured_in_strips_that_leave_no_seams() -> None:
    alpha, truth = (np.tile(plane, (12, 9)) for plane in CASES["soft with noise"])
    assert alpha.size > 2 * (1 << 19)
    errors = measure_mattes(alpha, truth)
    assert errors.gradient == pytest.approx(naive_gradient(alpha / 255, truth / 255), rel=1e-9)
    assert errors.sad == pytest.approx(np.abs(alpha / 255 - truth / 255).sum() / 1000)
