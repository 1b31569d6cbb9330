"""The models on offer and their networks, each loaded once for all visitors."""

import logging
from contextlib import nullcontext
from functools import partial
from typing import Any

from segmentation.config import Config
from segmentation.errors import SegmentationError
from segmentation.messages import Message
from segmentation.models.choice import promptable_of
from segmentation.models.hub_errors import HUB_ANSWER_SECONDS
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.models_folder import folder_state
from segmentation.models.reach import ask_hub
from segmentation.models.registry import Registry, load_offered
from segmentation.models.spec import HubSource, ModelSpec, Progress, WheelSource
from segmentation.models.weights import where_available
from segmentation.network.gpu.probe import usable_providers
from segmentation.network.pool import SessionPool, threads_for
from segmentation.network.session import Session, load_configured
from segmentation.network.speed import Seconds, Speeds
from segmentation.prediction import Prediction
from segmentation.web.events import OnProgress
from segmentation.web.runs.default_model import decide
from segmentation.web.runs.named_models import NamedModels
from segmentation.web.runs.offer import LICENCE, UNREACHABLE, Offer
from segmentation.web.texts import file_size

log = logging.getLogger(__name__)


class OfferedModels:
    """The registry's models and a pool of loaded networks. Thread-safe."""

    def __init__(self, config: Config) -> None:
        """Read the registry and decide on the default model. Nothing is fetched or loaded yet.

        Raises:
            RegistryError: The registry is wrong, or SEGMATTE_MODELS names a model it does not have.
            SessionError: SEGMATTE_DEVICE is unavailable.
        """
        self._config = config
        usable_providers(config.device)
        self._pool = SessionPool(self._load, config.sessions_mb << 20)
        self._speeds = Speeds()
        self.named = NamedModels(config, lambda: load_offered(config), lambda: self._pool.loaded())
        decision = decide(config, load_offered(config), lambda spec: self.seconds(spec).value)
        self._default = decision.model.id
        self._hub_reached = decision.hub != "silent"
        log.info("%s is the default model: %s", self._default, decision.reason)

    def registry(self) -> Registry:
        """The models on offer now: files may have been added to the models folder."""
        return load_offered(self._config).with_default(self._default)

    def folder_state(self) -> str:
        """A value that changes when a file of the models folder appears, is replaced or goes."""
        return folder_state(self._config)

    def seconds(self, spec: ModelSpec, session: Session | None = None) -> Seconds:
        """What a model's network takes for one picture on this machine."""
        providers, _ = usable_providers(self._config.device)
        return self._speeds.of(spec, session.provider if session else providers[0])

    def ran(self, prediction: Prediction, pictures: int) -> None:
        """Take note of what a picture took, unless it was one of many, which share the cores.

        Args:
            prediction: The picture's, made at the model's own size.
            pictures: How many its run has.
        """
        spec, seconds = self.named.known(prediction.model), prediction.timings.get("network")
        if spec and seconds is not None and threads_for(spec, pictures) is None:
            self._speeds.record(spec, prediction.provider, seconds)

    def session(self, model_id: str, pictures: int = 1, on_progress: OnProgress | None = None) -> Session:
        """The loaded network of a model, fetched if needed.

        Args:
            model_id: Id of the model, or its name on the Hub.
            pictures: How many pictures it will be run on.
            on_progress: Progress callback for downloads.

        Raises:
            SegmentationError: The model is unknown or unavailable.
        """
        spec = self.named.find(str(model_id), _on_bytes(on_progress))
        return self._pool.get(spec, threads_for(spec, pictures), partial(self._load, on_progress=on_progress))

    def promptable(self, model_id: str) -> ModelSpec:
        """The model of this id, which must be promptable.

        Raises:
            RegistryError: There is no such model.
            SettingsError: It is not promptable.
        """
        return promptable_of(self.registry(), model_id)

    def inspect(self, model_id: str, on_progress: OnProgress | None = None) -> Inspection:
        """What a model is and how it would be used; its file is fetched if needed.

        Raises:
            SegmentationError: The model is unknown or unavailable.
        """
        return self.named.inspect(str(model_id), _on_bytes(on_progress))

    def _load(self, spec: ModelSpec, threads: int | None, on_progress: OnProgress | None = None) -> Session:
        if on_progress:
            on_progress(Message("Loading {name}", name=spec.title), None)
        path = self.named.uploaded_path(spec.id)
        with nullcontext() if spec.registered or path else self.named.holding(spec):
            return load_configured(spec, self._config, path=path, threads=threads, on_progress=_on_bytes(on_progress))

    def offers(self) -> list[Offer]:
        """The models on offer, including whether each is on disk and loaded, and how long it takes."""
        loaded = self._pool.loaded()
        _, note = usable_providers(self._config.device)
        return [self._offer(spec, loaded.get(spec.id), note) for spec in self.registry().values()]

    def offer(self, model_id: str) -> Offer | None:
        """One of them; None if there is no such model."""
        spec = self.named.known(model_id)
        _, note = usable_providers(self._config.device)
        return self._offer(spec, self._pool.loaded().get(model_id), note) if spec else None

    def as_json(self) -> list[dict[str, Any]]:
        """The models on offer as plain data."""
        return [offer.as_json() for offer in self.offers()]

    def _offer(self, spec: ModelSpec, session: Session | None, note: str) -> Offer:
        accepted = not spec.licence.needs_acceptance or spec.licence.id in self._config.accepted
        on_disk = where_available(spec, self._config.models_folder) is not None
        can_be_had = (
            on_disk or self._hub_reached or any(isinstance(source, WheelSource) for source in spec.weights.sources)
        )
        return Offer(
            spec=spec,
            is_default=spec.id == self._default,
            on_disk=on_disk,
            seconds=self.seconds(spec, session),
            is_accepted=accepted,
            refusal=LICENCE if not accepted else None if can_be_had else UNREACHABLE,
            loaded_on=session.provider if session else None,
            provider_note=session.provider_note if session else note,
        )

    @property
    def is_default_loaded(self) -> bool:
        """Whether the default model is in memory."""
        return self._default in self._pool.loaded()

    def load_default(self) -> None:
        """Load the default model before it is needed. If that fails, the first of the registry is the default."""
        try:
            session = self.session(self._default)
        except SegmentationError as error:
            first = load_offered(self._config).default.id
            if first == self._default:
                log.warning("%s", error)
                return
            log.warning("%s %s is the default model instead.", error, first)
            self._default = first
            self.load_default()
        else:
            log.info("%s is ready on %s", session.spec.title, session.provider)

    def look_for_hub(self) -> None:
        """Find out whether the Hub can be reached again, if it could not."""
        sources = (source for spec in self.registry().values() for source in spec.weights.sources)
        source = next((source for source in sources if isinstance(source, HubSource)), None)
        if not self._hub_reached and source is not None:
            self._hub_reached = ask_hub(source, HUB_ANSWER_SECONDS) != "silent"

    def pinned(self, model_id: str) -> str:
        """The id that a run with this model records: a repository's name with its commit and file, if known."""
        spec = self.named.known(model_id)
        return spec.id if spec else model_id

    def give_memory_back(self, idle_seconds: float) -> None:
        """Free the memory of every network that has been idle this long."""
        try:
            self._pool.rest(idle_seconds)
        except SegmentationError:
            log.exception("could not free the memory of an idle network")


def _on_bytes(on_progress: OnProgress | None) -> Progress | None:
    """Reports a download to a visitor."""
    if on_progress is None:
        return None

    def report(name: str, done: int, total: int) -> None:
        text = Message("Downloading {name}, {done} of {total}", name=name, done=file_size(done), total=file_size(total))
        on_progress(text, done / total if total else None)

    return report
