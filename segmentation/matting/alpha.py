"""Trimap to alpha matte.

Two methods of ours: "closed-form" solves Levin's equations on every unknown pixel; "fast" solves them on a picture of
at most FAST_PIXELS and upsamples the local lines alpha = a . colour + b to the full size (He and Sun, Fast Guided
Filter, 2015). Both can use the network's mask, weighted by `trust`. That matters, as a trimap discards all the network
knew between its two thresholds. The other methods are PyMatting's, see `estimators`.
"""

import threading
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmentation.arrays import (
    BACKGROUND,
    FOREGROUND,
    RGB,
    UNKNOWN,
    AlphaMatte,
    Mask,
    ProbabilityMap,
    Trimap,
    constant,
)
from segmentation.errors import MattingError
from segmentation.matting.doubt import Flags, decide
from segmentation.matting.estimators import ESTIMATORS, NoSolutionError, estimate
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.mask import to_alpha
from segmentation.matting.prior import MaskPrior, build_prior
from segmentation.messages import Message
from segmentation.picture.resize import resize
from segmentation.settings import Method, Settings

if TYPE_CHECKING:
    from segmentation.matting.band import Band, Plan

Box = tuple[slice, slice]
Weight = NDArray[np.float32]

_DEFAULTS = Settings()
FAST_PIXELS = 1_000_000
FAST_UNKNOWN = 250_000
MAX_BYTES = 800_000_000
LINE_RADIUS, LINE_EPSILON = 1, 1e-5  # guided upsampling: window and regularisation, colours in 0..1
LEAST_PER_UNKNOWN = 400  # bytes of equations and factor, as a lower bound; the plan has the exact number
SMALLEST_SCALE = 0.02  # below this, the memory limit is ignored
REACH = 2  # pixels from one pixel to the farthest that its equation names
NOTABLE = 0.05  # share of the unknown pixels above which stray regions are worth a warning
NOTABLE_OF_DECIDED = 1.0  # what a decision cut off from one side keeps it: that is no deviation from the settings


@dataclass(frozen=True)
class Matte:
    """An alpha matte and how it was computed."""

    alpha: AlphaMatte
    warnings: tuple[str, ...]  # sentences that name the setting to change
    working_size: tuple[int, int]  # (height, width) at which the picture was solved
    unknown: int  # pixels solved, at the working size
    iterations: int  # conjugate gradient steps; 0 if nothing was solved
    doubt: Flags | None = None  # where the network was in doubt over more than an outline, one pixel a cell
    doubt_share: float = 0.0  # of the subject, counting what was in doubt


def estimate_alpha(
    image: RGB,
    trimap: Trimap,
    *,
    mask: Mask | None = None,
    output: ProbabilityMap | None = None,
    trust: float = _DEFAULTS.trust_mask,
    method: Method = _DEFAULTS.matting_method,
    max_unknown: int = FAST_UNKNOWN,
    max_bytes: int = MAX_BYTES,
    true_alpha: bool = False,
    weight: Weight | None = None,
) -> Matte:
    """The opacity of the unknown pixels, solved by closed-form matting with the network's mask as a prior.

    Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, TPAMI 2008.

    Args:
        image: RGB, uint8 (h, w, 3).
        trimap: uint8 (h, w) of BACKGROUND, UNKNOWN and FOREGROUND.
        mask: The network's mask, uint8 (h, w). Without it there is no prior and nothing to fall back on.
        output: The probability map that the mask was made from, at the network's resolution. It shows whether the
            network resolves detail, and so how far to trust it, and where it is in doubt over more than an outline,
            which is decided first. Omit it if the mask was changed since.
        trust: Weight of the mask between the thresholds; 0 is classic matting, 0.1 stays very close to the mask.
        method: "closed-form" with trust 0 gives the result of pymatting's estimate_alpha_cf. One of `ESTIMATORS` gives
            that of its others, up to a size; for these, `trust` and `output` only count where there is doubt.
        max_unknown: The most pixels that "fast" solves; with more, it works at a smaller size.
        max_bytes: Memory limit; a larger band is solved at a smaller size, with a warning.
        true_alpha: The network gives opacity rather than a vote, so nothing is decided where it is in doubt.
        weight: float32 (h, w), 0..1: how far `trust` applies at each pixel; everywhere by default.

    Returns:
        The matte, float32 0..1 at the picture's size; certain pixels are exactly 0 or 1.

    Raises:
        MattingError: There are unknown pixels and no mask, but no certain foreground or no certain background; or one
            of `ESTIMATORS` finds no solution and there is no mask, or it is unavailable.
    """
    _check(image, trimap, mask)
    if not _is_unknown(trimap).any():
        return Matte((trimap == FOREGROUND).astype(np.float32), (), trimap.shape, 0, 0)
    sides = ("foreground", FOREGROUND), ("background", BACKGROUND)
    missing = [name for name, value in sides if not (trimap == value).any()]
    if missing and mask is None:
        raise MattingError(
            Message("Nothing to matte from: no pixel is certain {missing}.", missing=" or ".join(missing))
        )
    if missing and mask is not None:
        return Matte(_as_opacity(mask), (_NOTHING_CERTAIN[tuple(missing)],), trimap.shape, 0, 0)
    if mask is None or output is None or trust == 0 or true_alpha:
        known = None if mask is None else output
        return _solve(image, trimap, mask, known, trust, method, max_unknown, max_bytes, weight=weight)
    decision = decide(image, trimap, mask, output, trust)
    if decision is None:
        return _solve(image, trimap, mask, output, trust, method, max_unknown, max_bytes, weight=weight)
    matte = _solve(
        image,
        decision.trimap,
        decision.mask,
        decision.output,
        trust,
        method,
        max_unknown,
        max_bytes,
        NOTABLE_OF_DECIDED,
        decision.detail,
        weight,
    )
    return replace(matte, doubt=decision.doubt, doubt_share=decision.share)


def _solve(
    image: RGB,
    trimap: Trimap,
    mask: Mask | None,
    output: ProbabilityMap | None,
    trust: float,
    method: Method,
    max_unknown: int,
    max_bytes: int,
    notable: float = NOTABLE,
    trusted: float | None = None,
    weight: Weight | None = None,
) -> Matte:
    from segmentation.matting.band import solve_band  # imports numba

    height, width = trimap.shape
    if not _is_unknown(trimap).any():  # all of it was in doubt, and is decided
        return Matte((trimap == FOREGROUND).astype(np.float32), (), trimap.shape, 0, 0)
    if method in ESTIMATORS:
        return _solve_without_prior(image, trimap, mask, method, max_bytes, notable)
    box = _unknown_box(trimap, 2 if output is None else 2 + int(np.ceil(max(_cell(trimap.shape, output)))))
    image, inner = constant(image[box]), constant(trimap[box])
    unknown = int(np.count_nonzero(_is_unknown(inner)))
    scale = _fast_scale(trimap.size, unknown, max_unknown) if method == "fast" else 1.0
    work = _working_copy(image, inner, inner if mask is None else constant(mask[box]), scale, max_bytes)
    size = max(1, round(height * work.scale)), max(1, round(width * work.scale))
    warnings = [_too_large(size)] if work.scale < scale else []

    prior = (
        _prior(work.trimap, work.mask, mask.shape, output, box, trust, trusted)
        if mask is not None and trust > 0
        else None
    )
    if prior is not None and weight is not None:
        applies = resize(weight[box], (work.trimap.shape[0], work.trimap.shape[1]), "box")
        prior = replace(prior, weight=prior.weight * applies[_is_unknown(work.trimap)])
    solution, iterations = solve_band(work.image, work.band, work.plan, prior)
    solved = (work.trimap == FOREGROUND).astype(np.float32)
    solved[work.band.ys, work.band.xs] = np.clip(solution, 0, 1)
    if not np.isfinite(solution).all():
        solved = _as_opacity(work.mask)
        warnings.append(_UNSOLVED)
    elif mask is not None and not (method == "closed-form" and trust == 0):  # those settings give rembg's result as is
        share = _return_stray_regions(solved, work.trimap, work.mask)
        if share > notable:
            warnings.append(_stray(share))

    alpha = (trimap == FOREGROUND).astype(np.float32)
    if work.scale < 1:
        _upsample(work.image, solved, work.trimap, image, inner, alpha, box)
    else:
        np.copyto(alpha[box], solved, where=_is_unknown(inner))
    return Matte(alpha, tuple(warnings), size, solution.size, iterations)


def _solve_without_prior(
    image: RGB, trimap: Trimap, mask: Mask | None, method: Method, max_bytes: int, notable: float
) -> Matte:
    """By one of PyMatting's estimators, which know nothing but colours and the trimap."""
    estimator = ESTIMATORS[method]
    whole = slice(0, trimap.shape[0]), slice(0, trimap.shape[1])
    box = whole if estimator.reach is None else _unknown_box(trimap, estimator.reach)
    image, inner = constant(image[box]), constant(trimap[box])
    scale = max(estimator.scale(inner.size, max_bytes - _plane_bytes(trimap.size, 0)), SMALLEST_SCALE)
    small, work, small_mask = _shrink(image, inner, inner if mask is None else constant(mask[box]), scale)
    size = max(1, round(trimap.shape[0] * scale)), max(1, round(trimap.shape[1] * scale))
    warnings = [_too_slow(size)] if scale < 1 else []
    steps = 0
    try:
        solved, steps = estimate(small, work, method)
    except NoSolutionError:
        if mask is None:
            raise
        solved = _as_opacity(small_mask)
        warnings.append(_UNSOLVED)
    solved[work != UNKNOWN] = (work == FOREGROUND)[work != UNKNOWN]
    if mask is not None and estimator.reach == REACH:
        share = _return_stray_regions(solved, work, small_mask)
        if share > notable:
            warnings.append(_stray(share))
    alpha = (trimap == FOREGROUND).astype(np.float32)
    if scale < 1:
        _upsample(small, solved, work, image, inner, alpha, box)
    else:
        np.copyto(alpha[box], solved, where=_is_unknown(inner))
    return Matte(alpha, tuple(warnings), size, int(np.count_nonzero(_is_unknown(work))), steps)


def warm_up() -> None:
    """Compile all kernels, or load them from numba's cache, by matting a tiny picture; else the first matting does."""
    with _warming:
        if is_ready():
            return
        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
        trimap = np.full((32, 32), UNKNOWN, np.uint8)
        trimap[12:20, 12:20] = FOREGROUND
        trimap[:4] = BACKGROUND
        # too little memory for the full size, so that shrinking is compiled too
        matte = estimate_alpha(image, trimap, mask=trimap, max_bytes=250_000)
        estimate_foreground(image, matte.alpha)
        _ready.set()


def is_ready() -> bool:
    """Whether `warm_up` has finished in this process."""
    return _ready.is_set()


_warming, _ready = threading.Lock(), threading.Event()


def _check(image: RGB, trimap: Trimap, mask: Mask | None) -> None:
    planes = [trimap] if mask is None else [trimap, mask]
    if image.ndim != 3 or image.shape[2] != 3 or any(plane.shape != image.shape[:2] for plane in planes):
        raise ValueError("image must be (h, w, 3), trimap and mask (h, w)")
    if any(array.dtype != np.uint8 for array in (image, *planes)):
        raise ValueError("image, trimap and mask must be uint8")
    if not np.isin(trimap, (BACKGROUND, UNKNOWN, FOREGROUND)).all():
        raise ValueError("a trimap holds 0, 128 and 255 only")


def _is_unknown(trimap: Trimap) -> NDArray[np.bool_]:
    unknown: NDArray[np.bool_] = trimap == UNKNOWN
    return unknown


_NOTHING_CERTAIN = {
    ("foreground",): Message(
        "No pixel is certain foreground, so the mask was kept without matting; lower alpha_matting_erode_size, or "
        "lower alpha_matting_foreground_threshold."
    ),
    ("background",): Message(
        "No pixel is certain background, so the mask was kept without matting; lower alpha_matting_erode_size, or "
        "raise alpha_matting_background_threshold."
    ),
    ("foreground", "background"): Message(
        "No pixel is certain foreground or background, so the mask was kept without matting; lower "
        "alpha_matting_erode_size, or lower alpha_matting_foreground_threshold and raise "
        "alpha_matting_background_threshold."
    ),
}


_UNSOLVED = Message("The matting equations have no solution here, so the mask was kept; change matting_method.")


def _too_slow(size: tuple[int, int]) -> str:
    return Message(
        "This matting method needs too much time and memory for the whole picture, so it was matted at {width} x "
        "{height} pixels; change matting_method to solve every pixel.",
        width=size[1], height=size[0],
    )  # fmt: skip


def _too_large(size: tuple[int, int]) -> str:
    return Message(
        "The uncertain band is too large for the memory allowed, so it was matted at {width} x {height} pixels; lower "
        "alpha_matting_erode_size or alpha_matting_foreground_threshold, or raise "
        "alpha_matting_background_threshold, to narrow it.",
        width=size[1], height=size[0],
    )  # fmt: skip


def _stray(share: float) -> str:
    return Message(
        "{share:.0%} of the uncertain band touches no certain foreground or no certain background and keeps the mask; "
        "lower alpha_matting_erode_size or alpha_matting_foreground_threshold.",
        share=share,
    )


def _unknown_box(trimap: Trimap, margin: int) -> Box:
    """The unknown pixels' bounding box, with a margin for all the windows and cells they lie in."""
    unknown = _is_unknown(trimap)
    spans = []
    for axis in (1, 0):
        at = np.flatnonzero(unknown.any(axis))
        spans.append(slice(max(int(at[0]) - margin, 0), int(at[-1]) + 1 + margin))
    return spans[0], spans[1]


@dataclass(frozen=True)
class _Work:
    """The picture at its working size."""

    scale: float
    image: RGB
    trimap: Trimap
    mask: Mask
    band: "Band"
    plan: "Plan"


def _working_copy(image: RGB, trimap: Trimap, mask: Mask, scale: float, max_bytes: int) -> _Work:
    """Shrink by scale, and further until the equations fit into memory."""
    from segmentation.matting.band import find_band, plan_elimination

    while True:
        small = _shrink(image, trimap, mask, scale)
        room = max_bytes - _plane_bytes(trimap.size, small[1].size)
        need = LEAST_PER_UNKNOWN * int(np.count_nonzero(_is_unknown(small[1])))
        if need <= room or scale < SMALLEST_SCALE:
            band = find_band(small[1])
            plan = plan_elimination(band)
            need = plan.nbytes
            if need <= room or scale < SMALLEST_SCALE:
                return _Work(scale, *small, band, plan)
        scale *= 0.95 * sqrt(min(max(room / need, 0.1), 1.0))


def _shrink(image: RGB, trimap: Trimap, mask: Mask, scale: float) -> tuple[RGB, Trimap, Mask]:
    """Box averages at a smaller scale; a pixel is certain only if all the pixels it covers are."""
    if scale >= 1:
        return image, trimap, mask
    from segmentation.matting.kernels import planes

    height, width = (max(1, round(side * scale)) for side in trimap.shape)
    small_image = np.empty((height, width, 3), np.uint8)
    small_trimap, small_mask = np.empty((2, height, width), np.uint8)
    planes.shrink(image, trimap, mask, small_image, small_trimap, small_mask)
    return constant(small_image), constant(small_trimap), constant(small_mask)


def _prior(
    trimap: Trimap,
    mask: Mask,
    picture: tuple[int, ...],
    output: ProbabilityMap | None,
    box: Box,
    trust: float,
    trusted: float | None,
) -> MaskPrior:
    """The mask's prior on the unknown pixels in a box of the picture, at the working size."""
    cell = (1.0, 1.0) if output is None else _cell(picture, output)
    cell_of = []
    for axis in (0, 1):
        start, stop = box[axis].start, min(box[axis].stop, picture[axis])
        size = trimap.shape[axis]
        centres = start + (np.arange(size) + 0.5) * (stop - start) / size
        cell_of.append((centres / cell[axis]).astype(np.int64))
    return build_prior(trimap, mask, trust, output, cell_of[0], cell_of[1], trusted)


def _cell(picture: tuple[int, ...], output: ProbabilityMap) -> tuple[float, float]:
    """Picture pixels per pixel of the network's output, (vertical, horizontal)."""
    return picture[0] / output.shape[0], picture[1] / output.shape[1]


def _return_stray_regions(alpha: AlphaMatte, trimap: Trimap, mask: Mask) -> float:
    """Restore the mask in regions of the band that touch no certain foreground, or no certain background.

    The equations would spread one side's value over such a region, whatever the mask says.

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
    alpha[here] = _as_opacity(mask[here])
    return int(np.count_nonzero(here)) / max(int(np.count_nonzero(unknown)), 1)


def _upsample(
    small_image: RGB,
    small_alpha: AlphaMatte,
    small_trimap: Trimap,
    image: RGB,
    trimap: Trimap,
    alpha: AlphaMatte,
    box: Box,
) -> None:
    """Write alpha's unknown pixels, which lie in box, from the lines alpha = a . colour + b of the small size."""
    from segmentation.matting.kernels import planes

    near = ndimage.maximum_filter(_is_unknown(small_trimap).view(np.uint8), 3)
    lines = np.zeros((*small_alpha.shape, 4), np.float32)
    planes.fit_lines(small_image, small_alpha, LINE_RADIUS, LINE_EPSILON, near, lines)
    planes.apply_lines(image, trimap, lines, alpha, box[0].start, box[1].start)


def _as_opacity(mask: Mask) -> AlphaMatte:
    opacity: AlphaMatte = (to_alpha(mask) / np.float32(255)).astype(np.float32)
    return opacity


def _plane_bytes(pixels: int, working_pixels: int) -> int:
    """Bytes of all planes: at the picture's size, a copy of the inputs and alpha; and those at the working size."""
    return 6 * pixels + 8 * working_pixels


def _fast_scale(pixels: int, unknown: int, max_unknown: int) -> float:
    return sqrt(min(1.0, FAST_PIXELS / pixels, max_unknown / max(unknown, 1)))
