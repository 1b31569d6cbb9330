"""RGB -> the network's input tensor, and its output -> a probability map of the whole picture: exact inverses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation.arrays import RGB, Size, Tensor
from segmentation.models.spec import InputSpec
from segmentation.picture.resize import resize

DEFAULT_SIZE = 1024  # for a graph that accepts any size and does not suggest one


@dataclass(frozen=True, slots=True)
class Placement:
    """The picture's place in the network's input: the canvas, and the picture's box on it."""

    canvas: Size
    top: int
    left: int
    height: int
    width: int


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
    box = np.s_[at.top : at.top + at.height, at.left : at.left + at.width]
    if (at.height, at.width) != at.canvas and spec.pad_value != "mean":
        canvas = np.full((*at.canvas, 3), spec.pad_value, np.uint8)
        canvas[box] = small
        small = canvas
    if spec.channels == "BGR":
        small = small[..., ::-1]
    planes = small.transpose(2, 0, 1) if spec.dtype == "uint8" else _normalised(small, spec)
    if planes.shape[1:] != at.canvas:
        padded = np.zeros((3, *at.canvas), planes.dtype)
        padded[(slice(None), *box)] = planes
        planes = padded
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
