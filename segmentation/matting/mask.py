"""Probability map -> mask at the picture's size -> alpha without matting."""

import numpy as np
from scipy.ndimage import gaussian_filter

from segmentation.arrays import Alpha, Mask, ProbabilityMap, Size
from segmentation.picture.resize import resize

_REACH = 8  # radius in pixels of a Gaussian of sigma 2: scipy truncates it at 4 sigma
_TILE = 192


def to_mask(probability: ProbabilityMap, size: Size, post_process: bool = False) -> Mask:
    """The probability map at the picture's size, in 0..255.

    Args:
        probability: (h, w), 0..1, at any resolution.
        size: (height, width) of the picture.
        post_process: Remove specks, smooth the outline and make the mask binary, like rembg's post_process_mask.
    """
    levels = (probability * 255.0).astype(np.uint8)  # truncated, not rounded, to match rembg's masks exactly
    mask: Mask = resize(levels, size, "bicubic")
    return post_processed(mask) if post_process else mask


def to_alpha(mask: Mask) -> Alpha:
    """A mask as alpha. Its levels are truncated, so 254 already means certain, and becomes opaque."""
    alpha: Alpha = mask + (mask == 254)
    return alpha


def post_processed(mask: Mask) -> Mask:
    """Opening by a disk of radius 1, Gaussian of sigma 2, threshold at 127 (rembg's `post_process`).

    The Gaussian is a weighted mean, so where all pixels in its reach lie on one side of the threshold the result is
    known: only tiles along the outline are smoothed, with the identical result.
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
    """Minimum over the 3 x 3 cross, which is the disk of radius 1; pixels beyond the border are ignored."""
    out = plane.copy()
    np.minimum(out[1:], plane[:-1], out=out[1:])
    np.minimum(out[:-1], plane[1:], out=out[:-1])
    np.minimum(out[:, 1:], plane[:, :-1], out=out[:, 1:])
    np.minimum(out[:, :-1], plane[:, 1:], out=out[:, :-1])
    return out


def _dilated(plane: Mask) -> Mask:
    return ~_eroded_by_cross(~plane)
