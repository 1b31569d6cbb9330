"""A visitor's run: its pictures, their results so far, and its progress."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from segmentation.corrected import needs_network
from segmentation.corrections import Correction
from segmentation.messages import Message
from segmentation.predictor import Predictor
from segmentation.recipe import Recipe
from segmentation.web.runs.corrections import Corrections
from segmentation.web.runs.outcomes import Outcomes
from segmentation.web.runs.predictions import Predictions
from segmentation.web.runs.run_files import RunFiles
from segmentation.web.runs.tuning import Tuning
from segmentation.web.runs.turns import Ticket, Turns
from segmentation.web.runs.view import View

HALT_SECONDS = 2.0

NOTHING_YET = Message("There are no cutouts yet. Add pictures and cut them out first.")


class Run:
    """One run, or part of one. The handlers of a visitor's page use it from several threads.

    Attributes:
        folder: Where its files are written.
        predictions: Its pictures and their predictions.
        recipe: Model and settings.
        backdrop: The background picture, if the settings need one.
        indices: Which of the pictures it is about; None for all.
        ticket: Its place among the runs that take turns.
        corrections: What the visitor says about its pictures.
        outcomes: The results of its pictures.
        files: Their files.
        view: What pages show of it.
        tuning: Which tuning steps are current and done.
        stop: Once set, the run ends at the next opportunity.
        is_at_work: Whether its pictures are being cut out.
        now: The current picture and its stage.
    """

    def __init__(
        self,
        folder: Path,
        predictions: Predictions,
        recipe: Recipe,
        backdrop: Path | None = None,
        predictor: Predictor | None = None,
        ticket: Ticket | None = None,
        indices: frozenset[int] | None = None,
        corrections: Mapping[int, Correction] | None = None,
    ) -> None:
        """Prepare the run without starting it.

        Args:
            folder: Where its files are written.
            predictions: Its pictures and their predictions.
            recipe: Model and settings.
            backdrop: The background picture, if the settings need one.
            predictor: Makes the predictions; released to the caller of `begin`.
            ticket: Its place among the runs that take turns; by default, it has no competitors.
            indices: Which of the pictures it is about, if it is part of another run; all by default.
            corrections: What the visitor says about pictures, by number.
        """
        self.folder, self.predictions, self.recipe, self.backdrop = folder, predictions, recipe, backdrop
        self.indices = indices
        self.ticket = ticket or Turns(1).ticket()
        self.corrections, self.outcomes = Corrections(corrections), Outcomes((recipe, backdrop))
        self.files, self.view = RunFiles(folder, self.outcomes, self.corrections), View()
        self.tuning = Tuning()
        self.stop = threading.Event()
        self.is_at_work, self.now = False, ""
        self._lock = threading.Lock()
        self._predictor = predictor
        self._part: Run | None = None
        self._failed_at: dict[int, int] = {}  # number of the picture -> revision of its correction

    @property
    def total(self) -> int:
        """Number of its pictures."""
        return len(self.predictions.sources) if self.indices is None else len(self.indices)

    @property
    def missing(self) -> list[int]:
        """Indices of its pictures without cutouts: not started, or failed."""
        return self.outcomes.missing(range(self.total) if self.indices is None else sorted(self.indices))

    @property
    def left(self) -> int:
        """Number of pictures that are still to come: of the run, or of the part of it that is in progress."""
        at_work = [part for part in (self, self._part) if part and part.is_at_work]
        return sum(part.total - len(part.outcomes) for part in at_work)

    @property
    def done(self) -> float:
        """Share of its pictures that are finished."""
        return len(self.outcomes) / max(1, self.total)

    @property
    def corrected_since(self) -> list[int]:
        """Numbers of the pictures whose corrections have changed since they were cut out, and can be followed now.

        A picture that failed is among them if it does not need the network now, as with a mask of the visitor's own.
        """
        behind = [i for i, each in self.outcomes.by_picture.items() if each.correction != self.corrections.get(i)]
        return [i for i in behind if self._failed_at.get(i) != self.corrections.revision(i) and self._can_follow(i)]

    def _can_follow(self, index: int) -> bool:
        outcome = self.outcomes.by_picture[index]
        if outcome.cutouts:
            return True
        recipe, _ = self.outcomes.wanted_of(index)
        return bool(outcome.report.error) and not needs_network(self.corrections.get(index), recipe.settings)

    def correction_failed(self, index: int, revision: int) -> None:
        """Note that a picture's correction of that revision cannot be followed: it is not tried again as it is."""
        self._failed_at[index] = revision

    def begin(self) -> Predictor:
        """Start the run and release its predictor. A run starts once, and must not keep a network in memory after."""
        with self._lock:
            predictor, self._predictor = self._predictor, None
            assert predictor is not None, "a run can only start once"
            self.is_at_work = True
            return predictor

    def end(self) -> None:
        """Mark the run as ended, whether it succeeded or not."""
        self.is_at_work = False

    def do_part(self, part: "Run") -> None:
        """Set the part of the run that is in progress, again or for the first time."""
        self._part = part
        if part.indices and len(part.indices) == 1:
            self.view.wanted = min(part.indices)

    def adopt(self, other: "Run", index: int) -> str:
        """Take over the other run's new result for a picture, unless it failed. The old files are deleted.

        Returns:
            The error message, or "".
        """
        outcome = other.outcomes.by_picture[index]
        old = self.outcomes.replace(outcome, (other.recipe, other.backdrop))
        if old is None:
            return outcome.report.error or ""
        self.files.retire(old)
        return ""

    def halt(self) -> bool:
        """Stop the run, and wait briefly for it to end.

        Returns:
            Whether pictures were left to do.
        """
        # is_at_work would not do: what Gradio cancels may have ended already
        parts = [part for part in (self, self._part) if part and len(part.outcomes) < part.total]
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
