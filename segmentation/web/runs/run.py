"""A visitor's run: its pictures, what came of them so far, and what of it is going on."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from segmentation.batch import Cutout, write_zip
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.predictor import Predictor
from segmentation.recipe import Recipe, save_recipe
from segmentation.web.runs.predictions import Predictions, touch_files
from segmentation.web.runs.results import MadeBy, Results
from segmentation.web.runs.tuning import Tuning
from segmentation.web.runs.turns import Ticket, Turns

HALT_SECONDS = 2.0
RETIRED_SECONDS = 10.0  # a page may be on its way to files that were replaced

NOTHING_YET = Message("There are no cutouts yet: add pictures and cut them out first.")


class Run:
    """One run, or a part of one. The handlers of a visitor's page meet here from several threads.

    Attributes:
        folder: Where its files are written.
        predictions: Its pictures, and what was predicted about them.
        recipe: Model and settings.
        backdrop: The picture behind, where the settings ask for one.
        ticket: Its turns among all runs.
        results: What came of its pictures.
        tuning: How far it is tuned.
        stop: Set, it ends at the next opportunity.
    """

    def __init__(
        self,
        folder: Path,
        predictions: Predictions,
        recipe: Recipe,
        backdrop: Path | None = None,
        predictor: Predictor | None = None,
        ticket: Ticket | None = None,
        pictures: frozenset[int] | None = None,
    ) -> None:
        """Prepare it; nothing runs yet.

        Args:
            folder: Where its files are written.
            predictions: Its pictures, and what was predicted about them.
            recipe: Model and settings.
            backdrop: The picture behind, where the settings ask for one.
            predictor: Tells where the subject is, until the run has begun.
            ticket: Its turns among all runs; its own by default.
            pictures: Numbers of its pictures, where it is a part of another run; all by default.
        """
        self.folder, self.predictions, self.recipe, self.backdrop = folder, predictions, recipe, backdrop
        self.pictures = pictures
        self.ticket = ticket or Turns(1).ticket()
        self.results = Results((recipe, backdrop))
        self.tuning = Tuning()
        self.stop = threading.Event()
        self._predictor = predictor
        self._lock, self._packing = threading.Lock(), threading.Lock()
        self._at_work = False
        self._now = ""
        self._shown_since = time.time_ns()
        self._replaced: Run | None = None
        self._part: Run | None = None
        self._wanted: int | None = None
        self._pages = 1
        self._selected = ""
        self._retired: list[tuple[float, Path]] = []  # files replaced by others, and when

    @property
    def total(self) -> int:
        """Pictures of it."""
        return len(self.predictions.sources) if self.pictures is None else len(self.pictures)

    @property
    def missing(self) -> list[int]:
        """Numbers of its pictures that have come to nothing yet: not begun, or failed."""
        return self.results.missing(range(self.total) if self.pictures is None else sorted(self.pictures))

    @property
    def done(self) -> float:
        """Share of its pictures that are finished."""
        return len(self.results) / max(1, self.total)

    # ----------------------------------------------------------------------------------------------- while it works

    def begin(self) -> Predictor:
        """What tells where the subject is. A run works once: afterwards it must not hold a network in memory."""
        with self._lock:
            predictor, self._predictor = self._predictor, None
            assert predictor is not None, "a run works once"
            self._at_work = True
            return predictor

    def end(self) -> None:
        """Its work has ended, well or not."""
        with self._lock:
            self._at_work = False

    @property
    def is_at_work(self) -> bool:
        """Whether its pictures are being cut out."""
        return self._at_work

    @property
    def now(self) -> str:
        """Which picture is in which stage."""
        return self._now

    def tell(self, now: str) -> None:
        """A picture entered a stage."""
        with self._lock:
            self._now = now

    # ------------------------------------------------------------------------------------------ its pages and parts

    @property
    def shown_since(self) -> int:
        """A number that grows: what a page shows of an earlier one is stale."""
        return self._shown_since

    @property
    def wanted(self) -> int | None:
        """Number of the picture that its visitor just asked for, and so wants to see."""
        return self._wanted

    def show_anew(self) -> None:
        """A page shows it from scratch."""
        with self._lock:
            self._shown_since = time.time_ns()

    def take_place_of(self, other: "Run | None") -> None:
        """The other's results stay until this one has some."""
        with self._lock:
            self._replaced = other

    def take_replaced(self) -> "Run | None":
        """The run whose place it took, once: that is no longer shown."""
        with self._lock:
            replaced, self._replaced = self._replaced, None
            return replaced

    @property
    def replaced(self) -> "Run | None":
        """The run whose results are still shown."""
        return self._replaced

    def add_page(self) -> None:
        """Another page shows it: one that is loaded again is another one."""
        with self._lock:
            self._pages += 1

    def drop_page(self) -> bool:
        """A page shows it no longer.

        Returns:
            Whether none does.
        """
        with self._lock:
            self._pages -= 1
            return self._pages <= 0

    def do_part(self, part: "Run") -> None:
        """A part of it is being done again, or for the first time."""
        with self._lock:
            self._part = part
            if part.pictures and len(part.pictures) == 1:
                self._wanted = min(part.pictures)

    # ------------------------------------------------------------------------------------------------- the viewer

    @property
    def looked_at(self) -> tuple[int, Cutout] | None:
        """The selected cutout with the number of its picture; the first if none is, None where there are none."""
        cutouts = self.results.cutouts
        chosen = (entry for entry in cutouts if key_of(*entry) == self._selected)
        return next(chosen, cutouts[0] if cutouts else None)

    def select(self, key: object) -> None:
        """Look at the cutout with that key."""
        if any(key == key_of(*entry) for entry in self.results.cutouts):
            with self._lock:
                self._selected = str(key)

    # ------------------------------------------------------------------------------------------------------- files

    def adopt(self, other: "Run", index: int) -> str:
        """Take over a picture that another run did again, unless that failed; its old files go.

        Returns:
            What failed, as a sentence, or "".
        """
        outcome = other.results.outcomes[index]
        old = self.results.replace(outcome, (other.recipe, other.backdrop))
        if old is None:
            return outcome.report.error or ""
        self.retire(old)
        return ""

    def retire(self, files: Iterable[Path]) -> None:
        """Delete these files soon; those retired a while ago go now."""
        now = time.monotonic()
        with self._lock:
            self._retired += [(now, file) for file in files]
        if not self._packing.acquire(blocking=False):  # they may be in the ZIP that is being written
            return
        try:
            with self._lock:
                old = [(since, file) for since, file in self._retired if now - since > RETIRED_SECONDS]
                self._retired = [entry for entry in self._retired if entry not in old]
            for _, file in old:
                file.unlink(missing_ok=True)
        finally:
            self._packing.release()

    def touch(self) -> None:
        """It is in use: its folders and its backdrops, which are deleted by their age, stay."""
        touch_files([self.folder, *(cutout.file for _, cutout in self.results.cutouts), *self.results.backdrops])

    def archive(self) -> Path:
        """All cutouts in one ZIP, with the settings that make them again and which pictures they made.

        Raises:
            SettingsError: There is nothing, or files are gone.
        """
        made = self.results.made_by
        if not made:
            raise SettingsError(NOTHING_YET)
        with self._packing:
            files = [cutout.file for _, cutout in self.results.cutouts]
            try:
                for place, (made_by, _) in enumerate(Counter(made.values()).most_common()):
                    pictures = [self.predictions.sources[index] for index, one in made.items() if one == made_by]
                    stem = f"settings-{pictures[0].stem}" if place else "settings"
                    files += self._write_settings(made_by, stem, [picture.name for picture in pictures])
                return write_zip(files, self.folder / "cutouts.zip")
            except FileNotFoundError as error:
                raise SettingsError(
                    Message("Files of this run were deleted after their time. Cut out again.")
                ) from error

    def _write_settings(self, made_by: MadeBy, stem: str, pictures: list[str]) -> list[Path]:
        recipe, backdrop = made_by
        file = self.folder / f"{stem}.yaml"
        behind = self.folder / f"{stem}-backdrop{backdrop.suffix}" if backdrop else None
        if backdrop and behind:
            shutil.copyfile(backdrop, behind)
        save_recipe(recipe, file, behind.name if behind else None, pictures)
        return [file, *([behind] if behind else [])]

    # ------------------------------------------------------------------------------------------------- its end

    def halt(self) -> bool:
        """Stop what is being done of it, and wait a little until that has ended.

        Returns:
            Whether there was something left to do.
        """
        # not by whether it is at work: what Gradio cancels may have ended already
        parts = [part for part in (self, self._part) if part and len(part.results) < part.total]
        for part in parts:
            part.stop.set()
        patience = time.monotonic() + HALT_SECONDS
        # a message that the run still sends as it ends would cover the answer
        while any(part.is_at_work for part in parts) and time.monotonic() < patience:
            time.sleep(0.02)
        return bool(parts)

    def pause(self) -> None:
        """As `halt`, but what is missing of it may be done afterwards."""
        self.halt()
        self.stop.clear()

    def abandon(self) -> None:
        """Another run takes its place: whatever is being done for it stops, and nothing of it is shown."""
        self.tuning.begin()
        for part in (self, self._part):
            if part:
                part.stop.set()

    def delete(self) -> None:
        """Delete all its files."""
        for folder in {self.folder, *(cutout.file.parent for _, cutout in self.results.cutouts)}:
            shutil.rmtree(folder, ignore_errors=True)


def key_of(index: int, cutout: Cutout) -> str:
    """What a cutout is called between page and server: number of the picture, and class where there are several."""
    return f"{index} {cutout.label}"
