"""The models folder: every `.onnx` file without a registry entry in it, each a model.

mine.onnx                   a file, named after itself
NAME/model.onnx             a folder laid out as on the Hub, or a copy of a repository
NAME/onnx/model_fp16.onnx
"""

import hashlib
import logging
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from segmentation.config import Config
from segmentation.models.onnx_file import file_problem, is_arriving
from segmentation.models.spec import ModelSpec, own_file_spec
from segmentation.models.variants import SizedFile, base_and_format, networks, variants, work_together

log = logging.getLogger(__name__)


def folder_models(folder: Path, taken: Collection[str] = ()) -> list[ModelSpec]:
    """The models in a folder; not those that seem to be still in the middle of being copied.

    Args:
        folder: The models folder.
        taken: Paths in it that belong to registered models.
    """
    models = []
    for path, title in _files(folder, taken):
        file = path.relative_to(folder).as_posix()
        if file in taken:
            continue
        try:
            if is_arriving(path):
                continue
            models.append(own_file_spec(path, file, title))
            problem = f"{file}: {damage}" if (damage := file_problem(path)) else ""
        except FileNotFoundError:  # deleted since it was listed
            continue
        except (ValidationError, OSError, ValueError):
            problem = f"{file!r} is not a valid model name: rename the file."
        if problem:
            _log_once(problem)
    return models


def folder_state(config: Config) -> str:
    """A value that changes when the models of the models folder do: one appears, is replaced, or goes.

    Cheap enough to ask every few seconds: files that did not change are not read again.
    """
    digest = hashlib.sha256()
    for spec in folder_models(config.models_folder):
        digest.update(repr((spec.id, spec.weights.stamp)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _files(folder: Path, taken: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Every `.onnx` file that may be a model, with its title."""
    for path in _onnx_files(folder):
        yield path, path.stem
    for inner in sorted(_folders(folder)):
        paths = [*_onnx_files(inner), *_onnx_files(inner / "onnx")]
        paths = [path for path in paths if path.relative_to(folder).as_posix() not in taken]
        files = [SizedFile(path.relative_to(inner).as_posix(), 0) for path in paths]
        bases = networks(variants(files))
        if work_together(bases):
            _log_once(
                f"{inner.name}: its networks work together ({', '.join(bases)}); such models need a registry entry."
            )
            continue
        for path, file in zip(paths, files, strict=True):
            yield path, _title(inner.name, file.path)


def _title(name: str, file: str) -> str:
    base, format_ = base_and_format(file)
    stem = PurePosixPath(base).name
    title = name if stem == "model" else f"{name}: {stem}"
    return title if format_ == "fp32" else f"{title} ({format_})"


def _onnx_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.onnx") if path.is_file() and not path.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:  # there is no models folder
        return []


@cache
def _log_once(problem: str) -> None:
    log.warning("%s", problem)
