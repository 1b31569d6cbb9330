"""A model's name -> its inspection: an id of the registry, a file of the models folder, a repository on the Hub.

Only registered models are known without being inspected. The graphs of all others are read in a process of their own.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Self

from segmentation.config import Config
from segmentation.errors import RegistryError
from segmentation.messages import Message
from segmentation.models.hub_model import FoundModel, find_model, with_data
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_repository import HubRepository
from segmentation.models.inspection.apart import read_graph_apart
from segmentation.models.inspection.declared import NOTHING, read_declared
from segmentation.models.inspection.inspection import Inspection, inspection_of
from segmentation.models.local_models import inspect_local, inspect_path
from segmentation.models.registry import Registry, load_registered, load_registry
from segmentation.models.spec import ModelSpec, Progress
from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights

Hold = Callable[[ModelSpec], AbstractContextManager[None]]
"""Called around the download of a model from the Hub."""

_KEPT = 100  # inspections in memory


class ModelFinder:
    """Finds models by name, and inspects each once. Thread-safe."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        folder: Path,
        *,
        registered: Iterable[ModelSpec],
        paths: bool = False,
        accepted_licences: Iterable[str] = (),
        most_bytes: int | None = None,
        check: Callable[[HubReference], None] = lambda _: None,
        check_repository: Callable[[HubRepository], None] = lambda _: None,
        hold: Hold = lambda _: nullcontext(),
    ) -> None:
        """Start without any.

        Args:
            registry: Returns the models on offer: of the registry and the models folder.
            folder: The models folder.
            registered: All registered models, one of which may be the same file or repository.
            paths: Whether a path on this disk is a name too.
            accepted_licences: Ids of the licences that were accepted.
            most_bytes: Size of a model on the Hub, its data files included.
            check: Raises for a name on the Hub that may not be used.
            check_repository: Raises for a repository that may not be used.
            hold: Called around the download of a model from the Hub.
        """
        self._registry, self._folder, self._accepted = registry, folder, frozenset(accepted_licences)
        self._registered, self._paths = tuple(spec for spec in registered if spec.registered), paths
        self._most_bytes, self._check, self._check_repository = most_bytes, check, check_repository
        self._hold = hold
        self._known: OrderedDict[str, Inspection] = OrderedDict()  # by id and file
        self._lock, self._reading = threading.Lock(), dict[str, threading.Lock]()

    @classmethod
    def of(cls, config: Config, registry: Registry) -> Self:
        """One for whoever runs this machine, who may name any repository, and any file."""
        return cls(
            lambda: registry,
            config.models_folder,
            registered=load_registered(config).values(),
            paths=True,
            accepted_licences=config.accepted,
        )

    def spec(self, name: str, on_progress: Progress | None = None) -> ModelSpec:
        """The model of that name with its contract; one without a registry entry is inspected for it.

        Raises:
            SegmentationError: See `inspect`; or it cannot be used for pictures.
        """
        offered = self._registry().find(name)
        if offered and offered.registered:
            return offered
        return self.inspect(name, on_progress).usable_spec

    def known(self, name: str) -> ModelSpec | None:
        """The model of that name, if it has been inspected."""
        with self._lock:
            found = next((each for each in reversed(self._known.values()) if each.spec.id == name), None)
        return found.spec if found else None

    def inspect(self, name: str, on_progress: Progress | None = None) -> Inspection:
        """The inspection of the model of that name, whose file is downloaded if needed.

        Args:
            name: An id of the registry, a file of the models folder, or `owner/name[@revision][:file]`. With `paths`,
                the path of a file or folder comes before the Hub.
            on_progress: Called while bytes arrive.

        Raises:
            RegistryError: Nothing has that name.
            SettingsError: It may not be used.
            WeightsError: It cannot be downloaded.
            SessionError: It is not an ONNX network.
        """
        models = self._registry()
        if name in models:
            spec = models[name]
            path = fetch_weights(spec, self._folder, accepted_licences=self._accepted, on_progress=on_progress)
            return self.inspect_file(spec, path)
        if self._paths and (path := Path(name).expanduser()).exists():
            return inspect_path(path, self._registered)
        reference = HubReference.parse(name)
        if reference is None:
            raise RegistryError(
                Message(
                    "There is no model {name}. Choose one of {known}; or name one on the Hub as owner/name.",
                    name=repr(name[:80]), known=", ".join(models),
                )
            )  # fmt: skip
        self._check(reference)
        if kept := self._kept(name):  # pinned, and allowed when it was inspected
            return kept
        found = find_model(reference, self._registered, self._most_bytes)
        self._check_repository(found.repository)
        return self._once(found.spec.id, lambda: self._on_hub(found, on_progress))

    def inspect_file(self, spec: ModelSpec, path: Path) -> Inspection:
        """The inspection of a model whose file is on this disk."""

        def read() -> Inspection:
            if spec.registered:
                return inspection_of(spec, read_graph_apart(path), NOTHING, [spec])
            return inspect_local(spec, path, self._folder, self._registered)

        return self._once(f"{spec.id} {spec.weights}", read)

    def _on_hub(self, found: FoundModel, on_progress: Progress | None) -> Inspection:
        """Its graph is downloaded, but not the data files beside it."""
        with self._hold(found.spec):
            file = fetch_weights(found.spec, self._folder, accepted_licences=self._accepted, on_progress=on_progress)
            facts = read_graph_apart(file)
        said = found.declared
        return inspection_of(
            with_data(found.spec, found.repository, facts.data_files, self._most_bytes),
            facts,
            read_declared(said.preprocessor_config, said.config),
            self._registered,
            found.repository.variants,
            found.notes,
        )

    def _kept(self, key: str) -> Inspection | None:
        """The inspection with that key, which becomes the last to be dropped; None if there is none."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def _once(self, key: str, read: Callable[[], Inspection]) -> Inspection:
        """The inspection with that key, made by the first who asks; the others wait."""
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        with reading:
            if kept := self._kept(key):
                return kept
            try:
                found = read()
                with self._lock:
                    self._known[key] = found
                    while len(self._known) > _KEPT:
                        self._known.popitem(last=False)
            finally:  # also if it cannot be read: names are many
                with self._lock:
                    self._reading.pop(key, None)
            return found


def inspect_model(
    source: str | os.PathLike[str],
    *,
    folder: Path = DEFAULT_FOLDER,
    registry: Registry | None = None,
    accepted_licences: Collection[str] = (),
    on_progress: Progress | None = None,
) -> Inspection:
    """What a model is and how it would be used, without running it: `load_session` takes the `spec` of the answer.

    A model on the Hub is pinned to the commit that the name means now, and its graph is downloaded. Graphs are read in
    a process of their own, and models without a registry entry run in one.

    Args:
        source: An id of the registry, a file of the models folder, a path of an `.onnx` file or of a folder laid out as
            on the Hub, or `owner/name[@revision][:file]` on the Hub; the first that exists.
        folder: The models folder.
        registry: The registered models; ours by default.
        accepted_licences: Ids of the licences that were accepted.
        on_progress: Called while bytes arrive.

    Raises:
        RegistryError: There is no such model.
        SettingsError: A link or revision is wrong.
        WeightsError: It cannot be downloaded or read, or its licence is not accepted.
        SessionError: It is not an ONNX network.
    """
    registered = load_registry() if registry is None else registry
    finder = ModelFinder(
        lambda: registered.with_folder(folder),
        folder,
        registered=registered.values(),
        paths=True,
        accepted_licences=accepted_licences,
    )
    return finder.inspect(os.fspath(source), on_progress)
