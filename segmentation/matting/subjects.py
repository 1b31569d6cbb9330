"""The connected subjects of a cutout: told apart by size, and chosen by points and a box.

A subject is a connected region that is more opaque than not. What is softer, such as hair, and specks belong to the
nearest one, so all subjects together are the whole cutout.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segmentation.arrays import Alpha
from segmentation.corrections import Box, Point
from segmentation.errors import SettingsError
from segmentation.messages import Message

SOLID = 128  # alpha from which a pixel is more opaque than not
SEEN = 26  # alpha from which a soft pixel can be clicked
SPECK = 0.005  # share of the largest region below which another one is a speck
MOST = 50  # subjects of a picture; the smallest ones beyond it count as specks
NEAR = 0.005  # of the longer side: by how far a click may miss its subject
ROWS = 512  # counted and looked up at a time
NEAREST_PIXELS = 1_000_000  # of the copy on which the nearest subject is looked for


@dataclass(frozen=True)
class Subjects:
    """The subjects of a cutout, numbered from 1, the largest first."""

    numbers: npt.NDArray[np.uint8]
    """(h, w): the subject that each pixel belongs to; 0 where nothing is visible."""
    count: int
    areas: tuple[int, ...]
    """Solid pixels of each."""

    def only(self, alpha: Alpha, chosen: Collection[int]) -> Alpha:
        """The alpha of some of them, and nothing of the others; numbers that there are not choose none."""
        wanted = np.isin(np.arange(self.count + 1), list(chosen)).astype(np.uint8)
        return alpha * wanted[self.numbers]


def find_subjects(alpha: Alpha) -> Subjects:
    """The subjects of a cutout.

    Args:
        alpha: (h, w), 0..255.
    """
    regions, count = ndimage.label(alpha >= SOLID, np.ones((3, 3)))
    # some rows at a time, as NumPy widens what it counts or looks up to 8 bytes a pixel
    parts = [np.s_[top : top + ROWS] for top in range(0, alpha.shape[0], ROWS)]
    areas = np.zeros(count + 1, np.int64)
    for part in parts:
        areas += np.bincount(regions[part].ravel(), minlength=count + 1)
    areas[0] = 0
    by_size = np.argsort(-areas, kind="stable")[:MOST]
    chosen = by_size[areas[by_size] > SPECK * areas.max()] if areas.max() else by_size[:0]
    number_of = np.zeros(len(areas), np.uint8)
    number_of[chosen] = np.arange(1, len(chosen) + 1)
    numbers = np.empty(alpha.shape, np.uint8)
    for part in parts:
        numbers[part] = number_of[regions[part]]
    del regions
    rest = (alpha > 0) & (numbers == 0)
    if len(chosen) == 1:
        numbers[rest] = 1
    elif len(chosen) and rest.any():
        _to_nearest(numbers, rest)
    return Subjects(numbers, len(chosen), tuple(int(area) for area in areas[chosen]))


def _to_nearest(numbers: npt.NDArray[np.uint8], rest: npt.NDArray[np.bool_]) -> None:
    """Number the rest like the nearest numbered pixel, found on a smaller copy if the picture is large."""
    factor = ceil(sqrt(numbers.size / NEAREST_PIXELS))
    rows, columns = (np.arange(0, side, factor) for side in numbers.shape)
    small = np.maximum.reduceat(np.maximum.reduceat(numbers, rows, axis=0), columns, axis=1)
    nearest = ndimage.distance_transform_edt(small == 0, return_distances=False, return_indices=True)
    ys, xs = np.nonzero(rest)
    numbers[ys, xs] = small[nearest[0], nearest[1]][ys // factor, xs // factor]


def choose(alpha: Alpha, points: Sequence[Point], box: Box | None) -> tuple[Alpha, tuple[str, ...]]:
    """Only the subjects under the points to keep and mostly in the box, and not those under points to remove.

    Without a box and points to keep, all others stay.

    Args:
        alpha: (h, w), 0..255.
        points: Clicks, in pixels of the picture.
        box: Around subjects, in pixels of the picture.

    Returns:
        The alpha, and sentences about clicks that hit nothing.

    Raises:
        SettingsError: No subject is under a click or in the box, or none is left.
    """
    subjects = find_subjects(alpha)
    at = [_at(subjects, alpha, point) for point in points]
    kept = {number for number, point in zip(at, points, strict=True) if number and point.keep}
    removed = {number for number, point in zip(at, points, strict=True) if number and not point.keep}
    missed = [number for number, hit in enumerate(at, 1) if not hit]
    if box:
        kept |= _in_box(subjects, alpha, box)
    if not kept and (box or any(point.keep for point in points)):
        raise SettingsError(NOTHING_IN_THE_BOX if box else NOTHING_UNDER_THE_CLICK)
    if not box and not any(point.keep for point in points):
        kept = set(range(1, subjects.count + 1))
    if not kept - removed and removed:
        raise SettingsError(NOTHING_LEFT)
    notes = tuple(Message("There is no subject under point {number}.", number=number) for number in missed)
    return subjects.only(alpha, kept - removed), notes


NOTHING_UNDER_THE_CLICK = Message("There is no subject under the click. Click on one, or on none.")
NOTHING_IN_THE_BOX = Message("There is no subject in the box. Draw it around one.")
NOTHING_LEFT = Message("No subject is left: all of them are under clicks that remove them.")


def _at(subjects: Subjects, alpha: Alpha, point: Point) -> int:
    """Number of the subject under a click, or very near it; 0 if there is none."""
    height, width = alpha.shape
    x, y = (min(max(int(at), 0), side - 1) for at, side in ((point.x, width), (point.y, height)))
    if alpha[y, x] >= SEEN:
        return int(subjects.numbers[y, x])
    reach = max(2, round(NEAR * max(height, width)))
    top, left = max(y - reach, 0), max(x - reach, 0)
    window = np.s_[top : y + reach + 1, left : x + reach + 1]
    ys, xs = np.nonzero((alpha[window] >= SEEN) & (subjects.numbers[window] > 0))
    distances = (ys + top - y) ** 2 + (xs + left - x) ** 2
    if not len(ys) or distances.min() > reach**2:
        return 0
    nearest = distances.argmin()
    return int(subjects.numbers[ys[nearest] + top, xs[nearest] + left])


def _in_box(subjects: Subjects, alpha: Alpha, box: Box) -> set[int]:
    """Numbers of the subjects that are mostly in a box."""
    left, top, right, bottom = (max(0, round(side)) for side in box)
    window = np.s_[top:bottom, left:right]
    solid = subjects.numbers[window][alpha[window] >= SOLID]
    inside = np.bincount(solid, minlength=subjects.count + 1)[1:]
    return {number for number, area in enumerate(subjects.areas, 1) if 2 * inside[number - 1] > area}
