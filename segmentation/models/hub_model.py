"""`HubRepository` and a file of it -> `ModelSpec`, pinned by commit, size and sha256."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from huggingface_hub import constants

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.hub import cached_from_hub, fetch_from_hub
from segmentation.models.hub_known import look_up, remember
from segmentation.models.hub_licence import licence_of
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_repository import Declared, HubFile, HubRepository
from segmentation.models.spec import DataFile, HubSource, Licence, ModelSpec, Origin, Weights
from segmentation.models.variants import base_and_format


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on the Hub, found by its name; its contract is still to be proposed."""

    spec: ModelSpec
    repository: HubRepository
    declared: Declared
    notes: tuple[str, ...]
    """Sentences about what was chosen and what could not be read."""


def find_model(reference: HubReference, registry: Iterable[ModelSpec] = (), most: int | None = None) -> FoundModel:
    """The model that a reference means now, pinned; nothing is downloaded but what describes it.

    Args:
        reference: The repository, and a file of it or none.
        registry: Models whose licences somebody has looked at.
        most: Bytes that it may have; None for no limit.

    Raises:
        WeightsError: See `look_up` and `HubRepository.choose`.
    """
    repository = look_up(reference)
    variant, note = repository.choose(reference.file, most)
    spec = hub_model(repository, variant.path, registry)
    remember(repository)
    notes = (*([note] if note else []), *repository.notes)
    return FoundModel(spec, repository, repository.declared(variant.path), notes)


def hub_model(repository: HubRepository, path: str, registry: Iterable[ModelSpec] = ()) -> ModelSpec:
    """The model in one `.onnx` file of a repository; its data files are added by `with_data`, as only the graph knows.

    Args:
        repository: The repository.
        path: The file.
        registry: Models whose licences somebody has looked at.

    Raises:
        WeightsError: The file is empty; or it is not in LFS, and cannot be downloaded or is not the one that the Hub
            lists.
    """
    models = tuple(registry)
    graph = _filled(repository, repository.file(path))
    sha256 = graph.sha256 or _fetched_sha256(repository, graph)
    twin = next((model for model in models if model.weights.sha256 == sha256), None)
    _, format_ = base_and_format(path)
    name = repository.repo_id.partition("/")[2]
    return ModelSpec(
        id=str(repository.reference(path)),
        title=name if format_ == "fp32" else f"{name} ({format_})",
        about=Message("A model from the Hugging Face Hub."),
        tasks=("local",),
        licence=twin.licence if twin else _licence(repository, models),
        licence_note=twin.licence_note if twin else Message("As stated on its page on the Hub."),
        weights=Weights(
            file=f"{repository.repo_id}/{path}",
            size=graph.size,
            sha256=sha256,
            sources=(
                HubSource(type="hub", repo_id=repository.repo_id, filename=path, revision=repository.commit),
            ),
        ),
        origin=Origin(url=f"{constants.ENDPOINT}/{repository.repo_id}"),
        registered=False,
    )  # fmt: skip


def with_data(spec: ModelSpec, repository: HubRepository, names: Iterable[str], most: int | None = None) -> ModelSpec:
    """The model with the data files that its graph names.

    Args:
        spec: The model, as `hub_model` gives it.
        repository: Its repository.
        names: As written in the graph (`GraphFacts.data_files`).
        most: Bytes that all files together may have; None for no limit.

    Raises:
        WeightsError: One is outside the graph's folder, or not in the repository; or they are too large.
    """
    folder = PurePosixPath(spec.weights.sources[0].filename).parent  # type: ignore[union-attr]
    listed = {file.path: file for file in repository.files}
    data, size = [], spec.weights.size or 0
    for name in dict.fromkeys(names):
        file = listed.get(str(folder / name))
        if file is None or PurePosixPath(name).name != name or len(name) > 200:
            raise WeightsError(
                Message(
                    "{title} keeps data in {file}, which is not beside it in {repo_id}.",
                    title=spec.title, file=name[:100], repo_id=repository.repo_id,
                )
            )  # fmt: skip
        size += _filled(repository, file).size
        if most is not None and size > most:
            raise WeightsError(
                Message(
                    "{title} has {size} MB; at most {most} MB are allowed here.",
                    title=spec.title, size=-(-size // (1 << 20)), most=most >> 20,
                )
            )  # fmt: skip
        data.append(DataFile(file=name, size=file.size, sha256=file.sha256 or _fetched_sha256(repository, file)))
    return spec.model_copy(update={"weights": spec.weights.model_copy(update={"data": tuple(data)})})


def _filled(repository: HubRepository, file: HubFile) -> HubFile:
    if not file.size:
        raise WeightsError(Message("{file} of {repo_id} is empty.", file=file.path, repo_id=repository.repo_id))
    return file


def registered_twin(spec: ModelSpec, registry: Iterable[ModelSpec]) -> ModelSpec | None:
    """The registered model whose `.onnx` file is the same."""
    return next(
        (
            model
            for model in registry
            if model.registered and not model.prompt and model.weights.sha256 == spec.weights.sha256
        ),
        None,
    )


def _licence(repository: HubRepository, models: tuple[ModelSpec, ...]) -> Licence:
    """The registry's for the same repository, as somebody has read its terms; else the stated one."""
    for model in models:
        for source in model.weights.sources:
            if isinstance(source, HubSource) and source.repo_id.lower() == repository.repo_id.lower():
                return model.licence
    return licence_of(repository.licence, {model.licence.id: model.licence for model in models})


def _fetched_sha256(repository: HubRepository, file: HubFile) -> str:
    """The sha256 of a file that is not in LFS: the Hub lists only its git hash, so it is downloaded and checked."""
    path = cached_from_hub(repository.repo_id, repository.commit, file.path)
    if path is None or not file.is_right(path.read_bytes()):
        path = fetch_from_hub(repository.repo_id, repository.commit, file.path)
    content = path.read_bytes()
    if not file.is_right(content):
        raise WeightsError(
            Message(
                "{file} of {repo_id} is not the file that the Hub lists.", file=file.path, repo_id=repository.repo_id
            )
        )
    return hashlib.sha256(content).hexdigest()
