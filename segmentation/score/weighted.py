"""The weighted F-measure: an error counts more far from the subject, less beside what is right (Margolin 2014)."""

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Alpha
from segmentation.score.histogram import Numbers
from segmentation.score.kernels import background_error, nearest_rows, subject_error

_EPS = np.spacing(1.0)


def weighted_f(alpha: Alpha, subject: npt.NDArray[np.bool_], levels: Numbers) -> float:
    """The weighted F-measure with beta 1, 0..1.

    Args:
        alpha: (h, w), the prediction.
        subject: (h, w), the truth.
        levels: (256,), the prepared value of each level of the prediction.
    """
    size = np.count_nonzero(subject)
    if not size:
        return 0.0
    rows = np.empty(alpha.shape, np.int32)
    near = np.zeros(alpha.shape, np.uint8)
    nearest_rows(subject, rows)
    false = background_error(subject, rows, alpha, levels, near)
    del rows
    steps = np.arange(-3, 4)
    kernel = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 5.0**2))
    missed = subject_error(subject, near, 1 - levels, kernel / kernel.sum())
    true = size - missed
    recall = 1 - missed / size
    precision = true / (true + false + _EPS)
    return float(2 * recall * precision / (recall + precision + _EPS))
