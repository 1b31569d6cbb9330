"""What a row looks like: the picture, its truth, the cutout's alpha, and where the two differ."""

from dataclasses import dataclass

import numpy as np

from segmentation.arrays import RGB, Alpha
from segmentation.picture.encode import to_small_jpeg
from segmentation.picture.picture import Picture
from segmentation.picture.resize import resize, shrunk

_TOO_MUCH, _MISSING = (255, 130, 0), (60, 150, 255)  # orange and blue: distinct for nearly every eye, on black


@dataclass(frozen=True, slots=True)
class Shown:
    """Small JPEGs."""

    picture: bytes
    truth: bytes
    alpha: bytes
    difference: bytes
    """Orange where there is more opacity than in the truth, blue where there is less."""


def to_shown(picture: Picture, truth: Alpha, alpha: Alpha, longest: int) -> Shown:
    """Small pictures of a cutout, their longer side at most so many pixels."""
    small = shrunk(picture, longest)
    small_truth, small_alpha = (resize(plane, small.size, "box") for plane in (truth, alpha))
    return Shown(*map(to_small_jpeg, (small.rgb, small_truth, small_alpha, _difference(small_alpha, small_truth))))


def _difference(alpha: Alpha, truth: Alpha) -> RGB:
    signed = alpha.astype(np.int16) - truth
    colours = np.where(signed[..., None] > 0, _TOO_MUCH, _MISSING)
    return np.asarray(colours * (np.abs(signed)[..., None] / 255), np.uint8)
