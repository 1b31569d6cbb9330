"""RGB -> the network's input tensor, and its output -> a probability map of the whole picture: exact inverses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, ProbabilityMap, Size, Tensor
from segmentation.errors import SessionError, SettingsError
from segmentation.messages import Message
from segmentation.models.spec import InputSpec, OutputSpec
from segmentation.picture.resize import resize
from segmentation.settings import MIN_SIZE, Settings

DEFAULT_SIZE = 1024  # for a graph that accepts any size and does not suggest one

NOTHING = 0.1  # if all probabilities are below this there is no subject: stretching would make one out of noise
# Probabilities lie in 0..1; a network in half precision, or without a last activation, may overshoot a little.
# Logits of a photo range from -10 to 10.
_LOWEST, _HIGHEST = -4.0, 8.0
_SIGMOID_OF_0, _SIGMOID_OF_1 = 0.5, 0.7310586
_SQUASHED = 0.02  # share of the network's own input range below which it can hardly tell colours apart


@dataclass(frozen=True, slots=True)
class Placement:
    """The picture's place in the network's input: the canvas, and the picture's box on it."""

    canvas: Size
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Probability maps read from a network's output."""

    maps: dict[str, ProbabilityMap]
    """At the network's own resolution, by class name, which is "" if there is only one class."""
    peak: float
    """The largest probability before stretching; 1 if the output does not hold probabilities."""


def overridden(spec: InputSpec, settings: Settings) -> InputSpec:
    """The model's input contract with the visitor's mean, std and size in place of its own.

    Raises:
        SettingsError: The model does not support that size, or takes raw pixels.
    """
    changes: dict[str, Any] = {}
    for name in ("mean", "std"):
        value = getattr(settings, name)
        if value is not None:
            if spec.dtype == "uint8":
                raise SettingsError(Message("This model takes raw pixels: leave {setting} empty.", setting=name))
            changes[name] = value if isinstance(value, tuple) else (value,) * 3
    if settings.size is not None:
        _check_size(spec, settings.size)
        changes["size"] = settings.size
        if isinstance(settings.size, tuple) and spec.resize.startswith("fit"):
            changes["resize"] = "stretch"  # both edges are given, so there is nothing left to fit
    return spec.model_copy(update=changes)


def _check_size(spec: InputSpec, size: int | Size) -> None:
    edges = size if isinstance(size, tuple) else (size, size)
    if not spec.dynamic:
        own = spec.size if isinstance(spec.size, tuple) else (spec.size, spec.size)
        if edges != own:
            raise SettingsError(
                Message("size: this model works at {own} x {own_2} only; leave size empty.", own=own[0], own_2=own[1])
            )
        return
    for edge in edges:
        if not MIN_SIZE <= edge <= spec.max_size:
            raise SettingsError(
                Message(
                    "size must lie between {min_size} and {max_size} for this model, not {edge}.",
                    min_size=MIN_SIZE,
                    max_size=spec.max_size,
                    edge=edge,
                )
            )
        if edge % spec.multiple_of:
            below = edge - edge % spec.multiple_of
            near = [n for n in (below, below + spec.multiple_of) if n]
            raise SettingsError(
                Message(
                    "size must be a multiple of {multiple_of} for this model, not {edge}; nearest: {near}.",
                    multiple_of=spec.multiple_of,
                    edge=edge,
                    near=" or ".join(map(str, near)),
                )
            )


def place(spec: InputSpec, picture: Size) -> Placement:
    """The place of a picture of this size in the network's input."""
    height, width = picture
    size = spec.size or DEFAULT_SIZE
    if spec.resize == "stretch":
        canvas = size if isinstance(size, tuple) else (size, size)
        return Placement(canvas, 0, 0, *canvas)
    if spec.resize.startswith("fit"):
        assert isinstance(size, int)  # the registry checks it
        edge = min(height, width) if spec.resize == "fit_short" else max(height, width)
        scale = min(size / edge, spec.max_size / max(height, width))
        canvas = _rounded(height * scale, spec), _rounded(width * scale, spec)
        return Placement(canvas, 0, 0, *canvas)
    canvas = size if isinstance(size, tuple) else (size, size)
    scale = min(canvas[0] / height, canvas[1] / width)
    inner = max(1, min(canvas[0], round(height * scale))), max(1, min(canvas[1], round(width * scale)))
    centred = spec.resize == "letterbox_center"
    top, left = ((canvas[0] - inner[0]) // 2, (canvas[1] - inner[1]) // 2) if centred else (0, 0)
    return Placement(canvas, top, left, *inner)


def _rounded(edge: float, spec: InputSpec) -> int:
    multiple = spec.multiple_of
    return max(multiple, min(round(edge / multiple), spec.max_size // multiple) * multiple)


def to_tensor(rgb: RGB, spec: InputSpec) -> tuple[Tensor, Placement]:
    """The network's input: the picture resized, placed, scaled and normalised, in the network's layout and dtype.

    Returns:
        The tensor, (1, 3, h, w) or (1, h, w, 3), and the picture's place on it.
    """
    at = place(spec, rgb.shape[:2])
    small = resize(rgb, (at.height, at.width), spec.interpolation)
    if (at.height, at.width) != at.canvas:
        canvas = np.full((*at.canvas, 3), spec.pad_value, np.uint8)
        canvas[at.top : at.top + at.height, at.left : at.left + at.width] = small
        small = canvas
    if spec.channels == "BGR":
        small = small[..., ::-1]
    planes = small.transpose(2, 0, 1) if spec.dtype == "uint8" else _normalised(small, spec)
    tensor = planes if spec.layout == "NCHW" else planes.transpose(1, 2, 0)
    return np.ascontiguousarray(tensor[None]), at


def _normalised(small: RGB, spec: InputSpec) -> npt.NDArray[Any]:
    """(3, h, w) of (pixel / scale - mean) / std, from a table, as a channel has only 256 values."""
    scale = max(int(small.max()), 1e-6) if spec.scale == "image_max" else spec.scale
    levels = np.arange(256) / scale
    statistics = list(zip(spec.mean, spec.std, strict=True))  # of red, green, blue
    if spec.channels == "BGR":
        statistics.reverse()
    planes = np.empty((3, *small.shape[:2]), np.dtype(spec.dtype))
    widest = float(np.finfo(planes.dtype).max)
    for channel, (mean, std) in enumerate(statistics):
        values = np.clip((levels - mean) / std, -widest, widest).astype(planes.dtype)
        np.take(values, small[..., channel], out=planes[channel], mode="clip")
    return planes


def squashed(spec: InputSpec, own: InputSpec) -> str:
    """A warning if mean and std leave the network almost no colour differences; else "".

    Args:
        spec: The input contract with the visitor's mean and std.
        own: The one with the model's.
    """
    if spec.dtype == "uint8":
        return ""
    black, white = (np.array([(level - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True)])
                    for level in (0.0, _white(spec)))  # fmt: skip
    usual = _white(own) / np.abs(own.std).max()
    reach = np.maximum(np.abs(black), np.abs(white)).max()
    if np.abs(white - black).max() < _SQUASHED * max(usual, float(reach)):
        return Message("This mean and std make all colours nearly the same to the network. Leave both empty.")
    return ""


def _white(spec: InputSpec) -> float:
    return 1.0 if spec.scale == "image_max" else 255.0 / spec.scale


def to_probability(output: npt.NDArray[Any], spec: OutputSpec, layout: str, at: Placement) -> Reading:
    """One probability map of the whole picture for each class of the network.

    Args:
        output: The network's output: (1, c, h, w), (1, h, w, c), (c, h, w) or (h, w); or integer class numbers.
        spec: How to read it.
        layout: Layout of the input, "NCHW" or "NHWC".
        at: The picture's place in the input; padding is cropped.

    Raises:
        SessionError: The output does not have the shape given in the registry, contains values that are not numbers,
            or contradicts the contract.
    """
    planes = _planes(output, layout)
    height, width = planes.shape[1:]
    rows = slice(*(round(edge * height / at.canvas[0]) for edge in (at.top, at.top + at.height)))
    columns = slice(*(round(edge * width / at.canvas[1]) for edge in (at.left, at.left + at.width)))
    planes = planes[:, rows, columns]  # first, so that values in the padding are not checked
    if not np.isfinite(planes).all():
        raise SessionError(Message("The network returned values that are not numbers. Try another mean, std or size."))
    if spec.kind == "labels":
        return Reading(_class_maps(planes, spec), 1.0)
    plane = _channel(_activated(planes, spec.activation), spec.channel)
    _check_values(plane, planes, spec)
    low, peak = float(plane.min()), float(plane.max())
    is_probability = low >= 0.0 and peak <= 1.0
    if spec.normalise == "minmax" and not (is_probability and peak < NOTHING):
        plane = _stretched(plane)
    return Reading({"": np.clip(plane, 0.0, 1.0, dtype=np.float32)}, peak if is_probability else 1.0)


def _check_values(plane: npt.NDArray[np.float32], raw: npt.NDArray[Any], spec: OutputSpec) -> None:
    """Check that the values can be a mask, as a wrong mask would only show in the picture.

    Raises:
        SessionError: They cannot; the sentence says what they are instead.
    """
    low, high = float(plane.min()), float(plane.max())
    # bytes, or any values from 0 up, may be stretched
    far = low < _LOWEST or (high > _HIGHEST and spec.normalise == "none")
    if spec.activation == "none" and raw.dtype != np.uint8 and far:
        raise SessionError(
            Message(
                "The network returned values from {low:.3g} to {high:.3g}, which are not probabilities. If it lacks "
                "its last sigmoid, describe it in a registry file (output: kind logits, activation sigmoid).",
                low=low, high=high,
            )
        )  # fmt: skip
    if spec.activation == "sigmoid":
        first, last = float(raw.min()), float(raw.max())
        if 0.0 <= first < 0.1 and 0.9 < last <= 1.0:
            raise SessionError(
                Message(
                    "The network already returns probabilities, so the sigmoid would be applied twice. Describe it "
                    "in a registry file with output: kind alpha."
                )
            )
    elif _SIGMOID_OF_0 - 1e-3 <= low < high - 0.02 and high <= _SIGMOID_OF_1 + 1e-3:
        raise SessionError(
            Message(
                "The network's outputs all lie between 0.5 and 0.73: it applies a sigmoid twice, so it is certain of "
                "no pixel. Export it without the last sigmoid."
            )
        )


def _planes(output: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """(c, h, w) from any number of axes."""
    if output.ndim == 4 and output.shape[0] == 1:
        output = output[0]
    if output.ndim == 2:
        output = output[None]
    elif output.ndim == 3 and output.shape[0] != 1 and (layout == "NHWC" or output.shape[2] == 1):
        output = output.transpose(2, 0, 1)
    if output.ndim != 3 or 0 in output.shape:
        raise SessionError(
            Message("The network's output has shape {shape}; a picture's planes were expected.", shape=output.shape)
        )
    return output


def _channel(planes: npt.NDArray[Any], channel: int) -> npt.NDArray[Any]:
    if channel >= planes.shape[0]:
        raise SessionError(
            Message(
                "The network's output has {shape} channels, so there is no channel {channel}.",
                shape=planes.shape[0],
                channel=channel,
            )
        )
    plane: npt.NDArray[Any] = planes[channel]
    return plane


def _activated(planes: npt.NDArray[Any], activation: str) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = planes.astype(np.float32)
    if activation == "sigmoid":
        values = 0.5 + 0.5 * np.tanh(0.5 * values)  # a sigmoid, without overflow
    elif activation == "softmax" and not _sum_to_one(values):
        values = np.exp(values - values.max(axis=0))
        values /= values.sum(axis=0)
    return values


def _sum_to_one(values: npt.NDArray[np.float32]) -> bool:
    """Whether the channels are probabilities already: the graph itself may end in a softmax."""
    return bool(values.min() >= 0 and np.abs(values.sum(axis=0) - 1).max() < 1e-2)


def _stretched(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    low, high = float(plane.min()), float(plane.max())
    if high - low < 1e-6:  # a flat output cannot be stretched
        return plane
    return (plane - low) / (high - low)


def _class_maps(planes: npt.NDArray[Any], spec: OutputSpec) -> dict[str, ProbabilityMap]:
    names = {number: name for number, name in spec.classes.items() if name != "background"}
    if planes.shape[0] == 1:  # class numbers already
        maps = {name: (planes[0] == number).astype(np.float32) for number, name in names.items()}
    elif max(spec.classes) >= planes.shape[0]:
        raise SessionError(
            Message(
                "The network has {shape} classes; the registry names class {classes}.",
                shape=planes.shape[0],
                classes=max(spec.classes),
            )
        )
    elif spec.activation == "softmax":
        soft = _activated(planes, "softmax")
        maps = {name: soft[number] for number, name in names.items()}
    else:
        best = planes.argmax(axis=0)
        maps = {name: (best == number).astype(np.float32) for number, name in names.items()}
    return maps if len(maps) > 1 else {"": next(iter(maps.values()))}
