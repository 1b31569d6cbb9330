"""Planes given row by row, so that a large picture's effects never need whole planes of it."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Alpha, Size
from segmentation.picture.picture import STRIP_BYTES

Rows = Callable[[int, int], Alpha]
"""First row and the one after the last -> these rows of a plane, (rows, width)."""


def averaged(
    rows: Rows, size: Size, factor: int, before: tuple[int, int] = (0, 0), after: tuple[int, int] = (0, 0)
) -> npt.NDArray[np.float32]:
    """Means of a plane over squares of `factor` pixels, 0..1, with zeros around it.

    Args:
        rows: The plane.
        size: (height, width) of it.
        factor: Pixels a side of a square; those at the bottom and on the right are filled up with zeros.
        before: Rows above and columns left of the plane that are added as zeros.
        after: The same below and to the right of it.
    """
    height, width = (before[i] + size[i] + after[i] for i in (0, 1))
    down, across = -(-height // factor), -(-width // factor)
    means = np.zeros((down, across), np.float32)
    step = max(1, STRIP_BYTES // (across * factor * factor))  # rows of means at a time
    for first in range(0, down, step):
        last = min(down, first + step)
        top, bottom = max(0, first * factor - before[0]), min(size[0], last * factor - before[0])
        if top >= bottom:
            continue
        strip = np.zeros(((last - first) * factor, across * factor), np.uint8)
        start = top + before[0] - first * factor
        strip[start : start + bottom - top, before[1] : before[1] + size[1]] = rows(top, bottom)
        # rows first: numpy adds whole rows fast
        summed = strip.reshape(last - first, factor, -1).sum(1, dtype=np.uint32)
        means[first:last] = summed.reshape(last - first, across, factor).sum(2) / np.float32(255 * factor * factor)
    return means
