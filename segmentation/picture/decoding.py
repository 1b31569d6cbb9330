"""The bytes of a picture -> `Picture`, in this process: cleaned, as complete as the file, upright, 8-bit RGB."""

import contextlib
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from segmentation.arrays import RGB, Mask, Size
from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.picture.picture import STRIP_BYTES, Limits, Picture
from segmentation.picture.side_data import (
    CostlyError,
    cleaned,
    is_animated,
    is_progressive,
    jpeg_scans,
    jpeg_segments,
    orientation,
    tiff_problem,
)

# Pillow's own limit applies to the whole process and starts as a warning; each picture is checked here instead.
Image.MAX_IMAGE_PIXELS = None

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))

_ALL_OR_NOTHING = ("AVIF", "HEIF", "WEBP")  # their decoders never return part of a picture
_HARMLESS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
# scans times megapixels of a JPEG that takes about a second to decode; 50 megapixels in the usual ten scans are 500
_SCANS_MEGAPIXELS = 600
_MAX_PROFILE_BYTES = 4 << 20  # no useful colour profile is larger
_ENOUGH = 0.5  # share of the rows that must be present
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_harmless(data: bytes, kind: str) -> bool:
    """Whether the header shows that decoding needs no more time and memory than the pixels themselves.

    Other files are decoded too, but in a process that can be stopped: see `decoder_process`.

    Raises:
        CostlyError: It has more parts than any legitimate file.
    """
    if kind == "TIFF":
        return not tiff_problem(data)
    if kind not in _HARMLESS or (kind == "WEBP" and is_animated(data, kind)):
        return False
    # run-length encoded bitmaps are read in Python (BITMAPINFOHEADER: biCompression; OS/2's header has none)
    if kind == "BMP" and int.from_bytes(data[14:18], "little") >= 40 and data[30] not in (0, 3, 6):
        return False
    return kind != "JPEG" or _jpeg_pixels(data) * jpeg_scans(data) <= _SCANS_MEGAPIXELS * 1e6


def _jpeg_pixels(data: bytes) -> int:
    for code, at, _ in jpeg_segments(data):
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7], "big") * int.from_bytes(data[at + 7 : at + 9], "big")
    return 0


def decode(data: bytes, kind: str, name: str, limits: Limits) -> Picture:
    """A decoded picture.

    Args:
        data: The file.
        kind: Its format, as Pillow names it.
        name: Its name in error messages.
        limits: Limits on its pixels.

    Raises:
        ImageError: It is damaged, or has too many pixels.
    """
    with _image_errors(name):
        return _decode(data, kind, name, limits)


def check_header(data: bytes, kind: str, name: str, limits: Limits) -> None:
    """Check that a harmless picture's header is valid and its size within the limits; other files are not opened here.

    Raises:
        ImageError: The header is damaged, or announces too many pixels.
    """
    with _image_errors(name):
        if is_harmless(data, kind):
            check_size(*Image.open(io.BytesIO(cleaned(data, kind)), formats=[kind]).size, name, limits)


def header_size(data: bytes, kind: str, name: str, limits: Limits) -> Size:
    """(height, width) of a harmless picture, upright, from its header alone.

    Raises:
        ImageError: The header is damaged, or announces too many pixels.
    """
    with _image_errors(name):
        image = Image.open(io.BytesIO(cleaned(data, kind)), formats=[kind])
        check_size(*image.size, name, limits)
        width, height = image.size if _orientation(data, kind, image) < 5 else image.size[::-1]
        return height, width


@contextlib.contextmanager
def _image_errors(name: str) -> Iterator[None]:
    """Turn any exception about a file into an `ImageError`."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except CostlyError as error:
        raise ImageError(costly(name)) from error
    except Exception as error:  # decoders may raise anything on damaged files
        raise ImageError(
            Message("{name} is damaged and cannot be decoded ({reason}).", name=name, reason=_reason(error))
        ) from error


def costly(name: str) -> Message:
    """The sentence about a file constructed to take long."""
    return Message("Reading {name} would take too long. Save it again as an ordinary JPEG or PNG.", name=name)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text names an object in memory
        return "its header is invalid"
    return (str(error) or type(error).__name__).splitlines()[0][:120]


def check_size(width: int, height: int, name: str, limits: Limits) -> None:
    """Check that a picture is within the limits.

    Raises:
        ImageError: It has too many pixels.
    """
    if width * height > limits.max_pixels:
        raise ImageError(
            Message(
                "{name} has {megapixels:.0f} megapixels ({width} x {height}); at most {most:g} are allowed. Make it "
                "smaller first.",
                name=name, megapixels=width * height / 1e6, width=width, height=height, most=limits.max_pixels / 1e6,
            )
        )  # fmt: skip
    if max(width, height) > limits.max_side:
        raise ImageError(
            Message(
                "{name} has {width} x {height} pixels; at most {most} a side are allowed. Cut it into pieces first.",
                name=name, width=width, height=height, most=limits.max_side,
            )
        )  # fmt: skip


def _decode(data: bytes, kind: str, name: str, limits: Limits) -> Picture:
    if kind == "HEIF":
        _register_heif()
    pixels = _pixels(cleaned(data, kind), kind, name, limits)
    image = pixels.image
    notes: list[str] = []
    if is_animated(data, kind) or (kind == "TIFF" and getattr(image, "is_animated", False)):
        notes.append(Message("It is an animation: only its first frame was used."))
    missing = None if pixels.rows is None or pixels.rows.all() else pixels.rows
    if missing is not None:
        share = float(missing.mean())
        if share < _ENOUGH:
            raise ImageError(
                Message("{name} is cut off: only {share:.0%} of it is there. Copy it again.", name=name, share=share)
            )
        _continue_rows(image, missing)
        notes.append(
            Message("The file is cut off: the last {share:.0%} of the picture is missing.", share=max(0.01, 1 - share))
        )
    elif not pixels.is_whole:
        notes.append(Message("The file is cut off: fine detail is missing."))
    profile = _profile(image)
    turned = _orientation(data, kind, image)
    if turned in _TRANSPOSED:
        info = image.info
        image = image.transpose(_TRANSPOSED[turned])
        image.info = info
    rgb, opacity = _planes(image, profile, name, notes)
    if missing is not None:
        present = Image.fromarray(np.repeat(missing[:, None] * np.uint8(255), pixels.image.width, axis=1))
        present = present.transpose(_TRANSPOSED[turned]) if turned in _TRANSPOSED else present
        opacity = np.asarray(present) if opacity is None else np.minimum(opacity, np.asarray(present))
    return Picture(
        rgb=rgb,
        opacity=_unless_opaque(opacity),
        icc_profile=_rgb_profile(profile),
        name=name,
        notes=tuple(notes),
        kind=kind,
        is_whole=pixels.is_whole,
    )


def _profile(image: Image.Image) -> bytes | None:
    """The colour profile, if its size is a profile's."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and 128 < len(profile) <= _MAX_PROFILE_BYTES else None


def _rgb_profile(profile: bytes | None) -> bytes | None:
    return profile if profile and profile[16:20] == b"RGB " else None


def _unless_opaque(opacity: Mask | None) -> Mask | None:
    return None if opacity is None or opacity.min() == 255 else opacity


def picture_of(image: Image.Image, name: str = "picture", limits: Limits = Limits()) -> Picture:  # noqa: B008  # immutable
    """A picture of an upright image in memory, of any mode.

    Raises:
        ImageError: It has too many pixels, or values without a known white.
    """
    check_size(*image.size, name, limits)
    notes: list[str] = []
    profile = _profile(image)
    with _image_errors(name):
        rgb, opacity = _planes(image, profile, name, notes)
    return Picture(
        rgb=rgb,
        opacity=_unless_opaque(opacity),
        icc_profile=_rgb_profile(profile),
        name=name,
        notes=tuple(notes),
    )


def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _orientation(data: bytes, kind: str, image: Image.Image) -> int:
    if kind != "AVIF":
        return orientation(data, kind)
    try:  # Pillow reports the rotation in AVIF's own boxes as EXIF; the file's EXIF was removed by cleaning
        turned = image.getexif().get(0x112)
    except Exception:  # a damaged one may raise anything, but is no reason to refuse the pixels
        return 1
    return turned if isinstance(turned, int) else 1


class _Pixels(NamedTuple):
    image: Image.Image
    rows: npt.NDArray[np.bool_] | None = None  # whether each row was decoded; None for all
    is_whole: bool = True


def _pixels(data: bytes, kind: str, name: str, limits: Limits) -> _Pixels:
    """Decode all that is present. Missing rows are those that differ when decoded onto another background value."""
    # a PNG may end early without an error, so it is always decoded onto a known value
    image, error = _attempt(data, kind, name, limits, 1 if kind == "PNG" else None)
    if error is None:
        last = np.asarray(image.crop((0, image.height - 1, image.width, image.height))) if kind == "PNG" else None
        if last is None or (last != 1).any():
            return _Pixels(image)
    elif kind == "JPEG":
        return _pixels_of_jpeg(data, name, limits)
    elif kind in _ALL_OR_NOTHING:
        raise error
    image, other = (_attempt(data, kind, name, limits, ground)[0] for ground in (1, 0))
    rows = _same_rows(image, other)
    return _Pixels(image, rows, bool(rows.all()))


def _pixels_of_jpeg(data: bytes, name: str, limits: Limits) -> _Pixels:
    """Decode a JPEG whose end is missing: what libjpeg makes up for it depends on the bytes appended to the file."""
    image, error = _attempt(data + b"\xff\xd9", "JPEG", name, limits, None)  # the end marker alone may be missing
    if error:
        raise error
    if is_progressive(data):
        return _Pixels(image, is_whole=False)
    other, _ = _attempt(data + b"\x55" * 64 + b"\xff\xd9", "JPEG", name, limits, None)
    same = _same_rows(image, other)
    end = image.height if same.all() else int(same.argmin())
    return _Pixels(image, np.arange(image.height) < end, end == image.height)


def _attempt(
    data: bytes, kind: str, name: str, limits: Limits, ground: int | None
) -> tuple[Image.Image, Exception | None]:
    """Decode as far as possible, onto pixels of one value if `ground` is given."""
    image = Image.open(io.BytesIO(data), formats=[kind])
    check_size(*image.size, name, limits)
    if kind == "TIFF" and tiff_problem(data, image.width * image.height):
        raise CostlyError
    prepare = image.load_prepare

    def prepared() -> None:
        prepare()
        bands = Image.getmodebands(image.im.mode)
        image.im.paste(ground if bands == 1 else (ground,) * bands, (0, 0, *image.im.size))

    if ground is not None:
        image.load_prepare = prepared  # type: ignore[method-assign]
    try:
        image.load()
    except (MemoryError, ImageError):
        raise
    except Exception as error:
        if getattr(image, "_im", None) is None:
            raise
        image.tile = []
        with contextlib.suppress(Exception):  # it would read what follows the pixels
            image.load_end()
        return image, error
    return image, None


def _same_rows(one: Image.Image, other: Image.Image) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = (np.asarray(one) == np.asarray(other)).reshape(one.height, -1).all(1)
    return same


def _continue_rows(image: Image.Image, rows: npt.NDArray[np.bool_]) -> None:
    """Fill missing rows with the nearest decoded row, so that the network sees no false edge."""
    last = int(rows.argmax())
    for top in range(image.height):
        if rows[top]:
            last = top
        elif top != last:
            image.paste(image.crop((0, last, image.width, last + 1)), (0, top))


def _planes(image: Image.Image, profile: bytes | None, label: str, notes: list[str]) -> tuple[RGB, Mask | None]:
    """Colours and opacity of an image of any mode."""
    if image.mode.startswith(("I", "F")):
        return _deep_planes(image, label)
    if image.mode in ("CMYK", "LAB", "L", "LA") and profile and profile[16:20] != b"RGB ":
        image = _to_srgb(image, profile, notes)
    elif image.mode == "LAB":
        image = _to_srgb(image, None, notes)
    clear = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in clear)  # 16 bits; the pixels have 8 by now
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return rgb_array(image if image.mode == "RGB" else image.convert("RGB")), None


def rgb_array(image: Image.Image) -> RGB:
    """`np.asarray(image)` in half the time: strip by strip, without a second copy of the whole picture."""
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP_BYTES // (4 * image.width))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgb[top : top + rows] = np.frombuffer(strip.tobytes(), np.uint8).reshape(strip.height, strip.width, 3)
    return rgb


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Colours converted by a profile that is not RGB, which an RGB file cannot keep."""
    if image.mode == "LA":
        grey, opacity = image.convert("L"), image.getchannel("A")
        converted = _to_srgb(grey, profile, notes).convert("RGB")
        converted.putalpha(opacity)
        return converted
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        in_srgb = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        if image.mode == "LAB":
            raise
        notes.append(Message("Its colour profile could not be used, so colours may differ a little."))
        return image.convert("RGB")
    assert in_srgb is not None  # None only with inPlace
    return in_srgb


def _deep_planes(image: Image.Image, label: str) -> tuple[RGB, Mask | None]:
    """16-bit grey, scaled to 8 bits. Wider integers and floats have no agreed white: accepted only if in range."""
    values = np.asarray(image)
    top = 1.0 if image.mode == "F" else 65535.0
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise ImageError(
            Message(
                "{name} holds 32-bit values without a known white. Save it with 8 or 16 bits a channel.", name=label
            )
        )
    grey = np.rint(values * (255.0 / top)).astype(np.uint8)
    clear = image.info.get("transparency")  # a grey value that means transparent
    opacity = np.where(values == clear, 0, 255).astype(np.uint8) if isinstance(clear, int) else None
    return np.repeat(grey[..., None], 3, axis=2), opacity
