"""What a graph tells without being run: its ends, its beginning, its layers; and files that are no graphs."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segmentation import SessionError
from segmentation.models.inspection.declared import NOTHING
from segmentation.models.inspection.graph import read_graph
from segmentation.models.inspection.propose import is_beside, propose
from segmentation.models.inspection.slim import slim_bytes
from tests import graphs
from tests.graphs import Shape, write_graph
from tests.repositories import IMAGENET, REPOSITORIES, write_repository

FLOAT = TensorProto.FLOAT


def chain(
    path: Path, *steps: tuple[Any, ...], planes: int = 3, size: Shape = (64, 64), out: Shape | None = None
) -> Path:
    """A graph of one node after the other: (operator, constants..., attributes)."""
    nodes, constants, name = [], {}, "image"
    for number, (kind, *rest) in enumerate(steps):
        attributes = rest.pop() if rest and isinstance(rest[-1], dict) else {}
        names = [name]
        for place, value in enumerate(rest):
            names.append(f"c{number}_{place}")
            constants[names[-1]] = value
        name = "matte" if number == len(steps) - 1 else f"t{number}"
        nodes.append(helper.make_node(kind, names, [name], **attributes))
    shape = (1, planes, *size) if out is None else out
    return write_graph(path, nodes, {"image": (FLOAT, (1, 3, *size))}, {"matte": (FLOAT, shape)}, constants)


def floats(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, np.float32)


def channels(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return floats(*values).reshape(1, -1, 1, 1)


def test_what_a_graph_is_made_of(weights: dict[str, Path]) -> None:
    facts = read_graph(weights["u2netp"])
    assert (facts.opset, facts.producer) == (11, "pytorch 1.9")
    assert (facts.inputs[0].name, facts.inputs[0].shape, facts.inputs[0].dtype) == (
        "input.1",
        (1, 3, 320, 320),
        "float32",
    )
    assert [output.activation for output in facts.outputs] == ["sigmoid"] * 7
    assert facts.operators["MaxPool"] == 33
    assert 1_100_000 < facts.parameters < 1_140_000
    assert (facts.custom_domains, facts.data_files, facts.mean) == ((), (), None)


def test_facts_survive_json(weights: dict[str, Path]) -> None:
    facts = read_graph(weights["modnet"])
    assert type(facts).model_validate_json(facts.model_dump_json()) == facts
    assert facts.inputs[0].shape == ("batch_size", 3, "height", "width")
    assert facts.multiple_of == 32


CONVOLUTION = ("Conv", np.zeros((1, 3, 1, 1), np.float32))


@pytest.mark.parametrize(
    ("steps", "activation", "operator"),
    [
        ([CONVOLUTION], "none", "Conv"),
        ([CONVOLUTION, ("Sigmoid",)], "sigmoid", "Sigmoid"),
        ([CONVOLUTION, ("HardSigmoid",)], "sigmoid", "HardSigmoid"),
        ([CONVOLUTION, ("Sigmoid",), ("Identity",), ("Clip", np.float32(0), np.float32(1))], "sigmoid", "Sigmoid"),
        ([CONVOLUTION, ("Clip", np.float32(0), np.float32(1))], "clip", "Conv"),
        ([CONVOLUTION, ("Clip", np.float32(-1), np.float32(1))], "none", "Clip"),
        ([CONVOLUTION, ("Relu",)], "none", "Relu"),
        ([("Softmax", {"axis": 1}), ("Slice", np.array([1]), np.array([2]), np.array([1]))], "softmax", "Softmax"),
        ([("Softmax", {"axis": 1}), ("Transpose", {"perm": [0, 1, 3, 2]})], "softmax", "Softmax"),
        ([CONVOLUTION, ("Sigmoid",), ("Mul", np.float32(255))], "none", "Mul"),
    ],
)  # fmt: skip
def test_what_ends_a_graph(steps: list[Any], activation: str, operator: str, tmp_path: Path) -> None:
    planes = 3 if steps[0][0] == "Softmax" and steps[-1][0] != "Slice" else 1
    output = read_graph(chain(tmp_path / "model.onnx", *steps, planes=planes)).outputs[0]
    assert (output.activation, output.operator) == (activation, operator)


def test_activations_written_out_are_seen(tmp_path: Path) -> None:
    image: dict[str, tuple[int, Shape]] = {"image": (FLOAT, (1, 3, 64, 64))}
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["x"], axes=[1], keepdims=1),
        helper.make_node("Neg", ["x"], ["minus"]),
        helper.make_node("Exp", ["minus"], ["power"]),
        helper.make_node("Add", ["power", "one"], ["sum"]),
        helper.make_node("Div", ["one", "sum"], ["matte"]),
    ]
    outputs: dict[str, tuple[int, Shape | None]] = {"matte": (FLOAT, (1, 1, 64, 64))}
    sigmoid = write_graph(tmp_path / "sigmoid.onnx", nodes, image, outputs, {"one": np.float32(1)})
    assert read_graph(sigmoid).outputs[0].activation == "sigmoid"
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["x"], axes=[1], keepdims=1),
        helper.make_node("ReduceMin", ["x"], ["low"], keepdims=0),
        helper.make_node("ReduceMax", ["x"], ["high"], keepdims=0),
        helper.make_node("Sub", ["x", "low"], ["above"]),
        helper.make_node("Sub", ["high", "low"], ["range"]),
        helper.make_node("Div", ["above", "range"], ["matte"]),
    ]
    stretched = write_graph(tmp_path / "stretched.onnx", nodes, image, outputs)
    assert read_graph(stretched).outputs[0].activation == "clip"


def test_an_argmax_says_how_many_classes_it_chose_from(tmp_path: Path) -> None:
    weights = np.zeros((19, 3, 1, 1), np.float32)
    path = write_graph(
        tmp_path / "model.onnx",
        [
            helper.make_node("Conv", ["image", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["classes"], axis=1, keepdims=0),
        ],
        {"image": (FLOAT, (1, 3, 64, 64))},
        {"classes": (TensorProto.INT64, (1, 64, 64))},
        {"weights": weights},
    )
    facts = read_graph(path)
    assert (facts.outputs[0].activation, facts.outputs[0].planes) == ("argmax", 19)
    assert len(propose(facts, NOTHING).contract.output.classes) == 19


MEAN, STD = IMAGENET


@pytest.mark.parametrize(
    ("steps", "scale", "mean", "std"),
    [
        ([("Sub", channels(*MEAN)), ("Div", channels(*STD))], None, MEAN, STD),
        ([("Div", np.float32(255)), ("Sub", channels(*MEAN)), ("Div", channels(*STD))], 255, MEAN, STD),
        ([("Mul", np.float32(1 / 255)), ("Add", channels(*(-m for m in MEAN))),
          ("Mul", channels(*(1 / s for s in STD)))], 255, MEAN, STD),
        ([("Sub", channels(123.675, 116.28, 103.53)), ("Div", channels(58.395, 57.12, 57.375))], 255, MEAN, STD),
        ([("Sub", channels(123.675, 116.28, 103.53))], 255, MEAN, (1 / 255,) * 3),
        ([("Div", np.float32(127.5)), ("Sub", np.float32(1))], 255, (0.5,) * 3, (0.5,) * 3),
        ([("Mul", np.float32(2)), ("Sub", np.float32(1))], None, (0.5,) * 3, (0.5,) * 3),
        ([("Div", np.float32(255))], 255, None, None),
        ([("Sub", np.float32(0.5))], None, (0.5,) * 3, (1.0,) * 3),
        ([("Cast", {"to": FLOAT}), ("Identity",), ("Sub", np.float32(0.5))], None, (0.5,) * 3, (1.0,) * 3),
        ([("BatchNormalization", floats(1, 1, 1), floats(0, 0, 0), floats(*MEAN),
           floats(*(s * s - 1e-5 for s in STD)))], None, MEAN, STD),
        ([("Gather", np.array([2, 1, 0]), {"axis": 1}), ("Sub", channels(103.53, 116.28, 123.675))],
         255, MEAN, (1 / 255,) * 3),
        ([("Relu",), ("Sub", np.float32(0.5))], None, None, None),
        ([("Mul", np.float32(17)), ("Add", np.float32(40))], None, None, None),
        ([("Sub", np.float32(np.nan))], None, None, None),
        ([("Mul", np.float32(0))], None, None, None),
        ([("Identity",)], None, None, None),
    ],
)  # fmt: skip
def test_normalisation_inside(steps: list[Any], scale: float | None, mean: Any, std: Any, tmp_path: Path) -> None:
    facts = read_graph(chain(tmp_path / "model.onnx", *steps, ("Relu",)))
    assert facts.scale == scale
    assert facts.mean == (None if mean is None else pytest.approx(mean, abs=1e-4))
    assert facts.std == (None if std is None else pytest.approx(std, abs=1e-4))


def test_constants_may_be_nodes_and_sizes_may_be_asked_for(tmp_path: Path) -> None:
    half = numpy_helper.from_array(np.array(0.5, np.float32))
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Constant", [], ["half"], value=half),
        helper.make_node("Constant", [], ["axes"], value_ints=[0]),
        helper.make_node("Unsqueeze", ["half", "axes"], ["halves"]),
        helper.make_node("Sub", ["image", "halves"], ["centred"]),
        helper.make_node("Reshape", ["centred", "shape"], ["matte"]),
    ]
    path = write_graph(
        tmp_path / "m.onnx", nodes, {"image": (FLOAT, (1, 3, 64, 64))}, {"matte": (FLOAT, (1, 3, 64, 64))}
    )
    assert read_graph(path).mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("strides", "multiple"), [([], 1), ([2], 2), ([2, 2, 2], 8), ([4, 2, 2, 2], 32), ([14], 14), ([16, 16], None)]
)
def test_the_multiple_follows_from_the_strides(strides: list[int], multiple: int | None, tmp_path: Path) -> None:
    steps = [("Conv", np.zeros((3, 3, edge, edge), np.float32), {"strides": [edge, edge]}) for edge in strides]
    path = chain(tmp_path / "model.onnx", *steps, ("Identity",), size=("h", "w"), out=(1, 3, "a", "b"))
    assert read_graph(path).multiple_of == multiple


def test_layers_may_be_rearranged_and_resized(tmp_path: Path) -> None:
    path = chain(
        tmp_path / "model.onnx",
        ("SpaceToDepth", {"blocksize": 2}),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Resize", floats(), floats(1, 1, 2, 2)),
        ("ConvTranspose", np.zeros((12, 3, 2, 2), np.float32), {"strides": [2, 2]}),
    )
    assert read_graph(path).multiple_of == 4


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("model.onnx_data", True), ("model.onnx.data", True), ("..data", True),
        ("../secret", False), ("/etc/passwd", False), ("a/b", False), ("..", False), (".", False), ("", False),
        ("a" * 200 + "/../../secret", False), ("a" * 201, False), ("a\\b", False), ("C:data", False), ("a\0b", False),
    ],
)  # fmt: skip
def test_data_outside_the_folder_is_refused(name: str, beside: bool, tmp_path: Path) -> None:
    assert is_beside(name) == beside
    path = graphs.with_external_data(tmp_path / "model.onnx")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = name
    path.write_bytes(model.SerializeToString())
    facts = read_graph(path)
    assert facts.data_files == (name[:201],)
    assert ("Its weights lie outside its folder" in propose(facts, NOTHING).problem) == (not beside)


def test_data_is_found_wherever_it_hides(tmp_path: Path) -> None:
    def tensor(name: str) -> TensorProto:
        outside = TensorProto(name=name, data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        outside.external_data.add(key="location", value=name)
        return outside

    path = graphs.brightness(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.initializer.append(tensor("plain"))
    model.graph.sparse_initializer.add(values=tensor("sparse"), indices=tensor("indices"))
    branch = helper.make_graph([], "branch", [], [], [tensor("branch")])
    constant = helper.make_node("Constant", [], ["b"], value=tensor("attribute"))
    model.graph.node.append(helper.make_node("If", ["a"], ["c"], then_branch=branch))
    function = helper.make_function("own", "F", [], ["b"], [constant], [helper.make_opsetid("", 17)])
    model.functions.append(function)
    path.write_bytes(model.SerializeToString())
    assert set(read_graph(path).data_files) == {"plain", "sparse", "indices", "branch", "attribute"}


def test_data_files_are_named_and_not_opened(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path / "model.onnx")
    (tmp_path / "model.onnx.data").unlink()
    facts = read_graph(path)
    assert facts.data_files == ("model.onnx.data",)
    assert not propose(facts, NOTHING).problem


def test_custom_operators_are_named_and_refused(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node[0].domain = "evil.ops"
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))
    model.opset_import.append(helper.make_opsetid("only.imported", 1))
    path.write_bytes(model.SerializeToString())
    facts = read_graph(path)
    assert facts.custom_domains == ("evil.ops",)
    assert "operators that are not part of ONNX Runtime (evil.ops)" in propose(facts, NOTHING).problem


def test_functions_of_the_model_are_looked_into(tmp_path: Path) -> None:
    function = helper.make_function(
        "own", "Ending", ["x"], ["y"], [helper.make_node("Sigmoid", ["x"], ["y"])], [helper.make_opsetid("", 17)]
    )
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1]),
         helper.make_node("Ending", ["mean"], ["matte"], domain="own")],
        "tiny",
        [helper.make_tensor_value_info("image", FLOAT, (1, 3, 64, 64))],
        [helper.make_tensor_value_info("matte", FLOAT, (1, 1, 64, 64))],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=9)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    facts = read_graph(path)
    assert facts.custom_domains == ()
    assert facts.outputs[0].activation == "sigmoid"


def test_shapes_left_open_are_worked_out(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    path.write_bytes(model.SerializeToString())
    assert read_graph(path).outputs[0].shape == (1, 1, 64, 64)


def test_weights_are_skipped_and_everything_else_kept(tmp_path: Path, weights: dict[str, Path]) -> None:
    for path in (weights["u2netp"], write_repository("labels", tmp_path) / "onnx" / "model.onnx"):
        slim = onnx.ModelProto.FromString(slim_bytes(path))
        full = onnx.load(path)
        for tensor in full.graph.initializer:
            if len(tensor.raw_data) > 4096:
                tensor.ClearField("raw_data")
        assert slim == full
    assert len(slim_bytes(weights["u2netp"])) < weights["u2netp"].stat().st_size / 4


def test_a_large_file_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    big = TensorProto(name="big", data_type=FLOAT, dims=[1 << 14, 1 << 14])
    model = onnx.load(graphs.brightness(path))
    model.graph.initializer.append(big)
    head = model.SerializeToString()
    # the tensor's gigabyte is a hole in the file: field 9 of the tensor, the last field of the graph, is appended
    empty = big.SerializeToString()
    assert head.count(empty) == 1
    length = 1 << 30

    def varint(value: int) -> bytes:
        return bytes([*((value >> shift & 0x7F) | 0x80 for shift in range(0, 28, 7)), value >> 28])

    tensor = empty + b"\x4a" + varint(length)
    graph = model.graph.SerializeToString()
    rest = graph.replace(b"\x2a" + bytes([len(empty)]) + empty, b"")
    model.ClearField("graph")
    inner = rest + b"\x2a" + varint(len(tensor) + length) + tensor
    with path.open("wb") as file:
        file.write(model.SerializeToString() + b"\x3a" + varint(len(inner) + length) + inner)
        file.truncate(file.tell() + length)
    script = (
        "import re, sys; from pathlib import Path; from segmentation.models.inspection.graph import read_graph\n"
        "facts = read_graph(Path(sys.argv[1])); assert facts.parameters == 1 << 28, facts.parameters\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"  # the parent's do not count
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 600_000  # kilobytes


def test_onnx_is_only_imported_when_a_graph_is_read() -> None:
    script = "import segmentation, segmentation.models.inspection.local, sys; print('onnx' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS pointer"),
        (b"<!doctype html><html>", "web page"),
        (b"\x0a\x02\x08\x01", "no input or no output"),
        (b"PK\x03\x04" + bytes(100), "not an ONNX file"),
        (b"\x08\x09\x3a\x02\x0a\xff", "not an ONNX file"),
        (b"\x08\x09", "no input or no output"),
        (b"\x3a\x82\x80\x80\x80\x80\x80\x80\x80\x80\x80", "not an ONNX file"),
    ],
)
def test_what_is_no_network_is_refused_with_a_sentence(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(SessionError, match=rf"bad\.onnx cannot be read: .*{problem}"):
        read_graph(path)


def test_graphs_within_graphs_end_somewhere(tmp_path: Path) -> None:
    content = b"\x12\x04leaf"
    for _ in range(60):  # attribute 6 (graph) of attribute 5 of node 1 of a graph
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            content = tag + bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) + content
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x3a" + bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) + content)
    with pytest.raises(SessionError, match=r"deep\.onnx cannot be read"):
        read_graph(path)


def test_any_damage_is_either_read_or_refused(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = tmp_path / "model.onnx"
    outcomes = set()
    for name in ("several_outputs", "normalised_inside", "multiple_of_32"):
        content = REPOSITORIES[name].build(path).read_bytes()
        for _ in range(60):
            damaged = bytearray(content)
            for _ in range(chance.randint(1, 6)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            path.write_bytes(damaged[: chance.randint(1, len(damaged))] if chance.random() < 0.2 else damaged)
            try:
                propose(read_graph(path), NOTHING)
                outcomes.add("read")
            except SessionError:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_nodes_may_be_out_of_order(tmp_path: Path) -> None:
    path = REPOSITORIES["multiple_of_32"].build(tmp_path / "model.onnx")
    model = onnx.load(path)
    nodes = list(model.graph.node)
    random.Random(1).shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    before = read_graph(path)
    path.write_bytes(model.SerializeToString())
    assert read_graph(path) == before


@pytest.mark.parametrize("joined", [False, True])
def test_sizes_written_down_by_an_export_are_sizes_at_its_own(joined: bool, tmp_path: Path) -> None:
    pooled: dict[str, Any] = {"kernel_shape": [4, 4], "strides": [4, 4]}
    nodes = [
        helper.make_node("MaxPool", ["image"], ["small"], **pooled),
        helper.make_node("Concat", ["first", "last"], ["joined"], axis=0),
        helper.make_node("Resize", ["small", "", "", "joined" if joined else "whole"], ["large"]),
        helper.make_node("MaxPool", ["large"], ["matte"], **pooled),
    ]
    constants = {"first": np.array([1, 3]), "last": np.array([64, 64]), "whole": np.array([1, 3, 64, 64])}
    path = write_graph(
        tmp_path / "model.onnx",
        nodes,
        {"image": (FLOAT, (1, 3, 64, 64))},
        {"matte": (FLOAT, (1, 3, 16, 16))},
        constants,
    )
    assert read_graph(path).multiple_of == 4
