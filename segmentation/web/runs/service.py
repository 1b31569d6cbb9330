"""What page and API have in common: the models on offer, their sessions, and runs on uploaded pictures."""

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
from segmentation.config import Config, names
from segmentation.errors import SegmentationError, SessionError, SettingsError
from segmentation.matting.alpha import is_ready as matting_is_ready
from segmentation.matting.alpha import warm_up as warm_up_matting
from segmentation.messages import Message
from segmentation.models.registry import Registry, load_offered
from segmentation.models.spec import ModelSpec
from segmentation.models.weights import where_available
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.probe import usable_providers
from segmentation.network.machine import available_cores
from segmentation.network.pool import SessionPool, threads_for
from segmentation.network.session import Session, load_session
from segmentation.network.tensor import overridden
from segmentation.picture.export import NO_BACKDROP
from segmentation.picture.load import load_image
from segmentation.recipe import Recipe
from segmentation.web.guard.uploads import new_run_folder, sweep, uploaded_files
from segmentation.web.runs.predictions import NOT_KEPT, Kept, KeptRuns, touch_files
from segmentation.web.runs.previews import Draft, make_draft
from segmentation.web.runs.run import Run
from segmentation.web.runs.turns import Ticket, Turns
from segmentation.web.runs.zerogpu import for_this_process, for_visitor

log = logging.getLogger(__name__)

Shown = Callable[[str, float | None], None]
"""Called with what is going on, and how far it is (0..1), if that is known."""


class Service:
    """The models on offer and their shared sessions."""

    def __init__(self, config: Config) -> None:
        """Read the registry; nothing is fetched or loaded yet.

        Raises:
            RegistryError: The registry is wrong, or SEGMATTE_MODELS names a model it does not have.
            SessionError: SEGMATTE_DEVICE cannot be had.
        """
        self.config = config = for_this_process(config)
        usable_providers(config.device)
        self.kept = KeptRuns(config.runs_mb << 20, config.keep_minutes * 60)
        self._pool = SessionPool(self._load, config.sessions_mb << 20)
        self._shown = threading.local()  # who waits for a download in this thread
        self.turns = Turns(available_cores())
        self._given_up: list[Ticket] = []  # runs that did not move
        self._runs: dict[str, Run] = {}  # that pages show, by ids nobody can guess
        self._runs_lock = threading.Lock()
        self._drafting = threading.BoundedSemaphore(available_cores())  # of their own: a hand waits for no batch
        self.registry()

    @property
    def is_stuck(self) -> bool:
        """Whether a run that was given up still keeps a thread of this process."""
        self._given_up = [ticket for ticket in self._given_up if ticket.at_work]
        return bool(self._given_up)

    def _patience(self) -> float:
        """Seconds without any progress after which a run is given up: longer than all may take that is before it."""
        return self.config.run_seconds * max(1, self.turns.at_work) + self.config.stuck_seconds

    def registry(self) -> Registry:
        """The models on offer now: files may have come into the models folder."""
        return load_offered(self.config.registry, self.config.models_folder, names(self.config.models))

    def session(self, model_id: str, pictures: int = 1, shown: Shown | None = None) -> Session:
        """The loaded network of a model for so many pictures, fetched where needed.

        Raises:
            SegmentationError: There is no such model, or it cannot be had.
        """
        self._shown.callback = shown
        spec = self.registry()[model_id]
        return self._pool.get(spec, threads_for(spec, pictures))

    def _load(self, spec: ModelSpec, threads: int | None) -> Session:
        shown = getattr(self._shown, "callback", None)

        def on_progress(name: str, done: int, total: int) -> None:
            if shown:
                text = Message(
                    "Downloading {name}, {done:.0f} of {total:.0f} MB", name=name, done=done / 1e6, total=total / 1e6
                )
                shown(text, done / total if total else None)

        if shown:
            shown(Message("Loading {name}", name=spec.title), None)
        return load_session(
            spec,
            folder=self.config.models_folder,
            device=self.config.device,
            threads=threads,
            gpu=GpuOptions.of(self.config),
            accepted_licences=self.config.accepted,
            on_progress=on_progress,
            seconds=self.config.run_seconds,
            own_models_mb=self.config.own_models_mb,
        )

    # ---------------------------------------------------------------------------------------------------------- runs

    def start(self, paths: Sequence[Any], recipe: Recipe, backdrop: Any = None, shown: Shown | None = None) -> Run:
        """Check all that a visitor asked for and fetch and load what it takes; no picture is touched yet.

        Args:
            paths: The pictures, as the client names them.
            recipe: Model and settings.
            backdrop: The picture behind, as the client names it, where the settings ask for one.
            shown: Told what is going on.

        Raises:
            SegmentationError: Wrong files, no such model, it cannot be had, or it cannot take that size.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        behind = _backdrop(recipe, backdrop)
        session = self.session(recipe.model, len(sources), shown)
        overridden(session.input, recipe.settings)
        _prepare_matting(recipe, shown)
        touch_files(sources)
        kept = Kept(sources, recipe)
        self.kept.add(kept)
        network = for_visitor(session, self.config)
        return Run(
            new_run_folder(),
            kept,
            recipe,
            behind,
            network,
            self.turns.ticket(single=len(sources) == 1),
            total=len(sources),
        )

    def is_complete(self, run: Run, paths: Sequence[Any], recipe: Recipe) -> bool:
        """Whether all these pictures are done in a run whose network was asked the same.

        Raises:
            ImageError: They are no uploads.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        return not run.missing and set(sources) == set(run.kept.sources) and run.kept.asks_the_same(recipe)

    def rest(
        self,
        run: Run,
        paths: Sequence[Any],
        recipe: Recipe,
        backdrop: Any = None,
        indices: Iterable[int] | None = None,
        shown: Shown | None = None,
    ) -> Run | None:
        """The run that does what is missing of another: pictures added since, not reached, or failed.

        Args:
            run: The other one; it knows the added pictures from now on.
            paths: All pictures, as the client names them.
            recipe: Model and settings.
            backdrop: As in `start`.
            indices: Numbers of the pictures to do; all that are missing by default.
            shown: Told what is going on.

        Returns:
            None where nothing is missing, pictures of it were taken away, or the network is to be asked something else.

        Raises:
            SegmentationError: As `start`.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        if run.running or not set(run.kept.sources) <= set(sources) or not run.kept.asks_the_same(recipe):
            return None
        added = [source for source in sources if source not in run.kept.sources]
        if indices is None and not run.missing and not added:
            return None
        behind = _backdrop(recipe, backdrop)
        session = self.session(recipe.model, len(sources), shown)
        _prepare_matting(recipe, shown)
        run.kept.sources.extend(added)
        run.total = len(run.kept.sources)
        self.kept.add(run.kept)  # it may have been forgotten
        self.in_use(run)
        only = frozenset(run.missing if indices is None else indices)
        ticket = self.turns.ticket(single=len(only) == 1)
        network = for_visitor(session, self.config)
        return Run(new_run_folder(), run.kept, recipe, behind, network, ticket, only, total=len(only))

    @staticmethod
    def backdrop(recipe: Recipe, named: Any) -> Path | None:
        """The picture behind, as the client names it, proved to be an upload; None where the settings ask for none.

        Raises:
            SegmentationError: There is none, or it is no upload.
        """
        return _backdrop(recipe, named)

    def again(
        self,
        kept: Kept,
        recipe: Recipe,
        backdrop: Any = None,
        indices: Iterable[int] | None = None,
        shown: Shown | None = None,
    ) -> Run:
        """The run that makes new cutouts of what the network said before.

        Args:
            kept: Of which run.
            recipe: The new settings; model, mean, std and size stay what the network was asked with.
            backdrop: As in `start`.
            indices: Numbers of the pictures; all that are kept by default.
            shown: Told what is going on.

        Raises:
            SegmentationError: Nothing is kept any more, or the background is not an upload.
        """
        behind = _backdrop(recipe, backdrop)
        _prepare_matting(recipe, shown)
        said = dict(kept.predictions)
        chosen = {index: said[index] for index in (said if indices is None else indices) if index in said}
        if not chosen:
            raise SettingsError(NOT_KEPT)
        self.kept.touch(kept)
        ticket = self.turns.ticket(single=len(chosen) == 1)
        refined, only = kept.refined(recipe), frozenset(chosen)
        return Run(new_run_folder(), kept, refined, behind, chosen, ticket, only, total=len(only))

    def go_on(
        self,
        run: Run,
        shown: Shown | None = None,
        *,
        for_page: bool = False,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Iterator[bool]:
        """Cut out the pictures of a run; yields whenever something happened and at least every moment.

        Args:
            run: The run.
            shown: Told what is going on.
            for_page: Write thumbnails and the stages of each cutout too.
            is_gone: Asked now and then whether nobody waits for the answer any longer.

        Yields:
            Whether another picture is finished.

        Raises:
            SegmentationError: The backdrop cannot be read, nobody waits for the answer, or the run is stuck.
        """
        network, run.network = run.network, None
        assert network is not None, "a run goes on once"
        run.running = True
        moved = used = time.monotonic()
        try:
            backdrop = load_image(run.backdrop, **self.config.limits._asdict()) if run.backdrop else None
            events = run_batch(
                run.kept.sources,
                network,
                run.recipe.settings,
                run.folder,
                run.recipe.export,
                backdrop,
                thumbnails=THUMBNAIL_SIDE if for_page else 0,
                stages=for_page,
                limits=self.config.limits,
                slots=run.ticket,
                only=run.only,
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
                        event.report["run"] = run.kept.id
                        # kept in one place only, which is bounded
                        run.outcomes[event.index] = replace(event, prediction=None)
                        if event.prediction:
                            self.kept.keep(run.kept, event.index, event.prediction)
                    elif isinstance(event, Step):
                        run.now = Message("{name}: {stage}", name=event.name, stage=STAGES[event.stage])
                        if shown:
                            shown(run.now, run.done)
                    yield isinstance(event, Outcome)
        finally:
            run.running = False

    def draft(self, run: Run, recipe: Recipe, backdrop: Any = None) -> Draft | None:
        """The selected picture with other settings, at screen size and at once; None where nothing is selected.

        Raises:
            SegmentationError: Nothing is kept any more, or the background is not an upload.
        """
        if run.looked_at is None:
            return None
        index, cutout = run.looked_at
        behind = _backdrop(recipe, backdrop)
        said = run.kept.predictions.get(index)
        if said is None:
            raise SettingsError(NOT_KEPT)
        self.in_use(run)
        with self._drafting:
            return make_draft(run, index, cutout, said, recipe, behind, self.config.limits)

    def in_use(self, run: Run) -> None:
        """Nothing of it may be deleted for its age."""
        self.kept.touch(run.kept)
        run.touch()

    def show(self, run: Run) -> str:
        """A page shows it: it can come back to it by the id that is returned."""
        with self._runs_lock:
            self._runs[run.kept.id] = run
        return run.kept.id

    def come_back(self, run_id: object) -> Run | None:
        """The run that a page showed before it was loaded again; None where it is gone."""
        with self._runs_lock:
            run = self._runs.get(run_id) if isinstance(run_id, str) else None
            if run is None or not run.outcomes or not run.folder.is_dir():
                return None
            run.pages += 1
        self.in_use(run)
        return run

    def leave(self, run: Run) -> None:
        """A page shows it no longer; when none does, nothing of it stays."""
        if run.replaces:
            replaced, run.replaces = run.replaces, None
            self.leave(replaced)
        with self._runs_lock:
            run.pages -= 1
            left = run.pages <= 0
        if left:
            self.forget(run)

    def forget(self, run: Run) -> None:
        """Its visitor is gone or has begun another: nothing of it stays, in memory or on disk."""
        with self._runs_lock:
            self._runs.pop(run.kept.id, None)
        run.end()
        self.kept.forget(run.kept)
        run.delete()

    # -------------------------------------------------------------------------------------------------------- models

    def models(self) -> list[dict[str, Any]]:
        """The models on offer as plain data, with whether they are on this disk and loaded."""
        loaded = self._pool.loaded()
        return [self._described(spec, loaded.get(spec.id)) for spec in self.registry().values()]

    def _described(self, spec: ModelSpec, session: Session | None) -> dict[str, Any]:
        licence = spec.licence
        _, note = usable_providers(self.config.device)
        return {
            "id": spec.id,
            "title": spec.title,
            "about": spec.about,
            "tasks": list(spec.tasks),
            "licence": licence.name,
            "licence_url": licence.url,
            "licence_note": spec.licence_note,
            "commercial_use": licence.commercial,
            "usable": not licence.needs_acceptance or licence.id in self.config.accepted,
            "bytes": spec.weights.size,
            "on_disk": where_available(spec, self.config.models_folder) is not None,
            "loaded_on": session.provider if session else None,
            "provider_note": session.provider_note if session else note,
            "input_size": spec.input.size,
            "any_size": spec.input.dynamic,
            "source": spec.origin.url,
            "paper": spec.origin.paper,
        }

    # ---------------------------------------------------------------------------------------------- behind the page

    def prepare(self) -> None:
        """Load the default model and compile the matting; for a thread behind the running page."""
        try:
            session = self.session(next(iter(self.registry())))
            log.info("%s is ready on %s", session.spec.title, session.provider)
        except SegmentationError as error:
            log.warning("%s", error)
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
                    gone = [run for run in self._runs.values() if not run.running and not run.folder.is_dir()]
                for run in gone:  # its files were deleted for their age
                    self.forget(run)
            try:
                self._pool.rest(IDLE_SECONDS)
                self.kept.trim()
            except SegmentationError:
                log.exception("an idle network could not give its memory back")
            time.sleep(IDLE_SECONDS / 3)


def _backdrop(recipe: Recipe, named: Any) -> Path | None:
    if recipe.export.background != "picture":
        return None
    if not named:
        raise SettingsError(NO_BACKDROP)
    return uploaded_files([named], 1)[0]


def _prepare_matting(recipe: Recipe, shown: Shown | None) -> None:
    if (recipe.settings.alpha_matting or recipe.settings.decontaminate) and not matting_is_ready():
        if shown:
            shown(Message("Preparing alpha matting, once after the installation"), None)
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
