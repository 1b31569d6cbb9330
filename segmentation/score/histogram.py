"""How often each whole number occurs in a plane."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[np.int64]
"""Numbers of pixels."""

Numbers: TypeAlias = npt.NDArray[np.float64]
"""Values of measures at thresholds or levels."""

_CHUNK = 1 << 20  # numpy.bincount makes a copy of 8 bytes a value


def histogram(plane: npt.NDArray[Any], bins: int) -> Counts:
    """(bins,): how often 0, 1, ... occur.

    Args:
        plane: Whole numbers from 0 to bins - 1, in any shape.
        bins: How many numbers there are.
    """
    values = plane.ravel()
    total = np.zeros(bins, np.int64)
    for start in range(0, values.size, _CHUNK):
        total += np.bincount(values[start : start + _CHUNK], minlength=bins)
    return total
