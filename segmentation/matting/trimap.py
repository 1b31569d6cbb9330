"""Mask -> trimap: certain subject, certain background, and the unknown band."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import minimum_filter1d

from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN, Mask, Size, Trimap


def to_trimap(
    mask: Mask,
    foreground_threshold: int,
    background_threshold: int,
    erode_size: int,
) -> Trimap:
    """A trimap: certain foreground, certain background, and the unknown between them.

    Args:
        mask: (h, w), 0..255.
        foreground_threshold: Values above this are foreground.
        background_threshold: Values below this are background.
        erode_size: Side in pixels of the square that erodes both regions; beyond the border lies background, as in
            rembg. It does not affect the run time, and 0 means no erosion (rembg's 0 erodes by a cross).
    """
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_eroded(mask > foreground_threshold, erode_size, border=0)] = FOREGROUND
    trimap[_eroded(mask < background_threshold, erode_size, border=1)] = BACKGROUND
    return trimap


def to_certain_trimap(
    mask: Mask,
    foreground_threshold: int,
    background_threshold: int,
    erode_size: int,
) -> tuple[Trimap, int]:
    """`to_trimap` with the erosion halved, down to 0, until some foreground and some background are certain.

    Returns:
        The trimap, and the erosion used.
    """
    while True:
        trimap = to_trimap(mask, foreground_threshold, background_threshold, erode_size)
        if erode_size == 0 or ((trimap == FOREGROUND).any() and (trimap == BACKGROUND).any()):
            return trimap, erode_size
        erode_size //= 2


def auto_erode_size(picture: Size, network: Size) -> int:
    """An erosion that fits picture and network: a little over one pixel of the network's output, at least 5 pixels.

    Odd, as an even square reaches one pixel further up and left; at most a fortieth of the shorter side, so that icons
    survive.

    Args:
        picture: (height, width) of the picture.
        network: (height, width) of the probability map.
    """
    cell = max(picture[0] / network[0], picture[1] / network[1])
    size = min(max(5.0, 1.25 * cell), min(picture) / 40)
    return 2 * int(size / 2) + 1


def _eroded(region: npt.NDArray[np.bool_], size: int, border: int) -> npt.NDArray[np.bool_]:
    """`scipy.ndimage.binary_erosion` by a square of ones, one axis after the other."""
    if size < 2:
        return region
    rows = minimum_filter1d(region.view(np.uint8), size, axis=1, mode="constant", cval=border)
    minimum_filter1d(rows, size, axis=0, mode="constant", cval=border, output=rows)
    return rows.view(np.bool_)
