"""How far a stroke is carried: which cells around it change sides.

The picture around a stroke is divided into a few thousand cells. The side of each is solved by the equations of the
matting from the stroke, the colours typical of it and of the other side, and what was there before, which counts the
less, the nearer a cell is to the stroke in space and colour.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmentation.arrays import BACKGROUND, FOREGROUND, RGB, UNKNOWN, Alpha, Trimap, constant
from segmentation.corrections import Stroke
from segmentation.matting.brush import Box, Plane, box_around, distance_from
from segmentation.matting.prior import MaskPrior
from segmentation.picture.resize import resize

CORE = 0.5  # of the radius: up to there a stroke is certain, beyond it leaves the edge to the picture
CARRY = 8.0  # radii that a stroke may be carried
LEAST = 24  # pixels that any stroke may be carried
NEAR = 5.0  # radii: standard deviation of nearness in space
LIKE = 24.0  # levels: standard deviation of nearness in colour
SAMPLES = 32  # colours of a stroke that others are compared with
CELLS = 8_000  # at most, about
FINE = 0.25  # of the radius: the least size of a cell
VOTE = 3.0  # logarithm of the odds of what was solved before, where no stroke is near
TRUST = 0.03  # weight of votes and colours on a cell
FADE = 0.75  # how much of it goes where a stroke is
ROUNDS = 3  # each takes the colours from the answer of the one before
BINS, BLUR = 32, 1.5  # of the histograms of colours: bins a channel, and their smoothing in bins
STRONGEST = 5.0  # the most that colours may say, as a logarithm of odds

KEPT, REMOVED, SOLVE = 1, 2, 3  # what strokes say of a pixel; 0 is nothing

Flags = NDArray[np.bool_]
Marks = NDArray[np.uint8]


@dataclass(frozen=True)
class Carried:
    """Where a stroke is carried. All planes are of cells."""

    box: Box  # of the picture, that the cells divide
    cell: float  # pixels of a cell's side
    changed: Flags  # now on the stroke's side, but were not
    side: Plane  # how far each is on the stroke's side, 0..1
    solved: Plane  # the same, also where nothing changes


def carry(image: RGB, alpha: Alpha, marks: Marks, stroke: Stroke) -> Carried | None:
    """Which cells around a stroke are on its side; None if it lies outside the picture.

    Args:
        image: RGB, uint8 (h, w, 3).
        alpha: What is solved before the stroke.
        marks: KEPT, REMOVED, SOLVE, or 0, as strokes say. Carrying stops at them.
        stroke: To keep or to remove.
    """
    reach = max(CARRY * stroke.radius, stroke.radius + LEAST)
    box = box_around(stroke, (alpha.shape[0], alpha.shape[1]), reach)
    if box is None:
        return None
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    length = float(np.hypot(*np.diff(np.array(stroke.points), axis=0).T).sum())
    area = min(2.0 * reach * (length + 2 * reach), height * width)
    cell = max(1.0, FINE * stroke.radius, (area / CELLS) ** 0.5)
    cells = max(2, round(height / cell)), max(2, round(width / cell))

    is_keep = stroke.kind == "keep"
    distance = distance_from(stroke, box, cells)
    core = distance <= max(0.6 * cell, CORE * stroke.radius)
    small = constant(resize(image[box], cells, "box"))
    level = (resize(alpha[box], cells, "box") / np.float32(255)).astype(np.float32)
    before = (
        level if is_keep else np.float32(1) - level
    )  # how far each cell is on the stroke's side; so is all that follows
    certain = np.full(cells, UNKNOWN, np.uint8)
    certain[before > 0.95] = FOREGROUND
    far = distance > reach
    certain[far] = np.where(before[far] > 0.5, FOREGROUND, BACKGROUND)
    for mark in (KEPT, REMOVED):
        marked = resize((marks[box] == mark).view(np.uint8) * np.uint8(255), cells, "box") > 127
        certain[marked] = FOREGROUND if (mark == KEPT) == is_keep else BACKGROUND
    certain[core] = FOREGROUND
    spread = np.maximum(distance - stroke.radius, 0) / (NEAR * stroke.radius)
    disc = distance <= max(0.6 * cell, stroke.radius)
    near = np.exp(-0.5 * spread**2) * _likeness(small, disc)
    votes = (VOTE * (2 * before - 1) * np.where(before < 0.5, 1 - FADE * near, 1)).astype(np.float32)
    now = _spread(small, certain, votes, before, near.astype(np.float32), disc)

    changed = ((now > 0.5) & (before <= 0.5)) | core
    labels, _ = ndimage.label(changed, np.ones((3, 3)))
    reached = np.zeros(int(labels.max()) + 1, bool)
    reached[labels[core]] = True
    changed &= reached[labels]
    side = np.where(changed, np.maximum(now, 0.51), before)
    return Carried(box, cell, changed, side.astype(np.float32), now)


def _spread(image: RGB, certain: Trimap, votes: Plane, before: Plane, near: Plane, disc: Flags) -> Plane:
    """How far each cell is on the stroke's side, by closed-form matting with votes and colours as the prior."""
    from segmentation.matting.band import find_band, plan_elimination, solve_band  # imports numba

    band = find_band(constant(certain))
    now: Plane = (certain == FOREGROUND).astype(np.float32)
    if not band.ys.size:
        return now
    plan = plan_elimination(band)
    alpha = disc.astype(np.float32)  # whose colours are the stroke's
    for _ in range(ROUNDS):
        odds = votes + _colour_odds(image, alpha, before, near)
        target = 1 / (1 + np.exp(-odds[band.ys, band.xs].astype(float)))
        solution, _ = solve_band(image, band, plan, MaskPrior(TRUST * (2 * target - 1) ** 2, target, None))
        now[band.ys, band.xs] = np.clip(np.nan_to_num(solution), 0, 1)
        alpha = np.where(disc, 1, now * (1 - before))
    return now


def _likeness(image: RGB, disc: Flags) -> Plane:
    """How like the colours of a stroke that of each cell is, 0..1."""
    colours = image[disc].astype(np.float32)
    if len(colours) > SAMPLES:
        order = np.argsort(colours.sum(1), kind="stable")
        colours = colours[order[np.linspace(0, len(order) - 1, SAMPLES).astype(int)]]
    pixels = image.reshape(-1, 3).astype(np.float32)
    nearest = np.full(len(pixels), np.inf, np.float32)
    for colour in colours:
        np.minimum(nearest, ((pixels - colour) ** 2).sum(1), out=nearest)
    return np.asarray(np.exp(-0.5 * nearest / np.float32(LIKE**2)).reshape(disc.shape), np.float32)


def _colour_odds(image: RGB, alpha: Plane, before: Plane, near: Plane) -> Plane:
    """How typical each colour is of the stroke's side rather than of the other, as a logarithm of odds.

    What is near a stroke may be of any colour on the other side: most likely it is not of that side at all.
    """
    channels = (image // np.uint8(256 // BINS)).astype(np.int64)
    index = (channels[..., 0] * BINS + channels[..., 1]) * BINS + channels[..., 2]

    def frequency(weight: Plane, anything: float) -> NDArray[np.float64]:
        counts = np.bincount(index.ravel(), weight.ravel(), BINS**3).reshape(BINS, BINS, BINS)
        smooth = ndimage.gaussian_filter(counts, BLUR, mode="nearest").ravel()
        total = float(smooth.sum()) + anything + 1e-9
        return np.asarray((smooth[index] + anything / BINS**3) / total + 1e-7)

    other = (1 - alpha) ** 2 * (1 - before)
    odds = np.log(frequency(alpha**2, 0.0) / frequency(other * (1 - near), float((other * near).sum())))
    return np.asarray(ndimage.gaussian_filter(np.clip(odds, -STRONGEST, STRONGEST), 1), np.float32)
