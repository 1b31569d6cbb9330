"""Alpha -> an outline of a width around the subject, as on a sticker."""

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from segmentation.arrays import Alpha, Size
from segmentation.picture.resize import resize_window
from segmentation.picture.rows import Rows, averaged

_EDGE = 0.25  # alpha from which a pixel has an outline: a soft edge keeps most of its softness inside it
_WIDTH = 16  # pixels to which wide outlines are shrunk: the distance is smooth, its threshold stays sharp
_TILE = 256  # pixels a side; tiles without an edge are not computed


def outline_of(rows: Rows, size: Size, width: float) -> Rows:
    """Opacity of an outline that surrounds the subject and lies behind all of it.

    A pixel's opacity is how much of it lies within `width` of the subject. A wide outline is a threshold at full size
    of distances computed at a smaller one (Green 2007).

    Args:
        rows: The subject's alpha.
        size: (height, width) of it.
        width: In pixels.
    """
    factor = max(1, int(width / _WIDTH))
    inside = averaged(rows, size, factor)
    distance = _distance(inside, width / factor)
    whole = distance.shape[0] * factor, distance.shape[1] * factor

    def part(top: int, bottom: int) -> Alpha:
        near = distance[top:bottom]
        if factor > 1:
            near = resize_window(distance, whole, np.s_[top:bottom, 0 : size[1]], "bilinear")
        opacity: Alpha = np.rint(np.clip(width + 0.5 - near * factor, 0, 1) * 255).astype(np.uint8)
        return opacity

    return part


def _distance(inside: npt.NDArray[np.float32], reach: float) -> npt.NDArray[np.float32]:
    """Distance of each pixel's centre from the subject's edge, up to `reach` and a little more; up to -0.5 inside.

    Args:
        inside: Coverage of each pixel by the subject, 0..1.
        reach: In pixels.
    """
    height, width = inside.shape
    rim = math.ceil(reach) + 2
    distance = np.full(inside.shape, rim, np.float32)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            above, before = max(0, top - rim), max(0, left - rim)
            around = inside[above : top + _TILE + rim, before : left + _TILE + rim]
            subject = around >= _EDGE
            if not subject.any():
                continue
            tile = np.s_[top : top + _TILE, left : left + _TILE]
            if around.min() == 1:
                distance[tile] = -0.5
                continue
            far, (y, x) = distance_transform_edt(~subject, return_indices=True)
            # the edge runs through the nearest pixel of the subject, which it covers in part
            exact = far + 0.5 - around[y, x]
            distance[tile] = exact[top - above :, left - before :][:_TILE, :_TILE]
    return distance
