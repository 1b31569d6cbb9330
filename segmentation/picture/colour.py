"""Colour spaces: from one ICC profile to another."""

import io

from PIL import Image, ImageCms

from segmentation.arrays import RGB
from segmentation.messages import Message
from segmentation.picture.decoding import SRGB, rgb_array


def to_profile(rgb: RGB, own: bytes | None, wanted: bytes | None) -> tuple[RGB, tuple[str, ...]]:
    """Colours in another colour space, so that they can lie beside a picture of that one.

    Args:
        rgb: The colours.
        own: ICC profile of the RGB space they are of; None is sRGB.
        wanted: That of the space they are to be in.

    Returns:
        The colours, and a sentence where a profile could not be used and they are what they were.
    """
    if own == wanted:
        return rgb, ()
    try:
        source, target = (
            ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else SRGB for profile in (own, wanted)
        )
        converted = ImageCms.profileToProfile(Image.fromarray(rgb), source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return rgb, (Message("A colour profile could not be used, so the background's colours may differ a little."),)
    assert converted is not None  # it would be with inPlace
    return rgb_array(converted), ()
