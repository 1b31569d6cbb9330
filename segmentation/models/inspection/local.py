"""A folder laid out as a repository on the Hub, or a single `.onnx` file -> its inspection."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from segmentation.errors import WeightsError
from segmentation.messages import Message
from segmentation.models.inspection.declared import NOTHING, Declared, parse_declared
from segmentation.models.inspection.facts import GraphFacts
from segmentation.models.inspection.graph import read_graph
from segmentation.models.inspection.inspection import Inspection, inspection_of
from segmentation.models.inspection.propose import is_beside
from segmentation.models.onnx_file import external_files, file_problem
from segmentation.models.spec import OWN_LICENCE, DataFile, LocalSource, ModelSpec, Weights
from segmentation.models.variants import SizedFile, Variant, base_and_format, choose, variants

ReadGraph = Callable[[Path], GraphFacts]

_MOST_FILES = 200
_DEEPEST = 3  # folders
_CONFIGS = ("preprocessor_config.json", "config.json")
_MOST_BYTES = 1 << 20  # of a configuration file; one byte more is read, which is then refused


def inspect_folder(
    folder: Path, file: str = "", *, registry: Iterable[ModelSpec] = (), read: ReadGraph = read_graph
) -> Inspection:
    """The inspection of a folder with the files of a Hub repository.

    Args:
        folder: The folder.
        file: Which of its `.onnx` files; by default the usual one.
        registry: The registered models, one of which may be the same file.
        read: Reads a graph; a caller that does not trust the file reads it in a process of its own.

    Raises:
        WeightsError: The folder has no such file, none at all, or several models.
        SessionError: The file is not an ONNX network.
    """
    files = _files(folder)
    path = folder / choose(folder.name, files, file or None, joint="/").variant.path
    spec = local_spec(path, title=folder.name)
    return inspection_of(spec, read(path), declared_beside(folder, path.parent), registry, variants(files))


def inspect_file(path: Path, *, registry: Iterable[ModelSpec] = (), read: ReadGraph = read_graph) -> Inspection:
    """The inspection of a single `.onnx` file, which nothing is declared about.

    Args:
        path: The file.
        registry: The registered models, one of which may be the same file.
        read: As for `inspect_folder`.

    Raises:
        WeightsError: It cannot be read.
        SessionError: It is not an ONNX network.
    """
    spec = local_spec(path)
    return inspection_of(spec, read(path), NOTHING, registry, [the_only(spec)])


def the_only(spec: ModelSpec) -> Variant:
    """A model's file as the only variant."""
    return Variant(spec.weights.file, base_and_format(spec.weights.file)[1], spec.weights.total)


def _files(folder: Path) -> list[SizedFile]:
    """The files of a folder, as far as they are few and near; graphs and their data before others."""
    near = (path for path in folder.rglob("*") if len(path.relative_to(folder).parts) <= _DEEPEST)
    paths = sorted(near, key=lambda path: (".onnx" not in path.name, path))
    files = [path for path in paths[:_MOST_FILES] if path.is_file()]
    return [SizedFile(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]


def declared_beside(folder: Path, graphs: Path | None = None) -> Declared:
    """What the configuration files of a folder declare, or those beside the graph.

    Args:
        folder: The repository.
        graphs: The folder of the `.onnx` file.
    """
    places = [folder, *([graphs] if graphs and graphs != folder else [])]
    contents = [
        next((_content(place / name) for place in places if (place / name).is_file()), None) for name in _CONFIGS
    ]
    return parse_declared(*contents)


def local_spec(path: Path, title: str = "") -> ModelSpec:
    """A file on this disk as a model nobody vouches for, with the sizes and hashes of it and its data files.

    Its path is its id.

    Args:
        path: The `.onnx` file.
        title: What people call it; by default its name.

    Raises:
        WeightsError: It is no whole .onnx file, or cannot be read.
    """
    if path.suffix != ".onnx":
        raise WeightsError(Message("{file} is not an .onnx file.", file=path.name))
    if problem := file_problem(path):
        raise WeightsError(Message("{title} cannot be used: {problem}", title=path.name, problem=problem))
    try:
        data = tuple(
            DataFile(file=each.name, size=each.stat().st_size, sha256=_sha256(each))
            for each in external_files(path)
            if is_beside(each.name)
        )
        weights = Weights(
            file=path.name,
            size=path.stat().st_size,
            sha256=_sha256(path),
            data=data,
            sources=(LocalSource(type="local", path=path.absolute()),),
        )
    except OSError as error:
        raise WeightsError(
            Message("{file} cannot be read ({reason}).", file=path.name, reason=error.strerror or "unknown")
        ) from error
    return ModelSpec(
        id=path.as_posix(),
        title=title or path.stem,
        registered=False,
        tasks=("local",),
        licence=OWN_LICENCE,
        weights=weights,
    )


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
