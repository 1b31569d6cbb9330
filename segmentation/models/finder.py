"""A model's name -> its inspection: an id of the registry, a file of the models folder, a repository on the Hub.

Only registered models are known without being inspected. The graphs of all others are read in a process of their own.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from segmentation.errors import RegistryError
from segmentation.messages import Message
from segmentation.models.hub_known import look_up, remember
from segmentation.models.hub_model import hub_model, with_data
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_repository import HubRepository
from segmentation.models.hub_variants import variants
from segmentation.models.inspection.apart import read_graph_apart
from segmentation.models.inspection.declared import NOTHING, read_declared
from segmentation.models.inspection.inspection import Inspection, inspection_of
from segmentation.models.inspection.local import declared_beside
from segmentation.models.registry import Registry
from segmentation.models.spec import ModelSpec, Progress
from segmentation.models.weights import fetch_weights

Hold = Callable[[ModelSpec], AbstractContextManager[None]]
"""Called around the download of a model from the Hub."""

_KEPT = 100  # inspections in memory


class ModelFinder:
    """Finds models by name and inspects them once. Thread-safe."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        folder: Path,
        *,
        accepted_licences: Iterable[str] = (),
        check: Callable[[HubRepository], None] = lambda _: None,
        check_reference: Callable[[HubReference], None] = lambda _: None,
        most_bytes: int | None = None,
        hold: Hold = lambda _: nullcontext(),
    ) -> None:
        """Start without any.

        Args:
            registry: Returns the models of the registry and the models folder.
            folder: The models folder.
            accepted_licences: Ids of the licences that were accepted.
            check_reference: Raises for a name that may not be asked for.
            check: Raises for a repository that may not be used.
            most_bytes: Size of a model on the Hub, its data files included.
            hold: Called around the download of a model from the Hub.
        """
        self._registry, self._folder = registry, folder
        self._accepted = frozenset(accepted_licences)
        self._check_reference, self._check, self._most_bytes, self._hold = check_reference, check, most_bytes, hold
        self._known: OrderedDict[str, Inspection] = OrderedDict()  # by id and file
        self._lock, self._inspecting = threading.Lock(), dict[str, threading.Lock]()

    def spec(self, name: str, on_progress: Progress | None = None) -> ModelSpec:
        """The model of that name with its contract; one without a registry entry is inspected for it.

        Raises:
            SegmentationError: See `inspect`.
        """
        models = self._registry()
        if name in models and models[name].registered:
            return models[name]
        return self.inspect(name, on_progress).spec

    def inspect(self, name: str, on_progress: Progress | None = None) -> Inspection:
        """The inspection of the model of that name, which is downloaded if needed.

        Args:
            name: An id of the registry, a file of the models folder, or `owner/name[@revision][:file]`.
            on_progress: Called while bytes arrive.

        Raises:
            RegistryError: Nothing has that name.
            SettingsError: It may not be used.
            WeightsError: It cannot be downloaded.
            SessionError: It is not an ONNX network.
        """
        models = self._registry()
        if name in models:
            return self._inspected(models[name], NOTHING, on_progress)
        reference = HubReference.parse(name)
        if reference is None:
            raise RegistryError(
                Message(
                    "There is no model {name}. Choose one of {known}; or name one on the Hub as owner/name.",
                    name=repr(name[:80]), known=", ".join(models),
                )
            )  # fmt: skip
        self._check_reference(reference)
        repository = look_up(reference)
        self._check(repository)
        path = repository.choose(reference.file, self._most_bytes).variant.path
        return self._on_hub(repository, path, on_progress)
