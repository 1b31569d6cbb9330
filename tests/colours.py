"""A semantic network in SegFormer's shape that tells colours apart: scores at a quarter of the picture's size."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from onnx import TensorProto, helper
from PIL import Image

from segmentation import ModelSpec
from tests import graphs

COLOURS = {
    "background": (20, 20, 20),
    "skin": (230, 180, 150),
    "hair": (120, 60, 20),
    "hat": (40, 80, 220),
    "glasses": (40, 220, 60),
}
"""By name of the class, in the order of their numbers."""

ALL = tuple(COLOURS.values())
NAMES = tuple(COLOURS)[1:]
EDGE = 128  # pixels of the network's input
OUTPUT = {"kind": "labels", "activation": "softmax", "classes": dict(enumerate(COLOURS))}


def network(path: Path, colours: npt.ArrayLike = ALL, *, edge: int = EDGE, shrink: int = 4, end: str = "") -> Path:
    """(1, 3, edge, edge) -> a score for each colour: how near the mean of each square of pixels is to it.

    Args:
        path: The file to write.
        colours: (classes, 3), 0..255.
        edge: Of the input.
        shrink: Side of the squares in pixels.
        end: "" for scores, "Softmax" for probabilities, "ArgMax" for class numbers.
    """
    points = np.asarray(colours, np.float32) / 255
    steep = 60.0  # -steep x distance², without the term that all colours share
    weights, bias = 2 * steep * points, -steep * (points**2).sum(axis=1)
    ends = {
        "": helper.make_node("Identity", ["scores"], ["logits"]),
        "Softmax": helper.make_node("Softmax", ["scores"], ["logits"], axis=1),
        "ArgMax": helper.make_node("ArgMax", ["scores"], ["logits"], axis=1, keepdims=0),
    }
    small = edge // shrink
    kind, shape = (
        (TensorProto.INT64, [1, small, small])
        if end == "ArgMax"
        else (TensorProto.FLOAT, [1, len(points), small, small])
    )
    return graphs.write_graph(
        path,
        [
            helper.make_node(
                "AveragePool", ["pixel_values"], ["means"], kernel_shape=[shrink] * 2, strides=[shrink] * 2
            ),
            helper.make_node("Conv", ["means", "weights", "bias"], ["scores"]),
            ends[end],
        ],
        {"pixel_values": (TensorProto.FLOAT, (1, 3, edge, edge))},
        {"logits": (kind, shape)},
        {"weights": weights[..., None, None].astype(np.float32), "bias": bias.astype(np.float32)},
    )


def spec(path: Path, **output: Any) -> ModelSpec:
    """An entry for such a network."""
    return graphs.make_spec(path, "colours", OUTPUT | output, size=(EDGE, EDGE))


def write_registry(models: Path, file: Path) -> None:
    """Write the network into a models folder, and a registry file with it."""
    entry = spec(network(models / "colours.onnx")).model_dump(mode="json", include={"id", "title", "weights", "output"})
    entry |= {"about": "Tells colours apart.", "tasks": ["portrait"], "licence": "mit", "input": {"size": [EDGE, EDGE]}}
    hub = {"type": "hub", "repo_id": "nobody/colours", "filename": "colours.onnx", "revision": "0" * 40}
    entry["weights"] = {name: entry["weights"][name] for name in ("file", "size", "sha256")} | {"sources": [hub]}
    file.write_text(yaml.safe_dump({"schema_version": 1, "models": [entry]}), encoding="utf-8")


def face(*, hat: bool = True, scale: int = 1) -> npt.NDArray[np.uint8]:
    """A face with hair and perhaps a hat, so many times 200 x 160, with smooth outlines."""
    y, x = (np.mgrid[: 200 * scale, : 160 * scale].astype(np.float32) + 0.5) / scale - 0.5
    picture = np.empty((200 * scale, 160 * scale, 3), np.float32)
    picture[:] = COLOURS["background"]

    def paint(name: str, inside: npt.NDArray[np.float32]) -> None:
        """`inside` is a distance in pixels, positive within."""
        share = np.clip(inside * scale + 0.5, 0, 1)[..., None]
        picture[:] = share * np.array(COLOURS[name], np.float32) + (1 - share) * picture

    paint("hair", 62 - np.hypot(x - 80, y - 95))
    paint("skin", 42 - np.hypot(x - 80, (y - 112) * 0.8))
    if hat:
        paint("hat", np.minimum(58 - np.abs(x - 80), 30 - np.abs(y - 45)))
    return np.rint(picture).astype(np.uint8)


def save_face(path: Path, *, hat: bool = True) -> Path:
    """The face as a PNG."""
    Image.fromarray(face(hat=hat)).save(path)
    return path
