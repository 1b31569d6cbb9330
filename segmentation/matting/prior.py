"""The network's mask as a quadratic prior on the opacity of the unknown pixels.

Every pixel is drawn to the mask by weight (2 m - 1)^2 (alpha - m)^2: hardly where the mask is undecided, more where it
is certain. A network that resolves detail at its own resolution adds more: there the mean opacity under one pixel of
its output, a cell, should equal that output, and the photograph decides how the opacity is spread inside the cell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmentation.arrays import FOREGROUND, UNKNOWN, Mask, ProbabilityMap, Trimap

CELL_GAIN = 100.0  # weight of a trusted cell relative to that of a pixel
PLAIN = 1.6  # share of it that applies to each pixel too, times area^-2: a small cell has little to spread
ROUGH = 0.8, 1.0  # roughness of an output that is smooth, and of one that is detailed, at its own resolution
SHARP = 0.23, 0.3  # sharpness of an output that is vague, and of one that is definite


@dataclass(frozen=True)
class Cells:
    """Draws the mean opacity of each cell to the network's output there."""

    index: NDArray[np.int64]  # (n,) the cell that an unknown pixel lies in
    share: NDArray[np.float64]  # (cells,) weight / pixels of the cell
    wanted: NDArray[np.float64]  # (cells,) share x the sum of opacity that its unknown pixels should have
    pull: float  # approximate effect on a single pixel

    def multiply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The cells' matrix times x."""
        return (self.share * np.bincount(self.index, x, self.share.size))[self.index]


@dataclass(frozen=True)
class MaskPrior:
    """A pull of `weight` towards `target` on each unknown pixel, and optionally one on the means of cells."""

    weight: NDArray[np.float64]  # (n,)
    target: NDArray[np.float64]  # (n,) 0..1
    cells: Cells | None


def detail(output: ProbabilityMap) -> float:
    """How far a network's output resolves detail at its own resolution: 0 (interpolated, vague) to 1.

    Measured by its roughness, the energy of second over that of first differences, which interpolation and doubt both
    lower, and its sharpness, the typical step from one pixel to the next where there are steps.
    """
    second = steps = squares = 0.0
    for plane in (output, output.T):
        step = np.diff(plane, axis=0) ** 2
        steps += float(step.sum())
        squares += float((step**2).sum())
        second += float((np.diff(plane, 2, axis=0) ** 2).sum())
    if steps == 0:
        return 0.0
    return _ramp(second / steps, ROUGH) * _ramp((squares / steps) ** 0.5, SHARP)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)


def build_prior(
    trimap: Trimap,
    mask: Mask,
    trust: float,
    output: ProbabilityMap | None,
    cell_of_row: NDArray[np.int64],
    cell_of_column: NDArray[np.int64],
    trusted: float | None = None,
) -> MaskPrior:
    """The prior on the unknown pixels of a trimap.

    Args:
        trimap: (h, w) 0, 128, 255.
        mask: (h, w) the network's mask at the same size.
        trust: Weight of the prior at a pixel where the mask is certain.
        output: The network's output at its own resolution, 0..1; None if unknown.
        cell_of_row: (h,) the row of `output` that each row lies in.
        cell_of_column: (w,) the column of `output` that each column lies in.
        trusted: How far the network resolves detail, if `output` is no longer all its own; `detail(output)` if None.
    """
    unknown = trimap == UNKNOWN
    target = mask[unknown] / 255.0
    weight = trust * (2 * target - 1) ** 2
    if output is None:
        trusted = 0.0
    elif trusted is None:
        trusted = detail(output)
    if output is None or trusted == 0.0:
        return MaskPrior(weight, target, None)
    rows, columns = output.shape
    index = np.minimum(cell_of_row, rows - 1)[:, None] * columns + np.minimum(cell_of_column, columns - 1)
    pixels = np.bincount(index.ravel(), minlength=output.size)
    foreground = np.bincount(index[trimap == FOREGROUND], minlength=output.size)
    strength = CELL_GAIN * trust * trusted
    share = strength / np.maximum(pixels, 1)
    wanted = share * (pixels * output.ravel() - foreground)
    area = float(np.median(pixels[pixels > 0]))
    weight *= 1 - 0.9 * trusted
    weight += strength * min(1.0, PLAIN / area**2)
    return MaskPrior(weight, target, Cells(index[unknown], share, wanted, strength / area))
