"""A person's own mask or trimap of a picture, from a grey picture or the transparency of another."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN, Mask, Size, Trimap
from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits, Picture
from segmentation.picture.resize import resize

CERTAIN = 10  # levels of a trimap within which grey counts as black or white
SIMILAR = 0.01  # relative difference of aspect ratios up to which a plane is resized to its picture

_COLOURED = 8  # of 255: by how much the channels of a grey JPEG may differ

Notes = tuple[str, ...]


def load_mask(source: bytes | str | Path, size: Size, limits: Limits | None = None) -> tuple[Mask, Notes]:
    """A mask: white is the subject, or what is opaque if the file has transparency.

    Args:
        source: The file's bytes, or its path.
        size: (height, width) of the upright picture. A mask of the same shape is resized to it.
        limits: Limits for decoding.

    Returns:
        The mask, 0..255 of that size, and sentences about deviations.

    Raises:
        ImageError: It cannot be read, is coloured, or has another shape than the picture.
    """
    plane, name, dark = _load(source, limits)
    note = _resizing(plane, size, name)
    if note:
        plane = resize(plane, size, "box" if plane.size > size[0] * size[1] else "bilinear")
    return plane, dark + note


def load_trimap(source: bytes | str | Path, size: Size, limits: Limits | None = None) -> tuple[Trimap, Notes]:
    """A trimap: levels up to 10 are background, from 245 foreground, and all others unknown.

    Args:
        source: As for `load_mask`.
        size: As for `load_mask`.
        limits: As for `load_mask`.

    Returns:
        The trimap of that size, and sentences about deviations.

    Raises:
        ImageError: As `load_mask`.
    """
    plane, name, dark = _load(source, limits)
    trimap = np.full(plane.shape, UNKNOWN, np.uint8)
    trimap[plane <= CERTAIN], trimap[plane >= 255 - CERTAIN] = BACKGROUND, FOREGROUND
    note = _resizing(trimap, size, name)
    return resize(trimap, size, "nearest") if note else trimap, dark + note


def _load(source: bytes | str | Path, limits: Limits | None) -> tuple[npt.NDArray[np.uint8], str, Notes]:
    """The plane, its name, and a sentence if it is nearly black, as a map of class numbers is."""
    picture = load_image(source, **(limits or Limits())._asdict())
    plane = np.ascontiguousarray(_plane(picture))
    most = int(plane.max())
    if not 0 < most <= CERTAIN:
        return plane, picture.name, ()
    dark = Message("{name} is nearly black: its lightest level is {most}. White must be 255.",
                   name=picture.name, most=most)  # fmt: skip
    return plane, picture.name, (dark,)


def _plane(picture: Picture) -> npt.NDArray[np.uint8]:
    if picture.opacity is not None and np.ptp(picture.opacity):  # else it says nothing
        return picture.opacity
    red, green, blue = (picture.rgb[..., channel] for channel in range(3))
    spread = max(int(np.max(np.maximum(red, one) - np.minimum(red, one))) for one in (green, blue))
    if spread > _COLOURED:
        raise ImageError(
            Message(
                "{name} is a coloured picture without transparency. A mask or trimap is grey, or has transparency.",
                name=picture.name,
            )
        )
    if 0 < int(green.max()) <= 1:
        raise ImageError(
            Message("{name} holds only the levels 0 and 1, which are both black. White must be 255.", name=picture.name)
        )
    return green


def _resizing(plane: npt.NDArray[np.uint8], size: Size, name: str) -> Notes:
    """A sentence if the plane must be resized to its picture."""
    (height, width), (own_height, own_width) = size, plane.shape
    if (height, width) == (own_height, own_width):
        return ()
    sizes = {"name": name, "width": own_width, "height": own_height, "own_width": width, "own_height": height}
    if abs(own_width * height / (own_height * width) - 1) > SIMILAR:
        raise ImageError(
            Message(
                "{name} is {width} x {height}, but its picture is {own_width} x {own_height}: they must have the same "
                "shape.",
                **sizes,
            )
        )
    return (
        Message(
            "{name} is {width} x {height} and was resized to its picture, which is {own_width} x {own_height}.", **sizes
        ),
    )
