"""An `.onnx` file -> `GraphFacts`, without its weights and without running it.

This parses a file from strangers: it belongs into a process that may crash.
"""

from collections import Counter
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.inspection.facts import GraphFacts, OutputFacts, TensorFacts
from segmentation.models.onnx_file import file_problem

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

# operator domains that ONNX Runtime itself implements
_KNOWN_DOMAINS = {
    "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft",
    "com.microsoft.nchwc", "com.microsoft.experimental", "com.ms.internal.nhwc",
}  # fmt: skip
_NAMES = 200  # characters of a name that are kept
_OPERATORS = 200  # kinds of operators that are counted
_MOST = 64  # inputs, outputs, and dimensions of a shape that are told
_TRAINED = 2  # dimensions from which on a constant is taken for trained weights


def read_graph(path: Path) -> GraphFacts:
    """What a graph tells without being run; its weights are skipped, and data files beside it left alone.

    Raises:
        SessionError: It is not an ONNX network.
    """
    if problem := file_problem(path):
        raise SessionError(Message("{file} cannot be read: {problem}", file=path.name, problem=problem))
    try:
        return _facts(path)
    except SessionError:
        raise
    except Exception as error:  # what parsers and numpy raise on malformed files has no common base
        raise SessionError(
            Message(
                "{file} cannot be read: {problem}",
                file=path.name,
                problem=Message("it is damaged, or not an ONNX file ({reason}).", reason=type(error).__name__),
            )
        ) from error


def _facts(path: Path) -> GraphFacts:
    import onnx

    from segmentation.models.inspection.beginning import normalisation_of
    from segmentation.models.inspection.ends import end_of
    from segmentation.models.inspection.slim import slim_bytes
    from segmentation.models.inspection.strides import multiple_of
    from segmentation.models.inspection.wiring import Wiring, all_nodes, all_tensors

    model = onnx.ModelProto.FromString(slim_bytes(path))
    own = {(function.domain, function.name) for function in model.functions}
    nodes = list(all_nodes([*model.graph.node, *(node for function in model.functions for node in function.node)]))
    custom = {node.domain for node in nodes if (node.domain, node.op_type) not in own} - _KNOWN_DOMAINS
    tensors = list(all_tensors(model))
    parameters = sum(prod(tensor.dims) for tensor in tensors if len(tensor.dims) >= _TRAINED)
    outside = dict.fromkeys(
        entry.value[: _NAMES + 1]  # one more than a name may have
        for tensor in tensors
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    )
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if own:
        model = _inlined(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [_tensor(each) for each in model.graph.input if each.name not in constants][:_MOST]
    outputs = [_tensor(each) for each in _with_shapes(model)[:_MOST]]
    if not inputs or not outputs:
        raise SessionError(
            Message("{file} cannot be read: {problem}", file=path.name,
                    problem=Message("it has no input or no output, so it is not a network."))
        )  # fmt: skip
    wiring = Wiring(model.graph)
    ends = [end_of(wiring, each.name) for each in model.graph.output[:_MOST]]
    inside = normalisation_of(wiring, inputs[0]["name"])
    return GraphFacts(
        inputs=tuple(TensorFacts(**each) for each in inputs),
        outputs=tuple(
            OutputFacts(**each, activation=end.activation, operator=end.operator, planes=end.planes)
            for each, end in zip(outputs, ends, strict=True)
        ),
        opset=opset,
        producer=f"{model.producer_name} {model.producer_version}".strip()[:_NAMES],
        custom_domains=tuple(sorted(domain[:_NAMES] for domain in custom)),
        parameters=parameters,
        operators=dict(Counter(node.op_type[:_NAMES] for node in nodes).most_common(_OPERATORS)),
        data_files=tuple(outside),
        multiple_of=multiple_of(wiring, inputs[0]["name"], _height(inputs[0]["shape"])),
        scale=inside.scale,
        mean=inside.mean,
        std=inside.std,
    )


def _inlined(model: "ModelProto") -> "ModelProto":
    """The model with its own functions written out, as PyTorch's newer exporter leaves them."""
    from onnx import inliner

    return inliner.inline_local_functions(model)


def _with_shapes(model: "ModelProto") -> list["ValueInfoProto"]:
    """The outputs, with shapes worked out where the file leaves them open."""
    from onnx import shape_inference

    outputs = list(model.graph.output)
    if all(_shape(each) and all(isinstance(edge, int) for edge in _shape(each) or ()) for each in outputs):
        return outputs
    try:
        inferred = list(shape_inference.infer_shapes(model, data_prop=True).graph.output)
    except Exception:  # what it raises has no common base; the file's own shapes must do
        return outputs
    return [
        better if (_shape(better) is not None and _open(better) <= _open(own)) else own
        for own, better in zip(outputs, inferred, strict=True)
    ]


def _open(value: "ValueInfoProto") -> int:
    """How many dimensions are left open."""
    shape = _shape(value)
    return 99 if shape is None else sum(not isinstance(edge, int) for edge in shape)


def _shape(value: "ValueInfoProto") -> tuple[int | str | None, ...] | None:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    return tuple(
        int(each.dim_value) if each.HasField("dim_value") and each.dim_value > 0 else each.dim_param[:_NAMES] or None
        for each in tensor.shape.dim[:_MOST]
    )


def _height(shape: tuple[int | str | None, ...] | None) -> int | None:
    """The height that a picture's shape is fixed to."""
    if shape is None or len(shape) != 4:
        return None
    height = shape[1 if shape[3] == 3 and shape[1] != 3 else 2]
    return height if isinstance(height, int) else None


def _tensor(value: "ValueInfoProto") -> dict[str, Any]:
    return {"name": value.name[:_NAMES], "dtype": _dtype(value), "shape": _shape(value)}


def _dtype(value: "ValueInfoProto") -> str:
    from onnx import TensorProto, helper

    kind = value.type.tensor_type.elem_type
    if not value.type.HasField("tensor_type") or kind == TensorProto.UNDEFINED:
        return "other"
    if kind == TensorProto.STRING:
        return "string"
    try:
        name = str(helper.tensor_dtype_to_np_dtype(kind))
    except KeyError:
        return "other"
    return name if name.rstrip("0123456789") in {"float", "int", "uint", "bool"} else "other"
