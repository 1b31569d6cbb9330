"""What page and API have in common: runs on uploaded pictures, from their start to their end."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segmentation.batch import Outcome, Step, run_batch
from segmentation.config import Config
from segmentation.errors import SessionError, SettingsError
from segmentation.matting.alpha import is_ready as matting_is_ready
from segmentation.matting.alpha import warm_up as warm_up_matting
from segmentation.messages import Message
from segmentation.network.machine import available_cores
from segmentation.picture.export import NO_BACKDROP
from segmentation.picture.load import load_image
from segmentation.predictor import Predictor, from_predictions, from_session
from segmentation.recipe import Recipe
from segmentation.web.events import OnProgress
from segmentation.web.guard.uploads import new_run_folder, sweep, uploaded_files
from segmentation.web.runs.offered import OfferedModels
from segmentation.web.runs.predictions import EXPIRED, PredictionCache, Predictions, touch_files
from segmentation.web.runs.previews import Preview, make_preview
from segmentation.web.runs.run import Run
from segmentation.web.runs.turns import Ticket, Turns
from segmentation.web.runs.zerogpu import for_this_process, runner_for_visitor

log = logging.getLogger(__name__)


class Service:
    """All runs of all visitors.

    Attributes:
        config: The operator's.
        offered: The models.
        predictions: The predictions of all runs.
        turns: Whose picture is next.
    """

    def __init__(self, config: Config) -> None:
        """Read the registry; nothing is fetched or loaded yet.

        Raises:
            RegistryError: The registry is wrong, or SEGMATTE_MODELS names a model it does not have.
            SessionError: SEGMATTE_DEVICE is unavailable.
        """
        self.config = config = for_this_process(config)
        self.offered = OfferedModels(config)
        self.predictions = PredictionCache(config.runs_mb << 20, config.keep_minutes * 60)
        self.turns = Turns(available_cores())
        self._given_up: list[Ticket] = []  # runs that did not move
        self._runs: dict[str, Run] = {}  # that pages show, by ids nobody can guess
        self._runs_lock = threading.Lock()
        self._previewing = threading.BoundedSemaphore(available_cores())  # of their own: a hand waits for no batch

    @property
    def is_stuck(self) -> bool:
        """Whether a run that was given up still keeps a thread of this process."""
        self._given_up = [ticket for ticket in self._given_up if ticket.at_work]
        return bool(self._given_up)

    def _patience(self) -> float:
        """Seconds without any progress after which a run is given up: longer than all may take that is before it."""
        return self.config.run_seconds * max(1, self.turns.at_work) + self.config.stuck_seconds

    # ---------------------------------------------------------------------------------------------------------- runs

    def new_run(
        self, paths: Sequence[Any], recipe: Recipe, backdrop: Any = None, on_progress: OnProgress | None = None
    ) -> Run:
        """Check everything a visitor asked for, and fetch and load what it takes; no picture is touched yet.

        Args:
            paths: The pictures, as the client names them.
            recipe: Model and settings.
            backdrop: The picture behind, as the client names it, where the settings ask for one.
            on_progress: Told what is going on.

        Raises:
            SegmentationError: Wrong files, no such model, it is unavailable, or it cannot take that size.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        behind = self.backdrop(recipe, backdrop)
        predictor = self._predictor(recipe, len(sources), on_progress)
        touch_files(sources)
        predictions = Predictions(sources, recipe)
        self.predictions.add(predictions)
        ticket = self.turns.ticket(single=len(sources) == 1)
        return Run(new_run_folder(), predictions, recipe, behind, predictor, ticket)

    def _predictor(self, recipe: Recipe, pictures: int, on_progress: OnProgress | None) -> Predictor:
        session = self.offered.session(recipe.model, pictures, on_progress)
        predictor = from_session(session, recipe.settings, runner_for_visitor(session, self.config))
        _prepare_matting(recipe, on_progress)
        return predictor

    def is_complete(self, run: Run, paths: Sequence[Any], recipe: Recipe) -> bool:
        """Whether all these pictures are done in a run whose network was asked the same.

        Raises:
            ImageError: They are no uploads.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        known = run.predictions
        return not run.missing and set(sources) == set(known.sources) and known.asks_the_same(recipe)

    def rest(
        self,
        run: Run,
        paths: Sequence[Any],
        recipe: Recipe,
        backdrop: Any = None,
        indices: Iterable[int] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Run | None:
        """The run that does what is missing of another: pictures added since, not reached, or failed.

        Args:
            run: The other one; it knows the added pictures from now on.
            paths: All pictures, as the client names them.
            recipe: Model and settings.
            backdrop: As in `new_run`.
            indices: Numbers of the pictures to do; all that are missing by default.
            on_progress: Told what is going on.

        Returns:
            None where nothing is missing, pictures of it were taken away, or the network is to be asked something else.

        Raises:
            SegmentationError: As `new_run`.
        """
        sources, known = uploaded_files(paths, self.config.max_pictures), run.predictions
        if run.is_at_work or not set(known.sources) <= set(sources) or not known.asks_the_same(recipe):
            return None
        added = [source for source in sources if source not in known.sources]
        if indices is None and not run.missing and not added:
            return None
        behind = self.backdrop(recipe, backdrop)
        predictor = self._predictor(recipe, len(sources), on_progress)
        known.add_sources(added)
        self.predictions.add(known)  # it may have been forgotten
        self.in_use(run)
        pictures = frozenset(run.missing if indices is None else indices)
        ticket = self.turns.ticket(single=len(pictures) == 1)
        return Run(new_run_folder(), known, recipe, behind, predictor, ticket, pictures)

    @staticmethod
    def backdrop(recipe: Recipe, named: Any) -> Path | None:
        """The picture behind, as the client names it, proved to be an upload; None where the settings ask for none.

        Raises:
            SegmentationError: There is none, or it is no upload.
        """
        if recipe.export.background != "picture":
            return None
        if not named:
            raise SettingsError(NO_BACKDROP)
        return uploaded_files([named], 1)[0]

    def refinement(
        self,
        predictions: Predictions,
        recipe: Recipe,
        backdrop: Any = None,
        indices: Iterable[int] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """The run that makes new cutouts from earlier predictions.

        Args:
            predictions: Of which run.
            recipe: The new settings; model, mean, std and size stay what the network was asked with.
            backdrop: As in `new_run`.
            indices: Numbers of the pictures; all that have predictions by default.
            on_progress: Told what is going on.

        Raises:
            SegmentationError: The predictions have expired, or the background is not an upload.
        """
        behind = self.backdrop(recipe, backdrop)
        _prepare_matting(recipe, on_progress)
        known = predictions.by_picture
        chosen = {index: known[index] for index in (known if indices is None else indices) if index in known}
        if not chosen:
            raise SettingsError(EXPIRED)
        self.predictions.touch(predictions)
        ticket = self.turns.ticket(single=len(chosen) == 1)
        refined = predictions.refined(recipe)
        predictor = from_predictions(refined.model, chosen)
        return Run(new_run_folder(), predictions, refined, behind, predictor, ticket, frozenset(chosen))

    def process(
        self,
        run: Run,
        on_progress: OnProgress | None = None,
        *,
        for_page: bool = False,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Iterator[bool]:
        """Cut out the pictures of a run; yields whenever something happened and at least every moment.

        Args:
            run: The run.
            on_progress: Told what is going on.
            for_page: Write thumbnails and the stages of each cutout too.
            is_gone: Asked now and then whether nobody waits for the answer any longer.

        Yields:
            Whether another picture is finished.

        Raises:
            SegmentationError: The backdrop cannot be read, nobody waits for the answer, or the run is stuck.
        """
        predictor = run.begin()
        moved = used = time.monotonic()
        try:
            backdrop = load_image(run.backdrop, **self.config.limits._asdict()) if run.backdrop else None
            events = run_batch(
                run.predictions.sources,
                predictor,
                run.recipe.settings,
                run.folder,
                run.recipe.export,
                backdrop,
                thumbnails=THUMBNAIL_SIDE if for_page else 0,
                stages=for_page,
                limits=self.config.limits,
                slots=run.ticket,
                only=run.pictures,
            )
            with contextlib.closing(events):
                for event in events:
                    if run.stop.is_set():
                        return
                    if is_gone():
                        raise SettingsError(NOBODY_READS)
                    if time.monotonic() - used > USED_SECONDS:  # what is read later must not be swept before
                        used = time.monotonic()
                        self.in_use(run)
                    if event is not None or not run.ticket.at_work:
                        moved = time.monotonic()
                    elif time.monotonic() - moved > self._patience():
                        self.turns.abandon(run.ticket)
                        self._given_up.append(run.ticket)
                        raise SessionError(Message(STUCK, seconds=round(time.monotonic() - moved)))
                    if isinstance(event, Outcome):
                        self._take(run, event)
                    elif isinstance(event, Step):
                        run.tell(Message("{name}: {stage}", name=event.name, stage=STAGES[event.stage]))
                        if on_progress:
                            on_progress(run.now, run.done)
                    yield isinstance(event, Outcome)
        finally:
            run.end()

    def _take(self, run: Run, outcome: Outcome) -> None:
        report = replace(outcome.report, run=run.predictions.id)
        run.results.add(replace(outcome, report=report, prediction=None))
        if outcome.prediction:  # held in one place only, which is bounded
            self.predictions.store(run.predictions, outcome.index, outcome.prediction)

    def preview(self, run: Run, recipe: Recipe, backdrop: Any = None) -> Preview | None:
        """The selected picture with other settings, at screen size and at once; None where nothing is selected.

        Raises:
            SegmentationError: The predictions have expired, or the background is not an upload.
        """
        looked_at = run.looked_at
        if looked_at is None:
            return None
        behind = self.backdrop(recipe, backdrop)
        prediction = run.predictions.by_picture.get(looked_at[0])
        if prediction is None:
            raise SettingsError(EXPIRED)
        self.in_use(run)
        with self._previewing:
            return make_preview(run, *looked_at, prediction, recipe, behind, self.config.limits)

    def in_use(self, run: Run) -> None:
        """Nothing of it may be deleted for its age."""
        self.predictions.touch(run.predictions)
        run.touch()

    # ----------------------------------------------------------------------------------------------- pages and ends

    def show(self, run: Run) -> str:
        """A page shows it: it can come back to it by the id that is returned."""
        with self._runs_lock:
            self._runs[run.predictions.id] = run
        return run.predictions.id

    def come_back(self, run_id: object) -> Run | None:
        """The run that a page showed before it was loaded again; None where it is gone."""
        with self._runs_lock:
            run = self._runs.get(run_id) if isinstance(run_id, str) else None
            if run is None or not len(run.results) or not run.folder.is_dir():
                return None
            run.add_page()
        self.in_use(run)
        return run

    def leave(self, run: Run) -> None:
        """A page shows it no longer; when none does, nothing of it stays."""
        replaced = run.take_replaced()
        if replaced:
            self.leave(replaced)
        with self._runs_lock:
            left = run.drop_page()
        if left:
            self.forget(run)

    def forget(self, run: Run) -> None:
        """Its visitor is gone or has begun another: nothing of it stays, in memory or on disk."""
        with self._runs_lock:
            self._runs.pop(run.predictions.id, None)
        run.abandon()
        self.predictions.forget(run.predictions)
        run.delete()

    # ---------------------------------------------------------------------------------------------- behind the page

    def prepare(self) -> None:
        """Load the default model and compile the matting; for a thread behind the running page."""
        self.offered.load_default()
        warm_up_matting()
        log.info("alpha matting is ready")

    def keep_clean(self) -> None:
        """Sweep old runs and uploads away and give idle memory back, now and then; for a thread of its own."""
        keep = self.config.keep_minutes * 60
        swept = -math.inf
        while True:
            if time.monotonic() - swept > min(600, keep):
                swept = time.monotonic()
                sweep(keep)
                with self._runs_lock:
                    gone = [run for run in self._runs.values() if not run.is_at_work and not run.folder.is_dir()]
                for run in gone:  # its files were deleted for their age
                    self.forget(run)
            self.offered.give_memory_back(IDLE_SECONDS)
            self.predictions.trim()
            time.sleep(IDLE_SECONDS / 3)


def _prepare_matting(recipe: Recipe, on_progress: OnProgress | None) -> None:
    if (recipe.settings.alpha_matting or recipe.settings.decontaminate) and not matting_is_ready():
        if on_progress:
            on_progress(Message("Preparing alpha matting, once after the installation"), None)
        warm_up_matting()


THUMBNAIL_SIDE = 480  # pixels of the longer side: the gallery stays light however large the pictures are

USED_SECONDS = 20.0  # between two marks on a run's files that it is under way

IDLE_SECONDS = 30.0  # a network that had nothing to do for so long gives its memory back

NOBODY_READS = Message("Nobody reads this run's answer any longer, so it was ended.")
STUCK = "Nothing has moved for {seconds} s, so this run was given up. Try again, with fewer or smaller pictures."

STAGES = {
    "decode": Message("reading"),
    "network": Message("finding the subject"),
    "mask": Message("making the mask"),
    "matting": Message("matting the outline"),
    "colours": Message("cleaning the edge colours"),
    "encode": Message("writing the file"),
}
"""Names of the stages for people, in the order in which they come."""
