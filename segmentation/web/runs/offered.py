"""The models on offer and their networks, each loaded once for all visitors."""

import logging
from functools import partial
from typing import Any

from segmentation.config import Config
from segmentation.errors import SegmentationError
from segmentation.messages import Message
from segmentation.models.registry import Registry, load_offered
from segmentation.models.spec import ModelSpec
from segmentation.models.weights import where_available
from segmentation.network.gpu.probe import usable_providers
from segmentation.network.pool import SessionPool, threads_for
from segmentation.network.session import Session, load_configured
from segmentation.web.events import OnProgress

log = logging.getLogger(__name__)


class OfferedModels:
    """The registry's models and a pool of loaded networks. Thread-safe."""

    def __init__(self, config: Config) -> None:
        """Read the registry. Nothing is fetched or loaded yet.

        Raises:
            RegistryError: The registry is wrong, or SEGMATTE_MODELS names a model it does not have.
            SessionError: SEGMATTE_DEVICE is unavailable.
        """
        self._config = config
        usable_providers(config.device)
        self._pool = SessionPool(self._load, config.sessions_mb << 20)
        self.registry()

    def registry(self) -> Registry:
        """The models on offer now: files may have been added to the models folder."""
        return load_offered(self._config)

    def session(self, model_id: str, pictures: int = 1, on_progress: OnProgress | None = None) -> Session:
        """The loaded network of a model, fetched if needed.

        Args:
            model_id: Id of the model.
            pictures: How many pictures it will be run on.
            on_progress: Progress callback for downloads.

        Raises:
            SegmentationError: The model is unknown or unavailable.
        """
        spec = self.registry()[model_id]
        return self._pool.get(spec, threads_for(spec, pictures), partial(self._load, on_progress=on_progress))

    def _load(self, spec: ModelSpec, threads: int | None, on_progress: OnProgress | None = None) -> Session:
        def on_bytes(name: str, done: int, total: int) -> None:
            if on_progress:
                text = Message(
                    "Downloading {name}, {done:.0f} of {total:.0f} MB", name=name, done=done / 1e6, total=total / 1e6
                )
                on_progress(text, done / total if total else None)

        if on_progress:
            on_progress(Message("Loading {name}", name=spec.title), None)
        return load_configured(spec, self._config, threads=threads, on_progress=on_bytes)

    def as_json(self) -> list[dict[str, Any]]:
        """The models on offer as plain data, including whether each is on disk and loaded."""
        loaded = self._pool.loaded()
        return [self._described(spec, loaded.get(spec.id)) for spec in self.registry().values()]

    def _described(self, spec: ModelSpec, session: Session | None) -> dict[str, Any]:
        licence = spec.licence
        _, note = usable_providers(self._config.device)
        return {
            "id": spec.id,
            "title": spec.title,
            "about": spec.about,
            "tasks": list(spec.tasks),
            "licence": licence.name,
            "licence_url": licence.url,
            "licence_note": spec.licence_note,
            "commercial_use": licence.commercial,
            "usable": not licence.needs_acceptance or licence.id in self._config.accepted,
            "bytes": spec.weights.size,
            "on_disk": where_available(spec, self._config.models_folder) is not None,
            "loaded_on": session.provider if session else None,
            "provider_note": session.provider_note if session else note,
            "input_size": spec.input.size,
            "any_size": spec.input.dynamic,
            "classes": list(spec.output.class_names),
            "source": spec.origin.url,
            "paper": spec.origin.paper,
        }

    def load_default(self) -> None:
        """Load the first model before it is needed."""
        try:
            session = self.session(next(iter(self.registry())))
            log.info("%s is ready on %s", session.spec.title, session.provider)
        except SegmentationError as error:
            log.warning("%s", error)

    def give_memory_back(self, idle_seconds: float) -> None:
        """Free the memory of every network that has been idle this long."""
        try:
            self._pool.rest(idle_seconds)
        except SegmentationError:
            log.exception("could not free the memory of an idle network")
