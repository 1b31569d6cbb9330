"""Colours and opacity -> cutout, as an array or directly as a file; cutout over a colour, a picture or a blur."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, maximum_filter

from segmentation.arrays import RGB, RGBA, Alpha, Interpolation, Mask, Size
from segmentation.picture.png import save_png_strips
from segmentation.picture.resize import resize

VISIBLE = 8  # alpha (of 255) from which a pixel counts as subject: below it is noise from the network
_STRIP_PIXELS = 1 << 16  # composed at a time: a strip stays in the CPU cache until it is compressed


def compose_cutout(colours: RGB, alpha: Alpha) -> RGBA:
    """RGBA with straight alpha. Colours of fully transparent pixels are 0, so the background is not hidden in them."""
    cutout = np.empty((*alpha.shape, 4), np.uint8)
    _compose(colours, alpha, cutout)
    return cutout


def save_cutout(colours: RGB, alpha: Alpha, path: str | Path, icc_profile: bytes | None = None) -> None:
    """`save_png(compose_cutout(colours, alpha), path)`, byte for byte, without holding the whole cutout in memory.

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
    for channel in range(3):  # four times faster than [..., :3], whose inner loop spans only three bytes
        cutout[..., channel] = colours[..., channel]
    cutout[..., 3] = alpha
    pixels = cutout.view(np.uint32)[..., 0]
    np.copyto(pixels, 0, where=alpha == 0)


def multiply_opacity(alpha: Alpha, own: Mask) -> Alpha:
    """Alpha x own / 255, rounded: transparent parts of the picture stay transparent."""
    product = alpha.astype(np.uint16) * own
    # (p + 128 + (p + 128 >> 8)) >> 8 equals p / 255 rounded, for every p up to 255 * 255 (Blinn 1995)
    product += 128
    return ((product + (product >> 8)) >> 8).astype(np.uint8)


def compose_over(colours: RGB, alpha: Alpha, behind: RGB | tuple[int, int, int]) -> RGB:
    """The subject over an opaque background: alpha x colours + (1 - alpha) x behind, rounded (Porter and Duff 1984).

    Args:
        colours: The subject's own colours, (h, w, 3).
        alpha: Its opacity, (h, w).
        behind: A picture of the same size, or one colour.
    """
    composite = np.empty_like(colours)
    rows = max(1, _STRIP_PIXELS // alpha.shape[1])
    for top in range(0, len(alpha), rows):
        strip = np.s_[top : top + rows]
        opacity = alpha[strip].astype(np.uint16)[..., None]
        under = behind[strip] if isinstance(behind, np.ndarray) else np.array(behind, np.uint8)
        # both products together stay below 255 * 255, so this is their sum / 255 rounded, as in multiply_opacity
        mixed = opacity * colours[strip] + (255 - opacity) * under
        mixed += 128
        composite[strip] = (mixed + (mixed >> 8)) >> 8
    return composite


def over_colour(cutout: RGBA, colour: tuple[int, ...]) -> RGBA:
    """A cutout with straight alpha over a translucent colour, with straight alpha again (Porter and Duff 1984).

    Args:
        cutout: (h, w, 4).
        colour: Red, green, blue and alpha, 0..255.
    """
    if not colour[3]:
        return cutout
    share = cutout[..., 3:].astype(np.float32) / 255
    rest = (1 - share) * np.float32(colour[3] / 255)
    whole = share + rest  # above 0, as the colour's alpha is
    mixed = np.empty_like(cutout)
    mixed[..., :3] = np.rint((share * cutout[..., :3] + rest * np.array(colour[:3], np.float32)) / whole)
    mixed[..., 3:] = np.rint(255 * whole)
    return mixed


def fit_backdrop(backdrop: RGB, size: Size, fit: str) -> RGB:
    """A backdrop at the size of the picture it lies behind.

    Args:
        backdrop: The backdrop, of any size.
        size: (height, width) to cover.
        fit: "fill" covers everything and crops the backdrop centrally; "fit" shows all of it, with its mean colour
            beside it.
    """
    ratios = size[0] / backdrop.shape[0], size[1] / backdrop.shape[1]
    scale = max(ratios) if fit == "fill" else min(ratios)
    height, width = (max(1, round(side * scale)) for side in backdrop.shape[:2])
    if fit == "fill":  # crop first, to scale no more than needed
        taken = [min(side, max(1, round(wanted / scale))) for side, wanted in zip(backdrop.shape, size, strict=False)]
        top, left = (backdrop.shape[0] - taken[0]) // 2, (backdrop.shape[1] - taken[1]) // 2
        part = np.ascontiguousarray(backdrop[top : top + taken[0], left : left + taken[1]])
        return resize(part, size, "bicubic")
    height, width = min(height, size[0]), min(width, size[1])
    whole = np.empty((*size, 3), np.uint8)
    whole[:] = np.rint(backdrop.mean((0, 1)))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    whole[top : top + height, left : left + width] = resize(backdrop, (height, width), "bicubic")
    return whole


_BLUR_PIXELS = 4.0  # sigma at which the blur is computed
_REACH = 0.02  # share of the longer side by which a mask may miss the subject
_FILL_WEIGHT = 0.02  # of the filled-in colours, relative to the visible background
_FILL_SIDE = 512  # pixels on the longer side at which the subject's area is filled in: nothing there is sharp


def blur_background(image: RGB, alpha: Alpha, percent: float) -> RGB:
    """The picture out of focus, without the subject, whose colours do not bleed into the background.

    A Gaussian over the pixels outside the subject and a rim around it, as wide as typical mask errors, divided by
    their weight: normalized convolution (Knutsson and Westin 1993). Areas that no such pixel reaches continue their
    surroundings (pull-push, Gortler et al. 1996). Computed at a size where the blur is about four pixels wide, as no
    finer detail survives it.

    Args:
        image: The picture.
        alpha: The subject's opacity.
        percent: Sigma, in percent of the longer side.
    """
    longest = max(alpha.shape)
    sigma = longest * percent / 100
    scale = min(1.0, _BLUR_PIXELS / sigma)
    size = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    seen, background = resize(image, size, "box"), _background(alpha, size)
    small_scale = min(1.0, _FILL_SIDE / max(size))
    small = max(1, round(size[0] * small_scale)), max(1, round(size[1] * small_scale))
    known = resize(background, small, "box")
    weight = gaussian_filter(background, sigma * scale, mode="nearest")
    behind = np.empty((*size, 3), np.uint8)
    for channel in range(3):
        plane = background * seen[..., channel]
        fill = resize(_filled(resize(plane, small, "box") / known, known), size, "bilinear")
        blurred = gaussian_filter(plane, sigma * scale, mode="nearest")
        blurred = (blurred + _FILL_WEIGHT * fill) / (weight + _FILL_WEIGHT)
        np.rint(np.clip(blurred, 0, 255), out=behind[..., channel], casting="unsafe")
    return resize(behind, alpha.shape, "bicubic")


def _background(alpha: Alpha, size: Size) -> npt.NDArray[np.float32]:
    """Weight of each pixel as background at that size: 1 well outside the subject, almost 0 inside."""
    reach = _REACH * max(size)
    subject = resize((alpha >= VISIBLE).astype(np.uint8) * np.uint8(255), size, "box") > 0
    outside = ~maximum_filter(subject, 2 * math.ceil(reach) + 1)
    # if everything is subject, only what shines through it is known
    return np.maximum(outside, 1e-12 + 1e-9 * (1 - resize(alpha, size, "box") / 255)).astype(np.float32)


def _filled(plane: npt.NDArray[np.float32], known: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A plane whose unknown pixels (known = 0; 1 is known) continue the others, the coarser the farther away."""
    if known.min() >= 1 or max(plane.shape) == 1:
        return plane
    half = (plane.shape[0] + 1) // 2, (plane.shape[1] + 1) // 2
    share = resize(known, half, "box")
    coarse = _filled(resize(plane * known, half, "box") / share, np.minimum(1, 4 * share))
    filled: npt.NDArray[np.float32] = resize(coarse, (plane.shape[0], plane.shape[1]), "bilinear")
    return known * plane + (1 - known) * filled


def resize_cutout(colours: RGB, alpha: Alpha, size: Size, *, fast: bool = False) -> tuple[RGB, Alpha]:
    """A cutout at (height, width), its colours averaged by opacity.

    Args:
        colours: The subject's own colours, (h, w, 3).
        alpha: Its opacity, (h, w).
        size: (height, width).
        fast: Whether plain means of some of the pixels are good enough.
    """
    scale = min(size[0] / alpha.shape[0], size[1] / alpha.shape[1])
    step = max(1, int(1 / scale) // 4) if fast else 1  # every fourth pixel in each direction is enough for the means
    way: Interpolation = "box" if fast and scale < 1 else "bicubic"
    seen, opacity = np.ascontiguousarray(colours[::step, ::step]), np.ascontiguousarray(alpha[::step, ::step])
    small_alpha = resize(opacity, size, way)
    small = resize(compose_over(seen, opacity, (0, 0, 0)), size, way).astype(np.float32)
    small *= 255.0 / np.maximum(small_alpha, 1)[..., None]
    return np.rint(np.minimum(small, 255)).astype(np.uint8), small_alpha


def thumbnail(colours: RGB, alpha: Alpha, longest: int) -> RGBA:
    """A cutout shrunk to at most `longest` pixels on its longer side, its colours averaged by opacity."""
    height, width = alpha.shape
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return compose_cutout(*resize_cutout(colours, alpha, size, fast=True))
