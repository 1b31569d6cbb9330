"""Tiny real networks as ONNX files, so that tests go the production path in milliseconds.

All but a few say "brightness is foreground": the mean of the three channels is the answer.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import NodeProto, TensorProto, helper, numpy_helper

from segmentation.models.spec import InputSpec, Licence, ModelSpec, OutputSpec, Weights

FREE = Licence(id="free", name="Free to use", commercial="yes")

Shape = Sequence[int | str]


def write_graph(
    path: Path,
    nodes: Sequence[NodeProto],
    inputs: dict[str, tuple[int, Shape]],
    outputs: dict[str, tuple[int, Shape | None]],
    constants: dict[str, Any] | None = None,
) -> Path:
    """A file of these nodes; inputs and outputs by name, each with its element type and shape."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    # an opset and a format that every ONNX Runtime of these years reads
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def brightness(path: Path, size: tuple[int | str, int | str] = (64, 64), kind: int = TensorProto.FLOAT) -> Path:
    """(1, 3, h, w) -> (1, 1, h, w), the mean of the channels. A size of names is a dynamic one."""
    return write_graph(
        path,
        [helper.make_node("ReduceMean", ["image"], ["matte"], axes=[1], keepdims=1)],
        {"image": (kind, (1, 3, *size))},
        {"matte": (kind, (1, 1, *size))},
    )


def brightness_without(path: Path, lost: tuple[slice, slice], size: tuple[int, int] = (64, 64)) -> Path:
    """As `brightness`, but blind in one part: nothing is foreground there."""
    plane = np.ones((1, 1, *size), np.float32)
    plane[..., lost[0], lost[1]] = 0
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["mean", "seen"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, *size))},
        {"matte": (TensorProto.FLOAT, (1, 1, *size))},
        {"seen": plane},
    )


def brightness_of_many(path: Path, size: tuple[int | str, int | str] = (64, 64)) -> Path:
    """As `brightness`, of as many pictures as there are: (n, 3, h, w) -> (n, 1, h, w)."""
    return write_graph(
        path,
        [helper.make_node("ReduceMean", ["image"], ["matte"], axes=[1], keepdims=1)],
        {"image": (TensorProto.FLOAT, ("n", 3, *size))},
        {"matte": (TensorProto.FLOAT, ("n", 1, *size))},
    )


def brightness_of_one(path: Path) -> Path:
    """Says that it takes many pictures, and fails with more than one: a shape that an export wrote down."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Reshape", ["mean", "shape"], ["same"]),
            helper.make_node("Max", ["mean", "same"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, ("n", 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, ("n", 1, 64, 64))},
        {"shape": np.array([1, 1, 64, 64], np.int64)},
    )


def brightness_under_the_brightest(path: Path) -> Path:
    """Takes many pictures and mixes them up: each is divided by the brightest spot of all of them."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("ReduceMax", ["mean"], ["brightest"], keepdims=1),
            helper.make_node("Div", ["mean", "brightest"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, ("n", 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, ("n", 1, 64, 64))},
    )


def brightness_logits(path: Path, size: tuple[int | str, int | str] = (64, 64)) -> Path:
    """As `brightness`, before its sigmoid: 12 x (brightness - 0.5)."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Sub", ["mean", "half"], ["centred"]),
            helper.make_node("Mul", ["centred", "steep"], ["logits"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, *size))},
        {"logits": (TensorProto.FLOAT, (1, 1, *size))},
        {"half": np.float32(0.5), "steep": np.float32(12)},
    )


def brightness_bytes(path: Path, size: tuple[int | str, int | str] = (64, 64)) -> Path:
    """Raw bytes (1, h, w, 3) -> (1, h, w, 1), as converted TensorFlow Lite files have it."""
    return write_graph(
        path,
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float"], ["mean"], axes=[3], keepdims=1),
            helper.make_node("Div", ["mean", "white"], ["matte"]),
        ],
        {"image": (TensorProto.UINT8, (1, *size, 3))},
        {"matte": (TensorProto.FLOAT, (1, *size, 1))},
        {"white": np.float32(255)},
    )


def brightest_channel(path: Path, size: tuple[int, int] = (64, 64)) -> Path:
    """Outputs `scores` (1, 3, h, w), which is the picture, and `classes` (1, 1, h, w), the number of the largest."""
    return write_graph(
        path,
        [
            helper.make_node("Identity", ["image"], ["scores"]),
            helper.make_node("ArgMax", ["image"], ["classes"], axis=1, keepdims=1),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, *size))},
        {"scores": (TensorProto.FLOAT, (1, 3, *size)), "classes": (TensorProto.INT64, (1, 1, *size))},
    )


def not_a_number(path: Path, size: tuple[int, int] = (64, 64)) -> Path:
    """Answers NaN everywhere: the square root of a negative number."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Sub", ["mean", "far"], ["negative"]),
            helper.make_node("Sqrt", ["negative"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, *size))},
        {"matte": (TensorProto.FLOAT, (1, 1, *size))},
        {"far": np.float32(1000)},
    )


def two_inputs(path: Path) -> Path:
    """Wants a picture and points, as promptable networks do."""
    return write_graph(
        path,
        [helper.make_node("Add", ["image", "points"], ["matte"])],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64)), "points": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 3, 64, 64))},
    )


def not_for_pictures(path: Path) -> Path:
    """Wants a row of whole numbers, as language models do."""
    return write_graph(
        path,
        [helper.make_node("Identity", ["tokens"], ["same"])],
        {"tokens": (TensorProto.INT64, (1, 16))},
        {"same": (TensorProto.INT64, (1, 16))},
    )


def make_spec(
    path: Path, model_id: str | None = None, output: dict[str, Any] | None = None, **input_: Any
) -> ModelSpec:
    """A registry entry of that file, pinned to its size and hash. Its input is 64 x 64 in 0..1 by default."""
    content = path.read_bytes()
    return ModelSpec(
        id=model_id or path.stem,
        title=path.stem.capitalize(),
        tasks=("general",),
        licence=FREE,
        weights=Weights(file=path.name, size=len(content), sha256=hashlib.sha256(content).hexdigest()),
        input=InputSpec(**{"size": (64, 64), **input_}),
        output=OutputSpec(**(output or {})),
    )


def write_registry(file: Path, *specs: ModelSpec) -> Path:
    """A registry file with these entries, whose weights lie in the models folder."""
    entries = []
    for spec in specs:
        entry = spec.model_dump(mode="json", include={"id", "title", "weights", "input", "output"}, exclude_none=True)
        weights = {name: entry["weights"][name] for name in ("file", "size", "sha256")}
        entry |= {"about": "A test.", "tasks": ["general"], "licence": "mit", "weights": weights | {"sources": []}}
        entries.append(entry)
    file.write_text(yaml.safe_dump({"schema_version": 1, "models": entries}), encoding="utf-8")
    return file


def scores(path: Path, count: int = 3) -> Path:
    """A classifier: (1, 3, 64, 64) -> (1, count) scores of the whole picture."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"scores": (TensorProto.FLOAT, (1, count))},
        {"weights": np.ones((3, count), np.float32)},
    )


def score_and_matte(path: Path) -> Path:
    """Two outputs: first a score of the whole picture, then brightness as a picture."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["score"], axes=[2, 3], keepdims=0),
            helper.make_node("ReduceMean", ["image"], ["matte"], axes=[1], keepdims=1),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"score": (TensorProto.FLOAT, (1, 3)), "matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
    )


def background_first(path: Path, *, softmax: bool = True) -> Path:
    """Two planes, background and foreground; with the softmax in the graph, or without it."""
    last = [helper.make_node("Softmax", ["both"], ["planes"], axis=1)] if softmax else []
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Sub", ["mean", "half"], ["centred"]),
            helper.make_node("Mul", ["centred", "steep"], ["subject"]),
            helper.make_node("Neg", ["subject"], ["background"]),
            helper.make_node("Concat", ["background", "subject"], ["both" if softmax else "planes"], axis=1),
            *last,
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"planes": (TensorProto.FLOAT, (1, 2, 64, 64))},
        {"half": np.float32(0), "steep": np.float32(12)},
    )


def two_sigmoids(path: Path) -> Path:
    """Brightness with a sigmoid that was applied to probabilities: everything between 0.5 and 0.73."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["mean", "steep"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["once"]),
            helper.make_node("Sigmoid", ["once"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
        {"steep": np.float32(12)},
    )


def endless(path: Path) -> Path:
    """Counts for ever."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["count", "one"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("count", TensorProto.FLOAT, ()),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ()),
        ],
        [numpy_helper.from_array(np.array(1, np.float32), "one")],
    )
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Loop", ["", "true", "zero"], ["count"], body=body),
            helper.make_node("Add", ["mean", "count"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
        {"true": np.array(True), "zero": np.float32(0)},
    )


def greedy(path: Path, edge: int = 60_000) -> Path:
    """Fills a square of so many floats a side before it answers; 60,000 are 14 GB."""
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("ReduceMean", ["image"], ["level"], axes=[0, 1, 2, 3], keepdims=0),
            helper.make_node("Cast", ["level"], ["nothing"], to=TensorProto.INT64),  # not to be folded when loaded
            helper.make_node("Add", ["shape", "nothing"], ["open"]),
            helper.make_node("ConstantOfShape", ["open"], ["square"]),
            helper.make_node("ReduceMean", ["square"], ["zero"], keepdims=0),
            helper.make_node("Add", ["mean", "zero"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
        {"shape": np.array([1, 1, edge, edge], np.int64)},
    )


def words(path: Path) -> Path:
    """Answers with text."""
    return write_graph(
        path,
        [helper.make_node("Cast", ["image"], ["matte"], to=TensorProto.STRING)],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.STRING, (1, 3, 64, 64))},
    )


def nan_at_the_top(path: Path) -> Path:
    """Brightness, but not a number in the first 16 of 64 rows."""
    rows = np.zeros((1, 1, 64, 64), np.float32)
    rows[:, :, :16] = np.nan
    return write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Add", ["mean", "rows"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
        {"rows": rows},
    )


def with_external_data(path: Path, numbers: int = 100_000) -> Path:
    """Brightness times a constant of ones that lies in `<path>.data`."""
    ones = numpy_helper.from_array(np.ones(numbers, np.float32), "ones")
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
                helper.make_node("ReduceMean", ["ones"], ["one"], keepdims=0),
                helper.make_node("Mul", ["mean", "one"], ["matte"]),
            ],
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 64, 64))],
            [helper.make_tensor_value_info("matte", TensorProto.FLOAT, (1, 1, 64, 64))],
            [ones],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
    return path


def noise(path: Path) -> Path:
    """Valid at first sight, with nonsense inside."""
    content = bytearray(brightness(path).read_bytes())
    content[20:60] = bytes(40)
    path.write_bytes(content)
    return path


def own_operators(path: Path) -> Path:
    """Needs an operator that ONNX Runtime does not have."""
    graph = helper.make_graph(
        [helper.make_node("Steal", ["image"], ["matte"], domain="com.example")], "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 64, 64))],
        [helper.make_tensor_value_info("matte", TensorProto.FLOAT, (1, 1, 64, 64))],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    return path
