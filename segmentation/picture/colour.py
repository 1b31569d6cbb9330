"""Colours converted from one ICC profile to another."""

import io

from PIL import Image, ImageCms

from segmentation.arrays import RGB
from segmentation.messages import Message
from segmentation.picture.decoding import SRGB, rgb_array


def to_profile(rgb: RGB, own: bytes | None, wanted: bytes | None) -> tuple[RGB, tuple[str, ...]]:
    """Colours in another colour space, to combine them with a picture in that space.

    Args:
        rgb: The colours.
        own: ICC profile of their RGB space; None is sRGB.
        wanted: ICC profile of the target space.

    Returns:
        The colours, and a warning if a profile could not be used and they are unchanged.
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
    assert converted is not None  # None only with inPlace
    return rgb_array(converted), ()
