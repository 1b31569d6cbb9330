"""The structure measure: how alike prediction and truth are in objects and in four parts (Fan 2017)."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Alpha
from segmentation.score.histogram import Counts, Numbers

_EPS = np.spacing(1.0)
_ALPHA = 0.5  # weight of objects against regions

Part: TypeAlias = tuple[slice, slice]
"""Rows and columns of a part of the picture."""


def quadrants(subject: npt.NDArray[np.bool_]) -> tuple[Part, Part, Part, Part]:
    """The four parts of a picture around the subject's centre."""
    height, width = subject.shape
    by_row, by_column = subject.sum(axis=1, dtype=np.int64), subject.sum(axis=0, dtype=np.int64)
    size = int(by_row.sum())
    if size:
        y, x = by_row @ np.arange(height) / size, by_column @ np.arange(width) / size
    else:
        y, x = height / 2, width / 2
    row, column = int(np.round(y)) + 1, int(np.round(x)) + 1
    top, bottom, left, right = slice(0, row), slice(row, None), slice(0, column), slice(column, None)
    return (top, left), (top, right), (bottom, left), (bottom, right)


def s_measure(alpha: Alpha, levels: Numbers, counts: Counts, parts: tuple[Part, ...]) -> float:
    """The structure measure, 0..1.

    Args:
        alpha: (h, w), the prediction.
        levels: (256,), the prepared value of each of its levels.
        counts: (4, 2, 256): pixels of background and subject at each level in each part.
        parts: These parts, from `quadrants`.
    """
    background, foreground = counts.sum(axis=0)
    share = foreground.sum() / alpha.size
    mean = float((background + foreground) @ levels) / alpha.size
    if share == 0:
        return 1 - mean
    if share == 1:
        return mean
    objects = share * _object_score(levels, foreground) + (1 - share) * _object_score(1 - levels, background)
    # a part without pixels, where pysodmetrics answers NaN, has no weight
    regions = sum(
        part.sum() / alpha.size * _similarity(alpha, levels, part, where)
        for part, where in zip(counts, parts, strict=True)
        if part.any()
    )
    return max(0.0, float(_ALPHA * objects + (1 - _ALPHA) * regions))


def _object_score(levels: Numbers, counts: Counts) -> float:
    number = counts.sum()
    mean = counts @ levels / number
    deviation = np.sqrt(counts @ (levels - mean) ** 2 / (number - 1)) if number > 1 else 0.0
    return float(2 * mean / (mean**2 + 1 + deviation + _EPS))


def _similarity(alpha: Alpha, levels: Numbers, counts: Counts, where: Part) -> float:
    """The structural similarity of one part of the picture.

    Args:
        alpha: The prediction.
        levels: The prepared value of each level.
        counts: (2, 256): pixels of background and subject at each level in this part.
        where: This part.
    """
    both = counts.sum(axis=0)
    number = both.sum()
    y = counts[1].sum() / number
    if np.count_nonzero(both) == 1:
        # Whether they differ from their mean decides between 0 and 1, and the mean of equal numbers may round to
        # another one: only the same sum over the same array rounds alike.
        values = np.full(alpha.shape, levels[both.argmax()])[where]
        x = np.mean(values)
        xx = np.sum((values - x) ** 2)
    else:
        x = both @ levels / number
        xx = both @ (levels - x) ** 2
    yy = number * y * (1 - y)
    xy = counts[1] @ (levels - x) * (1 - y) - counts[0] @ (levels - x) * y
    freedom = number - 1 + _EPS
    above = 4 * x * y * xy / freedom
    below = (x**2 + y**2) * (xx + yy) / freedom
    if above == 0:
        return float(below == 0)
    return float(above / (below + _EPS))
