"""Where a network is in doubt over more than an outline, and the decision there: in or out.

A network cannot place an outline better than a pixel of its output, and hair is as wide as several. What it leaves
uncertain within REACH cells of something certain is an outline. What lies farther is doubt, and would become a
half-transparent ghost. It is decided by the equations of the matting on a picture of one pixel a cell, where the
network's vote is joined by the colours that are typical of subject and background. Where the cells within REACH
disagree, the picture shows an edge, or a subject that is mixed with its background, such as hair: there the matting
decides, at full size. So cells must not be small: an outline between two decisions that no edge supports would be hard
where it should be gradual, and threads and leaves would be decided one by one.

The doubt of a network that gives opacity is opacity: it is not asked for here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
    Size,
    Trimap,
    constant,
)
from segmentation.matting.prior import ROUGH, build_prior, detail
from segmentation.picture.resize import resize, resize_window

REACH = 2  # cells from a certain one up to which an uncertain one belongs to an outline
CELL_TRUST = 30.0  # weight of the vote on a cell, relative to that of the mask on a pixel: a cell holds many
FINEST = 160  # cells of the longer side, at most: two pixels of a network of 320
TILE = 16  # cells of the windows of a picture that are written at once
SAMPLES = 8  # rows and columns of a cell that its mean is taken of, at least
LEVELS = 20, 240  # of a mask (0..255), between which it is uncertain: the defaults of the thresholds
ROUNDS = 2  # the second takes the colours from the answer of the first
STEP = 0.05  # typical step of opacity from one pixel of an output to the next, at least; a vote that drifts has less
BINS, BLUR = 32, 1.5  # of the histograms of colours: bins a channel, and their smoothing in bins
STRONGEST = 5.0  # the most that colours may say against the vote, as a logarithm of odds

_CERTAIN = np.uint8(1)  # no value of a trimap

Flags = NDArray[np.bool_]
Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """What is known of a picture once its doubt is decided."""

    trimap: Trimap  # (h, w) of the picture
    mask: Mask  # (h, w) of the picture
    output: ProbabilityMap  # at the network's resolution
    detail: float  # how far the network's own output resolves detail, see `prior.detail`
    doubt: Flags  # one pixel a cell
    share: float  # of the subject, counting what is in doubt


def decide(image: RGB, trimap: Trimap, mask: Mask, output: ProbabilityMap, trust: float) -> Decision | None:
    """Trimap, mask and output in which doubt is decided; None if there is no doubt.

    Args:
        image: RGB, uint8 (h, w, 3).
        trimap: uint8 (h, w); only its unknown pixels are decided.
        mask: The network's mask, uint8 (h, w).
        output: The probability map that the mask was made from.
        trust: Weight of the mask on a pixel.
    """
    size = _cells(mask.shape, output.shape)
    votes = _per_cell(mask, size)
    window = 2 * REACH + 1
    if np.count_nonzero(_beyond_outlines((votes < LEVELS[0]) | (votes > LEVELS[1]))) < window**2:
        return None
    certain = _certain(trimap, votes)
    core = _beyond_outlines(certain != UNKNOWN)
    resolved = detail(output)
    if resolved >= 0.5:
        core &= ~_is_opacity(output, core)
    if not core.any() or not (certain == FOREGROUND).any() or not (certain == BACKGROUND).any():
        return None
    solved = _solve(_per_cell(image, size), certain, votes, CELL_TRUST * trust)
    doubt = (ndimage.distance_transform_edt(~core) <= REACH) & (certain == UNKNOWN)
    target = np.rint(255 * solved).astype(np.uint8)
    decided = np.where(doubt, np.uint8(UNKNOWN), _CERTAIN)
    inside = doubt & (ndimage.minimum_filter(target, window) >= 128)
    outside = doubt & (ndimage.maximum_filter(target, window) < 128)
    for side, value in ((inside, FOREGROUND), (outside, BACKGROUND)):
        target[side] = decided[side] = value
    share = float(np.count_nonzero(doubt) / np.count_nonzero(doubt | (votes >= 128)))
    return Decision(*_applied(decided, target, trimap, mask), _output(doubt, target, output), resolved, doubt, share)


def _cells(picture: tuple[int, ...], output: tuple[int, ...]) -> Size:
    """Size of the picture in cells, which are square."""
    cell = max(1.0, *(side / pixels for side, pixels in zip(picture, output, strict=True)), max(picture) / FINEST)
    return max(1, round(picture[0] / cell)), max(1, round(picture[1] / cell))


def _per_cell(plane: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """The mean of each cell; of a large one, of evenly spaced rows and columns, which takes a tenth of the time."""
    step = max(1, min(pixels // (SAMPLES * cells) for pixels, cells in zip(plane.shape, size, strict=False)))
    return resize(np.ascontiguousarray(plane[::step, ::step]), size, "box")


def _certain(trimap: Trimap, votes: Mask) -> Trimap:
    """What is certain of each cell: by the network, or by the trimap for its middle pixel."""
    certain = np.full(votes.shape, UNKNOWN, np.uint8)
    certain[votes < LEVELS[0]], certain[votes > LEVELS[1]] = BACKGROUND, FOREGROUND
    rows, columns = (
        (np.arange(cells) * 2 + 1) * pixels // (2 * cells)
        for cells, pixels in zip(votes.shape, trimap.shape, strict=True)
    )
    middle = trimap[rows[:, None], columns]
    np.copyto(certain, middle, where=middle != UNKNOWN)
    return certain


def _beyond_outlines(certain: Flags) -> Flags:
    """The cells more than REACH from any that is certain."""
    if not certain.any():
        return ~certain
    return np.asarray(ndimage.distance_transform_edt(~certain) > REACH)


def _is_opacity(output: ProbabilityMap, core: Flags) -> Flags:
    """Where a network that resolves detail does so in what would be doubt too: its output is opacity there, not a vote.

    Decided for each connected region of the core, by the roughness of most of its cells (see `prior.detail`).
    """
    steps, turns, least = (np.zeros(output.shape, np.float32) for _ in range(3))
    uncertain = (output >= LEVELS[0] / 255) & (output <= LEVELS[1] / 255)
    for axis in (0, 1):
        plane, here = np.moveaxis(output, axis, 0), np.moveaxis(uncertain, axis, 0)
        step, turn, low = (np.moveaxis(array, axis, 0)[1:-1] for array in (steps, turns, least))
        inner = here[:-2] & here[1:-1] & here[2:]
        step += inner * np.diff(plane, axis=0)[:-1] ** 2
        turn += inner * np.diff(plane, 2, axis=0) ** 2
        low += inner * np.float32(STEP**2)
    steps, turns, least = (ndimage.uniform_filter(array, 2 * REACH + 1) for array in (steps, turns, least))
    rough = (turns > ROUGH[0] * steps) & (steps > least)
    labels, count = ndimage.label(core, np.ones((3, 3)))
    share = ndimage.mean(resize(rough.view(np.uint8), _size(core), "nearest"), labels, range(1, count + 1))
    return np.concatenate([[False], np.atleast_1d(share) > 0.5])[labels]


def _solve(image: RGB, certain: Trimap, votes: Mask, trust: float) -> AlphaMatte:
    """Opacity of each cell by closed-form matting, with votes and colours as the prior."""
    from segmentation.matting.band import find_band, plan_elimination, solve_band  # imports numba

    image, certain = constant(image), constant(certain)
    band = find_band(certain)
    plan = plan_elimination(band)
    whole = np.zeros(1, np.int64)  # no cells of cells
    alpha = (votes / np.float32(255)).astype(np.float32)
    for _ in range(ROUNDS):
        prior = build_prior(certain, _with_colours(votes, image, alpha), trust, None, whole, whole)
        solution, _ = solve_band(image, band, plan, prior)
        if not np.isfinite(solution).all():
            break
        alpha[band.ys, band.xs] = np.clip(solution, 0, 1)
    return alpha


def _with_colours(votes: Mask, image: RGB, alpha: AlphaMatte) -> Mask:
    """The votes, joined by how typical each colour is of subject and background: a naive Bayesian posterior.

    Args:
        votes: (h, w), 0..255.
        image: (h, w, 3).
        alpha: (h, w) 0..1, how far each pixel counts as subject when colours are collected.
    """
    channels = (image // np.uint8(256 // BINS)).astype(np.int64)
    index = (channels[..., 0] * BINS + channels[..., 1]) * BINS + channels[..., 2]

    def frequency(weight: NDArray[np.float32]) -> Plane:
        counts = np.bincount(index.ravel(), weight.ravel(), BINS**3).reshape(BINS, BINS, BINS)
        smooth = ndimage.gaussian_filter(counts, BLUR, mode="nearest").ravel()
        return np.asarray(smooth[index] / smooth.sum() + 1e-7)

    colours = np.log(frequency(alpha**2) / frequency((1 - alpha) ** 2))
    vote = votes / 255.0
    odds = np.log((vote + 0.01) / (1.01 - vote))
    odds += ndimage.gaussian_filter(np.clip(colours, -STRONGEST, STRONGEST), 1)
    return np.rint(255 / (1 + np.exp(-odds))).astype(np.uint8)


def _applied(decided: Trimap, target: Mask, trimap: Trimap, mask: Mask) -> tuple[Trimap, Mask]:
    """Trimap and mask of the picture; decided where unknown, and the target where there was doubt.

    Args:
        decided: BACKGROUND, UNKNOWN or FOREGROUND of each doubtful cell, else _CERTAIN.
        target: Levels of each cell.
        trimap: (h, w) of the picture.
        mask: (h, w) of the picture.
    """
    trimap, mask = trimap.copy(), mask.copy()
    for window in _windows(decided != _CERTAIN, _size(mask)):

        def enlarged(cells: Flags, window: tuple[slice, slice] = window) -> Flags:
            return resize_window(cells * np.uint8(255), _size(mask), window, "bilinear") >= 128

        levels = resize_window(target, _size(mask), window, "bilinear")
        np.copyto(mask[window], levels, where=enlarged(decided != _CERTAIN))
        unknown = trimap[window] == UNKNOWN
        for value in (BACKGROUND, FOREGROUND):
            np.copyto(trimap[window], np.uint8(value), where=unknown & enlarged(decided == value))
    return trimap, mask


def _windows(cells: Flags, picture: Size) -> Iterator[tuple[slice, slice]]:
    """Windows of the picture, side by side, that hold these cells and their neighbours."""
    near = ndimage.maximum_filter(cells.view(np.uint8), 3)
    for top in range(0, cells.shape[0], TILE):
        for left in range(0, cells.shape[1], TILE):
            if near[top : top + TILE, left : left + TILE].any():
                yield tuple(  # type: ignore[misc]
                    slice(first * pixels // count, min(first + TILE, count) * pixels // count)
                    for first, pixels, count in zip((top, left), picture, cells.shape, strict=True)
                )


def _output(doubt: Flags, target: Mask, output: ProbabilityMap) -> ProbabilityMap:
    """The network's output, replaced by the target where there was doubt."""
    answer = output.astype(np.float32)
    there = resize(doubt.view(np.uint8), _size(output), "nearest").view(np.bool_)
    levels = resize((target / np.float32(255)).astype(np.float32), _size(output), "bilinear")
    np.copyto(answer, levels, where=there)
    return answer


def _size(plane: NDArray[np.generic]) -> Size:
    return plane.shape[0], plane.shape[1]
