"""A model and the sources of its contract -> the text of a registry file with that one entry."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, count
from typing import Any

from segmentation.errors import RegistryError
from segmentation.messages import Message
from segmentation.models.inspection.facts import Source
from segmentation.models.registry import parse_registry
from segmentation.models.spec import HubSource, ModelSpec

_INPUT = ("name", "layout", "channels", "dtype", "scale", "mean", "std", "size", "dynamic", "multiple_of", "max_size",
          "resize", "interpolation", "pad_value")  # fmt: skip
_OUTPUT = ("name", "index", "kind", "activation", "normalise", "channel", "true_alpha", "classes")
_COMMENTS: dict[str, str] = {
    "given": "given by you",
    "registry": "from the registry",
    "declared": "declared by its repository",
    "graph": "read in the graph",
    "family": "of its family",
    "guess": "guessed",
}


def registry_entry(spec: ModelSpec, sources: Mapping[str, Source], id_: str) -> str:
    """YAML of a registry file with this model, which loads to the same contract, weights and licence.

    Args:
        spec: The model.
        sources: What each value of its contract rests on, by key, such as "input.mean".
        id_: The id of the entry, as `entry_id` gives it.

    Raises:
        RegistryError: Size or sha256 of its file are unknown, or its size is open.
    """
    if spec.weights.sha256 is None or spec.weights.size is None:
        raise RegistryError(
            Message("{title} cannot be written into a registry: its file has not been verified.", title=spec.title)
        )
    file = f"{id_}.onnx" if spec.weights.sources else spec.weights.file
    spec = spec.model_copy(update={"weights": spec.weights.model_copy(update={"file": file, "stamp": ()})})
    text = "\n".join([*_head(spec), *_model(spec, sources, id_)]) + "\n"
    saved = next(iter(parse_registry(text, "the entry").values()))
    if (saved.contract, saved.weights) != (spec.contract, spec.weights):
        raise RegistryError(
            Message("{title} cannot be written into a registry without changing its contract.", title=spec.title)
        )
    return text


def entry_id(spec: ModelSpec, taken: Collection[str] = ()) -> str:
    """The id of its entry, from its title, such as "modnet-fp16".

    Args:
        spec: The model.
        taken: Ids that another model has, which the entry would replace.
    """
    owners = [source.repo_id.partition("/")[0] for source in spec.weights.sources if isinstance(source, HubSource)]
    title = spec.title.removesuffix(".onnx")
    names = [_slug(title), *(_slug(f"{owner}-{title}") for owner in owners)]
    return next(name for name in chain(names, (f"{names[-1]}-{n}" for n in count(2))) if name not in taken)


def _slug(text: str) -> str:
    """At most 58 of the 64 characters that an id may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:58].rstrip("-._") or "model"


def _head(spec: ModelSpec) -> Iterator[str]:
    licence = spec.licence.model_dump(exclude={"id"}, exclude_defaults=True)
    yield "schema_version: 1"
    yield ""
    yield "licences:"
    yield f"  {_scalar(spec.licence.id)}: {_flow(licence)}"
    yield ""


def _model(spec: ModelSpec, sources: Mapping[str, Source], id_: str) -> Iterator[str]:
    yield "models:"
    yield f"  - id: {_scalar(id_)}"
    yield f"    title: {_scalar(spec.title)}"
    for key in ("about", "licence_note"):
        if text := getattr(spec, key):
            yield f"    {key}: {_scalar(text)}"
    yield f"    tasks: {_scalar(list(spec.tasks))}"
    yield f"    licence: {_scalar(spec.licence.id)}"
    yield from _weights(spec)
    for section, keys in (("input", _INPUT), ("output", _OUTPUT)):
        values = getattr(spec, section)
        yield f"    {section}:"
        for key in keys:
            value = getattr(values, key)
            if value is None or _idle(spec, key):
                continue
            source = sources.get(f"{section}.{key}")
            yield f"      {key}: {_scalar(value)}" + (f"  # {_COMMENTS[source]}" if source else "")
    if origin := spec.origin.model_dump(exclude_defaults=True):
        yield f"    origin: {_flow(origin)}"


def _idle(spec: ModelSpec, key: str) -> bool:
    """Whether a key means nothing beside the others, at its default."""
    labels, padded = spec.output.kind == "labels", spec.input.resize.startswith("letterbox")
    return (
        (key == "classes" and not labels)
        or (key in ("channel", "normalise") and labels)
        or (key == "pad_value" and not padded and spec.input.pad_value == 0)
        or (key == "max_size" and spec.input.max_size == 2048)
        or (key == "multiple_of" and spec.input.multiple_of == 1)
        or (key == "true_alpha" and not spec.output.true_alpha)
    )


def _weights(spec: ModelSpec) -> Iterator[str]:
    weights = spec.weights
    yield "    weights:"
    yield f"      file: {_scalar(weights.file)}"
    yield f"      size: {weights.size}"
    yield f"      sha256: {_scalar(weights.sha256)}"
    if weights.data:
        yield "      data:"
        yield from (f"        - {_flow(data.model_dump())}" for data in weights.data)
    if not weights.sources:
        yield "      sources: []  # in the models folder"
        return
    yield "      sources:"
    for source in weights.sources:
        yield f"        - {_flow(source.model_dump(mode='json'))}"


def _flow(values: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{_scalar(key)}: {_scalar(value)}" for key, value in values.items()) + "}"


def _scalar(value: Any) -> str:
    """A value as YAML: JSON, which YAML contains, with bare words where they are safe."""
    if isinstance(value, dict):
        return _flow(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z_]{3,}", value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]", _escaped, text)


def _escaped(sign: re.Match[str]) -> str:
    return f"\\u{ord(sign[0]):04x}"


_WORDS = {"true", "false", "null", "none"}  # "null" and switches are no texts in YAML
