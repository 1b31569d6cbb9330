"""`model_registry.yaml` -> `ModelSpec`: the differences between models are data, validated strictly once."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    ValidationError,
)

from segmentation.config import REGISTRY_FILE, Config, names
from segmentation.errors import RegistryError
from segmentation.models.models_folder import folder_models
from segmentation.models.spec import ModelSpec

DEFAULT_REGISTRY = REGISTRY_FILE


class Registry(Mapping[str, ModelSpec]):
    """Models by id, in the order of the file. The first one is the default, unless another was chosen."""

    def __init__(self, models: Iterable[ModelSpec], default: str | None = None) -> None:
        """Make a registry.

        Args:
            models: The models.
            default: Id of the default model, instead of the first one.

        Raises:
            RegistryError: There is no model of that id.
        """
        self._models = {model.id: model for model in models}
        self._default = None if default is None else self[default]

    def __getitem__(self, model_id: str) -> ModelSpec:
        try:
            return self._models[model_id]
        except (KeyError, TypeError):
            known = ", ".join(self._models)
            raise RegistryError(f"There is no model {str(model_id)[:80]!r}. Choose one of: {known}.") from None

    def find(self, model_id: str) -> ModelSpec | None:
        """The model with this id; None if there is none."""
        return self._models.get(model_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._models

    @property
    def default(self) -> ModelSpec:
        """The model to use where none was chosen."""
        return self._default or next(iter(self._models.values()))

    def with_default(self, model_id: str) -> "Registry":
        """The same models in the same order, with this one as the default.

        Raises:
            RegistryError: It is not in this registry.
        """
        return Registry(self._models.values(), model_id)

    def only(self, model_ids: Iterable[str]) -> "Registry":
        """The named models, in the order given.

        Raises:
            RegistryError: One of them is not in this registry.
        """
        return Registry([self[model_id] for model_id in model_ids])

    def with_folder(self, folder: Path) -> "Registry":
        """This registry plus every other model of the models folder; see `folder_models`."""
        taken = {file for spec in self._models.values() for file in spec.weights.networks}
        return Registry([*self._models.values(), *folder_models(folder, taken)])


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML silently keeps the last of two equal keys; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in own]
        doubled = {str(key) for key in keys if keys.count(key) > 1}
        if doubled:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {', '.join(sorted(doubled))} appears twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


@cache
def _loaded(extra: str) -> Registry:
    return load_registry(extra=extra or None)


def load_registered(config: Config) -> Registry:
    """The models of our registry file and the operator's; the files are read once.

    Raises:
        RegistryError: See `load_registry`.
    """
    return _loaded(config.registry)


def load_offered(config: Config) -> Registry:
    """The models the operator offers: ours, those of a second file, the models folder's, or only the named ones.

    The registry files are read once, the models folder each time.

    Raises:
        RegistryError: See `load_registry`; or a named model does not exist.
    """
    registry = load_registered(config).with_folder(config.models_folder)
    named = names(config.models)
    return registry.only(named) if named else registry


def load_registry(path: Path | str = DEFAULT_REGISTRY, extra: Path | str | None = None) -> Registry:
    """The models of a registry file; those of an optional second one, or of a folder of them, replace or join them.

    Raises:
        RegistryError: A file is missing or wrong; the message names the file, model and field of every problem.
    """
    licences: dict[str, Any] = {}
    models: dict[str, ModelSpec] = {}
    for file in [Path(path), *_files(Path(extra) if extra else None)]:
        content = _load_yaml(file)
        licences |= _mapping(file, "licences", content.get("licences", {}))
        for spec in _models(file, content, licences):
            models[spec.id] = spec
    registry = Registry(models.values())
    if registry.default.licence.needs_acceptance:
        raise RegistryError(
            f"{path}: model {registry.default.id}: licence: the first model is the default, so its licence must not "
            "need acceptance."
        )
    return registry


def _files(extra: Path | None) -> list[Path]:
    """A second registry is a file, or a folder of them."""
    if extra is None:
        return []
    return sorted(extra.glob("*.yaml")) if extra.is_dir() else [extra]


def parse_registry(text: str, name: str) -> Registry:
    """The models of a registry file's text alone.

    Args:
        text: YAML.
        name: What messages call it.

    Raises:
        RegistryError: It is wrong.
    """
    content = _parsed(text, Path(name))
    return Registry(_models(Path(name), content, _mapping(Path(name), "licences", content.get("licences", {}))))


def _load_yaml(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{file}: cannot be read ({error}).") from error
    return _parsed(text, file)


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise RegistryError(f"{file}: is not valid YAML: {' '.join(str(error).split())}") from error
    content = _mapping(file, "the file", content)
    if unknown := set(content) - {"schema_version", "licences", "defaults", "models"}:
        raise RegistryError(f"{file}: unknown key {', '.join(sorted(map(str, unknown)))}.")
    if content.get("schema_version") != 1:
        raise RegistryError(f"{file}: schema_version must be 1.")
    if not isinstance(content.get("models"), list) or not content["models"]:
        raise RegistryError(f"{file}: models must be a list with at least one entry.")
    return content


_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _mapping(file: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RegistryError(f"{file}: {where} must be a mapping of keys to values.")
    return value


def _models(file: Path, content: dict[str, Any], licences: dict[str, Any]) -> list[ModelSpec]:
    defaults = _mapping(file, "defaults", content.get("defaults", {}))
    for section in ("input", "output"):
        _mapping(file, f"defaults.{section}", defaults.get(section, {}))
    specs: list[ModelSpec] = []
    problems: list[str] = []
    for number, entry in enumerate(content["models"], start=1):
        label = str(entry.get("id", f"number {number}")) if isinstance(entry, dict) else f"number {number}"
        try:
            spec = _model(_mapping(file, f"model {label}", entry), defaults, licences)
        except ValidationError as error:
            problems += [f"{file}: model {label}: {_where(e['loc'])}: {e['msg']}" for e in error.errors()]
        except ValueError as error:
            problems.append(f"{file}: model {label}: {error}")
        else:
            if any(other.id == spec.id for other in specs):
                problems.append(f"{file}: model {label}: id: appears twice")
            specs.append(spec)
    if problems:
        raise RegistryError("\n".join(problems))
    return specs


def _where(location: tuple[int | str, ...]) -> str:
    # pydantic names the branches of a union in the location ("hub", "tuple[...]"); the file's author knows only keys
    keys = [str(part) for part in location if isinstance(part, int) or re.fullmatch(r"[a-z_0-9]+", part)]
    return ".".join(key for key in keys if key not in {"hub", "wheel", "float", "int"}) or "entry"


def _model(entry: dict[str, Any], defaults: dict[str, Any], licences: dict[str, Any]) -> ModelSpec:
    if not isinstance(entry.get("id"), str) or not _ID.fullmatch(entry["id"]):
        raise ValueError("id: must be lower-case letters, digits, '.', '_' and '-'")
    if own := {"registered", "notes"} & set(entry):
        raise ValueError(f"{own.pop()}: unknown key")
    merged = _with_todays_tasks(_without_retired({**defaults, **entry}))
    for section in ("input", "output"):
        if isinstance(entry.get(section, {}), dict):
            merged[section] = {**defaults.get(section, {}), **entry.get(section, {})}
    licence = entry.get("licence")
    if not isinstance(licence, str) or licence not in licences:
        raise ValueError(f"licence: {licence!r} is not one of the file's licences ({', '.join(licences)})")
    merged["licence"] = {**_mapping_of_licence(licences[licence]), "id": licence}
    # via JSON, strict mode lets lists become tuples, but never text a number or a boolean
    spec = ModelSpec.model_validate_json(json.dumps(merged, default=str), strict=True)
    if spec.weights.sha256 is None or spec.weights.size is None:
        raise ValueError("weights: size and sha256 are needed (a file without them belongs in the models folder)")
    if "sources" not in merged["weights"]:
        raise ValueError("weights.sources: is needed (an empty list: the file is in the models folder)")
    if "/" in spec.weights.file and spec.weights.sources and not spec.weights.decoder:
        raise ValueError(
            "weights.file: must be a name without folders, unless it is in the models folder already, or has a decoder"
        )
    if spec.input.size is None:
        raise ValueError("input.size: is needed")
    return spec


_RETIRED = ("precision", "gated")  # keys of earlier versions: accepted and ignored
_RENAMED_TASKS = {"portrait": "people", "matting": "hair", "anime": "drawings", "cloth": "clothes"}


def _without_retired(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_retired(part) for key, part in value.items() if key not in _RETIRED}
    return [_without_retired(part) for part in value] if isinstance(value, list) else value


def _with_todays_tasks(entry: dict[str, Any]) -> dict[str, Any]:
    tasks = entry.get("tasks")
    if not isinstance(tasks, list):
        return entry
    return entry | {"tasks": [_RENAMED_TASKS.get(task, task) if isinstance(task, str) else task for task in tasks]}


def _mapping_of_licence(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("licence: must be a mapping")
    return value
