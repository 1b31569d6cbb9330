"""Probability map -> mask of the picture's size -> trimap."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, minimum_filter1d

from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN, Mask, ProbabilityMap, Size, Trimap
from segmentation.image import resize

_REACH = 8  # pixels that a Gaussian of sigma 2 sees: scipy cuts it at 4 sigma
_TILE = 192


def to_mask(probability: ProbabilityMap, size: Size, post_process: bool = False) -> Mask:
    """The probability map at the picture's size, in 0..255.

    Args:
        probability: (h, w), 0..1, at any resolution.
        size: (height, width) of the picture.
        post_process: Remove specks, smooth the outline and make it yes or no, as rembg's post_process_mask does.
    """
    levels = (probability * 255.0).astype(np.uint8)  # cut off, not rounded: rembg's masks, to the level
    mask: Mask = resize(levels, size, "bicubic")
    return post_processed(mask) if post_process else mask


def post_processed(mask: Mask) -> Mask:
    """Opening by a disk of radius 1, Gaussian of sigma 2, threshold at 127 (rembg's `post_process`).

    The Gaussian is a weighted mean, so where all it can see lies on one side of the threshold the answer is known:
    only tiles along the outline are smoothed, with the identical result.
    """
    opened = _dilated(_eroded_by_cross(mask))
    answer = np.empty_like(opened)
    height, width = opened.shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            rows, columns = (
                slice(max(top - _REACH, 0), top + _TILE + _REACH),
                slice(max(left - _REACH, 0), left + _TILE + _REACH),
            )
            seen = opened[rows, columns]
            tile = answer[top : top + _TILE, left : left + _TILE]
            if seen.max() < 127:
                tile[:] = 0
            elif seen.min() > 127:  # not 127 itself, which rounding in the mean may lower
                tile[:] = 255
            else:
                smooth = gaussian_filter(seen.astype(np.float64), sigma=2)
                inner = smooth[top - rows.start :, left - columns.start :][: tile.shape[0], : tile.shape[1]]
                np.multiply(inner >= 127, np.uint8(255), out=tile)
    return answer


def _eroded_by_cross(plane: Mask) -> Mask:
    """Minimum over the 3 x 3 cross, which is the disk of radius 1; the picture goes on unchanged beyond its border."""
    out = plane.copy()
    np.minimum(out[1:], plane[:-1], out=out[1:])
    np.minimum(out[:-1], plane[1:], out=out[:-1])
    np.minimum(out[:, 1:], plane[:, :-1], out=out[:, 1:])
    np.minimum(out[:, :-1], plane[:, 1:], out=out[:, :-1])
    return out


def _dilated(plane: Mask) -> Mask:
    return ~_eroded_by_cross(~plane)


def to_trimap(
    mask: Mask,
    foreground_threshold: int = 240,
    background_threshold: int = 20,
    erode_size: int = 10,
) -> Trimap:
    """Certain foreground, certain background, and the unknown between them.

    Args:
        mask: (h, w), 0..255.
        foreground_threshold: Values above it are foreground.
        background_threshold: Values below it are background.
        erode_size: Both regions are eroded by a square of so many ones; beyond the border lies background, as in rembg.
            The time does not depend on it, and 0 means no erosion (rembg's 0 erodes by a cross).
    """
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_eroded(mask > foreground_threshold, erode_size, border=0)] = FOREGROUND
    trimap[_eroded(mask < background_threshold, erode_size, border=1)] = BACKGROUND
    return trimap


def to_certain_trimap(
    mask: Mask,
    foreground_threshold: int = 240,
    background_threshold: int = 20,
    erode_size: int = 10,
) -> tuple[Trimap, int]:
    """`to_trimap` with the erosion halved, down to 0, until some foreground and some background are certain.

    Returns:
        The trimap, and the erosion it was made with.
    """
    while True:
        trimap = to_trimap(mask, foreground_threshold, background_threshold, erode_size)
        if erode_size == 0 or ((trimap == FOREGROUND).any() and (trimap == BACKGROUND).any()):
            return trimap, erode_size
        erode_size //= 2


def auto_erode_size(picture: Size, network: Size) -> int:
    """An erosion that fits picture and network: a little over one pixel of the network's output, 5 pixels or more.

    Odd, as an even square reaches one pixel further up and left; at most a fortieth of the shorter side, so that
    icons survive.

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
