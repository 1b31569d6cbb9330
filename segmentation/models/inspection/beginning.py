"""Normalisation inside a graph: constants that its input is shifted and scaled by before anything else."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from segmentation.models.inspection.wiring import Wiring, attribute

_ASIDE = {"Shape", "Size"}  # operations that read a picture's size only
_THROUGH = {"Identity", "Cast", "CastLike", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Resize", "Upsample",
            "Pad", "Dropout", "Slice", "QuantizeLinear", "Clip"}  # fmt: skip
_FURTHEST = 24  # operations from the input on

_BYTES = 3.0  # a standard deviation from here on, or a mean from 1.5 on, is one of 0..255
_WHITE = 255.0

Levels = npt.NDArray[np.float64]  # (3,)
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What a graph does to its input first: (pixels / scale - mean) / std; None for what it does not do."""

    scale: float | None = None
    mean: Triple | None = None  # of values in 0..1
    std: Triple | None = None


def normalisation_of(wiring: Wiring, name: str) -> Normalisation:
    """The normalisation inside a graph, of the input with this name."""
    factor, shift, order = np.ones(3), np.zeros(3), np.arange(3)
    for _ in range(_FURTHEST):
        readers = [node for node in wiring.consumers(name) if node.op_type not in _ASIDE]
        if len(readers) != 1 or not readers[0].output:
            break
        node = readers[0]
        if node.op_type == "Gather":  # another order of the channels
            chosen = wiring.constant(node.input[1]) if len(node.input) > 1 else None
            if chosen is None or sorted(np.ravel(chosen).tolist()) != [0, 1, 2]:
                break
            order = order[np.ravel(chosen).astype(int)]
            factor, shift = factor[np.ravel(chosen).astype(int)], shift[np.ravel(chosen).astype(int)]
        elif node.op_type not in _THROUGH:
            step = _affine(wiring, node, name)
            if step is None:
                break
            factor, shift = factor * step[0], shift * step[0] + step[1]
        name = node.output[0]
    back = np.argsort(order)
    return _as_normalisation(factor[back], shift[back])


def _affine(wiring: Wiring, node: NodeProto, name: str) -> tuple[Levels, Levels] | None:
    """The factor and shift of a node that multiplies and adds constants only; None for any other node."""
    kind = node.op_type
    one, zero = np.ones(3), np.zeros(3)
    if kind == "BatchNormalization" and len(node.input) == 5:
        numbers = [_levels(wiring, part) for part in node.input[1:]]
        weight, bias, mean, variance = numbers
        if weight is None or bias is None or mean is None or variance is None:
            return None
        deviation = np.sqrt(np.maximum(variance, 0) + float(attribute(node, "epsilon", 1e-5)))
        return weight / deviation, bias - mean * weight / deviation
    if kind == "DequantizeLinear":
        levels = _levels(wiring, node.input[1])
        nought = _levels(wiring, node.input[2]) if len(node.input) > 2 else zero
        return None if levels is None or nought is None else (levels, -nought * levels)
    if kind not in {"Add", "Sub", "Mul", "Div"} or len(node.input) != 2:
        return None
    first = node.input[0] == name
    levels = _levels(wiring, node.input[1 if first else 0])
    if levels is None or (kind == "Div" and not (first and levels.all())):
        return None
    if kind == "Add":
        return one, levels
    if kind == "Sub":
        return (one, -levels) if first else (-one, levels)
    return (levels if kind == "Mul" else 1 / levels), zero


def _levels(wiring: Wiring, name: str) -> Levels | None:
    """A constant of one number or one for each channel."""
    values = wiring.constant(name)
    if values is None or values.size not in (1, 3) or values.dtype.kind not in "fiu":
        return None
    levels = np.broadcast_to(values.ravel().astype(np.float64), 3)
    return levels if np.isfinite(levels).all() else None


def _as_normalisation(factor: Levels, shift: Levels) -> Normalisation:
    if ((factor == 1).all() and not shift.any()) or not factor.all():
        return Normalisation()
    std, mean = 1 / factor, -shift / factor
    scale = None
    if np.abs(std).max() >= _BYTES or np.abs(mean).max() > 1.5:
        scale, std, mean = _WHITE, std / _WHITE, mean / _WHITE
    if np.abs(mean - 0.5).max() > 0.7 or std.min() < 0.003 or std.max() > 1.3:
        return Normalisation()  # a trained layer, not a normalisation of colours
    if np.allclose(std, 1, atol=5e-3) and np.allclose(mean, 0, atol=5e-3):
        return Normalisation(scale)
    return Normalisation(scale, _triple(mean), _triple(std))


def _triple(levels: Levels) -> Triple:
    red, green, blue = (round(float(level), 5) for level in levels)
    return red, green, blue
