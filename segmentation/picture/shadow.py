"""Alpha -> the opacity of a soft shadow behind the subject, or of one under it where it touches the ground."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from segmentation.arrays import Alpha, Size
from segmentation.picture.compose import VISIBLE
from segmentation.picture.layout import Layout, drop_offset
from segmentation.picture.resize import resize_window
from segmentation.picture.rows import Rows, averaged
from segmentation.settings import Export

Shades = Callable[[int, int], npt.NDArray[np.float32]]
"""First row and the one after the last -> darkness of these rows, 0..1."""

_SIGMA = 4.0  # pixels to which wide blurs are shrunk: no finer detail survives them
_REACH = 8.0  # units above the ground from which the subject still darkens it
_FLAT = 0.5  # height of a contact shadow relative to its softness: the ground is seen at an angle


def shadow_of(rows: Rows, layout: Layout, export: Export) -> Rows:
    """Opacity of the shadow that a layout's subject casts.

    Args:
        rows: Alpha of all that casts it, in the file.
        layout: Where the subject lies.
        export: Kind, angle, distance, softness and opacity.
    """
    sigma = export.shadow_blur * layout.unit
    parts = []
    if export.shadow in ("drop", "both"):
        parts.append(_drop(rows, layout.size, drop_offset(export, layout.unit), sigma))
    if export.shadow in ("contact", "both"):
        parts.append(_contact(rows, layout, sigma, export.outline_width * layout.unit))
    opacity = np.float32(export.shadow_opacity / 100)

    def part(top: int, bottom: int) -> Alpha:
        light: npt.NDArray[np.float32] = np.ones(1, np.float32)
        for shade in parts:  # what one lets through, the other may still hold back
            light = light * (1 - opacity * shade(top, bottom))
        shadow: Alpha = np.rint((1 - light) * 255).astype(np.uint8)
        return shadow

    return part


def _drop(rows: Rows, size: Size, offset: tuple[int, int], sigma: float) -> Shades:
    """The subject's alpha, shifted and blurred by a Gaussian of `sigma` pixels."""
    x, y = offset
    # a shadow that moves right shows what lies left of the file: nothing, but blurred
    before, after = (max(0, y), max(0, x)), (max(0, -y), max(0, -x))
    factor = max(1, int(sigma / _SIGMA))
    blurred = averaged(rows, size, factor, before, after)
    if sigma > 0:  # the means have blurred it a little already
        left = np.sqrt(sigma**2 - (factor**2 - 1) / 12) / factor
        gaussian_filter(blurred, left, mode="constant", output=blurred)
    whole = blurred.shape[0] * factor, blurred.shape[1] * factor
    first, start = before[0] - y, before[1] - x

    def part(top: int, bottom: int) -> npt.NDArray[np.float32]:
        window = np.s_[top + first : bottom + first, start : start + size[1]]
        if factor == 1:
            return blurred[window]
        enlarged: npt.NDArray[np.float32] = resize_window(blurred, whole, window, "bilinear")
        return enlarged

    return part


def _contact(rows: Rows, layout: Layout, sigma: float, outline: float) -> Shades:
    """A flat shadow along the subject's lowest line, as dark at each column as the subject is near to the ground."""
    height, width = layout.size
    ground = layout.subject[3] + outline
    reach = max(1.0, _REACH * layout.unit)
    first, last = (min(height, max(0, round(row))) for row in (ground - reach, ground))
    near = np.zeros(width, np.float32)
    for top in range(first, last, 64):
        bottom = min(last, top + 64)
        seen = rows(top, bottom)
        weight = 1 - (ground - (np.arange(top, bottom, dtype=np.float32) + 0.5)) / reach
        near = np.maximum(near, (np.where(seen >= VISIBLE, seen, 0) * (weight.clip(0, 1)[:, None] / 255)).max(0))
    across = gaussian_filter1d(near, sigma, mode="constant") if sigma > 0 else near
    depth = max(0.5, sigma * _FLAT)

    def part(top: int, bottom: int) -> npt.NDArray[np.float32]:
        down = np.exp(-0.5 * ((np.arange(top, bottom, dtype=np.float32) + 0.5 - ground) / depth) ** 2)
        shade: npt.NDArray[np.float32] = down[:, None] * across
        return shade

    return part
