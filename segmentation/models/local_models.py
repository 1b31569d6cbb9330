"""Models of unknown origin on this disk -> their inspections; their graphs are read in a process of their own."""

from collections.abc import Iterable
from pathlib import Path

from segmentation.models.inspection.apart import read_graph_apart
from segmentation.models.inspection.declared import NOTHING
from segmentation.models.inspection.inspection import Inspection, inspection_of
from segmentation.models.inspection.local import declared_beside, inspect_file, inspect_folder, local_spec, the_only
from segmentation.models.registry import load_registry
from segmentation.models.spec import ModelSpec
from segmentation.models.weights import DEFAULT_FOLDER


def inspect_local(
    spec: ModelSpec, path: Path, folder: Path = DEFAULT_FOLDER, registry: Iterable[ModelSpec] | None = None
) -> Inspection:
    """The inspection of a file on this disk, of unknown origin.

    Args:
        spec: The model, as `own_file_spec` gives it.
        path: The file.
        folder: The models folder; in a folder of it, what is declared counts as on the Hub.
        registry: The registered models, one of which may be the same file; our registry's by default.

    Raises:
        WeightsError: It cannot be read.
        SessionError: It is not an ONNX network, or not one for pictures.
    """
    own = local_spec(path).weights
    weights = spec.weights.model_copy(update={"size": own.size, "sha256": own.sha256, "data": own.data})
    inner, slash, _ = spec.weights.file.partition("/")
    declared = declared_beside(folder / inner, path.parent) if slash else NOTHING
    known = load_registry().values() if registry is None else registry
    spec = spec.model_copy(update={"weights": weights})
    return inspection_of(spec, read_graph_apart(path), declared, known, [the_only(spec)])


def inspect_path(path: Path, registry: Iterable[ModelSpec]) -> Inspection:
    """The inspection of an `.onnx` file, or of a folder laid out as on the Hub, anywhere on this disk.

    Args:
        path: The file or folder. It becomes the model's id.
        registry: The registered models, one of which may be the same file.

    Raises:
        WeightsError: It does not exist, cannot be read, or has no `.onnx` file.
        SessionError: It is not an ONNX network.
    """
    inspect = inspect_folder if path.is_dir() else inspect_file
    return inspect(path, registry=registry, read=read_graph_apart)
