"""What page and API have in common: the models on offer, their sessions, and runs on uploaded pictures."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from segmentation.batch import Outcome, Step, run_batch
from segmentation.config import Config, names
from segmentation.errors import SegmentationError, SettingsError
from segmentation.image import load_image
from segmentation.matting import is_ready as matting_is_ready
from segmentation.matting import warm_up as warm_up_matting
from segmentation.providers import Device, GpuOptions, available_cores, usable_providers
from segmentation.recipe import Recipe
from segmentation.registry import ModelSpec, Registry, load_offered
from segmentation.session import Session, SessionPool, load_session, threads_for
from segmentation.tensor import overridden
from segmentation.web.drafts import Draft, make_draft
from segmentation.web.kept import NOT_KEPT, Kept, KeptRuns
from segmentation.web.runs import Run
from segmentation.web.uploads import new_run_folder, sweep, uploaded_files
from segmentation.web.zerogpu import for_this_process, for_visitor
from segmentation.weights import where_available

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
        usable_providers(cast("Device", config.device))
        self.kept = KeptRuns(config.runs_mb << 20, config.keep_minutes * 60)
        self._pool = SessionPool(self._load, config.sessions_mb << 20)
        self._shown = threading.local()  # who waits for a download in this thread
        self._slots = threading.BoundedSemaphore(available_cores())  # pictures at work, whoever they belong to
        self._drafting = threading.BoundedSemaphore(available_cores())  # of their own: a hand waits for no batch
        self.registry()

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
                shown(f"Downloading {name}, {done / 1e6:.0f} of {total / 1e6:.0f} MB", done / total if total else None)

        if shown:
            shown(f"Loading {spec.title}", None)
        return load_session(
            spec,
            folder=self.config.models_folder,
            device=cast("Device", self.config.device),
            threads=threads,
            gpu=GpuOptions.of(self.config),
            accepted_licences=self.config.accepted,
            on_progress=on_progress,
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
        kept = Kept(sources, recipe)
        self.kept.add(kept)
        network = for_visitor(session, self.config)
        return Run(new_run_folder(), kept, recipe, behind, network, total=len(sources))

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
        return Run(new_run_folder(), kept, kept.refined(recipe), behind, chosen, total=len(chosen))

    def go_on(self, run: Run, shown: Shown | None = None, *, for_page: bool = False) -> Iterator[bool]:
        """Cut out the pictures of a run; yields whenever something happened and at least every moment.

        Args:
            run: The run.
            shown: Told what is going on.
            for_page: Write thumbnails and the stages of each cutout too.

        Yields:
            Whether another picture is finished.
        """
        network, run.network = run.network, None
        assert network is not None, "a run goes on once"
        run.running = True
        try:
            backdrop = load_image(run.backdrop, max_pixels=self.config.max_pixels) if run.backdrop else None
            events = run_batch(
                run.kept.sources,
                network,
                run.recipe.settings,
                run.folder,
                run.recipe.export,
                backdrop,
                thumbnails=THUMBNAIL_SIDE if for_page else 0,
                stages=for_page,
                max_pixels=self.config.max_pixels,
                slots=self._slots,
            )
            with contextlib.closing(events):
                for event in events:
                    if run.stop.is_set():
                        return
                    if isinstance(event, Outcome):
                        event.report["run"] = run.kept.id
                        # kept in one place only, which is bounded
                        run.outcomes[event.index] = replace(event, prediction=None)
                        if event.prediction:
                            self.kept.keep(run.kept, event.index, event.prediction)
                    elif isinstance(event, Step):
                        run.now = f"{event.name}: {STAGES.get(event.stage, event.stage)}"
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
            return make_draft(run, index, cutout, said, recipe, behind, self.config.max_pixels)

    def in_use(self, run: Run) -> None:
        """Nothing of it may be deleted for its age."""
        self.kept.touch(run.kept)
        run.touch()

    def forget(self, run: Run) -> None:
        """Its visitor is gone or has begun another: nothing of it stays, in memory or on disk."""
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
        _, note = usable_providers(cast("Device", self.config.device))
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
        raise SettingsError("The background is to be a picture, but there is none: add a backdrop.")
    return uploaded_files([named], 1)[0]


def _prepare_matting(recipe: Recipe, shown: Shown | None) -> None:
    if (recipe.settings.alpha_matting or recipe.settings.decontaminate) and not matting_is_ready():
        if shown:
            shown("Preparing alpha matting, once after the installation", None)
        warm_up_matting()


THUMBNAIL_SIDE = 480  # pixels of the longer side: the gallery stays light however large the pictures are

IDLE_SECONDS = 30.0  # a network that had nothing to do for so long gives its memory back

STAGES = {
    "decode": "reading",
    "network": "finding the subject",
    "mask": "making the mask",
    "matting": "matting the outline",
    "colours": "cleaning the edge colours",
    "encode": "writing the file",
}
"""Names of the stages for people, in the order in which they come."""
