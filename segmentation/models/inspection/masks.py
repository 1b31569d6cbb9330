"""Which output of a graph is the mask, and how to read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segmentation.messages import Message
from segmentation.models.inspection.facts import GraphFacts, OutputFacts, Source

_SMALLEST = 8  # pixels a side of a picture; anything smaller is a score for the whole picture
_MOST_PLANES = 1000
_COARSE = 5  # an output this many times smaller than the input is rather a feature map
_FLOATS = ("float32", "float16", "float64")
_WHOLE = ("int64", "int32", "uint16", "int16", "int8")
_DTYPES = (*_FLOATS, *_WHOLE, "uint8", "bool")
_LOGITS = {"", "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MatMul", "Gemm", "Add", "Einsum",
           "BatchNormalization"}  # fmt: skip
_NAMES = ("alpha", "matte", "mask", "pha", "fused", "d0")


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a mask: values of `OutputSpec`, the source of each, and what is unsure."""

    values: Mapping[str, Any]
    sources: Mapping[str, Source]
    doubts: tuple[str, ...] = ()
    problem: str = ""


def planes_of(output: OutputFacts, layout: str) -> int | None:
    """Number of channels of an output; None if the graph leaves it open."""
    shape = output.shape
    if shape is None or len(shape) not in (3, 4):
        return 1 if shape is not None and len(shape) == 2 else None
    channels = shape[_channel_axis(shape, layout)]
    return channels if isinstance(channels, int) else None


def edges_of(output: OutputFacts, layout: str) -> tuple[int | str | None, int | str | None] | None:
    """Height and width of an output; None if it is no picture."""
    shape = output.shape
    if output.dtype not in _DTYPES or (shape is not None and not 2 <= len(shape) <= 4):
        return None
    if shape is None:
        return None, None
    left = list(shape[-3:])
    if len(left) == 3:
        left.pop(_channel_axis(shape, layout) - len(shape) + 3)
    if any(isinstance(edge, int) and edge < _SMALLEST for edge in left):
        return None
    return left[0], left[1]


def mask_index(facts: GraphFacts, layout: str, edges: tuple[int, int] | None, classes: Mapping[int, str]) -> int | None:
    """The output that is most likely the mask: the first with the fewest doubts. None if none is a picture.

    Args:
        facts: The graph.
        layout: Layout of the input.
        edges: Height and width of the input, if fixed.
        classes: Classes that the repository names.
    """
    ranked = [
        (_doubtfulness(output, layout, edges, classes), not _sounds_so(output.name), index)
        for index, output in enumerate(facts.outputs)
        if edges_of(output, layout) is not None
    ]
    return min(ranked)[-1] if ranked else None


def reading_of(facts: GraphFacts, index: int, layout: str, classes: Mapping[int, str]) -> Reading:
    """How to read this output.

    Args:
        facts: The graph.
        index: Which output.
        layout: Layout of the input.
        classes: Classes that the repository names.
    """
    output = facts.outputs[index]
    planes = planes_of(output, layout)
    if output.activation == "argmax" or output.dtype in _WHOLE:
        return _class_numbers(output, classes)
    if planes == 2 or (planes is None and len(classes) == 2):
        return _two_planes(output, classes)
    if planes is None and len(classes) > 2:
        planes = len(classes)
    if planes in (None, 1):
        return _one_plane(output)
    return _many_planes(output, planes or 0, classes)


def _doubtfulness(output: OutputFacts, layout: str, edges: tuple[int, int] | None, classes: Mapping[int, str]) -> int:
    planes, own = planes_of(output, layout), edges_of(output, layout)
    doubts = 0
    if output.shape is None:
        doubts += 2
    if planes is not None and planes > 1 and planes != len(classes):
        doubts += 1 if planes == 2 else 2
    if output.dtype in _WHOLE and not classes:
        doubts += 2
    if (
        edges
        and own
        and any(isinstance(edge, int) and edge * _COARSE < full for edge, full in zip(own, edges, strict=True))
    ):
        doubts += 2
    return doubts


def _sounds_so(name: str) -> bool:
    return any(word in name.lower() for word in _NAMES)


def _one_plane(output: OutputFacts) -> Reading:
    known: dict[str, Source] = {"kind": "graph", "activation": "graph", "channel": "graph"}
    guessed: dict[str, Source] = {"kind": "guess", "activation": "guess", "channel": "graph"}
    alpha = {"kind": "alpha", "activation": "none", "channel": 0}
    if output.dtype == "uint8":
        doubt = Message("It returns bytes, which are taken for a mask from their smallest to their largest value.")
        return Reading(alpha | {"normalise": "minmax"}, guessed | {"normalise": "guess"}, (doubt,))
    if output.dtype == "bool" or output.activation in ("sigmoid", "softmax", "clip"):
        return Reading(alpha, known)
    if output.operator in _LOGITS and output.operator:
        return Reading({"kind": "logits", "activation": "sigmoid", "channel": 0}, known)
    doubt = Message("The graph does not show which values its mask has; they are stretched to 0..1.")
    return Reading(alpha | {"normalise": "minmax"}, guessed | {"normalise": "guess"}, (doubt,))


def _two_planes(output: OutputFacts, classes: Mapping[int, str]) -> Reading:
    named = [number for number, name in classes.items() if name != "background"]
    if len(classes) == 2 and len(named) == 2:
        return _many_planes(output, 2, classes)
    subject = named[0] if len(classes) == 2 and named[0] < 2 else None
    source: Source = "guess" if subject is None else "declared"
    doubt = Message("It returns two planes; the second is taken for the subject, as is usual. If the cutout is "
                    "inverted, choose the first.")  # fmt: skip
    values: dict[str, Any] = {"kind": "logits", "activation": "softmax"}
    if output.activation in ("sigmoid", "clip"):
        values = {"kind": "alpha", "activation": "none"}
    sources: dict[str, Source] = {"kind": "graph", "activation": "graph", "channel": source}
    channel = 1 if subject is None else subject
    return Reading(values | {"channel": channel}, sources, (doubt,) if subject is None else ())


def _many_planes(output: OutputFacts, planes: int, classes: Mapping[int, str]) -> Reading:
    """One plane for each class."""
    named = {number: name for number, name in classes.items() if number < planes}
    activation = "none" if output.activation in ("sigmoid", "clip") else "softmax"
    sources: dict[str, Source] = {"kind": "graph", "activation": "graph", "classes": "declared"}
    if any(name != "background" for name in named.values()):
        return Reading({"kind": "labels", "activation": activation, "classes": named}, sources)
    return _nameless(planes, activation)


def _class_numbers(output: OutputFacts, classes: Mapping[int, str]) -> Reading:
    """One plane of whole numbers."""
    if classes:
        sources: dict[str, Source] = {"kind": "graph", "activation": "graph", "classes": "declared"}
        return Reading({"kind": "labels", "activation": "none", "classes": dict(classes)}, sources)
    return _nameless(output.planes or 2, "none")


def _nameless(planes: int, activation: str) -> Reading:
    if planes > _MOST_PLANES:
        return Reading({}, {}, problem=Message("It returns {planes} planes, too many for classes.", planes=planes))
    names = {0: "background"} | {number: f"class-{number}" for number in range(1, planes)}
    doubt = Message("It tells {planes} classes apart, but nothing names them; the first is taken for the background.",
                    planes=planes)  # fmt: skip
    return Reading(
        {"kind": "labels", "activation": activation, "classes": names},
        {"kind": "graph", "activation": "graph", "classes": "guess"},
        (doubt,),
    )


def _channel_axis(shape: tuple[int | str | None, ...], layout: str) -> int:
    """The axis of the channels of a shape of three or four dimensions."""
    first, last = shape[-3], shape[-1]
    small_last = isinstance(last, int) and last < _SMALLEST and not (isinstance(first, int) and first < _SMALLEST)
    leading = len(shape) - 3
    if len(shape) == 3 and not small_last:
        return 0
    return len(shape) - 1 if layout == "NHWC" or small_last else leading
