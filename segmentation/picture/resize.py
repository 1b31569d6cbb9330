"""Pictures and planes at other sizes."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segmentation.arrays import RGB, Interpolation, Size
from segmentation.picture.picture import STRIP_BYTES, Picture

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


def resize(plane: npt.NDArray[Any], size: Size, interpolation: Interpolation) -> npt.NDArray[Any]:
    """Resample a uint8 RGB picture, a uint8 plane or a float32 plane to (height, width), antialiased when shrinking."""
    height, width = plane.shape[:2]
    if (height, width) == size:
        return plane
    # A large picture is first averaged over whole blocks, down to twice the target size: masks change by 0.1 of 255,
    # in half the time. (This is Pillow's reducing_gap=2, but in strips, which avoids a second picture of that size.)
    factor = max(1, width // (2 * size[1])), max(1, height // (2 * size[0]))
    if interpolation == "nearest" or factor == (1, 1):
        image, box = Image.fromarray(plane), (0.0, 0.0, width, height)
    else:
        image, box = _averaged(plane, factor), (0.0, 0.0, width / factor[0], height / factor[1])
    return np.asarray(image.resize(size[::-1], _RESAMPLING[interpolation], box=box))


def resize_window(
    plane: npt.NDArray[Any], size: Size, window: tuple[slice, slice], interpolation: Interpolation
) -> npt.NDArray[Any]:
    """The pixels in a window (rows, columns with a start and a stop) of the plane enlarged to (height, width)."""
    rows, columns = window
    scale = plane.shape[0] / size[0], plane.shape[1] / size[1]
    box = columns.start * scale[1], rows.start * scale[0], columns.stop * scale[1], rows.stop * scale[0]
    shape = columns.stop - columns.start, rows.stop - rows.start
    return np.asarray(Image.fromarray(plane).resize(shape, _RESAMPLING[interpolation], box=box))


def resize_part(picture: RGB, size: Size, box: tuple[float, float, float, float]) -> RGB:
    """A part of a picture at (height, width), where the box is left, top, right, bottom in fractions of pixels."""
    left, top, right, bottom = box
    inside = max(0.0, left), max(0.0, top), min(float(picture.shape[1]), right), min(float(picture.shape[0]), bottom)
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC, box=inside))


def resize_box(
    plane: npt.NDArray[np.float32], size: Size, box: tuple[float, float, float, float]
) -> npt.NDArray[np.float32]:
    """A box (left, top, right, bottom; parts of pixels too) of a float32 plane at (height, width), bilinearly."""
    return np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR, box=box))


def shrunk(picture: Picture, longest: int) -> Picture:
    """The picture, shrunk if its longer side exceeds `longest` pixels."""
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    size = max(1, round(picture.size[0] * scale)), max(1, round(picture.size[1] * scale))
    opacity = None if picture.opacity is None else resize(picture.opacity, size, "box")
    return replace(picture, rgb=resize(picture.rgb, size, "box"), opacity=opacity)


def _averaged(plane: npt.NDArray[Any], factor: tuple[int, int]) -> Image.Image:
    """Means of blocks of (columns, rows); blocks at the right and bottom edge may be partial."""
    rows = factor[1] * max(1, STRIP_BYTES // (plane[0].nbytes * factor[1]))
    strips = [Image.fromarray(plane[top : top + rows]).reduce(factor) for top in range(0, len(plane), rows)]
    return Image.fromarray(np.concatenate([np.asarray(strip) for strip in strips]))
