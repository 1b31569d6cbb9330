"""What a person says about a picture, as JSON: what is read, and the sentence where it cannot be."""

import json

import pytest

from segmentation.corrections import (
    MAX_POINTS,
    MAX_STROKE_POINTS,
    MAX_STROKES,
    NOTHING,
    Correction,
    Point,
    Stroke,
    check_inside,
    read_box,
    read_correction,
    read_points,
    read_strokes,
)
from segmentation.errors import SettingsError

STROKE = {"kind": "keep", "radius": 8, "points": [[1, 2], [3.5, 4]]}


def test_what_is_written_is_read_again() -> None:
    said = Correction(
        (Stroke("solve", 2.5, ((1.0, 2.0),)), Stroke("remove", 9.0, ((0.0, 0.0), (-5.0, 1e3)))),
        (Point(3.0, 4.0), Point(5.0, 6.0, keep=False)),
        (0.0, 1.0, 2.5, 3.0),
    )
    assert read_correction(json.loads(json.dumps(said.as_json()))) == said
    assert read_strokes(json.dumps(said.as_json()["strokes"])) == said.strokes
    assert said
    assert not NOTHING
    assert NOTHING.as_json() == {}


def test_nothing_said_is_nothing() -> None:
    assert (read_strokes(None), read_strokes(""), read_strokes([]), read_points("[]"), read_box(None)) == (
        (), (), (), (), None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("not JSON", "strokes must be a JSON list"),
        ({"kind": "keep"}, "strokes must be a JSON list"),
        ([STROKE, 7], "Stroke 2 must have kind, radius and points"),
        ([STROKE | {"colour": "red"}], "Stroke 1 must have kind, radius and points, and nothing else"),
        ([STROKE | {"kind": "erase"}], "Stroke 1 must be of the kind keep, remove or solve"),
        ([STROKE | {"radius": 0}], "Stroke 1 must have a radius of 0.5 to 2000 pixels"),
        ([STROKE | {"radius": True}], "must have a radius"),
        ([STROKE | {"radius": float("nan")}], "must have a radius"),
        ([STROKE | {"radius": 10**400}], "must have a radius"),
        ([STROKE | {"points": [[10**400, 2]]}], "must have points"),
        ([STROKE | {"points": []}], r"Stroke 1 must have points \[\[x, y\], ...\]"),
        ([STROKE | {"points": [[1, 2], [1, float("inf")]]}], "must have points"),
        ([STROKE | {"points": [[1, 2, 3]]}], "must have points"),
        ([STROKE | {"points": "12"}], "must have points"),
        ([STROKE] * (MAX_STROKES + 1), "at most 500 strokes, not 501"),
        ([STROKE | {"points": [[1, 2]] * (MAX_STROKE_POINTS + 1)}], "at most 20000 points in all, not 20001"),
        ("[" * 100_000, "strokes must be a JSON list"),
    ],
)
def test_a_wrong_stroke_gets_a_sentence(value: object, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read_strokes(value)


@pytest.mark.parametrize(
    "value",
    [
        [{"x": 1}],
        [{"x": 1, "y": "2"}],
        [{"x": 1, "y": 2, "keep": 1}],
        [{"x": 1, "y": 2, "z": 3}],
        [[1, 2]],
        [{"x": 1, "y": 10**400}],
    ],
)
def test_a_wrong_point_gets_a_sentence(value: object) -> None:
    with pytest.raises(SettingsError, match="points must be a list such as"):
        read_points(value)


def test_there_is_a_most_of_points() -> None:
    with pytest.raises(SettingsError, match="at most 100 points, not 101"):
        read_points([{"x": 1, "y": 2}] * (MAX_POINTS + 1))


@pytest.mark.parametrize(
    "value",
    [5, "left", [1, 2, 3], [5, 5, 5, 9], [1, 9, 2, 3], ["a", 1, 2, 3], [0, 0, float("inf"), 1], [0, 0, 10**400, 1]],
)
def test_a_wrong_box_gets_a_sentence(value: object) -> None:
    with pytest.raises(SettingsError, match=r"box must be \[left"):
        read_box(value)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (Correction(points=(Point(1, 1), Point(11, 1))), "Point 2 lies outside the picture, which is 10 x 20 pixels"),
        (Correction(points=(Point(1, -1),)), "Point 1 lies outside"),
        (Correction(box=(11, 0, 12, 5)), "The box lies outside"),
        (Correction((Stroke("keep", 2, ((13.0, 5.0), (14.0, 5.0))),)), "Stroke 1 lies outside"),
    ],
)
def test_what_lies_outside_the_picture_gets_a_sentence(said: Correction, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        check_inside(said, (20, 10))


def test_what_overlaps_the_picture_is_fine() -> None:
    check_inside(
        Correction((Stroke("keep", 2, ((11.0, 5.0), (50.0, 5.0))),), (Point(10, 20),), (-5, -5, 3, 3)), (20, 10)
    )


def test_a_correction_can_be_carried_to_another_scale() -> None:
    said = Correction((Stroke("keep", 4, ((2.0, 6.0),)),), (Point(2, 4, False),), (0, 2, 4, 8))
    assert said.scaled(0.5) == Correction((Stroke("keep", 2, ((1.0, 3.0),)),), (Point(1, 2, False),), (0, 1, 2, 4))
