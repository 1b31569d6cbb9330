"""Colours and opacity -> cutout, as an array or straight into a file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segmentation.arrays import RGB, RGBA, Alpha, Mask
from segmentation.image import save_png_strips

_STRIP_PIXELS = 1 << 16  # composed at a time: a strip stays in the processor's cache until it is compressed


def compose_cutout(colours: RGB, alpha: Alpha) -> RGBA:
    """RGBA with straight alpha. Colours of fully transparent pixels are 0: nothing of the background stays hidden."""
    cutout = np.empty((*alpha.shape, 4), np.uint8)
    _compose(colours, alpha, cutout)
    return cutout


def save_cutout(colours: RGB, alpha: Alpha, path: str | Path, icc_profile: bytes | None = None) -> None:
    """The same bytes as `save_png(compose_cutout(colours, alpha), path)`, without ever holding the whole cutout.

    Raises:
        OSError: The file cannot be written.
    """
    height, width = alpha.shape
    rows = max(1, _STRIP_PIXELS // width)

    def strips() -> Iterator[RGBA]:
        strip = np.empty((rows, width, 4), np.uint8)
        for top in range(0, height, rows):
            part = strip[: min(rows, height - top)]
            _compose(colours[top : top + rows], alpha[top : top + rows], part)
            yield part

    save_png_strips(strips(), (height, width), 4, path, icc_profile)


def _compose(colours: RGB, alpha: Alpha, cutout: RGBA) -> None:
    for channel in range(3):  # four times faster than [..., :3], whose inner loop is three bytes long
        cutout[..., channel] = colours[..., channel]
    cutout[..., 3] = alpha
    pixels = cutout.view(np.uint32)[..., 0]
    np.copyto(pixels, 0, where=alpha == 0)


def multiply_opacity(alpha: Alpha, own: Mask) -> Alpha:
    """Alpha x own / 255, rounded: what was transparent in the picture stays so."""
    product = alpha.astype(np.uint16) * own
    # (p + 128 + (p + 128 >> 8)) >> 8 is p / 255 rounded, for every p up to 255 * 255 (Blinn 1995)
    product += 128
    return ((product + (product >> 8)) >> 8).astype(np.uint8)
