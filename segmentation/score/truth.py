"""A picture file -> the true opacity that it holds."""

import numpy as np

from segmentation.arrays import Alpha, Size
from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.picture.picture import Picture

_GREY = 8  # of 255: by how much the channels of a grey JPEG may differ


def to_truth(picture: Picture, size: Size) -> Alpha:
    """The true opacity: the picture's transparency if it has any, or else its grey levels.

    Args:
        picture: The file of the truth.
        size: (height, width) of the picture that it is the truth of.

    Raises:
        ImageError: The sizes differ, or it is no matte and no mask.
    """
    if picture.size != size:
        raise ImageError(
            Message(
                "{name} is {width} x {height}, but its picture is {own_width} x {own_height}: they must agree.",
                name=picture.name, width=picture.size[1], height=picture.size[0], own_width=size[1], own_height=size[0],
            )
        )  # fmt: skip
    if picture.opacity is not None:
        return picture.opacity
    red, green, blue = (picture.rgb[..., channel] for channel in range(3))
    spread = max(int(np.max(np.maximum(red, one) - np.minimum(red, one))) for one in (green, blue))
    if spread > _GREY:
        raise ImageError(
            Message(
                "{name} is a coloured picture without transparency. A true matte or mask is grey, or a cutout.",
                name=picture.name,
            )
        )
    brightest = int(green.max())
    if 0 < brightest <= 1:
        raise ImageError(
            Message("{name} holds only the levels 0 and 1, which are both black. White must be 255.", name=picture.name)
        )
    return np.ascontiguousarray(green)
