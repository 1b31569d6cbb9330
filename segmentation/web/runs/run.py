"""A visitor's run: its pictures, their results so far, and its progress."""

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
RETIRED_SECONDS = 10.0  # replaced files stay this long, since a page may still be requesting them

NOTHING_YET = Message("There are no cutouts yet. Add pictures and cut them out first.")


class Run:
    """One run, or part of one. The handlers of a visitor's page use it from several threads.

    Attributes:
        folder: Where its files are written.
        predictions: Its pictures and their predictions.
        recipe: Model and settings.
        backdrop: The background picture, if the settings need one.
        ticket: Its place among the runs that take turns.
        results: The results of its pictures.
        tuning: Which tuning steps are current and done.
        stop: Once set, the run ends at the next opportunity.
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
        """Prepare the run without starting it.

        Args:
            folder: Where its files are written.
            predictions: Its pictures and their predictions.
            recipe: Model and settings.
            backdrop: The background picture, if the settings need one.
            predictor: Makes the predictions; released to the caller of `begin`.
            ticket: Its place among the runs that take turns; by default, it has no competitors.
            pictures: Numbers of its pictures, if it is part of another run; all by default.
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
        self._retired: list[tuple[float, Path]] = []  # replaced files, with the time of replacement

    @property
    def total(self) -> int:
        """Number of its pictures."""
        return len(self.predictions.sources) if self.pictures is None else len(self.pictures)

    @property
    def missing(self) -> list[int]:
        """Numbers of its pictures without cutouts: not started, or failed."""
        return self.results.missing(range(self.total) if self.pictures is None else sorted(self.pictures))

    @property
    def done(self) -> float:
        """Share of its pictures that are finished."""
        return len(self.results) / max(1, self.total)

    # ------------------------------------------------------------------------------------------------------ progress

    def begin(self) -> Predictor:
        """Start the run and release its predictor. A run starts once, and must not keep a network in memory after."""
        with self._lock:
            predictor, self._predictor = self._predictor, None
            assert predictor is not None, "a run can only start once"
            self._at_work = True
            return predictor

    def end(self) -> None:
        """Mark the run as ended, whether it succeeded or not."""
        with self._lock:
            self._at_work = False

    @property
    def is_at_work(self) -> bool:
        """Whether its pictures are being cut out."""
        return self._at_work

    @property
    def now(self) -> str:
        """The current picture and its stage."""
        return self._now

    def set_stage(self, now: str) -> None:
        """Note that a picture entered a stage."""
        with self._lock:
            self._now = now

    # ---------------------------------------------------------------------------------------------- pages and parts

    @property
    def shown_since(self) -> int:
        """Version of the display. It only grows: a page showing a lower one is stale."""
        return self._shown_since

    @property
    def wanted(self) -> int | None:
        """Number of the picture that the visitor requested last, which the page should show."""
        return self._wanted

    def reset_view(self) -> None:
        """Make pages discard what they show and display the run from scratch."""
        with self._lock:
            self._shown_since = time.time_ns()

    def take_place_of(self, other: "Run | None") -> None:
        """Keep the other run's results on show until this one has some."""
        with self._lock:
            self._replaced = other

    def take_replaced(self) -> "Run | None":
        """The run it replaces, which is no longer shown. Returned once, then None."""
        with self._lock:
            replaced, self._replaced = self._replaced, None
            return replaced

    @property
    def replaced(self) -> "Run | None":
        """The earlier run whose results are still shown."""
        return self._replaced

    def add_page(self) -> None:
        """Count another page that shows the run; a reloaded page counts as another."""
        with self._lock:
            self._pages += 1

    def drop_page(self) -> bool:
        """Count a page that stopped showing the run.

        Returns:
            Whether no page shows it now.
        """
        with self._lock:
            self._pages -= 1
            return self._pages <= 0

    def do_part(self, part: "Run") -> None:
        """Set the part of the run that is in progress, again or for the first time."""
        with self._lock:
            self._part = part
            if part.pictures and len(part.pictures) == 1:
                self._wanted = min(part.pictures)

    # ------------------------------------------------------------------------------------------------- the viewer

    @property
    def selected(self) -> tuple[int, Cutout] | None:
        """The selected cutout with the number of its picture; by default the first, None if there are none."""
        cutouts = self.results.cutouts
        chosen = (entry for entry in cutouts if key_of(*entry) == self._selected)
        return next(chosen, cutouts[0] if cutouts else None)

    def select(self, key: object) -> None:
        """Select the cutout with that key."""
        if any(key == key_of(*entry) for entry in self.results.cutouts):
            with self._lock:
                self._selected = str(key)

    # ------------------------------------------------------------------------------------------------------- files

    def adopt(self, other: "Run", index: int) -> str:
        """Take over the other run's new result for a picture, unless it failed. The old files are deleted.

        Returns:
            The error message, or "".
        """
        outcome = other.results.outcomes[index]
        old = self.results.replace(outcome, (other.recipe, other.backdrop))
        if old is None:
            return outcome.report.error or ""
        self.retire(old)
        return ""

    def retire(self, files: Iterable[Path]) -> None:
        """Schedule these files for deletion, and delete those retired long enough ago."""
        now = time.monotonic()
        with self._lock:
            self._retired += [(now, file) for file in files]
        if not self._packing.acquire(blocking=False):  # the ZIP being written may need them
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
        """Mark its folders and backdrops as in use, so that they are not deleted for their age."""
        touch_files([self.folder, *(cutout.file for _, cutout in self.results.cutouts), *self.results.backdrops])

    def archive(self) -> Path:
        """All cutouts in one ZIP, with the settings that reproduce them and the pictures each applies to.

        Raises:
            SettingsError: There are no cutouts, or their files have expired.
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
                raise SettingsError(Message("The files of this run have expired. Cut out again.")) from error

    def _write_settings(self, made_by: MadeBy, stem: str, pictures: list[str]) -> list[Path]:
        recipe, backdrop = made_by
        file = self.folder / f"{stem}.yaml"
        behind = self.folder / f"{stem}-backdrop{backdrop.suffix}" if backdrop else None
        if backdrop and behind:
            shutil.copyfile(backdrop, behind)
        save_recipe(recipe, file, behind.name if behind else None, pictures)
        return [file, *([behind] if behind else [])]

    # ----------------------------------------------------------------------------------------------------- stopping

    def halt(self) -> bool:
        """Stop the run, and wait briefly for it to end.

        Returns:
            Whether pictures were left to do.
        """
        # is_at_work would not do: what Gradio cancels may have ended already
        parts = [part for part in (self, self._part) if part and len(part.results) < part.total]
        for part in parts:
            part.stop.set()
        deadline = time.monotonic() + HALT_SECONDS
        # a last message from the ending run would overwrite the answer
        while any(part.is_at_work for part in parts) and time.monotonic() < deadline:
            time.sleep(0.02)
        return bool(parts)

    def pause(self) -> None:
        """Like `halt`, but the missing pictures can be done later."""
        self.halt()
        self.stop.clear()

    def abandon(self) -> None:
        """Stop all work for it and show nothing of it: another run replaces it."""
        self.tuning.begin()
        for part in (self, self._part):
            if part:
                part.stop.set()

    def delete(self) -> None:
        """Delete all its files."""
        for folder in {self.folder, *(cutout.file.parent for _, cutout in self.results.cutouts)}:
            shutil.rmtree(folder, ignore_errors=True)


def key_of(index: int, cutout: Cutout) -> str:
    """A cutout's key for page and server: the number of the picture, and the class if there are several."""
    return f"{index} {cutout.label}"
