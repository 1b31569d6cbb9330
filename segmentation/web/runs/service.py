"""What page and API share: runs on uploaded pictures, from start to finish."""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from segmentation.config import Config
from segmentation.corrected import needs_network, no_prediction
from segmentation.corrections import NOTHING, Correction
from segmentation.errors import SettingsError
from segmentation.matting.alpha import is_ready as matting_is_ready
from segmentation.matting.alpha import warm_up as warm_up_matting
from segmentation.matting.estimators import prepare
from segmentation.messages import Message
from segmentation.models.inspection.inspection import Inspection
from segmentation.network.lent import Lent
from segmentation.network.machine import available_cores
from segmentation.network.session import Session
from segmentation.picture.composition import NO_BACKDROP
from segmentation.picture.load import load_image
from segmentation.picture.picture import Picture
from segmentation.prediction import Prediction, point_at
from segmentation.predictor import Predictor, from_nothing, from_predictions, from_session, is_answered
from segmentation.proof import Proof, candidates, prove, run_of
from segmentation.recipe import Recipe
from segmentation.web.events import OnProgress
from segmentation.web.guard.admission import Admission
from segmentation.web.guard.uploads import new_run_folder, touch_files, uploaded_files
from segmentation.web.runs.corrections import carried_over
from segmentation.web.runs.offered import OfferedModels
from segmentation.web.runs.outcomes import MadeBy, Wanted
from segmentation.web.runs.predictions import EXPIRED, PredictionCache, Predictions
from segmentation.web.runs.previews import Preview, TooSlowError, make_preview
from segmentation.web.runs.run import Run
from segmentation.web.runs.shown_runs import ShownRuns
from segmentation.web.runs.tuning import Target
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
        admission: Counts the runs in progress or waiting, whichever way they came.
    """

    def __init__(self, config: Config, lent: Lent | None = None) -> None:
        """Read the registry and decide on the default model. Nothing is fetched or loaded yet.

        Args:
            config: The operator's configuration.
            lent: Networks on other machines.

        Raises:
            RegistryError: The registry is wrong, or SEGMATTE_MODELS names a model it does not have.
            SessionError: SEGMATTE_DEVICE is unavailable.
        """
        self.config = config = for_this_process(config)
        self.offered = OfferedModels(config)
        self.predictions = PredictionCache(config.runs_mb << 20, config.keep_minutes * 60)
        self._lent, places = lent, available_cores() + (lent.places if lent else 0)
        self.turns, self.apart = Turns(places), Turns(2 * available_cores())
        self.work = Work(config, self.predictions, self.offered.ran, places)
        self.shown = ShownRuns(self.forget, partial(keep_alive, predictions=self.predictions))
        self.admission = Admission(config.runs)
        self._preview_slots = threading.BoundedSemaphore(available_cores())  # separate: previews never wait for a batch

    def new_run(
        self,
        paths: Sequence[Any],
        recipe: Recipe,
        backdrop: Any = None,
        on_progress: OnProgress | None = None,
        corrections: Mapping[int, Correction] | None = None,
    ) -> Run:
        """Check a visitor's request and fetch and load the model. No picture is read yet.

        Args:
            paths: The pictures' paths, as sent by the client.
            recipe: Model and settings.
            backdrop: Path of the background picture, as sent by the client, if the settings need one.
            on_progress: Progress callback.
            corrections: What the visitor says about pictures, by number.

        Raises:
            SegmentationError: Invalid files, or the model is unknown, unavailable, or cannot take that size.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        behind = self.backdrop(recipe, backdrop)
        predictor = self._predictor(recipe, range(len(sources)), corrections or {}, on_progress)
        recipe = replace(recipe, model=predictor.model)  # a name on the Hub is pinned to what it means now
        touch_files(sources)
        predictions = Predictions(sources, recipe)
        self.predictions.add(predictions)
        ticket = self.ticket([predictor.model], len(sources))
        return Run(new_run_folder(), predictions, recipe, behind, predictor, ticket, corrections=corrections)

    def _predictor(
        self, recipe: Recipe, pictures: Sequence[int], corrections: Mapping[int, Correction], report: OnProgress | None
    ) -> Predictor:
        """Like `predictor`, but without a network if none of these pictures needs one."""
        needing = [i for i in pictures if needs_network(corrections.get(i, NOTHING), recipe.settings)]
        if needing:
            points = any(corrections.get(i, NOTHING).prompt for i in needing)
            return self.predictor(recipe, len(needing), report, points=points)
        self.prepare(recipe, report)
        return from_nothing(self.offered.pinned(recipe.model))

    @staticmethod
    def _undone(run: Run, recipe: Recipe) -> list[int]:
        """The pictures of a run that have no cutouts, or were cut out without the network that they need now."""
        known, said, missing = run.predictions.by_picture, run.corrections, set(run.missing)
        blank = [index for index, prediction in known.items() if not prediction.is_networks]
        return sorted(missing.union(index for index in blank if needs_network(said.get(index), recipe.settings)))

    def predictor(
        self, recipe: Recipe, pictures: int, on_progress: OnProgress | None, *, points: bool = False
    ) -> Predictor:
        """The loaded network of a recipe, ready for a visitor's pictures.

        Args:
            recipe: Model and settings.
            pictures: How many pictures it will be run on.
            on_progress: Progress callback.
            points: Whether the visitor points at something in any of them.

        Raises:
            SegmentationError: The model is unknown, unavailable, or cannot take that size.
        """
        session = self.offered.session(recipe.model, pictures, on_progress).under(recipe.settings.contract)
        runner = self._lent.runner(session) if self._lent else runner_for_visitor(session, self.config)
        predictor = from_session(session, recipe.settings, runner, self._prompt_session(recipe, points, on_progress))
        self.prepare(recipe, on_progress)
        return predictor

    def _prompt_session(self, recipe: Recipe, points: bool, on_progress: OnProgress | None = None) -> Session | None:
        """The promptable network that says what clicks and boxes mean; None if there are none, or it is none's task.

        Raises:
            SegmentationError: The model is unknown, unavailable or not promptable.
        """
        own = self.offered.named.known(recipe.model)
        model = recipe.model if own and own.prompt else recipe.settings.prompt_model
        if not model:
            return None
        spec = self.offered.promptable(model)
        return self.offered.session(spec.id, 1, on_progress) if points else None

    def ticket(self, models: Iterable[str], pictures: int) -> Ticket:
        """A ticket for new work.

        Args:
            models: Ids of the models that it runs.
            pictures: How many pictures they run on.
        """
        specs = [self.offered.named.known(model) for model in models]
        turns = self.turns if all(spec and spec.registered for spec in specs) else self.apart
        return turns.ticket(single=pictures == 1)

    def carried_over(self, run: Run, paths: Sequence[Any]) -> dict[int, Correction]:
        """What a visitor says about the pictures of a run, for a new run of those and others, by their numbers there.

        Raises:
            ImageError: A path is not an upload.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        return carried_over(run.corrections.snapshot(), run.predictions.sources, sources)

    def is_complete(self, run: Run, paths: Sequence[Any], recipe: Recipe) -> bool:
        """Whether a run has finished all these pictures with the same network settings.

        Raises:
            ImageError: A path is not an upload.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        known, recipe = run.predictions, self._pinned(recipe)
        return not self._undone(run, recipe) and set(sources) == set(known.sources) and known.is_reusable_for(recipe)

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
        if indices is None and not self._undone(run, recipe) and not added:
            return None
        behind = self.backdrop(recipe, backdrop)
        said = run.corrections.snapshot()
        count = len(known.sources)
        todo = [*self._undone(run, recipe), *range(count, count + len(added))] if indices is None else list(indices)
        predictor = self._predictor(recipe, todo, said, on_progress)
        known.add_sources(added)
        self.predictions.add(known)  # it may have been dropped from the cache
        keep_alive(run, self.predictions)
        chosen = frozenset(todo)
        ticket = self.ticket([predictor.model], len(chosen))
        return Run(new_run_folder(), known, recipe, behind, predictor, ticket, chosen, said)

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
        if session.prompt:
            raise SettingsError(Message("{title} has one answer for each click, so there is nothing to compare.",
                                        title=found.spec.title))  # fmt: skip
        with self.ticket([found.spec.id], 1):
            if on_progress:
                on_progress(Message("Trying it on your picture…"), None)
            return prove(picture.rgb, run_of(session), candidates(found.proposal, found.facts))

    @staticmethod
    def prepare(recipe: Recipe, on_progress: OnProgress | None) -> None:
        """Compile what a recipe's matting needs, once after installation.

        Args:
            recipe: Model and settings.
            on_progress: Progress callback.

        Raises:
            MattingError: The matting method is unavailable.
        """
        if (recipe.settings.alpha_matting or recipe.settings.decontaminate) and not matting_is_ready():
            if on_progress:
                on_progress(Message("Preparing alpha matting (once after installation)"), None)
            warm_up_matting()
        prepare(recipe.settings, lambda sentence: on_progress(sentence, None) if on_progress else None)

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

    def made_by(self, run: Run, recipe: Recipe, backdrop: Any, index: int) -> MadeBy:
        """What refining a picture of a run would use now.

        Raises:
            SegmentationError: See `backdrop`.
        """
        return MadeBy(*self._wanted(run, recipe, backdrop), run.corrections.get(index))

    def share_of(self, run: Run, recipe: Recipe, backdrop: Any) -> tuple[int, int]:
        """Number of a run's pictures that refining would not change, and of all that did not fail.

        Raises:
            SegmentationError: See `backdrop`.
        """
        return run.outcomes.share_of(self._wanted(run, recipe, backdrop), run.corrections.snapshot())

    def _wanted(self, run: Run, recipe: Recipe, backdrop: Any) -> Wanted:
        return run.predictions.refined(recipe), self.backdrop(recipe, backdrop)

    def refinement(
        self,
        predictions: Predictions,
        recipe: Recipe,
        backdrop: Any = None,
        indices: Iterable[int] | None = None,
        on_progress: OnProgress | None = None,
        corrections: Mapping[int, Correction] | None = None,
    ) -> Run:
        """A run that makes new cutouts from earlier predictions.

        Args:
            predictions: Predictions of the earlier run.
            recipe: The new settings; model, mean, std, size and contract stay those of the predictions.
            backdrop: As in `new_run`.
            indices: Numbers of the pictures; by default, all that have predictions.
            on_progress: Progress callback.
            corrections: What the visitor says about pictures, by number.

        Raises:
            SegmentationError: The predictions have expired, or the background is not an upload.
        """
        behind = self.backdrop(recipe, backdrop)
        self.prepare(recipe, on_progress)
        known, said = dict(predictions.by_picture), corrections or {}
        for index, correction in said.items():
            if index < len(predictions.sources) and not needs_network(correction, recipe.settings):
                known.setdefault(index, no_prediction())
        chosen = {index: known[index] for index in (known if indices is None else indices) if index in known}
        if not chosen:
            raise SettingsError(EXPIRED)
        self.predictions.touch(predictions)
        ticket = self.turns.ticket(single=len(chosen) == 1)
        refined = predictions.refined(recipe)
        points = any(said.get(index, NOTHING).prompt for index in chosen)
        session = self._prompt_session(refined, points, on_progress)
        predictor = from_predictions(refined.model, chosen, refined.settings, session)
        return Run(new_run_folder(), predictions, refined, behind, predictor, ticket, frozenset(chosen), corrections)

    def preview(self, run: Run, step: int, target: Target) -> Preview | None:
        """A preview of one cutout with new settings, at screen size; None if there are no cutouts.

        Args:
            run: The run.
            step: Number of the tuning step.
            target: The cutout and the settings.

        Raises:
            SegmentationError: The predictions have expired, or the background is not an upload.
            OvertakenError: A later tuning step has begun.
            TooSlowError: The embedding that a click needs is no longer in memory.
        """
        selected = run.outcomes.selected(target.selected)
        if selected is None:
            return None
        behind = self.backdrop(target.recipe, target.backdrop)
        prediction, correction = run.predictions.by_picture.get(selected[0]), run.corrections.get(selected[0])
        if prediction is None and not needs_network(correction, target.recipe.settings):
            prediction = no_prediction()
        if prediction is None:
            raise SettingsError(EXPIRED)
        keep_alive(run, self.predictions)
        with self._preview_slots:
            refined = run.predictions.refined(target.recipe)
            prediction = self._pointed(run, selected[0], prediction, refined, correction)
            return make_preview(run, step, *selected, prediction, refined, behind, self.config.limits, correction)

    def _pointed(
        self, run: Run, index: int, prediction: Prediction, recipe: Recipe, correction: Correction
    ) -> Prediction:
        """The prediction with what a promptable network says to a correction, stored for the refinement that follows.

        Raises:
            TooSlowError: The picture's embedding is not in memory: a preview is not worth seconds.
        """
        session = self._prompt_session(recipe, bool(correction.prompt)) if prediction.is_networks else None
        if session is None:
            return replace(prediction, pointed=None)
        if is_answered(prediction, correction.prompt, session.spec.id):
            return prediction
        if prediction.embedding is None or prediction.embedding.model != session.spec.id:
            raise TooSlowError
        small = run.predictions.small(run.predictions.sources[index], self.config.limits)
        prediction = point_at(small.picture, prediction, session, correction.prompt)
        self.predictions.store(run.predictions, index, prediction)
        return prediction

    def forget(self, run: Run) -> None:
        """Delete a run from memory and disk: its visitor is gone, has started another, or has the answer."""
        run.abandon()
        self.predictions.forget(run.predictions)
        run.files.delete()
