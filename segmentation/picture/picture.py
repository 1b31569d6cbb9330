"""A decoded picture, and what a file may ask of this machine to become one."""

from dataclasses import dataclass
from typing import NamedTuple

from segmentation.arrays import RGB, Mask, Size


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: upright colours and what must be kept beside them."""

    rgb: RGB
    opacity: Mask | None = None  # the file's own transparency; None where it is opaque
    icc_profile: bytes | None = None  # of an RGB colour space, to be written into the result
    name: str = "picture"
    notes: tuple[str, ...] = ()  # what was done that the owner may not expect
    kind: str = ""  # the file's format in Pillow's words, such as "JPEG"; "" where it did not come from a file
    is_whole: bool = True  # False where the end of the file is missing

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.rgb.shape[0], self.rgb.shape[1]


class Limits(NamedTuple):
    """What one picture may take."""

    max_pixels: int = 50_000_000
    """Checked before it is decoded."""
    max_side: int = 30_000
    """Pixels of the longer side."""
    seconds: float = 20.0
    """For decoding, where the file is not plainly harmless."""
