"""What is solved of the pictures last corrected, so that a further stroke on them costs only its neighbourhood."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, Alpha
from segmentation.corrections import Stroke
from segmentation.settings import Settings
from segmentation.solving import Solved

MOST_BYTES = 100_000_000
TILE = 64  # pixels: planes are kept as tiles, of which most are of one level

Plane = npt.NDArray[np.uint8]


class Bases:
    """By what they are solved from: without strokes, and with the last ones. Thread-safe."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin with none.

        Args:
            most_bytes: Over this, the least recently used are dropped.
        """
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[_Packed, _Packed]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Memory used, in bytes."""
        with self._lock:
            return _nbytes(self._kept.values())

    def find(self, key: str, strokes: Sequence[Stroke], image: RGB) -> Solved | None:
        """What is solved with the most of the first of these strokes.

        Args:
            key: As from `key_of`.
            strokes: All strokes to come.
            image: The picture's colours.
        """
        with self._lock:
            pair = self._kept.get(key)
            if pair is None:
                return None
            self._kept.move_to_end(key)
        known = [packed for packed in pair if tuple(strokes[: len(packed.rest.strokes)]) == packed.rest.strokes]
        return max(known, key=lambda packed: len(packed.rest.strokes)).unpacked(image) if known else None

    def keep(self, key: str, solved: Solved | None, image: RGB) -> None:
        """Keep what is solved, beside the one of this key that has no strokes or was the first."""
        if solved is None:
            return
        packed = _Packed.of(solved, image)
        with self._lock:
            first = self._kept.get(key, (packed, packed))[0]
            self._kept[key] = (packed if not solved.strokes else first), packed
            self._kept.move_to_end(key)
            while self._kept and _nbytes(self._kept.values()) > self._most_bytes:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._kept.clear()


def _nbytes(pairs: "Iterable[tuple[_Packed, _Packed]]") -> int:
    return sum(packed.nbytes for first, last in pairs for packed in ({id(first): first, id(last): last}).values())


def key_of(name: object, settings: Settings, *planes: npt.NDArray[Any] | None) -> str:
    """A key for what is solved of a picture before any stroke.

    Args:
        name: What the picture is called, its size, and whatever else tells how it is solved.
        settings: The settings.
        planes: Probability map, mask and trimap.
    """
    digest = hashlib.blake2b(repr((name, settings.model_dump_json())).encode(), digest_size=16)
    for plane in planes:
        digest.update(b"-" if plane is None else repr(plane.shape).encode())
        if plane is not None:
            digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Packed:
    """What is solved, without what can be told from the rest or from the picture."""

    rest: Solved  # all but the planes
    mask: "_Tiles"
    alpha: "_Tiles"
    trimap: "_Tiles | None"
    marks: "_Tiles | None"
    colours: "_Tiles"  # what they differ by from the picture's where anything is visible, and else from 0

    @classmethod
    def of(cls, solved: Solved, image: RGB) -> "_Packed":
        differing = _plain(image, solved.alpha)
        differing ^= solved.foreground
        nothing = np.empty((0, 0), np.uint8)
        return cls(
            replace(solved, mask=nothing, trimap=None, alpha=nothing, foreground=nothing, marks=None),
            _Tiles.of(solved.mask),
            _Tiles.of(solved.alpha),
            None if solved.trimap is None else _Tiles.of(solved.trimap),
            None if solved.marks is None else _Tiles.of(solved.marks),
            _Tiles.of(differing.reshape(len(differing), -1)),
        )

    @property
    def nbytes(self) -> int:
        planes = self.mask, self.alpha, self.trimap, self.marks, self.colours
        return sum(tiles.nbytes for tiles in planes if tiles is not None) + self.rest.nbytes

    def unpacked(self, image: RGB) -> Solved:
        mask, alpha = self.mask.unpacked(), self.alpha.unpacked()
        colours = _plain(image, alpha)
        colours ^= self.colours.unpacked().reshape(colours.shape)
        trimap, marks = (None if tiles is None else tiles.unpacked() for tiles in (self.trimap, self.marks))
        return replace(self.rest, mask=mask, trimap=trimap, alpha=alpha, foreground=colours, marks=marks)


def _plain(image: RGB, alpha: Alpha) -> RGB:
    """The picture's colours where anything is visible, else 0."""
    visible = (alpha > 0).view(np.uint8)
    colours = np.empty_like(image)
    for channel in range(3):  # twice as fast as all three at once
        np.multiply(image[..., channel], visible, out=colours[..., channel])
    return colours


@dataclass(frozen=True)
class _Tiles:
    """A plane as tiles, of which those of one level are only that level."""

    shape: tuple[int, int]
    levels: Plane  # (rows, columns)
    is_mixed: npt.NDArray[np.bool_]  # (rows, columns)
    mixed: list[Plane]

    @classmethod
    def of(cls, plane: Plane) -> "_Tiles":
        height, width = plane.shape
        tops, lefts = range(0, height, TILE), np.arange(0, width, TILE)
        least, most = (
            one.reduceat(np.stack([one.reduce(plane[top : top + TILE], axis=0) for top in tops]), lefts, axis=1)
            for one in (np.minimum, np.maximum)
        )
        is_mixed = least != most
        mixed = [plane[_tile(y, x)].copy() for y, x in np.argwhere(is_mixed)]
        return cls((height, width), least, is_mixed, mixed)

    @property
    def nbytes(self) -> int:
        return self.levels.nbytes + self.is_mixed.nbytes + sum(tile.nbytes for tile in self.mixed)

    def unpacked(self) -> Plane:
        height, width = self.shape
        rows = np.repeat(self.levels, TILE, axis=1)[:, :width]
        plane = np.repeat(rows, TILE, axis=0)[:height]
        for (y, x), tile in zip(np.argwhere(self.is_mixed), self.mixed, strict=True):
            plane[_tile(y, x)] = tile
        return plane


def _tile(y: int, x: int) -> tuple[slice, slice]:
    return slice(y * TILE, (y + 1) * TILE), slice(x * TILE, (x + 1) * TILE)
