"""Strokes -> trimap and opacity: each re-solves its own neighbourhood, one after the other.

A stroke is certain at its core and leaves its rim to the picture. Where it contradicts what was solved before, it is
carried on, and the outline of what changes is solved at full size.

What a stroke does depends on nothing but the picture, what was solved before it, and the stroke. So the result is the
same whether strokes come one at a time or all at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmentation.arrays import BACKGROUND, FOREGROUND, RGB, UNKNOWN, Alpha, Interpolation, Size, Trimap, constant
from segmentation.corrections import Stroke, StrokeKind
from segmentation.matting.alpha import estimate_alpha
from segmentation.matting.brush import Box, Plane, box_around, distance_from
from segmentation.matting.carrying import CORE, KEPT, REMOVED, SOLVE, Carried, Marks, carry
from segmentation.matting.foreground import estimate_foreground
from segmentation.messages import Message
from segmentation.picture.resize import resize_window
from segmentation.settings import Settings

BAND = 1.5  # cells, and PIXELS more, on either side of a new outline that are solved at full size
PIXELS = 2
CONTEXT = 8  # pixels around what is solved again over which it is faded in; at least a cell
MAX_UNKNOWN = 20_000  # pixels solved for a stroke by "fast"
SMALLER = Message(
    "A stroke changes too much to be solved at full size, so it was solved at a smaller one; draw with a smaller brush."
)
HARD = 2.0  # contrast of an edge without matting

VALUES: dict[StrokeKind, int] = {"keep": FOREGROUND, "remove": BACKGROUND, "solve": UNKNOWN}
MARKS: dict[StrokeKind, int] = {"keep": KEPT, "remove": REMOVED, "solve": SOLVE}

_AS_BEFORE = np.uint8(1)  # no value of a trimap


@dataclass
class WorkingMatte:
    """What is solved of a picture so far; strokes change it in place."""

    image: RGB
    trimap: Trimap
    alpha: Alpha
    foreground: RGB | None
    """The subject's own colours; None to leave them as they are."""
    marks: Marks
    """KEPT, REMOVED and SOLVE where the cores of strokes said so, the later over the earlier; else 0."""
    warnings: list[str] = field(default_factory=list)
    """Sentences about deviations from the settings, each once."""

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.alpha.shape[0], self.alpha.shape[1]


@dataclass(frozen=True)
class _Zone:
    """What is to be solved again, in a box of the picture."""

    box: Box
    share: Plane  # 0..1: how far the solution counts against what was there before
    target: Alpha  # what it is drawn to
    weight: Plane | None  # how far; None is everywhere


def seed(trimap: Trimap, strokes: Sequence[Stroke]) -> tuple[Trimap, int]:
    """A trimap with as many of the first strokes written into it as it takes to have something certain of both sides.

    Returns:
        The trimap, and how many strokes it took.
    """
    for count in range(len(strokes) + 1):
        if (trimap == FOREGROUND).any() and (trimap == BACKGROUND).any():
            break
        if count < len(strokes):
            trimap = _written(trimap, strokes[count])
    return trimap, count


def _written(trimap: Trimap, stroke: Stroke) -> Trimap:
    box = box_around(stroke, (trimap.shape[0], trimap.shape[1]), stroke.radius + 1)
    trimap = trimap.copy()
    if box:
        distance, value = distance_from(stroke, box), VALUES[stroke.kind]
        here = trimap[box]
        here[(distance <= stroke.radius) & (here != value)] = UNKNOWN
        here[_core(distance, stroke)] = value
    return trimap


def _core(distance: Plane, stroke: Stroke) -> NDArray[np.bool_]:
    return np.asarray(distance <= max(0.75, CORE * stroke.radius))


def marks_of(strokes: Sequence[Stroke], size: Size) -> Marks:
    """What strokes say of the pixels of a picture of (height, width), without carrying any on."""
    marks = np.zeros(size, np.uint8)
    for stroke in strokes:
        _mark(marks, stroke)
    return marks


def _mark(marks: Marks, stroke: Stroke) -> tuple[Box, Plane] | None:
    """Write what a stroke says, and return how far the pixels around it are from its line."""
    box = box_around(stroke, (marks.shape[0], marks.shape[1]), stroke.radius + 1)
    if box is None:
        return None
    distance = distance_from(stroke, box)
    marks[box][distance <= stroke.radius if stroke.kind == "solve" else _core(distance, stroke)] = MARKS[stroke.kind]
    return box, distance


def draw_stroke(working: WorkingMatte, stroke: Stroke, settings: Settings, max_unknown: int = MAX_UNKNOWN) -> None:
    """Draw a stroke, carry it on, and solve its neighbourhood again.

    Args:
        working: Changed in place.
        stroke: In pixels of the picture.
        settings: alpha_matting, matting_method and trust_mask are used.
        max_unknown: The most pixels that fast matting solves.
    """
    marked = _mark(working.marks, stroke)
    if marked is None:
        return
    box, distance = marked
    disc, value, is_keep = distance <= stroke.radius, VALUES[stroke.kind], stroke.kind == "keep"
    zone: _Zone | None
    if stroke.kind == "solve":
        working.trimap[box][disc] = UNKNOWN
        zone = _covered(working, stroke)
    else:
        is_news = (working.alpha[box][disc] != value).any()
        carried = carry(working.image, working.alpha, working.marks, stroke) if is_news else None
        zone = None if carried is None else _decided(working, carried, is_keep)
        working.trimap[box][_core(distance, stroke)] = value
    if zone:
        _solve(working, zone, settings, max_unknown, hard=stroke.kind != "solve" and not settings.alpha_matting)


def _covered(working: WorkingMatte, stroke: Stroke) -> _Zone:
    """All that a stroke covers, with nothing to draw it anywhere."""
    box = box_around(stroke, working.size, stroke.radius + 2 * CONTEXT)
    assert box
    distance = distance_from(stroke, box)
    share = np.clip(1 - (distance - np.float32(stroke.radius)) / np.float32(CONTEXT), 0, 1)
    return _Zone(box, share, working.alpha[box].copy(), (distance > stroke.radius).astype(np.float32))


def _decided(working: WorkingMatte, carried: Carried, is_keep: bool) -> _Zone | None:
    """What is to be solved at full size, now that it is known which cells change sides.

    Args:
        working: What is certain is written into its trimap.
        carried: The cells.
        is_keep: Whether the stroke's side is the subject.
    """
    box, cell, changed, side = carried.box, carried.cell, carried.changed, carried.side
    if not changed.any():
        return None
    margin = BAND + PIXELS / cell
    inside = side > 0.5
    outline = np.where(inside, _depth(inside), _depth(~inside)) <= margin
    away = ndimage.distance_transform_edt(~changed)
    around = away <= margin + 1
    decided = np.full(side.shape, _AS_BEFORE)
    # faint rests around what changed go with it
    decided[around & inside & ~outline] = FOREGROUND if is_keep else BACKGROUND
    decided[around & outline] = UNKNOWN
    zone = decided != _AS_BEFORE
    side = np.where(zone & inside, np.maximum(side, carried.solved), side)

    # from here on only the part around the zone, at full size
    size = box[0].stop - box[0].start, box[1].stop - box[1].start
    inner = _span(zone, 0, size[0]), _span(zone, 1, size[1])
    part = tuple(slice(whole.start + one.start, whole.start + one.stop) for one, whole in zip(inner, box, strict=True))
    outward = ndimage.distance_transform_edt(~zone)

    def enlarged(plane: NDArray[Any], way: Interpolation) -> NDArray[Any]:
        return resize_window(plane, size, inner, way)

    decided = enlarged(decided, "nearest")
    trimap, marks = working.trimap[part], working.marks[part]
    here = decided != _AS_BEFORE
    np.copyto(trimap, decided, where=here)
    trimap[here & (marks == KEPT)] = FOREGROUND
    trimap[here & (marks == REMOVED)] = BACKGROUND
    level = np.rint(255 * (side if is_keep else 1 - side)).astype(np.uint8)
    target = np.where(here, enlarged(level, "bilinear"), working.alpha[part])
    share = enlarged(np.clip(1 - outward / max(CONTEXT / cell, 1), 0, 1).astype(np.float32), "bilinear")
    return _Zone((part[0], part[1]), share, target, None)


def _depth(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far each cell of a region is from its outline, in cells; where the picture ends there is none."""
    if region.all():
        return np.full(region.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(region) - 0.5)


def _span(zone: NDArray[np.bool_], axis: int, pixels: int) -> slice:
    """The pixels along an axis under a zone of cells, and those it fades over."""
    at, cells = np.flatnonzero(zone.any(1 - axis)), zone.shape[axis]
    first, last = int((at[0] - 1) * pixels // cells), int((at[-1] + 2) * pixels // cells)
    return slice(max(first - 2 * CONTEXT, 0), min(last + 1 + 2 * CONTEXT, pixels))


def _solve(working: WorkingMatte, zone: _Zone, settings: Settings, max_unknown: int, hard: bool) -> None:
    """Solve a zone again, and fade it into what is around it."""
    box, touched = zone.box, zone.share > 0
    image, trimap, before = constant(working.image[box]), working.trimap[box], working.alpha[box]
    # what lies farther away is taken as it is
    rounded = (before > 127).view(np.uint8) * np.uint8(FOREGROUND)
    local = np.where(touched | (trimap != UNKNOWN), trimap, rounded)
    matte = estimate_alpha(
        image,
        local,
        mask=np.where(local == UNKNOWN, zone.target, local),  # all there is if one side is nowhere near
        trust=settings.trust_mask,
        method=settings.matting_method,
        max_unknown=min(max_unknown, MAX_UNKNOWN),
        weight=zone.weight,
    )
    if settings.matting_method != "fast" and matte.working_size != local.shape and SMALLER not in working.warnings:
        working.warnings.append(SMALLER)
    solved = np.clip((matte.alpha - 0.5) * HARD + 0.5, 0, 1) if hard else matte.alpha
    before[:] = np.rint(before + zone.share * (255 * solved - before))
    if working.foreground is not None:
        colours = estimate_foreground(image, (before / np.float32(255)).astype(np.float32))
        np.copyto(working.foreground[box], colours, where=touched[..., None])
