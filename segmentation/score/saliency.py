"""The five measures of salient object detection, equal to those of pysodmetrics 1.6.2.

They judge a prediction against a mask, so both are prepared as there: the prediction is stretched to 0..1 by its own
minimum and maximum, and the truth is what is brighter than 128 of 255. pysodmetrics itself cannot be installed beside
our NumPy: `tests/reference/make_sod_reference.py` makes its numbers in another environment, and the tests compare.
"""

from dataclasses import dataclass

import numpy as np

from segmentation.arrays import Alpha
from segmentation.score.histogram import Counts, Numbers, histogram
from segmentation.score.structure import quadrants, s_measure
from segmentation.score.weighted import weighted_f

THRESHOLD = 128  # of 255; what is brighter belongs to the subject

_EPS = np.spacing(1.0)
_BETA2 = 0.3  # weight of precision in the F-measure (Achanta et al. 2009)


@dataclass(frozen=True, slots=True)
class Saliency:
    """The measures of one picture; all but `mae` are better the higher they are."""

    mae: float
    """Mean absolute error (Perazzi et al. 2012), 0..1."""
    weighted_f: float
    """Weighted F-measure with beta 1 (Margolin et al. 2014), 0..1."""
    s_measure: float
    """Structure measure with alpha 0.5 (Fan et al. 2017), 0..1."""
    f_curve: Numbers
    """(256,): F-measure with beta squared 0.3 (Achanta et al. 2009) at thresholds from 255 down to 0."""
    e_curve: Numbers
    """(256,): enhanced-alignment measure (Fan et al. 2018) at thresholds from 255 down to 0."""
    adaptive_e: float
    """The same at twice the prediction's mean."""


def measure_saliency(alpha: Alpha, truth: Alpha) -> Saliency:
    """The measures of a prediction against the truth, both (h, w)."""
    subject = truth > THRESHOLD
    levels = _prepared(alpha)
    parts = quadrants(subject)
    counts = np.zeros((4, 2, 256), np.int64)  # quadrant, background or subject, level
    for part, (rows, columns) in enumerate(parts):
        for side in (0, 1):
            counts[part, side] = histogram(alpha[rows, columns][subject[rows, columns] == side], 256)
    background, foreground = counts.sum(axis=0)
    pixels, size = int(alpha.size), int(foreground.sum())
    mean = float((background + foreground) @ levels) / pixels
    bins = (levels * 255).astype(np.uint8)  # truncated, as there
    hits, misses = (
        np.cumsum(np.bincount(bins, one, minlength=256).astype(np.int64)[::-1]) for one in (foreground, background)
    )
    above = levels >= min(2 * mean, 1.0)
    return Saliency(
        mae=float(background @ levels + foreground @ (1 - levels)) / pixels,
        weighted_f=weighted_f(alpha, subject, levels),
        s_measure=s_measure(alpha, levels, counts, parts),
        f_curve=_f_measure(hits, misses, size),
        e_curve=_e_measure(hits, misses, size, pixels),
        adaptive_e=float(_e_measure(foreground[above].sum(), background[above].sum(), size, pixels)),
    )


def _prepared(alpha: Alpha) -> Numbers:
    """(256,): the prepared value of each level. (256 numbers instead of a plane of them.)"""
    levels = np.arange(256) / 255
    low, high = levels[alpha.min()], levels[alpha.max()]
    # levels that do not occur may lie outside
    return np.clip((levels - low) / (high - low), 0.0, 1.0) if high > low else levels


def _f_measure(hits: Counts, misses: Counts, size: int) -> Numbers:
    """F-measures.

    Args:
        hits: Subject pixels at or above each threshold.
        misses: Background pixels at or above each threshold.
        size: Pixels of the subject.
    """
    precision = hits / np.maximum(hits + misses, 1)
    recall = hits / max(size, 1)
    above = (1 + _BETA2) * precision * recall
    return np.asarray(above / np.where(above == 0, 1, _BETA2 * precision + recall))


def _e_measure(hits: Counts, misses: Counts, size: int, pixels: int) -> Numbers:
    """Enhanced-alignment measures; arguments as for the F-measures."""
    found = hits + misses
    if size in (0, pixels):
        return np.asarray((found if size else pixels - found) / (pixels - 1 + _EPS))
    guess, true = found / pixels, size / pixels
    total = np.zeros_like(guess)
    for number, one, other in (
        (hits, 1 - guess, 1 - true),
        (misses, 1 - guess, -true),
        (size - hits, -guess, 1 - true),
        (pixels - size - misses, -guess, -true),
    ):
        alignment = 2 * one * other / (one**2 + other**2 + _EPS)
        total = total + number * (alignment + 1) ** 2 / 4
    return np.asarray(total / (pixels - 1 + _EPS))
