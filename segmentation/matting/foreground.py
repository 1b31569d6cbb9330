"""The subject's own colours under an alpha matte."""

import numpy as np
from numpy.typing import NDArray

from segmentation.arrays import RGB, AlphaMatte

TILE, TILE_MARGIN = 256, 16  # pixels
REGULARIZATION, GRADIENT_WEIGHT = 1e-3, 0.1  # pull of neighbours on colours: constant, and per step of alpha
SMALL, SMALL_ITERATIONS, BIG_ITERATIONS = 32, 10, 2  # sweeps per level of at most 32 pixels a side, and above


def estimate_foreground(image: RGB, alpha: AlphaMatte) -> RGB:
    """The subject's own colours, estimated where the background shines through; otherwise edges keep a fringe.

    Germer, Uelwer, Conrad, Harmeling: Fast Multi-Level Foreground Estimation, ICPR 2020. Solved only on tiles around
    0 < alpha < 1. Opaque pixels keep the picture's bytes, invisible ones become 0.

    Args:
        image: RGB, uint8 (h, w, 3).
        alpha: Opacity, float32 (h, w) 0..1.
    """
    visible = alpha >= 0.5 / 255
    foreground = image * visible[..., None]
    mixed = visible & (alpha < 254.5 / 255)
    height, width = alpha.shape
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            tile = np.s_[top : top + TILE, left : left + TILE]
            rows, columns = (np.flatnonzero(mixed[tile].any(axis)) for axis in (1, 0))
            if not rows.size:
                continue
            y0, y1, x0, x1 = top + rows[0], top + rows[-1] + 1, left + columns[0], left + columns[-1] + 1
            ym, xm = max(y0 - TILE_MARGIN, 0), max(x0 - TILE_MARGIN, 0)
            around = np.s_[ym : y1 + TILE_MARGIN, xm : x1 + TILE_MARGIN]
            colours = _estimate_colours(image[around], alpha[around])
            inner = mixed[y0:y1, x0:x1]
            foreground[y0:y1, x0:x1][inner] = np.rint(colours[y0 - ym : y1 - ym, x0 - xm : x1 - xm][inner])
    return foreground


def _estimate_colours(image: RGB, alpha: AlphaMatte) -> NDArray[np.float32]:
    """Foreground colours of a tile, 0..255, refined from one pixel up to the tile's size."""
    from segmentation.matting.kernels import planes

    image, alpha = image.copy(), alpha.copy()
    sure = [(alpha > 0.9), (alpha < 0.1)]
    means = [image[side].mean(0) if side.any() else np.zeros(3) for side in sure]
    colours = np.concatenate(means).astype(np.float32).reshape(1, 1, 6)
    height, width = alpha.shape
    levels = max(1, int(np.ceil(np.log2(max(height, width)))))
    for level in range(levels + 1):
        size = round(height ** (level / levels)), round(width ** (level / levels))
        coarse, colours = colours, np.empty((*size, 6), np.float32)
        iterations = SMALL_ITERATIONS if max(size) <= SMALL else BIG_ITERATIONS
        planes.refine_colours(
            image, alpha, coarse, colours, np.empty(size, np.float32), np.float32(REGULARIZATION),
            np.float32(GRADIENT_WEIGHT), iterations,
        )  # fmt: skip
    return colours[..., :3]
