"""What page and API share: runs on uploaded pictures, from start to finish."""

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from segmentation.config import Config
from segmentation.errors import SettingsError
from segmentation.matting.alpha import is_ready as matting_is_ready
from segmentation.matting.alpha import warm_up as warm_up_matting
from segmentation.messages import Message
from segmentation.models.inspection.inspection import Inspection
from segmentation.network.machine import available_cores
from segmentation.picture.composition import NO_BACKDROP
from segmentation.picture.load import load_image
from segmentation.picture.picture import Picture
from segmentation.predictor import Predictor, from_predictions, from_session
from segmentation.proof import Proof, candidates, prove, run_of
from segmentation.recipe import Recipe
from segmentation.web.events import OnProgress
from segmentation.web.guard.uploads import new_run_folder, touch_files, uploaded_files
from segmentation.web.runs.offered import OfferedModels
from segmentation.web.runs.outcomes import MadeBy
from segmentation.web.runs.predictions import EXPIRED, PredictionCache, Predictions
from segmentation.web.runs.previews import Preview, make_preview
from segmentation.web.runs.run import Run
from segmentation.web.runs.shown_runs import ShownRuns
from segmentation.web.runs.turns import Ticket, Turns
from segmentation.web.runs.work import Work, keep_alive
from segmentation.web.runs.zerogpu import for_this_process, runner_for_visitor

log = logging.getLogger(__name__)


class Service:
    """All runs of all visitors.

    Attributes:
        config: The operator's configuration.
        offered: The models on offer.
        predictions: The predictions of all runs.
        turns: Decides which run's picture is next.
        apart: The same for models without a registry entry: one that hangs keeps its places for minutes.
        work: Cuts out the pictures of runs.
        shown: The runs that pages show.
    """

    def __init__(self, config: Config) -> None:
        """Read the registry and decide on the default model. Nothing is fetched or loaded yet.

        Raises:
            RegistryError: The registry is wrong, or SEGMATTE_MODELS names a model it does not have.
            SessionError: SEGMATTE_DEVICE is unavailable.
        """
        self.config = config = for_this_process(config)
        self.offered = OfferedModels(config)
        self.predictions = PredictionCache(config.runs_mb << 20, config.keep_minutes * 60)
        self.turns, self.apart = Turns(available_cores()), Turns(2 * available_cores())
        self.work = Work(config, self.predictions, self.offered.ran)
        self.shown = ShownRuns(self._forget, partial(keep_alive, predictions=self.predictions))
        self._preview_slots = threading.BoundedSemaphore(available_cores())  # separate: previews never wait for a batch

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
        predictor = self.predictor(recipe, len(sources), on_progress)
        recipe = replace(recipe, model=predictor.model)  # a name on the Hub is pinned to what it means now
        touch_files(sources)
        predictions = Predictions(sources, recipe)
        self.predictions.add(predictions)
        ticket = self.ticket([predictor.model], len(sources))
        return Run(new_run_folder(), predictions, recipe, behind, predictor, ticket)

    def predictor(self, recipe: Recipe, pictures: int, on_progress: OnProgress | None) -> Predictor:
        """The loaded network of a recipe, ready for a visitor's pictures.

        Args:
            recipe: Model and settings.
            pictures: How many pictures it will be run on.
            on_progress: Progress callback.

        Raises:
            SegmentationError: The model is unknown, unavailable, or cannot take that size.
        """
        session = self.offered.session(recipe.model, pictures, on_progress).under(recipe.settings.contract)
        predictor = from_session(session, recipe.settings, runner_for_visitor(session, self.config))
        _prepare_matting(recipe, on_progress)
        return predictor

    def ticket(self, models: Iterable[str], pictures: int) -> Ticket:
        """A ticket for new work.

        Args:
            models: Ids of the models that it runs.
            pictures: How many pictures they run on.
        """
        specs = [self.offered.named.known(model) for model in models]
        turns = self.turns if all(spec and spec.registered for spec in specs) else self.apart
        return turns.ticket(single=pictures == 1)

    def is_complete(self, run: Run, paths: Sequence[Any], recipe: Recipe) -> bool:
        """Whether a run has finished all these pictures with the same network settings.

        Raises:
            ImageError: A path is not an upload.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        known, recipe = run.predictions, self._pinned(recipe)
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
        recipe = self._pinned(recipe)
        if run.is_at_work or not set(known.sources) <= set(sources) or not known.is_reusable_for(recipe):
            return None
        added = [source for source in sources if source not in known.sources]
        if indices is None and not run.missing and not added:
            return None
        behind = self.backdrop(recipe, backdrop)
        predictor = self.predictor(recipe, len(sources), on_progress)
        known.add_sources(added)
        self.predictions.add(known)  # it may have been dropped from the cache
        keep_alive(run, self.predictions)
        chosen = frozenset(run.missing if indices is None else indices)
        ticket = self.ticket([predictor.model], len(chosen))
        return Run(new_run_folder(), known, recipe, behind, predictor, ticket, chosen)

    def picture(self, path: Any) -> Picture:
        """A visitor's picture.

        Args:
            path: Its path, as sent by the client.

        Raises:
            SegmentationError: It is not an upload, or not a picture.
        """
        (source,) = uploaded_files([path], 1)
        return load_image(source, **self.config.limits._asdict())

    def prove(self, found: Inspection, picture: Picture, on_progress: OnProgress | None = None) -> Proof:
        """The plausible contracts of a model, ranked by their masks of a picture.

        Args:
            found: The model.
            picture: The picture.
            on_progress: Progress callback.

        Raises:
            SegmentationError: The model is unavailable or gives no mask.
        """
        session = self.offered.session(found.spec.id, 1, on_progress)
        with self.ticket([found.spec.id], 1):
            if on_progress:
                on_progress(Message("Trying it on your picture…"), None)
            return prove(picture.rgb, run_of(session), candidates(found.proposal, found.facts))

    def _pinned(self, recipe: Recipe) -> Recipe:
        return replace(recipe, model=self.offered.pinned(recipe.model))

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

    def made_by(self, run: Run, recipe: Recipe, backdrop: Any) -> MadeBy:
        """Recipe and backdrop that refining a run's pictures would use now.

        Raises:
            SegmentationError: See `backdrop`.
        """
        return run.predictions.refined(recipe), self.backdrop(recipe, backdrop)

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
            recipe: The new settings; model, mean, std, size and contract stay those of the predictions.
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
        predictor = from_predictions(refined.model, chosen, refined.settings)
        return Run(new_run_folder(), predictions, refined, behind, predictor, ticket, frozenset(chosen))

    def preview(self, run: Run, recipe: Recipe, backdrop: Any = None) -> Preview | None:
        """A preview of the selected picture with new settings, at screen size; None if nothing is selected.

        Raises:
            SegmentationError: The predictions have expired, or the background is not an upload.
        """
        selected = run.view.selected
        if selected is None:
            return None
        behind = self.backdrop(recipe, backdrop)
        prediction = run.predictions.by_picture.get(selected[0])
        if prediction is None:
            raise SettingsError(EXPIRED)
        keep_alive(run, self.predictions)
        with self._preview_slots:
            refined = run.predictions.refined(recipe)
            return make_preview(run, *selected, prediction, refined, behind, self.config.limits)

    def _forget(self, run: Run) -> None:
        """Delete a run from memory and disk: its visitor is gone or has started another."""
        run.abandon()
        self.predictions.forget(run.predictions)
        run.files.delete()


def _prepare_matting(recipe: Recipe, on_progress: OnProgress | None) -> None:
    if (recipe.settings.alpha_matting or recipe.settings.decontaminate) and not matting_is_ready():
        if on_progress:
            on_progress(Message("Preparing alpha matting (once after installation)"), None)
        warm_up_matting()
