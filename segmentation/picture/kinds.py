"""A picture in whichever kind a script holds it, and its cutout in the same kind."""

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageOps

from segmentation.errors import ImageError, SettingsError
from segmentation.picture.decoding import picture_of
from segmentation.picture.load import load_image
from segmentation.picture.picture import Picture
from segmentation.picture.png import save_png, to_png

Kind: TypeAlias = bytes | str | os.PathLike[str] | Image.Image | npt.NDArray[Any]
"""The bytes of a file, its path, a Pillow image, or an array that Pillow can make one of."""


def to_picture(data: Kind) -> Picture:
    """The picture in an object of any kind, turned upright as its EXIF data says.

    Raises:
        ImageError: It is not a picture, is damaged, or has too many pixels.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return load_image(bytes(data))
    if isinstance(data, str | os.PathLike):
        return load_image(Path(data))
    if isinstance(data, np.ndarray):
        data = _image(data)
    if not isinstance(data, Image.Image):
        raise ImageError(f"Give a picture as bytes, path, Pillow image or array, not {type(data).__name__}.")
    return picture_of(ImageOps.exif_transpose(data))


def _image(array: npt.NDArray[Any]) -> Image.Image:
    try:
        return Image.fromarray(array)
    except (TypeError, ValueError) as error:
        raise ImageError(
            f"An array must be (h, w), (h, w, 3) or (h, w, 4) of uint8, not {array.shape} of {array.dtype}."
        ) from error


def in_kind_of(data: Kind, pixels: npt.NDArray[np.uint8], icc_profile: bytes | None = None) -> Any:
    """Pixels in the kind of the picture that they were made from.

    Args:
        data: The picture, as for `to_picture`. For a path, `<its name>-cutout.png` is written beside it.
        pixels: (h, w) or (h, w, 4).
        icc_profile: The colour profile to keep, for an encoded file.

    Returns:
        PNG bytes, the path of the new file, a Pillow image, or the array.

    Raises:
        ImageError: There is a file of that name already.
        OSError: The file cannot be written.
    """
    if isinstance(data, np.ndarray):
        return pixels
    if isinstance(data, Image.Image):
        image = Image.fromarray(pixels)
        if icc_profile:
            image.info["icc_profile"] = icc_profile
        return image
    if isinstance(data, str | os.PathLike):
        file = Path(data).with_name(f"{Path(data).stem}-cutout.png")
        if os.path.lexists(file):
            raise ImageError(f"{file.name} exists already. Move it, or ask for bytes with force_return_bytes.")
        save_png(pixels, file, icc_profile)
        return type(data)(file) if isinstance(data, str) else file
    return to_png(pixels, icc_profile)


def named_colour(text: str) -> str:
    """#rrggbb or #rrggbbaa of a colour's name in CSS, or of 3, 4, 6 or 8 hexadecimal digits with or without the #.

    Raises:
        SettingsError: There is no such colour.
    """
    for spelled in (text, f"#{text}"):
        try:
            levels = ImageColor.getrgb(spelled)
        except ValueError:
            continue
        return "#" + bytes(levels).hex()
    raise SettingsError(f"There is no colour {text[:40]!r}. Name one, such as red, or give its digits, such as ff0000.")
