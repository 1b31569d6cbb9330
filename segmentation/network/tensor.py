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
        if spec.resize == "fit_long" and spec.multiple_of == 1:
            canvas = _nearest(height * scale, spec.max_size), _nearest(width * scale, spec.max_size)
        else:
            canvas = _whole_blocks(height * scale, spec), _whole_blocks(width * scale, spec)
        return Placement(canvas, 0, 0, *canvas)
    canvas = size if isinstance(size, tuple) else (size, size)
    scale = min(canvas[0] / height, canvas[1] / width)
    inner = _nearest(height * scale, canvas[0]), _nearest(width * scale, canvas[1])
    centred = spec.resize == "letterbox_center"
    top, left = ((canvas[0] - inner[0]) // 2, (canvas[1] - inner[1]) // 2) if centred else (0, 0)
    return Placement(canvas, top, left, *inner)


def _nearest(edge: float, most: int) -> int:
    """The edge in whole pixels, a half rounded up, as SAM does (`get_preprocess_shape`)."""
    return max(1, min(most, int(edge + 0.5)))


def _whole_blocks(edge: float, spec: InputSpec) -> int:
    """The edge rounded down, as MODNet's authors (`inference_onnx.py`) and transformers.js (`size_divisibility`) do."""
    pixels = int(round(edge, 2))  # round: 512 / 3 * 3 may be a little less than 512
    return max(spec.multiple_of, min(pixels, spec.max_size) // spec.multiple_of * spec.multiple_of)


def to_tensor(rgb: RGB, spec: InputSpec) -> tuple[Tensor, Placement]:
    """The network's input: the picture resized, placed, scaled and normalised, in the network's layout and dtype.

    Returns:
        The tensor, (1, 3, h, w), (1, h, w, 3) or (h, w, 3), and the picture's place on it.
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
    return np.ascontiguousarray(tensor if spec.layout == "HWC" else tensor[None]), at


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
