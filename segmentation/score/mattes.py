"""The four errors of alpha matting of Rhemann et al. (CVPR 2009), over the whole picture or a part of it.

As in the evaluation code of Deep Image Matting (Xu et al., CVPR 2017), which later papers use: sums over pixels are
divided by 1000, the filters of the gradient have unit length, and the connectivity has no weight by distance
(lambda = 1). Unlike there, no plane is stretched, and everything is over the whole picture unless `where` says
otherwise. Planes are uint8 in 0..255 or floats in 0..1. Lower is better.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d, label

from segmentation.score.histogram import histogram

SIGMA = 1.4  # pixels: the Gaussian of the gradient
LEVELS, THETA = 10, 0.15  # of the connectivity: steps of alpha, and the difference in alpha from which on it counts

_RADIUS = 4  # pixels: where the Gaussian falls below a hundredth
_STRIP = 1 << 19  # pixels of a strip: the float planes of a large photograph would not fit into memory

Plane = npt.NDArray[Any]
Where = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MatteErrors:
    """The errors of one picture."""

    sad: float
    """Sum of absolute differences, in thousands of pixels."""
    mse: float
    """Mean squared error, 0..1."""
    gradient: float
    """Sum of squared differences of the gradients' lengths, in thousands."""
    connectivity: float
    """Sum of differences in connectedness to the largest opaque region, in thousands of pixels."""


def measure_mattes(alpha: Plane, truth: Plane, where: Where | None = None) -> MatteErrors:
    """All four errors of a matte.

    Args:
        alpha: (h, w), the matte.
        truth: (h, w), the true one.
        where: (h, w), the pixels that count, such as a trimap's unknown ones; all by default.
    """
    absolute = squared = gradient = 0.0
    for top, bottom in _strips(alpha.shape):
        above, below = max(0, top - _RADIUS), min(len(alpha), bottom + _RADIUS)
        differing = np.flatnonzero((alpha[above:below] != truth[above:below]).any(axis=0))
        if not differing.size:
            continue
        # twice the radius beyond the columns that differ, the gradients are equal
        columns = slice(max(0, differing[0] - 2 * _RADIUS), differing[-1] + 1 + 2 * _RADIUS)
        one, other = (_in_units(plane[above:below, columns]) for plane in (alpha, truth))
        inner = slice(top - above, bottom - above)
        counts = slice(None) if where is None else where[top:bottom, columns]
        difference = (one - other)[inner][counts]
        absolute += float(np.abs(difference).sum())
        squared += float(np.square(difference).sum())
        gradient += float(np.square((_slope(one) - _slope(other))[inner][counts]).sum())
    number = alpha.size if where is None else int(np.count_nonzero(where))
    return MatteErrors(
        absolute / 1e3, squared / max(1, number), gradient / 1e3, connectivity_error(alpha, truth, where)
    )


def connectivity_error(alpha: Plane, truth: Plane, where: Where | None = None) -> float:
    """The connectivity error alone, in thousands; arguments as for `measure_mattes`.

    Up to the level where it leaves the largest 4-connected region that both planes share, a pixel is connected; what
    it has above that level counts against it.
    """
    connected = _connected(_common_level(alpha, truth))
    total = 0.0
    for top, bottom in _strips(alpha.shape):
        counts = slice(None) if where is None else where[top:bottom]
        reached = connected[top:bottom] / LEVELS
        parts = [_in_units(plane[top:bottom]) - reached for plane in (alpha, truth)]
        one, other = (np.where(part >= THETA, part, 0.0)[counts] for part in parts)
        total += float(np.abs(one - other).sum())
    return total / 1e3


def _strips(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Strips of rows: the first row of each, and the one after its last."""
    height, width = shape
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def _in_units(plane: Plane) -> npt.NDArray[np.float64]:
    return plane / 255.0 if plane.dtype == np.uint8 else plane.astype(np.float64)


_steps = np.arange(-_RADIUS, _RADIUS + 1)
_gauss = np.exp(-np.square(_steps) / (2 * SIGMA**2))
_gauss_slope = _steps * _gauss
_gauss, _gauss_slope = (one / np.sqrt(np.square(one).sum()) for one in (_gauss, _gauss_slope))


def _slope(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The length of the gradient; the border is repeated outside."""
    rows, columns = (
        correlate1d(correlate1d(plane, one, 0, mode="nearest"), other, 1, mode="nearest")
        for one, other in ((_gauss_slope, _gauss), (_gauss, _gauss_slope))
    )
    return np.hypot(rows, columns)


def _common_level(alpha: Plane, truth: Plane) -> Levels:
    """(h, w): the level that both planes reach."""
    levels = np.empty(alpha.shape, np.uint8)
    for top, bottom in _strips(alpha.shape):
        common = np.minimum(_in_units(alpha[top:bottom]), _in_units(truth[top:bottom]))
        levels[top:bottom] = np.floor(common * LEVELS + 1e-9)  # 0.7 x 10 may round to less than 7
    return levels


def _connected(common: Levels) -> Levels:
    """(h, w): the level up to which each pixel is in the largest region of the pixels that reach it."""
    found = np.zeros(common.shape, np.uint8)
    rows, columns = (np.flatnonzero(common.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return found
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    common, connected = common[part], found[part]
    at_level = histogram(common, LEVELS + 1)
    connected[:] = LEVELS
    still = np.ones(common.shape, bool)
    for level in range(1, LEVELS + 1):
        if level > 1 and not at_level[level - 1]:
            continue  # the same region as at the level before
        left = still & ~_largest_region(common >= level)
        connected[left] = level - 1
        still &= ~left
    return found


def _largest_region(mask: Where) -> Where:
    """The largest 4-connected region; of several, the first in reading order."""
    regions, number = label(mask)
    if number <= 1:
        return mask
    sizes = histogram(regions, number + 1)
    sizes[0] = 0
    return np.asarray(regions == sizes.argmax())
