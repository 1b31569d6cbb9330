"""Models beyond the registry: on the Hub by their names, in the models folder, or uploaded by a visitor."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from segmentation.config import Config
from segmentation.errors import SegmentationError, SettingsError
from segmentation.messages import Message
from segmentation.models.finder import ModelFinder
from segmentation.models.hub_disk import HubDisk
from segmentation.models.hub_downloads import DownloadTurns
from segmentation.models.hub_policy import check_allowed, check_enabled, check_repository, is_allowed
from segmentation.models.hub_reference import HubReference, no_model
from segmentation.models.hub_search import HubHit, search_models
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.registry import Registry, load_registered
from segmentation.models.spec import ModelSpec, Progress
from segmentation.models.uploaded_models import PREFIX, UploadedModels
from segmentation.models.weights import where_available
from segmentation.web.guard.doorman import client_address


class NamedModels:
    """What visitors may name, within the operator's limits. Thread-safe."""

    def __init__(self, config: Config, registry: Callable[[], Registry], loaded: Callable[[], Collection[str]]) -> None:
        """Start with what is in the Hub's cache.

        Args:
            config: The operator's configuration.
            registry: Returns the models of the registry and the models folder.
            loaded: Returns the ids of the models in memory.
        """
        self._config, self._registry = config, registry
        most = config.hub_file_mb << 20
        self._uploads = UploadedModels(config.keep_minutes * 60, most)
        self._downloads = DownloadTurns(at_once=max(1, config.concurrency))
        self._disk = HubDisk(config.hub_disk_mb << 20, registry().values(), loaded)
        self._finder = ModelFinder(
            registry,
            config.models_folder,
            registered=load_registered(config).values(),
            accepted_licences=config.accepted,
            most_bytes=most,
            check=partial(check_allowed, config=config),
            check_repository=partial(check_repository, config=config),
            hold=self.holding,
        )

    def inspect(self, model_id: str, on_progress: Progress | None = None) -> Inspection:
        """The inspection of a model, which is downloaded if needed.

        Raises:
            SegmentationError: The model is unknown, may not be used, or is unavailable.
        """
        if model_id.startswith(PREFIX):
            uploaded = self._uploads.get(model_id)
            return self._finder.inspect_file(uploaded.spec, uploaded.path)
        return self._finder.inspect(model_id, on_progress)

    def find(self, model_id: str, on_progress: Progress | None = None) -> ModelSpec:
        """The model with its contract.

        Raises:
            SegmentationError: As `inspect`; or it is no segmentation model.
        """
        if model_id.startswith(PREFIX):
            return self.inspect(model_id).usable_spec
        return self._finder.spec(model_id, on_progress)

    def known(self, model_id: str) -> ModelSpec | None:
        """The model, if that is known without asking the Hub or reading a file."""
        offered = self._registry().find(model_id)
        if offered and offered.registered:
            return offered
        if model_id.startswith(PREFIX):
            try:
                return self._uploads.get(model_id).spec
            except SegmentationError:
                return None
        return self._finder.known(model_id) or offered

    def may_be_named(self, model_id: str) -> bool:
        """Whether a run with this model may work; for one on the Hub, only that tells."""
        if self.known(model_id):
            return True
        try:
            reference = HubReference.parse(model_id)
        except SettingsError:
            return False
        return reference is not None and is_allowed(reference, self._config)

    def is_name(self, text: str) -> bool:
        """Whether a text names one model, rather than being words to search for.

        Raises:
            SettingsError: It is a link to something else.
        """
        named = self.known(text) is not None or HubReference.parse(text) is not None
        if not named and "://" in text:
            raise no_model(text)
        return named

    def search(self, words: str) -> tuple[HubHit, ...]:
        """Models on the Hub, found by words; only those that may be named.

        Raises:
            WeightsError: The Hub cannot be reached.
            SettingsError: The operator has switched this off.
        """
        check_enabled(self._config)
        return search_models(words, allowed=partial(is_allowed, config=self._config))

    def add_upload(self, path: Path, name: str) -> ModelSpec:
        """A visitor's own model, whose id only this visitor knows.

        Args:
            path: The uploaded file, verified to be one.
            name: What the visitor calls it.

        Raises:
            SettingsError: The operator does not allow it.
            WeightsError: It is too large, or not a whole ONNX file.
        """
        if not self._config.model_uploads:
            raise SettingsError(Message("Models cannot be uploaded here: the operator has not allowed it."))
        return self._uploads.add(path, name)

    def uploaded_path(self, model_id: str) -> Path | None:
        """The file of an uploaded model; None for any other."""
        return self._uploads.get(model_id).path if model_id.startswith(PREFIX) else None

    @contextmanager
    def holding(self, spec: ModelSpec) -> Iterator[None]:
        """Download a model from the Hub in this block: it is this visitor's turn, and there is room for it.

        Raises:
            WeightsError: Another download is in progress, or there is no room.
        """
        with self._disk.holding(spec):
            if where_available(spec, self._config.models_folder) is not None:
                yield
                return
            with self._downloads.turn(client_address.get()):
                yield

    def expire(self) -> None:
        """Delete the uploaded models whose time is over."""
        self._uploads.expire()
