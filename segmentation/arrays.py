"""Names of the arrays that flow through the pipeline: shape, dtype and range, stated once.

Two rules hold everywhere: planes at the network's size are float32 in 0..1, planes at the picture's size are
uint8 in 0..255 (what a PNG holds; a float plane of a 50 megapixel photo would be 200 MB). Sizes are (height, width).
"""

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

RGB: TypeAlias = npt.NDArray[np.uint8]
"""(h, w, 3), 0..255: colours."""

RGBA: TypeAlias = npt.NDArray[np.uint8]
"""(h, w, 4), 0..255: a cutout, with straight (not premultiplied) alpha."""

Tensor: TypeAlias = npt.NDArray[Any]
"""(1, 3, h, w) or (1, h, w, 3), float32, float16 or uint8: what the network reads."""

ProbabilityMap: TypeAlias = npt.NDArray[np.float32]
"""(h, w), 0..1: the network's output for the whole picture, at the network's own resolution."""

Mask: TypeAlias = npt.NDArray[np.uint8]
"""(h, w), 0..255: the probability map at the picture's size, post-processed on request."""

Trimap: TypeAlias = npt.NDArray[np.uint8]
"""(h, w), BACKGROUND, UNKNOWN or FOREGROUND."""

Alpha: TypeAlias = npt.NDArray[np.uint8]
"""(h, w), 0..255: opacity, 255 is opaque."""

AlphaMatte: TypeAlias = npt.NDArray[np.float32]
"""(h, w), 0..1: an alpha matte before rounding to 8 bits."""

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
"""The three values of a trimap."""

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos", "box"]
"""How a plane is resampled."""


def constant(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The array, contiguous and read-only: the only kind of input that kernels are compiled for."""
    array = np.ascontiguousarray(array).view()
    array.flags.writeable = False
    return array
