"""A fast lossless PNG writer."""

import io
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from segmentation.arrays import Size
from segmentation.picture.encode import whole_file
from segmentation.picture.picture import STRIP_BYTES

_COLOUR_TYPE = {1: 0, 3: 2, 4: 6}  # channels -> PNG colour type: grey, RGB, RGBA


def save_png(pixels: npt.NDArray[np.uint8], path: str | Path, icc_profile: bytes | None = None) -> None:
    """Write a grey (h, w), RGB or RGBA picture as PNG, lossless and fast, without metadata except the colour profile.

    Filter "up" for every row and ISA-L's level 1: 20 times less CPU than Pillow's default at 12 megapixels for 10 %
    more bytes. PNG specification, third edition, W3C 2025.

    Raises:
        OSError: The file cannot be written.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    rows = max(1, STRIP_BYTES // (width * channels))
    strips = (pixels[top : top + rows] for top in range(0, height, rows))
    save_png_strips(strips, (height, width), channels, path, icc_profile)


def to_png(pixels: npt.NDArray[np.uint8], icc_profile: bytes | None = None) -> bytes:
    """The bytes that `save_png` writes."""
    file = io.BytesIO()
    height, width = pixels.shape[:2]
    _write_png(file, [pixels], (height, width), pixels.shape[2] if pixels.ndim == 3 else 1, icc_profile)
    return file.getvalue()


def save_png_strips(
    strips: Iterable[npt.NDArray[np.uint8]],
    size: Size,
    channels: int,
    path: str | Path,
    icc_profile: bytes | None = None,
) -> None:
    """`save_png` for a picture in strips of whole rows, from top to bottom; a strip's buffer may be reused."""
    with whole_file(Path(path)) as file:
        _write_png(file, strips, size, channels, icc_profile)


def _write_png(
    file: BinaryIO,
    strips: Iterable[npt.NDArray[np.uint8]],
    size: Size,
    channels: int,
    icc_profile: bytes | None,
) -> None:
    height, width = size
    file.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0))
    if icc_profile:
        _write_chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile))
    deflate = isal_zlib.compressobj(1)
    above = np.zeros(width * channels, np.uint8)
    for strip in strips:
        rows = strip.reshape(len(strip), -1)
        filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
        filtered[:, 0] = 2  # filter type "up"
        np.subtract(rows[0], above, out=filtered[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above[:] = rows[-1]
        if data := deflate.compress(filtered):
            _write_chunk(file, b"IDAT", data)
    _write_chunk(file, b"IDAT", deflate.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", isal_zlib.crc32(data, isal_zlib.crc32(kind))))
