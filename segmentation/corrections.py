"""What a person says about one picture: strokes, points, a box, and planes of their own.

Coordinates are in pixels of the whole picture: x from its left, y from its top edge, so that the centre of the first
pixel is (0.5, 0.5).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from segmentation.errors import SettingsError
from segmentation.messages import Message

MAX_STROKES = 500  # of one picture
MAX_STROKE_POINTS = 20_000  # of all strokes of one picture
MAX_POINTS = 100
MAX_CANDIDATE = 1000
MIN_RADIUS, MAX_RADIUS = 0.5, 2000.0  # pixels
FARTHEST = 100_000.0  # pixels: strokes may leave the picture, but not for another planet

StrokeKind = Literal["keep", "remove", "solve"]
STROKE_KINDS: tuple[StrokeKind, ...] = get_args(StrokeKind)

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """Evidence drawn on a picture: this is subject, this is not, or this is to be solved, such as hair."""

    kind: StrokeKind
    radius: float
    """Half the width of the brush in pixels."""
    points: tuple[tuple[float, float], ...]
    """(x, y) along the stroke; one point is a dab."""

    def as_json(self) -> dict[str, Any]:
        """The stroke as `read_strokes` takes it."""
        return {"kind": self.kind, "radius": self.radius, "points": [list(point) for point in self.points]}


@dataclass(frozen=True, slots=True)
class Point:
    """A click: the subject under it is wanted, or not."""

    x: float
    y: float
    keep: bool = True

    def as_json(self) -> dict[str, Any]:
        """The point as `read_points` takes it."""
        return {"x": self.x, "y": self.y, "keep": self.keep}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a promptable network is asked."""

    points: tuple[Point, ...] = ()
    box: Box | None = None
    candidate: int = 1
    """Which of its answers is taken: 1 is the one that it expects to be the best. Beyond the last, counting starts
    over."""

    def __bool__(self) -> bool:
        return bool(self.points or self.box)


@dataclass(frozen=True, slots=True)
class Correction:
    """Everything a person says about one picture. The default says nothing."""

    strokes: tuple[Stroke, ...] = ()
    points: tuple[Point, ...] = ()
    box: Box | None = None
    candidate: int = 1
    """As in `Prompt`, for points and box."""
    mask: Path | None = None
    """A grey picture to use as the mask, or to join with the network's, as the settings say."""
    trimap: Path | None = None
    """A grey picture to use as the trimap."""

    def __bool__(self) -> bool:
        return self != NOTHING

    @property
    def prompt(self) -> Prompt:
        """What it says to a promptable network; false if it does not point at anything."""
        return Prompt(self.points, self.box, self.candidate)

    def with_marks_of(self, other: "Correction") -> "Correction":
        """Its own files, with the strokes, points and box of another."""
        return replace(
            self, strokes=other.strokes, points=other.points, box=other.box, candidate=other.candidate
        )  # fmt: skip

    def with_files(self, mask: Path | None, trimap: Path | None) -> "Correction":
        """Its strokes, points and box, with these files."""
        return replace(self, mask=mask, trimap=trimap)

    def scaled(self, factor: float) -> "Correction":
        """The same on a copy of the picture enlarged by `factor`; the files stay as they are."""
        strokes = tuple(
            Stroke(each.kind, each.radius * factor, tuple((x * factor, y * factor) for x, y in each.points))
            for each in self.strokes
        )
        points = tuple(Point(each.x * factor, each.y * factor, each.keep) for each in self.points)
        left, top, right, bottom = self.box or (0.0, 0.0, 0.0, 0.0)
        box = self.box and (left * factor, top * factor, right * factor, bottom * factor)
        return replace(self, strokes=strokes, points=points, box=box)

    def as_json(self) -> dict[str, Any]:
        """What it says in strokes, points, box and candidate, by name; empty if nothing."""
        parts: dict[str, Any] = {
            "strokes": [each.as_json() for each in self.strokes],
            "points": [each.as_json() for each in self.points],
            "box": list(self.box) if self.box else None,
            "candidate": self.candidate if self.candidate > 1 else None,
        }
        return {name: value for name, value in parts.items() if value}


NOTHING = Correction()


def read_strokes(value: object) -> tuple[Stroke, ...]:
    """The strokes of one picture, from JSON: `[{"kind": "keep", "radius": 8, "points": [[x, y], ...]}, ...]`.

    Args:
        value: The list, or its text; None for no strokes.

    Raises:
        SettingsError: They are not such a list, or there are too many.
    """
    entries = _list("strokes", value)
    if len(entries) > MAX_STROKES:
        raise SettingsError(
            Message("A picture can have at most {most} strokes, not {count}.", most=MAX_STROKES, count=len(entries))
        )
    strokes = tuple(_stroke(number, entry) for number, entry in enumerate(entries, 1))
    count = sum(len(stroke.points) for stroke in strokes)
    if count > MAX_STROKE_POINTS:
        raise SettingsError(
            Message(
                "The strokes of a picture can have at most {most} points in all, not {count}. Leave out every second "
                "one.",
                most=MAX_STROKE_POINTS, count=count,
            )
        )  # fmt: skip
    return strokes


def _stroke(number: int, entry: Any) -> Stroke:
    if not isinstance(entry, Mapping) or not set(entry) <= {"kind", "radius", "points"}:
        raise _wrong(number, Message("must have kind, radius and points, and nothing else"))
    kind, radius, points = entry.get("kind"), entry.get("radius"), entry.get("points")
    if kind not in STROKE_KINDS:
        raise _wrong(number, Message("must be of the kind keep, remove or solve"))
    if not isinstance(radius, int | float) or not _is_number(radius) or not MIN_RADIUS <= radius <= MAX_RADIUS:
        raise _wrong(
            number, Message("must have a radius of {least} to {most} pixels", least=MIN_RADIUS, most=int(MAX_RADIUS))
        )
    pairs = points if isinstance(points, Sequence) and not isinstance(points, str) else ()
    if not pairs or not all(_is_pair(pair) for pair in pairs):
        raise _wrong(number, Message("must have points [[x, y], ...] in pixels of the picture"))
    return Stroke(kind, float(radius), tuple((float(x), float(y)) for x, y in pairs))


def _wrong(number: int, what: Message) -> SettingsError:
    return SettingsError(Message("Stroke {number} {what}.", number=number, what=what))


def read_points(value: object) -> tuple[Point, ...]:
    """The clicks on one picture, from JSON: `[{"x": 120, "y": 80, "keep": true}, ...]`.

    Args:
        value: The list, or its text; None for no points.

    Raises:
        SettingsError: They are not such a list, or there are too many.
    """
    entries = _list("points", value)
    if len(entries) > MAX_POINTS:
        raise SettingsError(
            Message("A picture can have at most {most} points, not {count}.", most=MAX_POINTS, count=len(entries))
        )
    points = []
    for entry in entries:
        if (
            not isinstance(entry, Mapping)
            or not {"x", "y"} <= set(entry) <= {"x", "y", "keep"}
            or not _is_pair((entry["x"], entry["y"]))
            or not isinstance(entry.get("keep", True), bool)
        ):
            raise SettingsError(
                Message("points must be a list such as {example}.", example='[{"x": 120, "y": 80, "keep": true}]')
            )
        points.append(Point(float(entry["x"]), float(entry["y"]), entry.get("keep", True)))
    return tuple(points)


def read_box(value: object) -> Box | None:
    """The box around a subject, from JSON: `[left, top, right, bottom]`.

    Args:
        value: The list, or its text; None for no box.

    Raises:
        SettingsError: It is not such a list, or is empty.
    """
    numbers = parsed(value)
    if value is None or value in ("", [], ()) or numbers == []:
        return None
    if (
        isinstance(numbers, list | tuple)
        and len(numbers) == 4
        and all(_is_number(number) and abs(number) <= FARTHEST for number in numbers)
    ):
        left, top, right, bottom = (float(number) for number in numbers)
        if left < right and top < bottom:
            return left, top, right, bottom
    raise SettingsError(
        Message("box must be [left, top, right, bottom] in pixels of the picture, left before right and top before "
                "bottom.")
    )  # fmt: skip


def read_candidate(value: object) -> int:
    """Which answer of a promptable network is taken, from JSON: a whole number from 1; None for 1.

    Raises:
        SettingsError: It is not such a number.
    """
    if value is None:
        return 1
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_CANDIDATE:
        return value
    raise SettingsError(Message("candidate must be a whole number from 1 to {most}.", most=MAX_CANDIDATE))


def read_correction(value: object) -> Correction:
    """What `Correction.as_json` gives, or its text, checked.

    Raises:
        SettingsError: As `read_strokes`, `read_points`, `read_box` and `read_candidate`.
    """
    value = parsed(value)
    if not isinstance(value, Mapping) or not set(value) <= {"strokes", "points", "box", "candidate"}:
        raise SettingsError(Message("A correction may have strokes, points, a box and a candidate, and nothing else."))
    return Correction(
        read_strokes(value.get("strokes")),
        read_points(value.get("points")),
        read_box(value.get("box")),
        read_candidate(value.get("candidate")),
    )


def check_inside(correction: Correction, size: tuple[int, int]) -> None:
    """Check that points, box and strokes lie in a picture.

    Args:
        correction: What was said about it.
        size: Its (height, width).

    Raises:
        SettingsError: A point, a whole stroke or the whole box lies outside.
    """
    height, width = size

    def outside(what: Message) -> SettingsError:
        return SettingsError(
            Message("{what} lies outside the picture, which is {width} x {height} pixels.",
                    what=what, width=width, height=height)
        )  # fmt: skip

    for number, point in enumerate(correction.points, 1):
        if not (0 <= point.x <= width and 0 <= point.y <= height):
            raise outside(Message("Point {number}", number=number))
    if correction.box:
        left, top, right, bottom = correction.box
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            raise outside(Message("The box"))
    for number, stroke in enumerate(correction.strokes, 1):
        xs, ys = zip(*stroke.points, strict=True)
        reach = stroke.radius
        if min(xs) - reach >= width or min(ys) - reach >= height or max(xs) + reach <= 0 or max(ys) + reach <= 0:
            raise outside(Message("Stroke {number}", number=number))


def _list(name: str, value: object) -> Sequence[Any]:
    if value is None or value == "":
        return ()
    value = parsed(value)
    if isinstance(value, list | tuple):
        return value
    raise SettingsError(Message("{name} must be a JSON list.", name=name))


def parsed(value: object) -> object:
    """A value that may have come as JSON text; None if that cannot be read."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and isfinite(value))  # an int may be too large for that


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(_is_number(number) and abs(number) <= FARTHEST for number in value)
    )
