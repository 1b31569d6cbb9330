"""What a visitor says about each picture of a run: strokes, points, a box, and planes of their own."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from segmentation.corrections import NOTHING, Correction


class Corrections:
    """By number of the picture. Thread-safe."""

    def __init__(self, known: Mapping[int, Correction] | None = None) -> None:
        """Begin with what is known."""
        self._lock = threading.Lock()
        self._by_picture = {index: correction for index, correction in (known or {}).items() if correction}
        self._revisions: dict[int, int] = {}

    def get(self, index: int) -> Correction:
        """The correction of a picture, which may say nothing."""
        with self._lock:
            return self._by_picture.get(index, NOTHING)

    def change(self, index: int, change: Callable[[Correction], Correction], revision: int | None = None) -> None:
        """Change what is said about a picture, unless a later change is known: requests may overtake each other.

        Args:
            index: Number of the picture.
            change: Takes what is said so far, and returns what is said now.
            revision: Grows with each correction that a page sends; by default, this is the latest.
        """
        with self._lock:
            known = self._revisions.get(index, 0)
            if revision is not None and revision <= known:
                return
            self._revisions[index] = known + 1 if revision is None else revision
            correction = change(self._by_picture.pop(index, NOTHING))
            if correction:
                self._by_picture[index] = correction

    def revision(self, index: int) -> int:
        """Which of the corrections of a picture is the latest; 0 before any was set."""
        with self._lock:
            return self._revisions.get(index, 0)

    def snapshot(self) -> dict[int, Correction]:
        """Number of each picture that has a correction -> the correction, as they are now."""
        with self._lock:
            return dict(self._by_picture)

    @property
    def files(self) -> list[Path]:
        """The visitor's own masks and trimaps."""
        return [file for each in self.snapshot().values() for file in (each.mask, each.trimap) if file]


def carried_over(
    corrections: Mapping[int, Correction], before: Sequence[Path], after: Sequence[Path]
) -> dict[int, Correction]:
    """The corrections of pictures that are in another run too, by their numbers there.

    Args:
        corrections: By number of the picture.
        before: The pictures that they are about.
        after: The pictures of the other run.
    """
    waiting: dict[Path, list[Correction]] = {}
    for index, source in enumerate(before):
        waiting.setdefault(source, []).append(corrections.get(index, NOTHING))
    # the same picture may be there twice
    carried = {index: waiting[source].pop(0) for index, source in enumerate(after) if waiting.get(source)}
    return {index: correction for index, correction in carried.items() if correction}
