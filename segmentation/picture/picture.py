"""A decoded picture, and the limits on decoding."""

from dataclasses import dataclass
from typing import NamedTuple

from segmentation.arrays import RGB, Mask, Size

STRIP_BYTES = 1 << 18  # large pictures are processed in strips that fit into the CPU cache


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: upright colours, and the rest of what must be kept."""

    rgb: RGB
    opacity: Mask | None = None  # the file's own transparency; None if it is opaque
    icc_profile: bytes | None = None  # of an RGB colour space, to be written into the result
    name: str = "picture"
    notes: tuple[str, ...] = ()  # sentences about anything in decoding that the owner may not expect
    kind: str = ""  # the file's format as Pillow names it, such as "JPEG"; "" if it did not come from a file
    is_whole: bool = True  # False if the end of the file is missing

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.rgb.shape[0], self.rgb.shape[1]


class Limits(NamedTuple):
    """Limits for decoding one picture."""

    max_pixels: int = 50_000_000
    """Checked before decoding."""
    max_side: int = 30_000
    """Pixels on the longer side."""
    seconds: float = 20.0
    """For decoding, unless the header shows that the file is harmless."""
