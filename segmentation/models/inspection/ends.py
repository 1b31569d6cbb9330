"""What lies behind an output of a graph: the operation that bounds its values, and the one that computes them."""

from dataclasses import dataclass

from onnx import NodeProto

from segmentation.models.inspection.facts import Activation
from segmentation.models.inspection.wiring import Wiring, attribute

# operations that move values, resize planes or convert types, but leave probabilities probabilities
_THROUGH = {
    "Identity", "Cast", "CastLike", "Resize", "Upsample", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze",
    "Slice", "Split", "Gather", "Pad", "Expand", "Tile", "Dropout", "DepthToSpace", "SpaceToDepth", "CenterCropPad",
    "QuantizeLinear", "DequantizeLinear", "AveragePool", "MaxPool",
}  # fmt: skip
_BOUNDS: dict[str, Activation] = {
    "Sigmoid": "sigmoid",
    "HardSigmoid": "sigmoid",
    "QLinearSigmoid": "sigmoid",
    "Softmax": "softmax",
    "QLinearSoftmax": "softmax",
    "ArgMax": "argmax",
}
_FURTHEST = 64  # operations from the output back


@dataclass(frozen=True, slots=True)
class End:
    """The end of a graph, before one of its outputs."""

    activation: Activation = "none"
    operator: str = ""
    planes: int | None = None
    """The channels of which an argmax chose one."""


def end_of(wiring: Wiring, output: str) -> End:
    """What lies behind an output."""
    clipped = False
    node = wiring.producer(output)
    for _ in range(_FURTHEST):
        if node is None:
            break
        kind = node.op_type
        if kind in _BOUNDS:
            planes = _planes(wiring, node) if kind == "ArgMax" else None
            return End(_BOUNDS[kind], kind, planes)
        if kind == "Clip" and _is_unit(wiring, node):
            clipped = True
        elif kind == "Concat" and (joined := _joined(wiring, node)):
            return joined
        elif _is_sigmoid(wiring, node):
            return End("sigmoid", kind)
        elif _is_stretched(wiring, node):
            return End("clip", kind)
        elif kind not in _THROUGH:
            return End("clip" if clipped else "none", kind)
        node = wiring.producer(node.input[0]) if node.input else None
    return End("clip" if clipped else "none")


def _is_unit(wiring: Wiring, node: NodeProto) -> bool:
    """Whether a Clip keeps 0..1."""
    bounds = [
        attribute(node, name) if len(node.input) <= place else wiring.constant(node.input[place])
        for place, name in ((1, "min"), (2, "max"))
    ]
    return [float(bound) for bound in bounds if bound is not None] == [0.0, 1.0]


def _joined(wiring: Wiring, node: NodeProto) -> End | None:
    """The common end of the parts of a Concat; None if they differ."""
    parts = [wiring.producer(name) for name in node.input]
    kinds = {part.op_type if part else "" for part in parts}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return End(_BOUNDS[kind], kind) if kind in ("Sigmoid", "HardSigmoid") else None


def _is_sigmoid(wiring: Wiring, node: NodeProto) -> bool:
    """Whether a Div or Reciprocal ends a sigmoid written out, 1 / (1 + exp(-x))."""
    if node.op_type not in ("Div", "Reciprocal") or not node.input:
        return False
    below = wiring.producer(node.input[-1])
    if below is None or below.op_type != "Add":
        return False
    return any(part and part.op_type == "Exp" for part in map(wiring.producer, below.input))


def _is_stretched(wiring: Wiring, node: NodeProto) -> bool:
    """Whether a Div ends a stretching to 0..1, (x - min) / (max - min)."""
    above = wiring.producer(node.input[0]) if node.op_type == "Div" and node.input else None
    if above is None or above.op_type != "Sub":
        return False
    return any(part and part.op_type == "ReduceMin" for part in map(wiring.producer, above.input))


def _planes(wiring: Wiring, node: NodeProto) -> int | None:
    """The channels of the convolution before an argmax."""
    before = wiring.producer(node.input[0]) if node.input else None
    for _ in range(_FURTHEST):
        if before is None:
            return None
        if before.op_type in ("Conv", "ConvTranspose") and len(before.input) > 1:
            dims = wiring.dims(before.input[1])
            return None if not dims else dims[0 if before.op_type == "Conv" else 1]
        before = wiring.producer(before.input[0]) if before.input else None
    return None
