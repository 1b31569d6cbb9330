"""Which multiples a network's input size must be, from how far its layers shrink the picture."""

from fractions import Fraction
from math import lcm

from onnx import NodeProto

from segmentation.models.inspection.wiring import Wiring, attribute

_MOST = 128  # a multiple above this is no sign of layers, but of a calculation gone wrong
_POOLED = {"GlobalAveragePool", "GlobalMaxPool", "Shape", "Size", "ConstantOfShape"}
_STRIDED = {"Conv", "MaxPool", "AveragePool", "LpPool", "ConvInteger", "QLinearConv", "FusedConv", "QLinearAveragePool"}
_FURTHEST = 12  # operations from a computed size back to the tensor whose size it is


def multiple_of(wiring: Wiring, name: str) -> int | None:
    """What both edges should be multiples of, so that no layer rounds; None if the layers do not tell.

    Sizes that are no such multiples may work as well, where layers are resized to each other's size.
    """
    sizes: dict[str, Fraction | None] = {name: Fraction(1)}  # of a tensor, relative to the input's
    smallest = 1
    for node in wiring.graph.node:
        size = _size(wiring, node, sizes)
        for output in node.output:
            sizes[output] = size
        if size:
            smallest = lcm(smallest, size.denominator)
        if smallest > _MOST:
            return None
    return smallest


def _size(wiring: Wiring, node: NodeProto, sizes: dict[str, Fraction | None]) -> Fraction | None:
    kind = node.op_type
    before = next((size for name in node.input if (size := sizes.get(name))), None)
    if before is None or kind in _POOLED:
        return None
    if kind in _STRIDED:
        return before / _stride(node)
    if kind == "ConvTranspose":
        return before * _stride(node)
    if kind in {"DepthToSpace", "SpaceToDepth"}:
        block = max(1, int(attribute(node, "blocksize", 1)))
        return before * block if kind == "DepthToSpace" else before / block
    if kind == "Slice":
        return before / _step(wiring, node)
    if kind in {"Resize", "Upsample"}:
        return _resized(wiring, node, before, sizes)
    if kind.startswith("Reduce") and not attribute(node, "keepdims", 1):
        return None
    return before


def _stride(node: NodeProto) -> int:
    strides = attribute(node, "strides") or [1]
    return max(1, int(strides[0]))


def _step(wiring: Wiring, node: NodeProto) -> int:
    """The step of a Slice; of two in a row, one for each edge, only the first counts."""
    above = wiring.producer(node.input[0])
    if len(node.input) < 5 or (above is not None and above.op_type == "Slice"):
        return 1
    steps = wiring.constant(node.input[4])
    return 1 if steps is None or not steps.size else max(1, int(abs(steps.ravel()).max()))


def _resized(wiring: Wiring, node: NodeProto, before: Fraction, sizes: dict[str, Fraction | None]) -> Fraction | None:
    place = 1 if node.op_type == "Upsample" else 2
    scales = wiring.constant(node.input[place]) if len(node.input) > place and node.input[place] else None
    if scales is not None and scales.size >= 3:
        factor = Fraction(float(scales.ravel()[2 if scales.size == 4 else 0])).limit_denominator(64)
        return before * factor if factor > 0 else None
    name = next((name for name in reversed(node.input[1:]) if name and wiring.producer(name)), "")
    return _size_asked_for(wiring, name, sizes)


def _size_asked_for(wiring: Wiring, name: str, sizes: dict[str, Fraction | None]) -> Fraction | None:
    """The size of the tensor whose shape a computed size was taken from."""
    waiting = [name]
    for _ in range(_FURTHEST):
        if not waiting:
            break
        node = wiring.producer(waiting.pop())
        if node is None:
            continue
        if node.op_type == "Shape":
            return sizes.get(node.input[0])
        waiting += [each for each in node.input if each]
    return None
