"""A visitor's run: the cutouts made of its pictures so far, which of them is looked at, and how far it is tuned."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from segmentation.batch import Cutout, Outcome, Report, write_zip
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.network.session import Session
from segmentation.pipeline import Prediction
from segmentation.recipe import Recipe, save_recipe
from segmentation.web.runs.predictions import Kept, touch_files
from segmentation.web.runs.turns import Ticket, Turns

HALT_SECONDS = 2.0
RETIRED_SECONDS = 10.0  # a page may be on its way to files that were replaced

NOTHING_YET = Message("There are no cutouts yet: add pictures and cut them out first.")

MadeBy: TypeAlias = tuple[Recipe, Path | None]
"""What a cutout was made by: recipe and backdrop."""


@dataclass(eq=False)
class Run:
    """A run so far: cutouts and reports in the order of the pictures, whatever order they finish in.

    Handlers of one visitor's page meet here from several threads. Each number and reference is written by one of them
    alone, or in one step; files are deleted only a while after others took their place.
    """

    folder: Path
    kept: Kept
    recipe: Recipe
    backdrop: Path | None = None
    network: Session | dict[int, Prediction] | None = None  # until it has begun: a page must not hold a network loaded
    ticket: Ticket = field(default_factory=lambda: Turns(1).ticket())
    only: frozenset[int] | None = None  # numbers of its pictures, where it is a part of another run
    total: int = 0
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    tuned_by: dict[int, MadeBy] = field(default_factory=dict)
    """Of the pictures that were tuned since."""
    now: str = ""  # which picture is in which stage
    running: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    shown_since: int = field(default_factory=time.time_ns)  # what a page shows of an earlier one is stale
    replaces: "Run | None" = None  # whose results stay until this one has some
    wanted: int | None = None  # number of a picture that its visitor just asked for, and so wants to see
    pages: int = 1  # that show it: a page that is loaded again is another one
    selected: str = ""  # key of the cutout that is looked at
    redoing: "Run | None" = None  # what makes all its pictures anew
    tuning: int = 0  # counts up with the hand: what was begun for a lower number is stale
    tuned: int = 0  # what of it is done in full size
    _retired: list[tuple[float, Path]] = field(default_factory=list)  # files replaced by others, and when
    _packing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cutouts(self) -> list[tuple[int, Cutout]]:
        """Number of the picture and cutout, in order."""
        return [(index, cutout) for index, outcome in sorted(self.outcomes.items()) for cutout in outcome.cutouts]

    @property
    def missing(self) -> list[int]:
        """Numbers of the pictures that have come to nothing yet: not begun, or failed."""
        numbers = range(len(self.kept.sources)) if self.only is None else sorted(self.only)
        return [i for i in numbers if i not in self.outcomes or self.outcomes[i].report["error"]]

    @property
    def failed(self) -> list[tuple[int, str]]:
        """Number and sentence of each picture that failed."""
        return [(i, o.report["error"]) for i, o in sorted(self.outcomes.items()) if o.report["error"]]

    def made_by(self, index: int) -> MadeBy:
        """What the cutouts of a picture were made by."""
        return self.tuned_by.get(index, (self.recipe, self.backdrop))

    def share_of(self, made_by: MadeBy) -> tuple[int, int]:
        """Pictures with cutouts that were made by this, and all that have any."""
        done = [index for index, outcome in self.outcomes.items() if outcome.cutouts]
        return sum(self.made_by(index) == made_by for index in done), len(done)

    @property
    def is_mixed(self) -> bool:
        """Whether its cutouts were made by different settings."""
        return len({self.made_by(index) for index, outcome in self.outcomes.items() if outcome.cutouts}) > 1

    @property
    def reports(self) -> list[Report]:
        """An entry a picture."""
        return [outcome.report for _, outcome in sorted(self.outcomes.items())]

    @property
    def done(self) -> float:
        """Share of the pictures that are finished."""
        return len(self.outcomes) / max(1, self.total)

    @property
    def looked_at(self) -> tuple[int, Cutout] | None:
        """The selected cutout with the number of its picture; the first if none is, None where there are none."""
        cutouts = self.cutouts
        chosen = (entry for entry in cutouts if key_of(*entry) == self.selected)
        return next(chosen, cutouts[0] if cutouts else None)

    def select(self, key: object) -> None:
        """Look at the cutout with that key."""
        if any(key == key_of(*entry) for entry in self.cutouts):
            self.selected = str(key)

    # ---------------------------------------------------------------------------------------------------- tuning it

    def adopt(self, other: "Run", index: int) -> str:
        """Take over a picture that another run did anew, but if that failed; its old files go.

        Returns:
            What failed, as a sentence, or "".
        """
        old, outcome = self.outcomes.get(index), other.outcomes[index]
        if outcome.report["error"] and old and old.cutouts:
            return outcome.report["error"]  # type: ignore[no-any-return]
        self.outcomes[index] = outcome
        self.tuned_by[index] = other.recipe, other.backdrop
        if old:
            self.retire(file for cutout in old.cutouts for file in cutout.all_files)
        return ""

    def retire(self, files: Iterable[Path]) -> None:
        """Delete these files soon; those retired a while ago go now."""
        now = time.monotonic()
        self._retired += [(now, file) for file in files]
        if not self._packing.acquire(blocking=False):  # they may be in the ZIP that is being written
            return
        try:
            for since, file in list(self._retired):
                if now - since > RETIRED_SECONDS:
                    file.unlink(missing_ok=True)
                    self._retired.remove((since, file))
        finally:
            self._packing.release()

    def touch(self) -> None:
        """It is in use: its folders and its backdrop do not age, and what the sweeper deletes by its age stays."""
        touch_files([self.folder, *(cutout.file for _, cutout in self.cutouts)])
        touch_files(backdrop for _, backdrop in ((self.recipe, self.backdrop), *self.tuned_by.values()) if backdrop)

    # ------------------------------------------------------------------------------------------------- its end

    def halt(self) -> bool:
        """Stop what is being done of it, and wait a little until that has ended.

        Returns:
            Whether there was something left to do.
        """
        # not by whether it is running: what Gradio cancels may have ended already
        parts = [part for part in (self, self.redoing) if part and len(part.outcomes) < part.total]
        for part in parts:
            part.stop.set()
        patience = time.monotonic() + HALT_SECONDS
        # what a run still sends on its end would stand over the answer
        while any(part.running for part in parts) and time.monotonic() < patience:
            time.sleep(0.02)
        return bool(parts)

    def pause(self) -> None:
        """As `halt`, but what is missing of it may be done afterwards."""
        self.halt()
        self.stop.clear()

    def end(self) -> None:
        """Another run takes its place: whatever is being done for it stops, and nothing of it is shown any more."""
        self.tuning += 1
        for part in (self, self.redoing):
            if part:
                part.stop.set()

    def delete(self) -> None:
        """Delete all its files."""
        for folder in {self.folder, *(cutout.file.parent for _, cutout in self.cutouts)}:
            shutil.rmtree(folder, ignore_errors=True)

    def archive(self) -> Path:
        """All cutouts in one ZIP, with the settings that make them again and which pictures they made.

        Raises:
            SettingsError: There is nothing, or files are gone.
        """
        made = {index: self.made_by(index) for index, outcome in sorted(self.outcomes.items()) if outcome.cutouts}
        if not made:
            raise SettingsError(NOTHING_YET)
        with self._packing:
            files = [cutout.file for _, cutout in self.cutouts]
            try:
                for place, (by, _) in enumerate(Counter(made.values()).most_common()):
                    pictures = [self.kept.sources[index] for index, of in made.items() if of == by]
                    stem = f"settings-{pictures[0].stem}" if place else "settings"
                    files += self._write_settings(by, stem, [picture.name for picture in pictures])
                return write_zip(files, self.folder / "cutouts.zip")
            except FileNotFoundError as error:
                raise SettingsError(
                    Message("Files of this run were deleted after their time. Cut out again.")
                ) from error

    def _write_settings(self, by: MadeBy, stem: str, pictures: list[str]) -> list[Path]:
        recipe, backdrop = by
        file = self.folder / f"{stem}.yaml"
        behind = self.folder / f"{stem}-backdrop{backdrop.suffix}" if backdrop else None
        if backdrop and behind:
            shutil.copyfile(backdrop, behind)
        save_recipe(recipe, file, behind.name if behind else None, pictures)
        return [file, *([behind] if behind else [])]


def key_of(index: int, cutout: Cutout) -> str:
    """What a cutout is called between page and server: number of the picture, and class where there are several."""
    return f"{index} {cutout.label}"
