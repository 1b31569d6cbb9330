"""How far pixels are from the line of a stroke."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmentation.arrays import Size
from segmentation.corrections import Stroke
from segmentation.picture.draw import drawn_lines
from segmentation.picture.resize import resize

MAX_PIXELS = 1_000_000  # of a brush: a larger one is measured at a smaller scale

Box = tuple[slice, slice]
Plane = NDArray[np.float32]


def box_around(stroke: Stroke, size: Size, reach: float) -> Box | None:
    """The pixels within `reach` of a stroke's line, roughly; None if there are none in the picture."""
    lines = _clipped(stroke, np.s_[0 : size[0], 0 : size[1]], stroke.radius)
    if not len(lines):
        return None
    left, top = np.floor(lines.min((0, 1)) - reach).astype(int)
    right, bottom = np.ceil(lines.max((0, 1)) + reach).astype(int)
    box = slice(max(top, 0), min(bottom, size[0])), slice(max(left, 0), min(right, size[1]))
    return box if box[0].start < box[0].stop and box[1].start < box[1].stop else None


def distance_from(stroke: Stroke, box: Box, cells: Size | None = None) -> Plane:
    """How far the pixels of a box are from a stroke's line, in pixels.

    Args:
        stroke: The stroke.
        box: Rows and columns of the picture.
        cells: (rows, columns) into which the box is divided to measure cells instead of pixels.
    """
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    wanted = cells = cells or (height, width)
    edge = stroke.radius * max(cells[0] / height, cells[1] / width) + 2  # cells beyond the box whose line matters in it
    scale = (MAX_PIXELS / ((cells[0] + 2 * edge) * (cells[1] + 2 * edge))) ** 0.5
    if scale < 1:
        cells = max(1, round(cells[0] * scale)), max(1, round(cells[1] * scale))
    zoom, shift = np.array([cells[1] / width, cells[0] / height]), np.zeros(2)
    for axis, (count, most, side) in enumerate(((cells[1], wanted[1], width), (cells[0], wanted[0], height))):
        if count == 1 and zoom[axis] > scale * most / side:  # a box thinner than a cell lies in the middle of one
            zoom[axis] = scale * most / side
            shift[axis] = (1 - side * zoom[axis]) / 2
    edge = int(np.ceil(stroke.radius * zoom.max())) + 2
    lines = (_clipped(stroke, box, stroke.radius + 1) - (columns.start, rows.start)) * zoom + shift
    line = drawn_lines(lines + edge, (cells[0] + 2 * edge, cells[1] + 2 * edge))
    distance = ndimage.distance_transform_edt(~line, sampling=1 / zoom[::-1])
    return resize(np.asarray(distance[edge:-edge, edge:-edge], np.float32), wanted, "bilinear")


def _clipped(stroke: Stroke, box: Box, reach: float) -> NDArray[np.float64]:
    """The parts of a stroke's line in a box widened by `reach`, as (n, 2, 2) lines (Liang and Barsky 1984)."""
    points = np.array(stroke.points, float)
    start, end = (points, points) if len(points) == 1 else (points[:-1], points[1:])
    least = np.array([box[1].start - reach, box[0].start - reach])
    most = np.array([box[1].stop + reach, box[0].stop + reach])
    step = end - start
    moving = step != 0
    divisor = np.where(moving, step, 1.0)
    low, high = (least - start) / divisor, (most - start) / divisor
    within = (start >= least) & (start <= most)
    enter = np.where(moving, np.minimum(low, high), np.where(within, 0.0, np.inf)).max(1).clip(0)
    leave = np.where(moving, np.maximum(low, high), 1.0).min(1).clip(None, 1)
    cut = enter <= leave
    return np.stack([start[cut] + at[cut, None] * step[cut] for at in (enter, leave)], 1)
