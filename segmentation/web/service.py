"""What page and API have in common: the models on offer, their sessions, and runs on uploaded pictures."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from segmentation.batch import Outcome, Report, Step, run_batch, write_zip
from segmentation.config import Config, names
from segmentation.errors import SegmentationError
from segmentation.matting import is_ready as matting_is_ready
from segmentation.matting import warm_up as warm_up_matting
from segmentation.providers import Device, GpuOptions, available_cores, usable_providers
from segmentation.registry import ModelSpec, Registry, load_offered
from segmentation.session import Session, SessionPool, load_session, threads_for
from segmentation.settings import Settings
from segmentation.tensor import overridden
from segmentation.web.uploads import new_run_folder, sweep, uploaded_files
from segmentation.web.zerogpu import for_this_process, for_visitor
from segmentation.weights import where_available

log = logging.getLogger(__name__)

Shown = Callable[[str, float | None], None]
"""Called with what is going on, and how far it is (0..1), if that is known."""


@dataclass
class Run:
    """A run so far: files and reports in the order of the pictures, whatever order they finish in."""

    folder: Path
    sources: list[Path]
    session: Session | None  # until the run has begun: a visitor's page must not keep a network loaded
    settings: Settings
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    now: str = ""  # which picture is in which stage
    running: bool = True
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def files(self) -> list[Path]:
        """The cutouts."""
        return [file for _, outcome in sorted(self.outcomes.items()) for file in outcome.files]

    @property
    def reports(self) -> list[Report]:
        """An entry a picture."""
        return [outcome.report for _, outcome in sorted(self.outcomes.items())]

    @property
    def done(self) -> float:
        """Share of the pictures that are finished."""
        return len(self.outcomes) / len(self.sources)

    def zip_file(self) -> Path | None:
        """All cutouts in one ZIP, where there are several."""
        return write_zip(self.files, self.folder / "cutouts.zip") if len(self.files) > 1 else None


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
        self._pool = SessionPool(self._load, config.sessions_mb << 20)
        self._shown = threading.local()  # who waits for a download in this thread
        self._slots = threading.BoundedSemaphore(available_cores())  # pictures at work, whoever they belong to
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

    def start(self, paths: Sequence[Any], model_id: str, settings: Settings, shown: Shown | None = None) -> Run:
        """Check all that a visitor asked for and fetch and load what it takes; no picture is touched yet.

        Raises:
            SegmentationError: Wrong files, no such model, it cannot be had, or it cannot take that size.
        """
        sources = uploaded_files(paths, self.config.max_pictures)
        session = self.session(model_id, len(sources), shown)
        overridden(session.input, settings)
        if settings.alpha_matting and not matting_is_ready():
            if shown:
                shown("Preparing alpha matting, once after the installation", None)
            warm_up_matting()
        return Run(new_run_folder(), sources, for_visitor(session, self.config), settings)

    def go_on(self, run: Run, shown: Shown | None = None) -> Iterator[bool]:
        """Cut out the pictures of a run; yields whenever something happened and at least every moment.

        Yields:
            Whether another picture is finished.
        """
        session, run.session = run.session, None
        assert session is not None, "a run goes on once"
        events = run_batch(
            run.sources, session, run.settings, run.folder, max_pixels=self.config.max_pixels, slots=self._slots
        )
        try:
            for event in events:
                if run.stop.is_set():
                    return
                if isinstance(event, Outcome):
                    run.outcomes[event.index] = event
                elif isinstance(event, Step):
                    run.now = f"{event.name}: {STAGES.get(event.stage, event.stage)}"
                    if shown:
                        shown(run.now, run.done)
                yield isinstance(event, Outcome)
        finally:
            run.running = False
            events.close()

    def models(self) -> list[dict[str, Any]]:
        """The models on offer as plain data, with whether they are on this disk and loaded."""
        loaded = self._pool.loaded()
        return [self._described(spec, loaded.get(spec.id)) for spec in self.registry().values()]

    def _described(self, spec: ModelSpec, provider: str | None) -> dict[str, Any]:
        licence = spec.licence
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
            "loaded_on": provider,
            "input_size": spec.input.size,
            "any_size": spec.input.dynamic,
            "source": spec.origin.url,
            "paper": spec.origin.paper,
        }

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
            except SegmentationError:
                log.exception("an idle network could not give its memory back")
            time.sleep(IDLE_SECONDS / 3)


IDLE_SECONDS = 30.0  # a network that had nothing to do for so long gives its memory back

STAGES = {
    "decode": "reading",
    "network": "finding the subject",
    "mask": "making the mask",
    "matting": "matting the outline",
    "encode": "writing the PNG",
}
"""Names of the stages for people."""
