"""The result of each picture of a run, and the settings that produced it."""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from segmentation.batch import Outcome
from segmentation.corrections import NOTHING, Correction
from segmentation.cutout_files import Cutout
from segmentation.recipe import Recipe
from segmentation.report import Report

Wanted: TypeAlias = tuple[Recipe, Path | None]
"""Recipe and backdrop, which pictures may share."""


class MadeBy(NamedTuple):
    """What the cutouts of a picture were made with."""

    recipe: Recipe
    backdrop: Path | None
    correction: Correction = NOTHING


class Outcomes:
    """Outcomes by number of the picture, in any order of completion. Thread-safe."""

    def __init__(self, made_by: Wanted) -> None:
        """Start empty.

        Args:
            made_by: Recipe and backdrop of all outcomes that are not replaced later.
        """
        self._made_by = made_by
        self._lock = threading.Lock()
        self._outcomes: dict[int, Outcome] = {}
        self._replaced_by: dict[int, Wanted] = {}

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of a finished picture."""
        with self._lock:
            self._outcomes[outcome.index] = outcome

    def replace(self, outcome: Outcome, made_by: Wanted) -> list[Path] | None:
        """Replace a picture's outcome, unless the new one failed and the old one has cutouts.

        Returns:
            The old outcome's files, which are no longer needed; None if the old outcome stays.
        """
        with self._lock:
            old = self._outcomes.get(outcome.index)
            if outcome.report.error and old and old.cutouts:
                return None
            self._outcomes[outcome.index] = outcome
            self._replaced_by[outcome.index] = made_by
            return [file for cutout in old.cutouts for file in cutout.all_files] if old else []

    @property
    def by_picture(self) -> dict[int, Outcome]:
        """Number of the picture -> outcome, in order; a snapshot."""
        with self._lock:
            return dict(sorted(self._outcomes.items()))

    @property
    def cutouts(self) -> list[tuple[int, Cutout]]:
        """Number of the picture and cutout, in order."""
        return [(index, cutout) for index, outcome in self.by_picture.items() for cutout in outcome.cutouts]

    def selected(self, key: object) -> tuple[int, Cutout] | None:
        """The cutout that a page has selected, with the number of its picture; None if there are none.

        Where there is none of that key it is the first, of its picture if that has other cutouts now, as its classes
        were joined.

        Args:
            key: Its key, as sent by the client.
        """
        cutouts, (picture, _, _) = self.cutouts, str(key).partition(" ")
        of_picture = [entry for entry in cutouts if str(entry[0]) == picture]
        chosen = (entry for entry in of_picture if key_of(*entry) == key)
        return next(chosen, next(iter(of_picture or cutouts), None))

    def picture_of(self, key: object) -> int | None:
        """Number of the picture that a cutout is or was of, or that failed; None if there is none.

        The cutout may be gone in the meantime, as its picture has fewer subjects now.

        Args:
            key: The key, as sent by the client.
        """
        number, space, _ = key.partition(" ") if isinstance(key, str) else ("", "", "")
        return next((index for index in self.by_picture if space and str(index) == number), None)

    @property
    def reports(self) -> list[Report]:
        """One per picture, in order."""
        return [outcome.report for outcome in self.by_picture.values()]

    @property
    def failed(self) -> list[tuple[int, str]]:
        """Number and error message of each picture that failed."""
        return [(i, outcome.report.error) for i, outcome in self.by_picture.items() if outcome.report.error]

    def missing(self, pictures: Iterable[int]) -> list[int]:
        """Those of these pictures without cutouts: not started, or failed."""
        outcomes = self.by_picture
        return [index for index in pictures if index not in outcomes or outcomes[index].report.error]

    @property
    def made_by(self) -> dict[int, MadeBy]:
        """Number of each picture that has cutouts -> what they were made with, in order."""
        with self._lock:
            done = [(index, outcome) for index, outcome in sorted(self._outcomes.items()) if outcome.cutouts]
            return {
                index: MadeBy(*self._replaced_by.get(index, self._made_by), outcome.correction)
                for index, outcome in done
            }

    def wanted_of(self, index: int) -> Wanted:
        """Recipe and backdrop that a picture was last cut out with, whether it has cutouts or not."""
        with self._lock:
            return self._replaced_by.get(index, self._made_by)

    @property
    def backdrops(self) -> set[Path]:
        """All backdrops."""
        with self._lock:
            return {backdrop for _, backdrop in (self._made_by, *self._replaced_by.values()) if backdrop}

    def share_of(self, wanted: Wanted, corrections: Mapping[int, Correction] | None = None) -> tuple[int, int]:
        """Number of pictures finished with this recipe and backdrop, and of all that did not fail.

        A picture may be finished without cutouts: other classes may be found in it.

        Args:
            wanted: Recipe and backdrop.
            corrections: What each picture should be corrected by; nothing by default.
        """
        known = corrections or {}
        with self._lock:
            done = [(index, each) for index, each in self._outcomes.items() if not each.report.error]
            have = [
                self._replaced_by.get(index, self._made_by) == wanted and each.correction == known.get(index, NOTHING)
                for index, each in done
            ]
        return sum(have), len(have)

    @property
    def is_mixed(self) -> bool:
        """Whether the cutouts were made with different settings. Corrections may differ: they belong to a picture."""
        return len({(made_by.recipe, made_by.backdrop) for made_by in self.made_by.values()}) > 1


def key_of(index: int, cutout: Cutout) -> str:
    """A cutout's key for page and server: the number of the picture, and the class if there are several."""
    return f"{index} {cutout.label}"


def failed_key_of(index: int) -> str:
    """The key of a picture that failed."""
    return f"{index} failed"
