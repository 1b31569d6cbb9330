"""Colours and opacity -> cutout."""

import numpy as np

from segmentation.arrays import RGB, RGBA, Alpha, Mask


def compose_cutout(colours: RGB, alpha: Alpha) -> RGBA:
    """RGBA with straight alpha. Colours of fully transparent pixels are 0: nothing of the background stays hidden."""
    cutout = np.empty((*alpha.shape, 4), np.uint8)
    np.multiply(colours, (alpha > 0)[..., None], out=cutout[..., :3])
    cutout[..., 3] = alpha
    return cutout


def multiply_opacity(alpha: Alpha, own: Mask) -> Alpha:
    """Alpha x own / 255, rounded: what was transparent in the picture stays so."""
    product = alpha.astype(np.uint16) * own
    # (p + 128 + (p + 128 >> 8)) >> 8 is p / 255 rounded, for every p up to 255 * 255 (Blinn 1995)
    product += 128
    return ((product + (product >> 8)) >> 8).astype(np.uint8)
