"""A network's contract: its registry entry, checked against the graph and completed from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.spec import InputSpec, ModelSpec, OutputSpec
from segmentation.network.tensor import DEFAULT_SIZE
from segmentation.settings import MAX_SIZE

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
_ANSWERS = ("tensor(float)", "tensor(float16)", "tensor(double)", "tensor(uint8)", "tensor(bool)")
_CLASS_NUMBERS = ("tensor(int64)", "tensor(int32)", "tensor(uint16)", "tensor(int16)", "tensor(int8)")
_SMALLEST = 8  # pixels a side of a picture; anything smaller is a score for the whole picture


class Node(Protocol):
    """An input or output of a graph, as ONNX Runtime describes it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Its dimensions; a name or None for those the graph leaves open."""

    @property
    def type(self) -> str:
        """Such as "tensor(float)"."""


@dataclass(frozen=True, slots=True)
class OutputContract:
    """The output to read, and how to read it."""

    name: str
    spec: OutputSpec
    notes: tuple[str, ...] = ()
    """Sentences about what was guessed."""


def input_contract(spec: ModelSpec, inputs: Sequence[Node]) -> InputSpec:
    """How a picture becomes the input of this graph, which also sets layout, dtype and size of a local file.

    Raises:
        SessionError: The graph's input is not one picture, or contradicts the registry.
    """
    promised, title = spec.input, spec.title
    if len(inputs) != 1:
        names = ", ".join(node.name for node in inputs)
        raise SessionError(
            Message(
                "{title} needs {inputs} inputs ({names}), but only a picture can be given.",
                title=title, inputs=len(inputs), names=names,
            )
        )  # fmt: skip
    node = inputs[0]
    shape, dtype = list(node.shape), _DTYPES.get(node.type)
    if promised.layout == "HWC" and len(shape) == 3:
        shape = [1, *shape]
    elif promised.layout == "HWC":
        dtype = None
    if dtype is None or len(shape) != 4:
        raise SessionError(
            Message(
                "{title} does not take pictures: its input is {type} of shape {shape}.",
                title=title, type=node.type, shape=shape,
            )
        )  # fmt: skip
    last = "HWC" if promised.layout == "HWC" else "NHWC"
    layout = {shape[3]: last, shape[1]: "NCHW"}.get(3, promised.layout)
    channels = shape[1 if layout == "NCHW" else 3]
    if (isinstance(shape[0], int) and shape[0] != 1) or (isinstance(channels, int) and channels != 3):
        raise SessionError(
            Message("{title} does not take one RGB picture at a time: its input is {shape}.", title=title, shape=shape)
        )
    height, width = shape[2:] if layout == "NCHW" else shape[1:3]
    fixed = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    if fixed and not (min(fixed) > 0 and max(fixed) <= MAX_SIZE):
        raise SessionError(
            Message(
                "{title} works at {height} x {width} pixels only, but 1 to {most} a side are supported.",
                title=title, height=height, width=width, most=MAX_SIZE,
            )
        )  # fmt: skip
    if spec.is_local and promised.name is None:  # nothing has looked into the graph yet
        raw = {"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3} if dtype == "uint8" else {}
        size = {"size": fixed, "dynamic": False} if fixed else {"size": DEFAULT_SIZE}
        return promised.model_copy(update={"name": node.name, "layout": layout, "dtype": dtype, **raw, **size})
    _check_promises(spec, node.name, layout, dtype, fixed)
    update: dict[str, Any] = {"name": node.name}
    if fixed and promised.dynamic:  # the file accepts only one size after all
        update |= {"size": fixed, "dynamic": False, "resize": "stretch"}
    return promised.model_copy(update=update)


def _check_promises(spec: ModelSpec, name: str, layout: str, dtype: str, fixed: tuple[int, int] | None) -> None:
    promised = spec.input
    own = promised.size if isinstance(promised.size, tuple) else (promised.size, promised.size)
    problems = [
        f"{what} is {have} in the file and {want} in {'the registry' if spec.registered else 'its contract'}"
        for what, have, want in (
            ("input.name", name, promised.name or name),
            ("input.layout", layout, promised.layout),
            ("input.dtype", dtype, promised.dtype),
            ("input.size", fixed or own, own if not promised.dynamic else fixed or own),
        )
        if have != want
    ]
    if problems:
        raise SessionError(Message("{title}: {problems}.", title=spec.title, problems="; ".join(problems)))


def output_contract(spec: ModelSpec, outputs: Sequence[Node], layout: str) -> OutputContract:
    """Which output of this graph is the mask, and how to read it; for a local file, as its shapes suggest.

    Args:
        spec: The model.
        outputs: The graph's outputs.
        layout: Layout of the input, which the output shares.

    Raises:
        SessionError: The graph has no such output, it is not a picture, or nothing says which plane is the subject.
    """
    node = _find_output(spec, outputs)
    title = spec.title
    if spec.is_local and spec.output.name is None and not _looks_like_a_picture(node):
        node = next((other for other in outputs if _looks_like_a_picture(other)), node)
    if not _looks_like_a_picture(node):
        raise SessionError(
            Message(
                "{title} returns {kind} of shape {shape}, not a picture: it is not a segmentation network.",
                title=title, kind=node.type.removeprefix("tensor(").removesuffix(")"), shape=list(node.shape),
            )
        )  # fmt: skip
    if not spec.is_local or spec.output.name is not None:
        return OutputContract(node.name, spec.output)
    if node.type in _CLASS_NUMBERS:
        raise SessionError(
            Message(
                "{title} returns a class number for each pixel, and nothing says which class is the subject. "
                "Describe it in a registry file (output: kind labels, classes).",
                title=title,
            )
        )
    channels = _channels(node, layout)
    if channels in (1, None):
        return OutputContract(node.name, spec.output)
    if channels == 2:
        note = Message(
            "{title} returns two planes; the second was taken for the subject, as is usual. If the cutout is "
            "inverted, describe the file in a registry file (output: channel 0).",
            title=title,
        )
        return OutputContract(node.name, OutputSpec(kind="logits", activation="softmax", channel=1), (note,))
    raise SessionError(
        Message(
            "{title} returns {channels} planes, and nothing says which is the subject. Describe it in a "
            "registry file (output: channel, or kind labels with classes).",
            title=title, channels=channels,
        )
    )  # fmt: skip


def _find_output(spec: ModelSpec, outputs: Sequence[Node]) -> Node:
    wanted = spec.output
    if wanted.name is None and wanted.index < len(outputs):
        return outputs[wanted.index]
    named = next((node for node in outputs if node.name == wanted.name), None)
    if named is not None:
        return named
    if wanted.name is not None:
        names = ", ".join(node.name for node in outputs)
        raise SessionError(
            Message("{title} has no output {name}; it has {names}.", title=spec.title, name=wanted.name, names=names)
        )
    raise SessionError(
        Message(
            "{title} has {names} outputs, so index {index} does not exist.",
            title=spec.title, names=len(outputs), index=wanted.index,
        )
    )  # fmt: skip


def _looks_like_a_picture(node: Node) -> bool:
    """Whether an output has two dimensions that could be a picture's; an open one may be."""
    shape = list(node.shape)
    if node.type not in (*_ANSWERS, *_CLASS_NUMBERS) or not 2 <= len(shape) <= 4:
        return False
    edges = [n for n in shape if not isinstance(n, int) or n >= _SMALLEST]
    return len(edges) >= 2


def _channels(node: Node, layout: str) -> int | None:
    """Number of planes of an output; None if the graph leaves it open."""
    shape = list(node.shape)
    if len(shape) < 3:
        return 1
    small = shape[1] if len(shape) == 4 else shape[0]
    last = shape[-1]
    if layout == "NHWC" or (
        isinstance(last, int) and last < _SMALLEST and not (isinstance(small, int) and small < _SMALLEST)
    ):
        small = last
    return small if isinstance(small, int) else None
