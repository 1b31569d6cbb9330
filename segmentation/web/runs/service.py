"""What page and API share: runs on uploaded pictures, from start to finish."""

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
        config: The operator's configuration.
        offered: The models on offer.
        predictions: The predictions of all runs.
        turns: Decides which run's picture is next.
    """

    def __init__(self, config: Config) -> None:
        """Read the registry. Nothing is fetched or loaded yet.

        Raises:
            RegistryError: The registry is wrong, or SEGMATTE_MODELS names a model it does not have.
            SessionError: SEGMATTE_DEVICE is unavailable.
        """
        self.config = config = for_this_process(config)
        self.offered = OfferedModels(config)
        self.predictions = PredictionCache(config.runs_mb << 20, config.keep_minutes * 60)
        self.turns = Turns(available_cores())
        self._stuck_tickets: list[Ticket] = []  # of runs abandoned because they made no progress
        self._runs: dict[str, Run] = {}  # shown by a page, by unguessable id
        self._runs_lock = threading.Lock()
        self._preview_slots = threading.BoundedSemaphore(available_cores())  # separate: previews never wait for a batch

    @property
    def is_stuck(self) -> bool:
        """Whether an abandoned run still occupies a thread of this process."""
        self._stuck_tickets = [ticket for ticket in self._stuck_tickets if ticket.at_work]
        return bool(self._stuck_tickets)

    def _patience(self) -> float:
        """Seconds without progress before a run is abandoned: more than everything ahead of it may take."""
        return self.config.run_seconds * max(1, self.turns.at_work) + self.config.stuck_seconds

    # ---------------------------------------------------------------------------------------------------------- runs

    def new_run(
        self, paths: Sequence[Any], recipe: Recipe, backdrop: Any = None, on_progress: OnProgress | None = None
    ) -> Run:
        """Check a visitor's request and fetch and load the model. No picture is read yet.

        Args:
            paths: The pictures' paths, as sent by the client.
            recipe: Model and settings.
            backdrop: Path of the background picture, as sent by the client, if the settings need one.
            on_progress: Progress callback.

        Raises:
            SegmentationError: Invalid files, or the model is unknown, unavailable, or cannot take that size.
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
        """Whether a run has finished all these pictures with the same network settings.

        Raises:
            ImageError: A path is not an upload.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        known = run.predictions
        return not run.missing and set(sources) == set(known.sources) and known.is_reusable_for(recipe)

    def rest(
        self,
        run: Run,
        paths: Sequence[Any],
        recipe: Recipe,
        backdrop: Any = None,
        indices: Iterable[int] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Run | None:
        """A run of the pictures that another has not done: added since, not reached, or failed.

        Args:
            run: The other run. The added pictures are added to it too.
            paths: Paths of all pictures, as sent by the client.
            recipe: Model and settings.
            backdrop: As in `new_run`.
            indices: Numbers of the pictures to do; by default, all that are missing.
            on_progress: Progress callback.

        Returns:
            None if nothing is missing, pictures were removed, or the network settings differ.

        Raises:
            SegmentationError: As `new_run`.
        """
        sources, known = uploaded_files(paths, self.config.max_pictures), run.predictions
        if run.is_at_work or not set(known.sources) <= set(sources) or not known.is_reusable_for(recipe):
            return None
        added = [source for source in sources if source not in known.sources]
        if indices is None and not run.missing and not added:
            return None
        behind = self.backdrop(recipe, backdrop)
        predictor = self._predictor(recipe, len(sources), on_progress)
        known.add_sources(added)
        self.predictions.add(known)  # it may have been dropped from the cache
        self.keep_alive(run)
        pictures = frozenset(run.missing if indices is None else indices)
        ticket = self.turns.ticket(single=len(pictures) == 1)
        return Run(new_run_folder(), known, recipe, behind, predictor, ticket, pictures)

    @staticmethod
    def backdrop(recipe: Recipe, path: Any) -> Path | None:
        """The background picture, verified to be an upload; None if the settings need none.

        Raises:
            SegmentationError: It is missing or not an upload.
        """
        if recipe.export.background != "picture":
            return None
        if not path:
            raise SettingsError(NO_BACKDROP)
        return uploaded_files([path], 1)[0]

    def refinement(
        self,
        predictions: Predictions,
        recipe: Recipe,
        backdrop: Any = None,
        indices: Iterable[int] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """A run that makes new cutouts from earlier predictions.

        Args:
            predictions: Predictions of the earlier run.
            recipe: The new settings; model, mean, std and size stay those of the predictions.
            backdrop: As in `new_run`.
            indices: Numbers of the pictures; by default, all that have predictions.
            on_progress: Progress callback.

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
        """Cut out the pictures of a run. Yields on every event, and regularly in between.

        Args:
            run: The run.
            on_progress: Progress callback.
            for_page: Also write thumbnails and the stages of each cutout.
            is_gone: Polled for whether the client has stopped waiting for the answer.

        Yields:
            Whether another picture is finished.

        Raises:
            SegmentationError: The backdrop cannot be read, the client is gone, or the run is stuck.
        """
        predictor = run.begin()
        last_progress = last_touch = time.monotonic()
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
                    if time.monotonic() - last_touch > TOUCH_SECONDS:  # keep pictures not yet read from being swept
                        last_touch = time.monotonic()
                        self.keep_alive(run)
                    if event is not None or not run.ticket.at_work:
                        last_progress = time.monotonic()
                    elif time.monotonic() - last_progress > self._patience():
                        self.turns.abandon(run.ticket)
                        self._stuck_tickets.append(run.ticket)
                        raise SessionError(Message(STUCK, seconds=round(time.monotonic() - last_progress)))
                    if isinstance(event, Outcome):
                        self._take(run, event)
                    elif isinstance(event, Step):
                        run.set_stage(Message("{name}: {stage}", name=event.name, stage=STAGES[event.stage]))
                        if on_progress:
                            on_progress(run.now, run.done)
                    yield isinstance(event, Outcome)
        finally:
            run.end()

    def _take(self, run: Run, outcome: Outcome) -> None:
        report = replace(outcome.report, run=run.predictions.id)
        run.results.add(replace(outcome, report=report, prediction=None))
        if outcome.prediction:  # stored only in the cache, which is bounded
            self.predictions.store(run.predictions, outcome.index, outcome.prediction)

    def preview(self, run: Run, recipe: Recipe, backdrop: Any = None) -> Preview | None:
        """A preview of the selected picture with new settings, at screen size; None if nothing is selected.

        Raises:
            SegmentationError: The predictions have expired, or the background is not an upload.
        """
        selected = run.selected
        if selected is None:
            return None
        behind = self.backdrop(recipe, backdrop)
        prediction = run.predictions.by_picture.get(selected[0])
        if prediction is None:
            raise SettingsError(EXPIRED)
        self.keep_alive(run)
        with self._preview_slots:
            return make_preview(run, *selected, prediction, recipe, behind, self.config.limits)

    def keep_alive(self, run: Run) -> None:
        """Restart the expiry of a run's predictions and files."""
        self.predictions.touch(run.predictions)
        run.touch()

    # ------------------------------------------------------------------------------------------- pages and clean-up

    def show(self, run: Run) -> str:
        """Register a run as shown by a page, which can resume it by the returned id."""
        with self._runs_lock:
            self._runs[run.predictions.id] = run
        return run.predictions.id

    def resume(self, run_id: object) -> Run | None:
        """The run that a page showed before it was reloaded; None if it has expired."""
        with self._runs_lock:
            run = self._runs.get(run_id) if isinstance(run_id, str) else None
            if run is None or not len(run.results) or not run.folder.is_dir():
                return None
            run.add_page()
        self.keep_alive(run)
        return run

    def leave(self, run: Run) -> None:
        """Note that a page stopped showing a run; once no page shows it, it is deleted."""
        replaced = run.take_replaced()
        if replaced:
            self.leave(replaced)
        with self._runs_lock:
            is_unused = run.drop_page()
        if is_unused:
            self.forget(run)

    def forget(self, run: Run) -> None:
        """Delete a run from memory and disk: its visitor is gone or has started another."""
        with self._runs_lock:
            self._runs.pop(run.predictions.id, None)
        run.abandon()
        self.predictions.forget(run.predictions)
        run.delete()

    # --------------------------------------------------------------------------------------------- background threads

    def prepare(self) -> None:
        """Load the default model and compile the matting; for a background thread."""
        self.offered.load_default()
        warm_up_matting()
        log.info("alpha matting is ready")

    def keep_clean(self) -> None:
        """Periodically delete old runs and uploads and free idle memory; for a background thread."""
        keep = self.config.keep_minutes * 60
        swept = -math.inf
        while True:
            if time.monotonic() - swept > min(600, keep):
                swept = time.monotonic()
                sweep(keep)
                with self._runs_lock:
                    expired = [run for run in self._runs.values() if not run.is_at_work and not run.folder.is_dir()]
                for run in expired:  # the sweep deleted its files
                    self.forget(run)
            self.offered.give_memory_back(IDLE_SECONDS)
            self.predictions.trim()
            time.sleep(IDLE_SECONDS / 3)


def _prepare_matting(recipe: Recipe, on_progress: OnProgress | None) -> None:
    if (recipe.settings.alpha_matting or recipe.settings.decontaminate) and not matting_is_ready():
        if on_progress:
            on_progress(Message("Preparing alpha matting (once after installation)"), None)
        warm_up_matting()


THUMBNAIL_SIDE = 480  # pixels of the longer side: keeps the gallery light, whatever the pictures' size

TOUCH_SECONDS = 20.0  # how often the files of a run in progress are marked as in use

IDLE_SECONDS = 30.0  # idle time after which a network frees its memory

NOBODY_READS = Message("The run was stopped because nobody was reading its answer.")
STUCK = "The run made no progress for {seconds} s and was stopped. Try again with fewer or smaller pictures."

STAGES = {
    "decode": Message("reading"),
    "network": Message("finding the subject"),
    "mask": Message("making the mask"),
    "matting": Message("matting the outline"),
    "colours": Message("cleaning the edge colours"),
    "encode": Message("writing the file"),
}
"""Display names of the stages, in order."""
