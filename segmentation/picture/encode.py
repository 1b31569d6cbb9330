"""Pictures -> WebP and JPEG files."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from segmentation.errors import ImageError
from segmentation.messages import Message

_LONGEST = {"WebP": 16383, "JPEG": 65500}  # the most pixels a side that the formats can hold

JPEG_QUALITY = 95
_LOSSY_QUALITY = 95  # of WebP, where lossless is too large
_LOWEST_QUALITY = 20  # below it, blocks are what one sees


def save_webp(
    pixels: npt.NDArray[np.uint8], path: Path, icc_profile: bytes | None = None, *, most_bytes: int = 0
) -> int:
    """Write a grey, RGB or RGBA picture as WebP, lossless unless that is larger than allowed.

    Args:
        pixels: The picture.
        path: The file.
        icc_profile: Of its colours.
        most_bytes: The most that the file may have; if lossless has more, it has the best quality that fits, or the
            lowest. 0 is no limit.

    Returns:
        The file's bytes.

    Raises:
        ImageError: It is too long or too wide for the format.
        OSError: The file cannot be written.
    """
    # in lossless mode, quality 0 and method 0 only lower the effort: a fifth of the time for a tenth more bytes
    file = _encoded(pixels, "WebP", lossless=True, exact=True, quality=0, method=0, icc_profile=icc_profile)
    if most_bytes and len(file) > most_bytes:
        file = _best(
            lambda quality: _encoded(pixels, "WebP", quality=quality, method=2, icc_profile=icc_profile),
            _LOSSY_QUALITY,
            most_bytes,
        )
    return _write(file, path)


def save_lossy_webp(pixels: npt.NDArray[np.uint8], path: Path, icc_profile: bytes | None = None) -> None:
    """Write a grey, RGB or RGBA picture as a small lossy WebP for viewing.

    Raises:
        ImageError: It is too long or too wide for the format.
        OSError: The file cannot be written.
    """
    _write(_encoded(pixels, "WebP", quality=82, alpha_quality=90, method=1, icc_profile=icc_profile), path)


def save_jpeg(
    pixels: npt.NDArray[np.uint8], path: Path, icc_profile: bytes | None = None, *, most_bytes: int = 0
) -> int:
    """Write a grey or RGB picture as JPEG with full colour resolution, as cut edges need it.

    Args:
        pixels: The picture.
        path: The file.
        icc_profile: Of its colours.
        most_bytes: The most that the file may have: it has the best quality that fits, or the lowest. 0 is no limit.

    Returns:
        The file's bytes.

    Raises:
        ImageError: It is too long or too wide for the format.
        OSError: The file cannot be written.
    """

    def encoded(quality: int) -> bytes:
        return _encoded(pixels, "JPEG", quality=quality, subsampling=0, icc_profile=icc_profile)

    return _write(_best(encoded, JPEG_QUALITY, most_bytes) if most_bytes else encoded(JPEG_QUALITY), path)


def _best(encoded: Callable[[int], bytes], highest: int, most_bytes: int) -> bytes:
    """The file of the best quality that fits, up to the highest; that of the lowest if none does."""
    file = encoded(highest)
    if len(file) <= most_bytes:
        return file
    fits, low, high = encoded(_LOWEST_QUALITY), _LOWEST_QUALITY, highest
    if len(fits) > most_bytes:
        return fits
    while high - low > 1:
        quality = (low + high) // 2
        file = encoded(quality)
        if len(file) <= most_bytes:
            fits, low = file, quality
        else:
            high = quality
    return fits


def to_small_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a small JPEG of a grey or RGB picture, for viewing."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80, optimize=True)
    return file.getvalue()


def to_small_webp(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a small lossy WebP of a grey, RGB or RGBA picture, for viewing."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WebP", quality=82, alpha_quality=90, method=1)
    return file.getvalue()


def _encoded(pixels: npt.NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    height, width = pixels.shape[:2]
    if max(height, width) > _LONGEST[kind]:
        raise ImageError(
            Message(
                "{width} x {height} pixels are more than a {kind} can hold ({most} a side). Choose PNG.",
                width=width, height=height, kind=kind, most=_LONGEST[kind],
            )
        )  # fmt: skip
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _write(data: bytes, path: Path) -> int:
    with whole_file(path) as file:
        file.write(data)
    return len(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when complete, so that a full disk leaves no partial picture."""
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
