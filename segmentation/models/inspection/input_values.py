"""What goes into a graph, from what it says itself, what is declared, and what its family implies."""

import re
from collections.abc import Mapping
from math import lcm
from typing import Any

from segmentation.messages import Message
from segmentation.models.inspection.declared import Declared
from segmentation.models.inspection.facts import GraphFacts, Source, TensorFacts
from segmentation.models.inspection.families import IMAGENET, Family
from segmentation.models.spec import InputSpec
from segmentation.settings import MAX_SIZE

GUESSED_SIZE = 1024  # for a graph that accepts any size
NORMALISATION = ("scale", "mean", "std")
_DTYPES = ("float32", "float16", "uint8")
_RAW = {"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}
_PLAIN = {"scale": 255.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}

_PROMPT = re.compile(r"point_?(coords|labels)|input_(points|labels|boxes)", re.IGNORECASE)  # names of inputs


class Layers:
    """Values by key, each with the best source that has it, and what is unsure."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, Source] = {}
        self.doubts: list[str] = []
        self.contradictions: list[str] = []

    def put(self, values: Mapping[str, Any], source: Source) -> None:
        """Values of a better source than those before."""
        self.values |= values
        self.sources |= dict.fromkeys(values, source)


def layout_of(tensor: TensorFacts) -> str:
    """The layout of an input: where its three channels are."""
    shape = tensor.shape or ()
    return "NHWC" if len(shape) == 4 and shape[3] == 3 and shape[1] != 3 else "NCHW"


def fixed_edges(tensor: TensorFacts) -> tuple[int, int] | None:
    """Height and width that an input is fixed to; None if one is open."""
    shape = tensor.shape or ()
    if len(shape) != 4:
        return None
    height, width = shape[1:3] if layout_of(tensor) == "NHWC" else shape[2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def input_problem(facts: GraphFacts) -> str:
    """A sentence on why no picture can be given to it; "" if one can."""
    if any(tensor.name.startswith("image_embeddings") for tensor in facts.outputs):
        return Message("It is the first part of a promptable network, which returns no mask. Such models need a "
                       "registry entry.")  # fmt: skip
    if len(facts.inputs) != 1:
        names = ", ".join(tensor.name for tensor in facts.inputs[:8])
        if any(_PROMPT.search(tensor.name) for tensor in facts.inputs):
            return Message("It is a promptable network, or a part of one: it needs points or boxes ({names}). Such "
                           "models need a registry entry.", names=names)  # fmt: skip
        return Message("It needs {count} inputs ({names}), but only a picture can be given.",
                       count=len(facts.inputs), names=names)  # fmt: skip
    tensor = facts.inputs[0]
    shape = tensor.shape or ()
    channels = shape[3 if layout_of(tensor) == "NHWC" else 1] if len(shape) == 4 else None
    wrong = (
        tensor.dtype not in _DTYPES
        or len(shape) != 4
        or (isinstance(shape[0], int) and shape[0] != 1)
        or (isinstance(channels, int) and channels != 3)
    )
    if wrong:
        return Message("It does not take one RGB picture: its input is {dtype} of shape {shape}.",
                       dtype=tensor.dtype, shape=list(shape[:8]))  # fmt: skip
    edges = fixed_edges(tensor)
    if edges and max(edges) > MAX_SIZE:
        return Message("It works at {height} x {width} pixels only, but at most {most} a side are supported.",
                       height=edges[0], width=edges[1], most=MAX_SIZE)  # fmt: skip
    return ""


def input_layers(facts: GraphFacts, declared: Declared, family: Family | None, registered: InputSpec | None) -> Layers:
    """The values of `InputSpec`, each from the best source."""
    tensor, layers = facts.inputs[0], Layers()
    layers.put({**InputSpec().model_dump(exclude={"name"}), **IMAGENET}, "guess")
    implied = dict(family.input) if family else {}
    layers.put(implied, "family")
    stated = {key: value for key, value in declared.input.items() if key != "max_size"}
    layers.put(stated, "declared")
    if registered:
        layers.put(registered.model_dump(exclude={"name"}), "registry")
    layers.put({"name": tensor.name, "layout": layout_of(tensor), "dtype": tensor.dtype}, "graph")
    if registered is None:
        _normalise(layers, facts, declared, family)
    _fit(layers, facts, declared, registered)
    return layers


def _normalise(layers: Layers, facts: GraphFacts, declared: Declared, family: Family | None) -> None:
    """Scale, mean and std belong together, and to the graph where it has its own."""
    stated = {key: declared.input[key] for key in NORMALISATION if key in declared.input}
    inside = facts.scale is not None or facts.mean is not None
    if inside or facts.inputs[0].dtype == "uint8":
        raw = facts.scale is not None or facts.inputs[0].dtype == "uint8"
        own = _RAW if raw else _PLAIN
        layers.put(own, "graph")
        if stated and all(own[key] == value for key, value in stated.items()):
            layers.sources |= dict.fromkeys(stated, "declared")
        elif stated:
            layers.contradictions.append(
                Message("The network takes raw bytes, so the declared normalisation was left out.")
                if not inside
                else Message("The network normalises its input itself, so the declared normalisation was left out.")
            )
        return
    if "mean" in stated and ("scale" not in stated or "std" not in stated):
        layers.put({"scale": stated.get("scale", 255.0), "std": stated.get("std", (1.0,) * 3)}, "declared")
    if "mean" not in stated:
        if layers.sources["mean"] == "guess":
            layers.doubts.append(
                Message("Nothing says how colours are normalised; the most common way (ImageNet) is a guess.")
            )
        elif family and family.varies:
            layers.doubts.append(
                Message("Networks built like {family} were trained with different normalisations; one is a guess.",
                        family=family.title)
            )  # fmt: skip
            layers.sources |= dict.fromkeys(NORMALISATION, "guess")
        return
    if not _plausible(layers.values):
        layers.contradictions.append(Message("The declared mean and std do not fit the declared range of values."))
    elif family and not family.varies and any(layers.values[key] != family.input[key] for key in ("mean", "std")):
        layers.contradictions.append(
            Message("The declared normalisation is not the one that {family} uses. If the mask is wrong, try that.",
                    family=family.title)
        )  # fmt: skip


def _plausible(values: Mapping[str, Any]) -> bool:
    """Whether mean and std suit values of 0..255 / scale."""
    if values["scale"] == "image_max":
        return True
    white = 255.0 / float(values["scale"])
    mean, std = (max(abs(float(level)) for level in values[key]) for key in ("mean", "std"))
    return mean <= 1.5 * white and 0.002 <= std / white <= 4


def _fit(layers: Layers, facts: GraphFacts, declared: Declared, registered: InputSpec | None) -> None:
    """Size, resizing and multiples, which depend on each other and on what the graph is fixed to."""
    values, edges = layers.values, fixed_edges(facts.inputs[0])
    asked = values["size"]
    if edges:
        wanted = asked if isinstance(asked, tuple) else (asked, asked)
        if registered is None and "size" in declared.input and wanted != edges:
            layers.contradictions.append(
                Message("The declared size is {declared}, but the network takes {height} x {width} pixels only.",
                        declared=" x ".join(map(str, wanted)), height=edges[0], width=edges[1])
            )  # fmt: skip
        layers.put({"size": edges, "dynamic": False, "multiple_of": 1, "max_size": max(2048, *edges)}, "graph")
        if values["resize"].startswith("fit"):
            layers.put({"resize": "stretch"}, "graph")
        return
    layers.put({"dynamic": True}, "graph")
    if asked is None:
        size = min(GUESSED_SIZE, values["max_size"])
        layers.put({"size": size}, "guess")
        layers.doubts.append(Message("It accepts any size; {size} pixels are a guess.", size=size))
    if layers.sources["multiple_of"] != "registry":
        own, stated = facts.multiple_of, declared.input.get("multiple_of", 1)
        multiple = lcm(own or 32, stated)
        multiple = multiple if multiple <= 256 else own or stated
        source: Source = "guess" if own is None else "graph"
        layers.put({"multiple_of": multiple}, "declared" if multiple == stated and stated > 1 else source)
        layers.put({"size": _rounded(values["size"], multiple)}, layers.sources["size"])
    largest = max(values["size"]) if isinstance(values["size"], tuple) else values["size"]
    if largest > values["max_size"]:
        layers.put({"max_size": largest}, layers.sources["size"])


def _rounded(size: Any, multiple: int) -> Any:
    if isinstance(size, tuple):
        return tuple(_rounded(edge, multiple) for edge in size)
    return max(multiple, round(size / multiple) * multiple)
