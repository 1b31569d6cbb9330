"""Lines on an empty plane."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from segmentation.arrays import Size


def drawn_lines(lines: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.bool_]:
    """Where straight lines one pixel wide pass.

    Args:
        lines: (n, 2, 2): both ends of each as (x, y), in pixels; equal ends are a dot.
        size: (height, width) of the plane.
    """
    image = Image.new("L", size[::-1])
    pen = ImageDraw.Draw(image)
    for line in np.floor(lines).astype(int).reshape(-1, 4).tolist():
        pen.line(line, fill=1)
        pen.point(line, fill=1)
    return np.array(image, bool)
