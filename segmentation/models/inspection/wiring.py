"""Nodes of a graph by what they produce and consume, and its small constants."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

_SAME_VALUES = ("Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten")
_DEEPEST = 8  # steps from a use of a constant to its definition
_MOST = 4096  # values of a constant that is read

Values = npt.NDArray[Any]


class Wiring:
    """A graph's nodes by their inputs and outputs."""

    def __init__(self, graph: GraphProto) -> None:
        self._nodes = list(graph.node)
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._producer = {name: node for node in self._nodes for name in node.output if name}
        self._consumers: defaultdict[str, list[NodeProto]] = defaultdict(list)
        for node in self._nodes:
            for name in dict.fromkeys(node.input):
                self._consumers[name].append(node)

    def producer(self, name: str) -> NodeProto | None:
        """The node that computes a tensor; None for inputs and constants."""
        return self._producer.get(name)

    def ordered(self) -> list[NodeProto]:
        """The nodes, each after those whose results it reads; converters append nodes out of order."""
        missing = {id(node): sum(name in self._producer for name in dict.fromkeys(node.input)) for node in self._nodes}
        ready = [node for node in self._nodes if not missing[id(node)]][::-1]
        done: list[NodeProto] = []
        while ready:
            node = ready.pop()
            done.append(node)
            for reader in (each for name in node.output for each in self._consumers.get(name, [])):
                missing[id(reader)] -= 1
                if not missing[id(reader)]:
                    ready.append(reader)
        return done

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


def all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Tensors of a model, in whatever depth, with those in attributes and functions."""
    yield from _stored(model.graph)
    for node in all_nodes([*model.graph.node, *(node for function in model.functions for node in function.node)]):
        for each in node.attribute:
            if each.HasField("t"):
                yield each.t
            yield from each.tensors
            for sparse in (each.sparse_tensor, *each.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in _graphs(each):
                yield from _stored(inner)


def _stored(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


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
