"""A picture file -> `Picture`, decoded safely and by content."""

import contextlib
from pathlib import Path

from segmentation.arrays import Size
from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.picture.decoder_process import decode_apart
from segmentation.picture.decoding import check_header, costly, decode, header_size, is_harmless
from segmentation.picture.file_kind import UNKNOWN, WEB_PAGE, FileKind, kind_of
from segmentation.picture.picture import Limits, Picture
from segmentation.picture.side_data import CostlyError

MAX_PIXELS, MAX_SIDE, DECODE_SECONDS = Limits()

MAX_BYTES = 1 << 30
"""A larger file cannot be a picture within the other limits."""


def load_image(
    source: bytes | str | Path,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_side: int = MAX_SIDE,
    seconds: float = DECODE_SECONDS,
) -> Picture:
    """A picture decoded by its content, whatever its name, and turned upright as browsers do.

    Grey, palette, CMYK, LAB and 16-bit pictures become 8-bit RGB; transparency is kept separately. Animations give
    their first frame, bursts their primary picture, and truncated files what is present if that is at least half; a
    note says so. Unreadable metadata is ignored.

    Args:
        source: The file's bytes, or its path.
        name: Its name in messages; the path's last part by default.
        max_pixels: Larger pictures are refused before decoding.
        max_side: So are pictures whose longer side has more pixels.
        seconds: Time limit for decoding. Files that are not clearly harmless are decoded in a separate process, which
            is stopped after this time.

    Raises:
        ImageError: It is not a picture, is damaged, has too many pixels, or cannot be read.
    """
    label = name or ("picture" if isinstance(source, bytes) else Path(source).name)
    data = source if isinstance(source, bytes) else _read(Path(source), label)
    kind = _readable_kind(data, label).name
    limits = Limits(max_pixels, max_side, seconds)
    try:
        harmless = is_harmless(data, kind)
    except CostlyError as error:
        raise ImageError(costly(label)) from error
    return decode(data, kind, label, limits) if harmless else decode_apart(data, kind, label, limits)


def picture_size(path: Path, limits: Limits) -> Size:
    """(height, width) of a picture file, upright; its pixels are decoded only if its header cannot be trusted.

    Raises:
        ImageError: As `load_image`.
    """
    data = _read(path, path.name)
    kind = _readable_kind(data, path.name).name
    with contextlib.suppress(CostlyError):  # which load_image reports
        if is_harmless(data, kind):
            return header_size(data, kind, path.name, limits)
    return load_image(data, name=path.name, **limits._asdict()).size


def _read(path: Path, label: str) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(
                Message(
                    "{name} is {size:.0f} MB, too large for one picture.", name=label, size=path.stat().st_size / 1e6
                )
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise ImageError(
            Message("{name} cannot be read ({reason}).", name=label, reason=getattr(error, "strerror", None) or error)
        ) from error


def _readable_kind(data: bytes, label: str) -> FileKind:
    kind = kind_of(data)
    if kind.is_readable:
        return kind
    if not data:
        raise ImageError(Message("{name} is empty (0 bytes).", name=label))
    take = Message("Use JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or GIF.")
    if kind is UNKNOWN:
        raise ImageError(Message("{name} is not a picture that can be read here. {take}", name=label, take=take))
    if kind is WEB_PAGE:
        raise ImageError(Message("{name} is a web page, not the picture on it. {take}", name=label, take=take))
    raise ImageError(
        Message("{name} is {kind}, which cannot be read here. {take}", name=label, kind=Message(kind.name), take=take)
    )


def picture_ending(path: Path, label: str, max_pixels: int = MAX_PIXELS) -> str:
    """The file extension that matches a file's content; its pixels are not decoded.

    Raises:
        ImageError: It is not a picture, or its header is damaged or announces too many pixels.
    """
    data = _read(path, label)
    kind = _readable_kind(data, label).name
    check_header(data, kind, label, Limits(max_pixels))
    return {"JPEG": ".jpg", "TIFF": ".tif", "HEIF": ".heic"}.get(kind, f".{kind.lower()}")
