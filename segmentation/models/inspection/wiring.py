"""Nodes of a graph by what they produce and consume, and its small constants."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

_SAME_VALUES = ("Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten")
_DEEPEST = 8  # steps from a use of a constant to its definition
_MOST = 4096  # values of a constant that is read

Values = npt.NDArray[Any]


class Wiring:
    """A graph's nodes by their inputs and outputs."""

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._producer = {name: node for node in graph.node for name in node.output if name}
        self._consumers: defaultdict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._consumers[name].append(node)

    def producer(self, name: str) -> NodeProto | None:
        """The node that computes a tensor; None for inputs and constants."""
        return self._producer.get(name)

    def consumers(self, name: str) -> list[NodeProto]:
        """The nodes that read a tensor."""
        return self._consumers.get(name, [])

    def dims(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant, whatever its size; None if it is none."""
        tensor = self._tensors.get(name)
        return None if tensor is None else tuple(tensor.dims)

    def constant(self, name: str, depth: int = 0) -> Values | None:
        """A small constant; None if the tensor is computed, or large."""
        if tensor := self._tensors.get(name):
            return _values(tensor)
        node = self._producer.get(name)
        if node is None or depth > _DEEPEST:
            return None
        if node.op_type == "Constant":
            return _constant(node)
        if node.op_type in _SAME_VALUES and node.input:
            return self.constant(node.input[0], depth + 1)
        return None


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """A node's attribute."""
    for each in node.attribute:
        if each.name == name and not each.ref_attr_name:
            return helper.get_attribute_value(each)
    return default


def all_nodes(nodes: Any) -> Iterator[NodeProto]:
    """Nodes, and those of the graphs in their attributes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for each in node.attribute:
            for graph in _graphs(each):
                waiting += graph.node


def all_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Tensors of a graph, in whatever depth, with those in attributes."""
    yield from graph.initializer
    for node in all_nodes(graph.node):
        for each in node.attribute:
            if each.HasField("t"):
                yield each.t
            yield from each.tensors
            for inner in _graphs(each):
                yield from inner.initializer


def _graphs(each: AttributeProto) -> list[GraphProto]:
    return [*([each.g] if each.HasField("g") else []), *each.graphs]


def _values(tensor: TensorProto) -> Values | None:
    if tensor.data_location == TensorProto.EXTERNAL or np.prod(tensor.dims, dtype=float) > _MOST:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError):  # no values left, or fewer than the shape says
        return None


def _constant(node: NodeProto) -> Values | None:
    for each in node.attribute:
        if each.name == "value" and each.HasField("t"):
            return _values(each.t)
        if each.name in {"value_float", "value_floats", "value_int", "value_ints"}:
            return np.asarray(helper.get_attribute_value(each))
    return None
