"""A network's output -> probability maps of the whole picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import ProbabilityMap
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.spec import OutputSpec
from segmentation.network.classes import add_up_to_one, class_maps
from segmentation.network.tensor import Placement

NOTHING = 0.1  # if all probabilities are below this there is no subject: stretching would make one out of noise

# Probabilities lie in 0..1; a network in half precision, or without a last activation, may overshoot a little.
# Logits of a photo range from -10 to 10.
_LOWEST, _HIGHEST = -4.0, 8.0

_SIGMOID_OF_0, _SIGMOID_OF_1 = 0.5, 0.7310586


@dataclass(frozen=True, slots=True)
class Reading:
    """Probability maps read from a network's output."""

    maps: dict[str, ProbabilityMap]
    """At the network's own resolution, by name of the class, of those in the picture; "" if there is only one class."""
    peak: float
    """The largest probability before stretching; 1 if the output does not hold probabilities."""


def to_probability(output: npt.NDArray[Any], spec: OutputSpec, layout: str, at: Placement) -> Reading:
    """One probability map of the whole picture for each class in it.

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
        return Reading(class_maps(planes, spec, (at.height, at.width)), 1.0)
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
    elif activation == "softmax" and not add_up_to_one(values):
        values = np.exp(values - values.max(axis=0))
        values /= values.sum(axis=0)
    return values


def _stretched(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    low, high = float(plane.min()), float(plane.max())
    if high - low < 1e-6:  # a flat output cannot be stretched
        return plane
    return (plane - low) / (high - low)
