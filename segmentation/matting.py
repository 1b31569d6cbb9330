"""Trimap to alpha matte to foreground colours.

Two ways to the matte: "closed-form" solves Levin's equations on every unknown pixel; "fast" solves them on a picture of
at most FAST_PIXELS and carries the local line alpha = a . colour + b up to the full size (He and Sun, Fast Guided
Filter, 2015). Both can lean on the network's mask by `trust`, which is worth more than it sounds: a trimap throws away
all the network knew between its two thresholds.
"""

import threading
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmentation.arrays import BACKGROUND, FOREGROUND, RGB, UNKNOWN, Mask, ProbabilityMap, Trimap
from segmentation.errors import MattingError
from segmentation.mask_prior import MaskPrior, build_prior

Method = Literal["fast", "closed-form"]
Box = tuple[slice, slice]
Opacity = NDArray[np.float32]  # (h, w), 0..1: an alpha matte before it is rounded to 8 bits

TRUST = 0.003
FAST_PIXELS = 1_000_000
FAST_UNKNOWN = 250_000
MAX_BYTES = 800_000_000
LINE_RADIUS, LINE_EPSILON = 1, 1e-5  # guided upsampling: window and regularisation, colours in 0..1
TILE, TILE_MARGIN = 256, 16  # foreground estimation, pixels
REGULARIZATION, GRADIENT_WEIGHT = 1e-3, 0.1  # pull of neighbours on colours: always, and per step of alpha
SMALL, SMALL_ITERATIONS, BIG_ITERATIONS = 32, 10, 2  # sweeps per level of at most 32 pixels a side, and above
BYTES_PER_UNKNOWN, LEAST_PER_UNKNOWN = 800, 400  # of equations and factor, commonly and at least
SMALLEST_SCALE = 0.02  # below it memory is not asked any more
NOTABLE = 0.1  # share of the unknown pixels from which a region of its own is worth a warning


@dataclass(frozen=True)
class Matte:
    """An alpha matte and how it came about."""

    alpha: Opacity
    warnings: tuple[str, ...]  # sentences that name the setting to change
    working_size: tuple[int, int]  # (height, width) at which the picture was solved
    unknown: int  # pixels solved, at the working size
    iterations: int  # conjugate gradient steps; 0 where the direct solution sufficed


def estimate_alpha(
    image: RGB,
    trimap: Trimap,
    *,
    mask: Mask | None = None,
    output: ProbabilityMap | None = None,
    trust: float = TRUST,
    method: Method = "fast",
    max_bytes: int = MAX_BYTES,
) -> Matte:
    """Solve for the opacity of the unknown pixels by closed-form matting, leaning on the network's mask.

    Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, TPAMI 2008.

    Args:
        image: RGB, uint8 (h, w, 3).
        trimap: uint8 (h, w): 0 background, 255 foreground, anything else unknown.
        mask: The network's mask, uint8 (h, w). Without it there is nothing to lean or fall back on.
        output: The probability map that the mask was made from, at the network's resolution. Tells whether the network
            resolves detail, and deserves to be held to. Leave it out where the mask was changed since.
        trust: Weight of the mask between the thresholds; 0 is classic matting, 0.1 hardly leaves the mask.
        method: "closed-form" with trust 0 gives pymatting's estimate_alpha_cf.
        max_bytes: Memory to stay under; a larger band is solved at a smaller size, with a warning.

    Returns:
        The matte, float32 0..1 at the picture's size; certain pixels are exactly 0 or 1.

    Raises:
        MattingError: There are unknown pixels and no mask, but no certain foreground or no certain background.
    """
    _check(image, trimap, mask)
    if not _is_unknown(trimap).any():
        return Matte((trimap == FOREGROUND).astype(np.float32), (), trimap.shape, 0, 0)
    missing = [
        name for name, value in (("foreground", FOREGROUND), ("background", BACKGROUND)) if not (trimap == value).any()
    ]
    if missing and mask is None:
        raise MattingError(f"Nothing to matte from: no pixel is certain {' or '.join(missing)}.")
    if missing and mask is not None:
        return Matte((mask / 255.0).astype(np.float32), (_nothing_certain(missing),), trimap.shape, 0, 0)
    return _solve(image, trimap, mask, output if mask is not None else None, trust, method, max_bytes)


def _solve(
    image: RGB,
    trimap: Trimap,
    mask: Mask | None,
    output: ProbabilityMap | None,
    trust: float,
    method: Method,
    max_bytes: int,
) -> Matte:
    from segmentation.closed_form import find_band, plan_elimination, solve_band  # imports numba

    warnings = []
    height, width = trimap.shape
    margin = 2 if output is None else 2 + int(np.ceil(max(_cell(trimap.shape, output))))
    box = _unknown_box(trimap, margin)
    image, trimap_box = _constant(image[box]), _constant(trimap[box])
    mask_box = trimap_box if mask is None else _constant(mask[box])
    unknown = int(np.count_nonzero(_is_unknown(trimap_box)))
    scale = _fast_scale(trimap.size, unknown) if method == "fast" else 1.0
    wanted = scale
    while True:
        small_image, small_trimap, small_mask = _shrink(image, trimap_box, mask_box, scale)
        room = max_bytes - _plane_bytes(trimap_box.size, small_trimap.size)
        need = LEAST_PER_UNKNOWN * int(np.count_nonzero(_is_unknown(small_trimap)))
        if need <= room or scale < SMALLEST_SCALE:
            band = find_band(small_trimap)
            plan = plan_elimination(band)
            need = plan.nbytes
        if need <= room or scale < SMALLEST_SCALE:
            break
        scale *= 0.95 * float(np.clip(room / need, 0.1, 1.0)) ** 0.5
    if scale < wanted:
        warnings.append(
            "The uncertain band is too large for the memory allowed, so it was matted at "
            f"{round(width * scale)} x {round(height * scale)} pixels; raise alpha_matting_background_threshold, "
            "lower alpha_matting_foreground_threshold or lower alpha_matting_erode_size to narrow it."
        )
    prior = None
    if mask is not None and trust > 0:
        prior = _prior(small_trimap, small_mask, mask.shape, output, box, trust)
    solution, iterations = solve_band(small_image, band, plan, prior)
    small_alpha = (small_trimap == FOREGROUND).astype(np.float32)
    small_alpha[band.ys, band.xs] = np.clip(solution, 0, 1)
    if not np.isfinite(solution).all():
        small_alpha[...] = small_mask / np.float32(255)
        warnings.append(
            "The matting equations have no solution here, so the mask was kept; try another matting_method."
        )
    elif mask is not None:
        share = _return_stray_regions(small_alpha, small_trimap, small_mask)
        if share > NOTABLE:
            warnings.append(
                f"{share:.0%} of the uncertain band touches no certain foreground or no certain background and keeps "
                "the mask; lower alpha_matting_erode_size or alpha_matting_foreground_threshold."
            )
    alpha = (trimap == FOREGROUND).astype(np.float32)
    if scale < 1:
        _upsample(small_image, small_alpha, small_trimap, image, trimap_box, alpha, box)
    else:
        np.copyto(alpha[box], small_alpha, where=_is_unknown(trimap_box))
    working = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Matte(alpha, tuple(warnings), working, band.ys.size, iterations)


def estimate_foreground(image: RGB, alpha: Opacity) -> RGB:
    """Estimate the subject's own colours where the background shines through; without it edges keep a fringe.

    Germer, Uelwer, Conrad, Harmeling: Fast Multi-Level Foreground Estimation, ICPR 2020. Solved on tiles around
    0 < alpha < 1 only. Opaque pixels keep the picture's bytes, invisible ones become 0.

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


def _estimate_colours(image: RGB, alpha: Opacity) -> NDArray[np.float32]:
    """Foreground colours of a tile, 0..255, refined from one pixel up to the tile's size."""
    from segmentation import kernels

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
        kernels.refine_colours(
            image, alpha, coarse, colours, np.empty(size, np.float32), np.float32(REGULARIZATION),
            np.float32(GRADIENT_WEIGHT), iterations,
        )  # fmt: skip
    return colours[..., :3]


def warm_up() -> None:
    """Compile everything, or load it from numba's cache, on a tiny picture. The first matting does it otherwise."""
    with _warming:
        if is_ready():
            return
        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
        trimap = np.full((32, 32), UNKNOWN, np.uint8)
        trimap[12:20, 12:20] = FOREGROUND
        trimap[:4] = BACKGROUND
        # so little memory that it is solved at a smaller size
        matte = estimate_alpha(image, trimap, mask=trimap, max_bytes=250_000)
        estimate_foreground(image, matte.alpha)
        _ready.set()


def is_ready() -> bool:
    """Whether `warm_up` has come to its end in this process."""
    return _ready.is_set()


_warming, _ready = threading.Lock(), threading.Event()


def _check(image: RGB, trimap: Trimap, mask: Mask | None) -> None:
    planes = [trimap] if mask is None else [trimap, mask]
    if image.ndim != 3 or image.shape[2] != 3 or any(plane.shape != image.shape[:2] for plane in planes):
        raise ValueError("image must be (h, w, 3), trimap and mask (h, w)")
    if any(array.dtype != np.uint8 for array in (image, *planes)):
        raise ValueError("image, trimap and mask must be uint8")


def _is_unknown(trimap: Trimap) -> NDArray[np.bool_]:
    unknown: NDArray[np.bool_] = trimap == UNKNOWN
    return unknown


def _nothing_certain(missing: list[str]) -> str:
    setting = {
        "foreground": "alpha_matting_foreground_threshold",
        "background": "alpha_matting_background_threshold",
    }
    change = " and ".join(f"{'lower' if name == 'foreground' else 'raise'} {setting[name]}" for name in missing)
    return (
        f"No pixel is certain {' or '.join(missing)}, so the mask was kept without matting; "
        f"lower alpha_matting_erode_size, or {change}."
    )


def _unknown_box(trimap: Trimap, margin: int) -> Box:
    """The unknown pixels' bounding box, wide enough to hold every window and cell they lie in."""
    unknown = _is_unknown(trimap)
    spans = []
    for axis in (1, 0):
        at = np.flatnonzero(unknown.any(axis))
        spans.append(slice(max(int(at[0]) - margin, 0), int(at[-1]) + 1 + margin))
    return spans[0], spans[1]


def _shrink(image: RGB, trimap: Trimap, mask: Mask, scale: float) -> tuple[RGB, Trimap, Mask]:
    """Box averages at a smaller scale; certain only where every pixel below is."""
    if scale >= 1:
        return image, trimap, mask
    from segmentation import kernels

    size = tuple(max(1, round(side * scale)) for side in trimap.shape)
    small = np.empty((*size, 3), np.uint8), np.empty(size, np.uint8), np.empty(size, np.uint8)
    kernels.shrink(image, trimap, mask, *small)
    return _constant(small[0]), _constant(small[1]), _constant(small[2])


def _prior(
    trimap: Trimap, mask: Mask, picture: tuple[int, int], output: ProbabilityMap | None, box: Box, trust: float
) -> MaskPrior:
    """The mask's prior on the unknown pixels of a box of the picture, at the working size."""
    cell = (1.0, 1.0) if output is None else _cell(picture, output)
    cell_of = []
    for axis in (0, 1):
        start, stop = box[axis].start, min(box[axis].stop, picture[axis])
        size = trimap.shape[axis]
        centres = start + (np.arange(size) + 0.5) * (stop - start) / size
        cell_of.append((centres / cell[axis]).astype(np.int64))
    return build_prior(trimap, mask, trust, output, cell_of[0], cell_of[1])


def _cell(picture: tuple[int, ...], output: ProbabilityMap) -> tuple[float, float]:
    """Picture pixels per pixel of the network's output, (vertical, horizontal)."""
    return picture[0] / output.shape[0], picture[1] / output.shape[1]


def _return_stray_regions(alpha: Opacity, trimap: Trimap, mask: Mask) -> float:
    """Give the mask back to regions of the band that touch no certain foreground, or no certain background.

    The equations carry one side's value into all of such a region, whatever the mask says.

    Returns:
        Their share of the unknown pixels.
    """
    unknown = _is_unknown(trimap)
    labels, count = ndimage.label(unknown, np.ones((3, 3)))
    stray = np.zeros(count + 1, bool)
    for value in (BACKGROUND, FOREGROUND):
        touches = ndimage.maximum_filter((trimap == value).view(np.uint8), 5).view(bool)
        touched = np.zeros(count + 1, bool)
        touched[labels[touches & unknown]] = True
        stray |= ~touched
    stray[0] = False
    here = stray[labels]
    alpha[here] = mask[here] / np.float32(255)
    return float(np.count_nonzero(here)) / int(np.count_nonzero(unknown))


def _upsample(
    small_image: RGB, small_alpha: Opacity, small_trimap: Trimap, image: RGB, trimap: Trimap, alpha: Opacity, box: Box
) -> None:
    """Write the unknown pixels of alpha, which lie in box, from lines alpha = a . colour + b of the small size."""
    from segmentation import kernels

    near = ndimage.maximum_filter(_is_unknown(small_trimap).view(np.uint8), 3)
    lines = np.zeros((*small_alpha.shape, 4), np.float32)
    kernels.fit_lines(small_image, small_alpha, LINE_RADIUS, LINE_EPSILON, near, lines)
    kernels.apply_lines(image, trimap, lines, alpha, box[0].start, box[1].start)


def _constant(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The array as contiguous and read-only, the one kind of input that kernels are compiled for."""
    array = np.ascontiguousarray(array).view()
    array.flags.writeable = False
    return array


def estimate_matting_bytes(shape: tuple[int, int], unknown: int, method: Method = "fast") -> int:
    """Memory that `estimate_alpha` takes at most, about, where so many pixels of a picture are unknown.

    Args:
        shape: (height, width) of the picture.
        unknown: Unknown pixels of its trimap.
        method: As for `estimate_alpha`.
    """
    pixels = shape[0] * shape[1]
    scale = _fast_scale(pixels, unknown) if method == "fast" else 1.0
    return _plane_bytes(pixels, int(scale**2 * pixels)) + int(BYTES_PER_UNKNOWN * scale**2 * unknown)


def _plane_bytes(pixels: int, working_pixels: int) -> int:
    """Bytes of all that has the size of the picture: a copy of the inputs, alpha; and of its working copy."""
    return 10 * pixels + 20 * working_pixels


def _fast_scale(pixels: int, unknown: int) -> float:
    scale: float = min(1.0, (FAST_PIXELS / pixels) ** 0.5, (FAST_UNKNOWN / max(unknown, 1)) ** 0.5)
    return scale
