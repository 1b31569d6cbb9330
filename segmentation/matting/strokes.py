"""Strokes -> what they make certain, and where they leave the matting to solve."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN, Size, Trimap
from segmentation.corrections import Stroke, StrokeKind
from segmentation.picture.draw import drawn_lines
from segmentation.picture.resize import resize

CORE = 0.5  # of the radius: up to there a stroke is certain, beyond it leaves the edge to the picture
MOST_PIXELS = 1_000_000  # a larger brush is measured at a smaller scale

VALUES: dict[StrokeKind, int] = {"keep": FOREGROUND, "remove": BACKGROUND, "solve": UNKNOWN}

Box = tuple[slice, slice]
Distance = NDArray[np.float32]


def draw_strokes(trimap: Trimap, strokes: Sequence[Stroke]) -> Trimap:
    """The trimap with strokes written into it, the later over the earlier."""
    if not strokes:
        return trimap
    trimap = trimap.copy()
    for stroke in strokes:
        box, distance = distance_from(stroke, (trimap.shape[0], trimap.shape[1]))
        here = trimap[box]
        value = VALUES[stroke.kind]
        here[(distance <= stroke.radius) & (here != value)] = UNKNOWN
        here[distance <= max(1.0, CORE * stroke.radius)] = value
    return trimap


def distance_from(stroke: Stroke, size: Size, reach: float | None = None) -> tuple[Box, Distance]:
    """How far the pixels around a stroke are from its line.

    Args:
        stroke: The stroke.
        size: (height, width) of the picture.
        reach: Pixels around the line that the box includes; the radius, and one more, by default.

    Returns:
        A box of the picture, which is empty if all of the stroke lies outside, and the distances in it in pixels.
    """
    reach = stroke.radius + 1 if reach is None else reach
    lines = _near(stroke, size, reach)
    if not len(lines):
        return np.s_[0:0, 0:0], np.empty((0, 0), np.float32)
    left, top = np.floor(lines.min((0, 1)) - reach).astype(int)
    right, bottom = np.ceil(lines.max((0, 1)) + reach).astype(int)
    box = slice(max(top, 0), min(bottom, size[0])), slice(max(left, 0), min(right, size[1]))
    height, width = bottom - top, right - left
    scale = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
    small = max(1, round(height * scale)), max(1, round(width * scale))
    zoom = np.array([small[1] / width, small[0] / height])
    drawn = drawn_lines((lines - (left, top)) * zoom, small)
    distance = distance_transform_edt(~drawn, sampling=1 / zoom[::-1]).astype(np.float32)
    distance = resize(distance, (height, width), "bilinear")
    return box, distance[box[0].start - top : box[0].stop - top, box[1].start - left : box[1].stop - left]


def _near(stroke: Stroke, size: Size, reach: float) -> NDArray[np.float64]:
    """The parts of a stroke's line in the picture widened by `reach`, as (n, 2, 2) lines (Liang and Barsky 1984)."""
    points = np.array(stroke.points, float)
    start, end = (points, points) if len(points) == 1 else (points[:-1], points[1:])
    least, most = np.array([-reach, -reach]), np.array([size[1] + reach, size[0] + reach])
    step = end - start
    moving = step != 0
    divisor = np.where(moving, step, 1.0)
    low, high = (least - start) / divisor, (most - start) / divisor
    within = (start >= least) & (start <= most)
    enter = np.where(moving, np.minimum(low, high), np.where(within, 0.0, np.inf)).max(1).clip(0)
    leave = np.where(moving, np.maximum(low, high), 1.0).min(1).clip(None, 1)
    cut = enter <= leave
    ends = [start[cut] + at[cut, None] * step[cut] for at in (enter, leave)]
    return np.stack(ends, 1)
