"""Trimap -> alpha -> foreground colours. The door of PyMatting."""

import threading

import numpy as np

from segmentation.arrays import BACKGROUND, FOREGROUND, RGB, Alpha, Trimap
from segmentation.errors import MattingError

_one_at_a_time = threading.Lock()


def estimate_alpha(image: RGB, trimap: Trimap) -> Alpha:
    """Interim"""
    from pymatting import estimate_alpha_cf

    if not (trimap == FOREGROUND).any():
        raise MattingError("no certain foreground; lower alpha_matting_erode_size.")
    if not (trimap == BACKGROUND).any():
        raise MattingError("no certain background; lower alpha_matting_erode_size.")
    with _one_at_a_time:
        return np.rint(estimate_alpha_cf(image / 255.0, trimap / 255.0) * 255).astype(np.uint8)


def estimate_foreground(image: RGB, alpha: Alpha) -> RGB:
    from pymatting import estimate_foreground_ml

    with _one_at_a_time:
        return np.rint(np.clip(estimate_foreground_ml(image / 255.0, alpha / 255.0), 0, 1) * 255).astype(np.uint8)
