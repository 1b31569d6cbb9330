"""The measures of salient object detection against pysodmetrics' stored numbers, and against their definitions."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import distance_transform_edt

from segmentation.score.kernels import background_error, nearest_rows
from segmentation.score.saliency import measure_saliency
from segmentation.score.scores import MEASURES, Total, measure
from tests.score.cases import REFERENCE, Plane, cases, digest

CASES = cases()
STORED: dict[str, Any] = json.loads((REFERENCE / "sod_measures.json").read_text(encoding="utf-8"))
NAMES = {"mean_e": "e_measure"}  # there -> here


def close(value: float, stored: float) -> bool:
    return abs(value - stored) < 1e-9


def test_the_reference_is_about_these_cases() -> None:
    assert {name: digest(*pair) for name, pair in CASES.items()} == {
        name: entry["sha256"] for name, entry in STORED["cases"].items()
    }, "python tests/reference/make_sod_reference.py makes it again"


@pytest.mark.parametrize("name", CASES)
def test_every_measure_is_that_of_pysodmetrics(name: str) -> None:
    stored = {
        NAMES.get(key, key): value for key, value in STORED["cases"][name].items() if key not in ("sha256", "f_at")
    }
    ours = measure(*CASES[name]).scores.as_json()
    assert set(stored) <= set(ours)
    undefined = [key for key, value in stored.items() if value is None]
    assert undefined in ([], ["s_measure"])
    assert [key for key, value in stored.items() if value is not None and not close(ours[key], value)] == []
    assert all(0 <= ours[key] <= 1 for key in undefined)  # a part of the picture without pixels is not a number there


@pytest.mark.parametrize("name", CASES)
def test_the_f_curve_is_that_of_pysodmetrics(name: str) -> None:
    curve = measure_saliency(*CASES[name]).f_curve
    assert all(close(curve[255 - int(at)], value) for at, value in STORED["cases"][name]["f_at"].items())


def test_totals_are_those_of_pysodmetrics() -> None:
    total = Total()
    for name, pair in CASES.items():
        if STORED["cases"][name]["s_measure"] is not None:
            total.add(measure(*pair))
    values = total.scores.as_json()
    for key, value in STORED["together"].items():
        if key != "f_at":
            assert close(values[NAMES.get(key, key)], value), key
    assert values["max_f"] < np.mean(
        [entry["max_f"] for entry in STORED["cases"].values()]
    )  # curves are averaged first


@settings(max_examples=150, deadline=None)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()))
def test_distances_and_nearest_pixels_are_those_of_scipy(truth: Any) -> None:
    truth[truth.shape[0] // 2, truth.shape[1] // 2] = True
    errors = np.arange(truth.size).reshape(truth.shape).astype(np.uint8)
    rows, near = np.empty(truth.shape, np.int32), np.zeros(truth.shape, np.uint8)
    nearest_rows(truth, rows)
    levels = np.linspace(0, 1, 256)
    total = background_error(truth, rows, errors, levels, near)
    distance, (y, x) = distance_transform_edt(~truth, return_indices=True)
    weights = 2 - np.exp(np.log(0.5) / 5 * distance)
    assert total == pytest.approx((levels[errors] * weights)[~truth].sum(), abs=1e-9)
    around = distance <= np.sqrt(18)
    assert np.array_equal(near[around], errors[y, x][around])


def test_a_better_cutout_scores_better_in_every_measure() -> None:
    truth = CASES["perfect"][1]
    good, bad = (measure(CASES[name][0], truth).scores for name in ("soft", "noise"))
    assert all(one.rank(good) < one.rank(bad) for one in MEASURES)


def test_planes_are_left_as_they_are() -> None:
    prediction, truth = (plane.copy() for plane in CASES["soft"])
    measure(prediction, truth)
    assert np.array_equal(prediction, CASES["soft"][0])
    assert np.array_equal(truth, CASES["soft"][1])


def test_a_plane_that_is_part_of_a_larger_one_scores_the_same() -> None:
    prediction, truth = CASES["soft with noise"]
    wide: Plane = np.repeat(prediction, 2, axis=1)
    assert measure(wide[:, ::2], truth).scores == measure(prediction, truth).scores
