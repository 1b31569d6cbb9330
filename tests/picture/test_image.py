"""Decoding: every kind of picture becomes the right upright RGB, and what is no picture gets its sentence."""

import contextlib
import gzip
import io
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from segmentation import ImageError, load_image
from segmentation.picture.colour import to_profile
from segmentation.picture.encode import save_jpeg, save_webp, whole_file
from segmentation.picture.load import picture_ending
from segmentation.picture.picture import Picture
from segmentation.picture.png import save_png
from segmentation.picture.resize import resize, shrunk
from tests.picture.profiles import WIDE, in_wide, profile

Array = npt.NDArray[Any]

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 20, 3), np.uint8)
GREYS = RNG.integers(0, 256, (12, 20), np.uint8)
OPACITY = RNG.integers(0, 255, (12, 20), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey_as_rgb(grey: Array) -> Array:
    return np.repeat(grey[..., None], 3, axis=2)


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand, for the kinds that Pillow cannot write. `rows` without filter bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    per_row = len(rows) // height
    raw = b"".join(b"\0" + rows[at : at + per_row] for at in range(0, len(rows), per_row))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = [chunk(b"IHDR", header), *(chunk(*one) for one in extra), chunk(b"IDAT", zlib.compress(raw))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body) + chunk(b"IEND", b"")


LINEAR_GREY = profile(b"GRAY", b"mntr", b"XYZ ", {b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0)})

_identity = bytes(range(256))
_matrix = struct.pack(">9i", *(65536 * (n % 4 == 0) for n in range(9)))
_corners = b"".join(bytes([0 if corner & 1 else 255, 128, 128]) for corner in range(16))  # Lab; the last ink is black
BLACK_INK_ONLY = profile(
    b"CMYK",
    b"prtr",
    b"Lab ",
    {b"A2B0": b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _matrix + 4 * _identity + _corners + 3 * _identity},
)
"""A printer on which nothing but black ink leaves a mark."""


# ------------------------------------------------------------------------------------------------- orientation

STORED_AS: dict[int, Callable[[Array], Array]] = {
    # how the upright picture lies in the file (EXIF 2.32, tag 274)
    1: lambda up: up,
    2: lambda up: up[:, ::-1],
    3: lambda up: up[::-1, ::-1],
    4: lambda up: up[::-1],
    5: lambda up: up.swapaxes(0, 1),
    6: lambda up: np.rot90(up),
    7: lambda up: up[::-1, ::-1].swapaxes(0, 1),
    8: lambda up: np.rot90(up, -1),
}


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_png_is_turned_upright(orientation: int) -> None:
    stored = np.ascontiguousarray(STORED_AS[orientation](COLOURS))
    picture = load_image(encoded(Image.fromarray(stored), exif=exif(orientation)))
    assert np.array_equal(picture.rgb, COLOURS)
    assert picture.size == (12, 20)


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_webp_is_not_turned_as_no_browser_does(orientation: int) -> None:
    stored = np.ascontiguousarray(STORED_AS[orientation](COLOURS))
    picture = load_image(encoded(Image.fromarray(stored), "WEBP", exif=exif(orientation), lossless=True))
    assert np.array_equal(picture.rgb, stored)


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_jpeg_is_turned_upright(orientation: int) -> None:
    quarters = np.kron(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]]), np.ones((32, 48, 1)))
    upright = quarters.astype(np.uint8)
    stored = np.ascontiguousarray(STORED_AS[orientation](upright))
    picture = load_image(encoded(Image.fromarray(stored), "JPEG", quality=95, subsampling=0, exif=exif(orientation)))
    assert picture.size == (64, 96)
    assert np.abs(picture.rgb.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_tiff_is_turned_upright(orientation: int) -> None:
    stored = np.ascontiguousarray(STORED_AS[orientation](COLOURS))
    picture = load_image(encoded(Image.fromarray(stored), "TIFF", tiffinfo={274: orientation}))
    assert np.array_equal(picture.rgb, COLOURS)


def test_transparency_is_turned_with_the_colours() -> None:
    stored = np.ascontiguousarray(STORED_AS[6](np.dstack([COLOURS, OPACITY])))
    picture = load_image(encoded(Image.fromarray(stored), exif=exif(6)))
    assert np.array_equal(picture.rgb, COLOURS)
    assert picture.opacity is not None
    assert np.array_equal(picture.opacity, OPACITY)


def test_a_sixteen_bit_picture_is_turned_upright() -> None:
    deep = GREYS.astype(np.uint16) * 257
    stored = np.ascontiguousarray(STORED_AS[8](deep))
    picture = load_image(encoded(Image.fromarray(stored), exif=exif(8)))
    assert np.array_equal(picture.rgb, grey_as_rgb(GREYS))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_does_not_exist_is_passed_over(orientation: int) -> None:
    picture = load_image(encoded(Image.fromarray(COLOURS), exif=exif(orientation)))
    assert np.array_equal(picture.rgb, COLOURS)


# ------------------------------------------------------------------------------------------------- kinds of pictures


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_picture_is_decoded_to_its_colours(kind: str) -> None:
    picture = load_image(encoded(Image.fromarray(COLOURS), kind))
    assert np.array_equal(picture.rgb, COLOURS)
    assert picture.rgb.dtype == np.uint8
    assert (picture.opacity, picture.icc_profile, picture.notes) == (None, None, ())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_a_lossy_picture_is_decoded_to_about_its_colours(kind: str) -> None:
    across, down = np.meshgrid(np.linspace(0, 255, 96), np.linspace(0, 255, 64))
    smooth = np.dstack([across, down, np.full((64, 96), 90.0)])
    picture = load_image(encoded(Image.fromarray(smooth.astype(np.uint8)), kind, quality=95))
    assert picture.size == (64, 96)
    assert np.abs(picture.rgb - smooth).mean() < 3


def test_a_large_picture_is_decoded_to_its_colours() -> None:
    pixels = RNG.integers(0, 256, (301, 1001, 3), np.uint8)
    assert np.array_equal(load_image(encoded(Image.fromarray(pixels), compress_level=1)).rgb, pixels)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(COLOURS), "PNG"))
    assert np.array_equal(load_image(path).rgb, COLOURS)
    assert load_image(str(path)).name == "photo.jpg"
    assert load_image(path, name="holiday").name == "holiday"


def test_a_grey_picture_becomes_rgb() -> None:
    picture = load_image(encoded(Image.fromarray(GREYS)))
    assert np.array_equal(picture.rgb, grey_as_rgb(GREYS))
    assert picture.opacity is None


def test_a_grey_picture_with_alpha_keeps_both() -> None:
    picture = load_image(encoded(Image.merge("LA", [Image.fromarray(GREYS), Image.fromarray(OPACITY)])))
    assert np.array_equal(picture.rgb, grey_as_rgb(GREYS))
    assert picture.opacity is not None
    assert np.array_equal(picture.opacity, OPACITY)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})])
def test_a_colour_picture_with_alpha_keeps_both(kind: str, options: dict[str, Any]) -> None:
    picture = load_image(encoded(Image.fromarray(np.dstack([COLOURS, OPACITY])), kind, **options))
    assert np.array_equal(picture.rgb, COLOURS)
    assert picture.opacity is not None
    assert np.array_equal(picture.opacity, OPACITY)


def test_an_alpha_that_is_opaque_everywhere_is_none() -> None:
    assert load_image(encoded(Image.fromarray(COLOURS).convert("RGBA"))).opacity is None


def test_black_and_white_becomes_rgb() -> None:
    picture = load_image(encoded(Image.fromarray(GREYS > 127)))
    assert np.array_equal(picture.rgb, grey_as_rgb(np.where(GREYS > 127, 255, 0)))


PALETTE = [255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30]
INDICES = RNG.integers(0, 4, (12, 20), np.uint8)


def palette_image() -> Image.Image:
    image = Image.fromarray(INDICES).convert("P")
    image.putpalette(PALETTE)
    image.putdata(INDICES.ravel().tolist())
    return image


def test_a_palette_becomes_its_colours() -> None:
    picture = load_image(encoded(palette_image()))
    assert np.array_equal(picture.rgb, np.array(PALETTE, np.uint8).reshape(4, 3)[INDICES])
    assert picture.opacity is None


def test_a_palette_with_degrees_of_transparency_keeps_them() -> None:
    picture = load_image(encoded(palette_image(), transparency=bytes([0, 85, 170, 255])))
    assert np.array_equal(picture.rgb, np.array(PALETTE, np.uint8).reshape(4, 3)[INDICES])
    assert picture.opacity is not None
    assert np.array_equal(picture.opacity, np.array([0, 85, 170, 255], np.uint8)[INDICES])


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_one_transparent_colour_keeps_it(kind: str) -> None:
    picture = load_image(encoded(palette_image(), kind, transparency=2))
    assert picture.opacity is not None
    assert np.array_equal(picture.opacity, np.where(INDICES == 2, 0, 255))


@pytest.mark.parametrize(
    ("mode", "pixels", "transparency", "clear"),
    [
        ("L", GREYS, 100, GREYS == 100),
        ("RGB", COLOURS, tuple(int(n) for n in COLOURS[3, 4]), (COLOURS[3, 4] == COLOURS).all(axis=2)),
        ("1", GREYS > 127, 0, GREYS <= 127),
    ],
)
def test_a_png_with_one_transparent_colour_keeps_it(mode: str, pixels: Array, transparency: Any, clear: Array) -> None:
    picture = load_image(encoded(Image.fromarray(pixels), transparency=transparency))
    if not clear.any():
        clear[0, 0] = False
        assert picture.opacity is None
    else:
        assert picture.opacity is not None
        assert np.array_equal(picture.opacity, np.where(clear, 0, 255))


INKS = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 255, 0, 0): (255, 0, 255)}
INKS |= {(0, 0, 255, 0): (255, 255, 0), (0, 0, 0, 255): (0, 0, 0), (255, 255, 255, 255): (0, 0, 0)}


@pytest.mark.parametrize(("kind", "tolerance"), [("TIFF", 0), ("JPEG", 4)])
def test_printing_inks_become_colours(kind: str, tolerance: int) -> None:
    blocks = np.kron(np.array([list(INKS)], np.uint8), np.ones((16, 16, 1), np.uint8))
    expected = np.kron(np.array([list(INKS.values())], np.uint8), np.ones((16, 16, 1), np.uint8))
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    picture = load_image(encoded(Image.fromarray(blocks, "CMYK"), kind, **options))
    assert np.abs(picture.rgb.astype(int) - expected).max() <= tolerance
    assert picture.icc_profile is None


def test_printing_inks_with_a_profile_are_converted_by_it() -> None:
    inks = Image.fromarray(np.array([[[0, 0, 0, 0], [255, 255, 0, 0], [0, 0, 0, 255]]], np.uint8), "CMYK")
    picture = load_image(encoded(inks, "TIFF", icc_profile=BLACK_INK_ONLY))
    assert np.abs(picture.rgb[0].astype(int) - [[255] * 3, [255] * 3, [0] * 3]).max() <= 2
    assert picture.icc_profile is None
    assert picture.notes == ()


@pytest.mark.parametrize(
    "broken",
    [BLACK_INK_ONLY[:200], BLACK_INK_ONLY[:16] + b"CMYK" + bytes(200), b"no profile at all " * 20],
    ids=["cut off", "empty", "text"],
)
def test_printing_inks_with_a_profile_that_cannot_be_used_are_decoded_and_it_is_said(broken: bytes) -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    picture = load_image(encoded(inks, "TIFF", icc_profile=broken))
    assert tuple(picture.rgb[0, 0]) == (0, 255, 255)
    assert picture.icc_profile is None
    assert any("profile" in note for note in picture.notes)


def test_lab_becomes_srgb() -> None:
    # Pillow keeps a and b as signed bytes: L = 50 % with a = b = 0 is the grey 119 of sRGB
    image = Image.frombytes("LAB", (3, 1), bytes([128, 0, 0, 255, 0, 0, 0, 0, 0]))
    picture = load_image(encoded(image, "TIFF"))
    assert np.abs(picture.rgb[0].astype(int) - [[119] * 3, [255] * 3, [0] * 3]).max() <= 2


# ------------------------------------------------------------------------------------------------- deep pictures


def test_sixteen_bit_grey_is_scaled_and_not_cut() -> None:
    deep = np.linspace(0, 65535, 240).astype(np.uint16).reshape(12, 20)
    for kind in ("PNG", "TIFF"):
        picture = load_image(encoded(Image.fromarray(deep), kind))
        assert np.array_equal(picture.rgb, grey_as_rgb(np.rint(deep / 257.0).astype(np.uint8)))


def test_sixteen_bit_grey_keeps_its_transparent_value() -> None:
    deep = (GREYS.astype(np.uint16) << 8) | 7
    clear = int(deep[2, 2])
    data = png(20, 12, 16, 0, deep.astype(">u2").tobytes(), (b"tRNS", struct.pack(">H", clear)))
    picture = load_image(data)
    assert picture.opacity is not None
    assert np.array_equal(picture.opacity, np.where(deep == clear, 0, 255))


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colours_and_alpha_are_scaled(colour_type: int, channels: int) -> None:
    deep = RNG.integers(0, 65536, (12, 20, channels)).astype(np.uint16)
    picture = load_image(png(20, 12, 16, colour_type, deep.astype(">u2").tobytes()))
    expected = deep / 257.0
    colours = expected[..., :3] if channels > 2 else grey_as_rgb(expected[..., 0])
    assert np.abs(picture.rgb - colours).max() <= 1
    if channels in (2, 4):
        assert picture.opacity is not None
        assert np.abs(picture.opacity - expected[..., -1]).max() <= 1
    else:
        assert picture.opacity is None


def test_sixteen_bit_colours_keep_their_transparent_value() -> None:
    deep = np.zeros((4, 4, 3), np.uint16)
    deep[1:3, 1:3] = (65535, 1000, 30000)
    data = png(4, 4, 16, 2, deep.astype(">u2").tobytes(), (b"tRNS", struct.pack(">HHH", 65535, 1000, 30000)))
    picture = load_image(data)
    assert picture.opacity is not None
    assert np.array_equal(picture.opacity == 0, deep[..., 0] > 0)


def test_floats_in_0_to_1_are_scaled() -> None:
    values = np.linspace(0, 1, 240, dtype=np.float32).reshape(12, 20)
    picture = load_image(encoded(Image.fromarray(values), "TIFF"))
    assert np.array_equal(picture.rgb, grey_as_rgb(np.rint(values * 255).astype(np.uint8)))


@pytest.mark.parametrize(
    "values",
    [
        np.full((4, 4), 200.0, np.float32),
        np.full((4, 4), -0.1, np.float32),
        np.full((4, 4), np.nan, np.float32),
        np.full((4, 4), 70_000, np.int32),
        np.full((4, 4), -1, np.int32),
    ],
)
def test_values_without_a_known_white_are_refused(values: Array) -> None:
    with pytest.raises(ImageError, match=r"deep holds 32-bit values without a known white.*8 or 16 bits"):
        load_image(encoded(Image.fromarray(values), "TIFF"), name="deep")


# ------------------------------------------------------------------------------------------------- animations


@pytest.mark.parametrize(
    ("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("AVIF", {"quality": 100})]
)
def test_of_an_animation_the_first_frame_is_taken_and_it_is_said(kind: str, options: dict[str, Any]) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    picture = load_image(data)
    assert np.abs(picture.rgb.astype(int) - [255, 0, 0]).max() <= 4
    assert len(picture.notes) == 1
    assert "first frame" in picture.notes[0]


def test_a_photo_with_a_second_view_is_no_animation() -> None:
    views = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    picture = load_image(encoded(views[0], "MPO", save_all=True, append_images=views[1:]))
    assert np.abs(picture.rgb.astype(int) - [255, 0, 0]).max() <= 4
    assert picture.notes == ()


def test_of_a_tiff_with_pages_the_first_is_taken_and_it_is_said() -> None:
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    picture = load_image(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert tuple(picture.rgb[0, 0]) == (255, 0, 0)
    assert "first" in picture.notes[0]


# ------------------------------------------------------------------------------------------------- colour profiles


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_an_rgb_profile_is_kept(kind: str) -> None:
    assert load_image(encoded(Image.fromarray(COLOURS), kind, icc_profile=SRGB)).icc_profile == SRGB


def test_the_colours_of_an_rgb_profile_are_not_converted() -> None:
    assert np.array_equal(load_image(encoded(Image.fromarray(COLOURS), icc_profile=SRGB)).rgb, COLOURS)


def test_grey_with_a_profile_is_converted_and_the_profile_dropped() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
    picture = load_image(encoded(Image.fromarray(ramp), icc_profile=LINEAR_GREY))
    linear = ramp / 255.0
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255  # IEC 61966-2-1
    error = np.abs(picture.rgb - grey_as_rgb(srgb))
    assert error[ramp >= 16].max() <= 1  # below, the colour engine's 8-bit tables bend the curve
    assert error.max() <= 10
    assert picture.icc_profile is None
    assert picture.notes == ()


def test_grey_with_alpha_and_a_profile_keeps_its_alpha() -> None:
    image = Image.merge("LA", [Image.new("L", (8, 8), 128), Image.new("L", (8, 8), 77)])
    picture = load_image(encoded(image, icc_profile=LINEAR_GREY))
    assert np.abs(picture.rgb.astype(int) - 188).max() <= 2
    assert picture.opacity is not None
    assert (picture.opacity == 77).all()
    assert picture.icc_profile is None


@pytest.mark.parametrize("profile", [b"junk", b"x" * 5000])
def test_a_profile_that_is_none_is_dropped(profile: bytes) -> None:
    picture = load_image(encoded(Image.fromarray(COLOURS), icc_profile=profile))
    assert picture.icc_profile is None
    assert np.array_equal(picture.rgb, COLOURS)


# ------------------------------------------------------------------------------------------------- bad files

JPEG = encoded(Image.fromarray(RNG.integers(0, 256, (200, 200, 3), np.uint8)), "JPEG")
PNG = encoded(Image.fromarray(RNG.integers(0, 256, (200, 200, 3), np.uint8)))
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"this is a text", "is not a picture that can be read here. Use JPEG, PNG"),
        (b"\0" * 5000, "is not a picture"),
        (SVG, "is an SVG drawing"),
        (b"%PDF-1.7\n1 0 obj", r"is a PDF document, which cannot be read here\. Use JPEG"),
        (b"8BPS\0\1" + bytes(40), r"is a Photoshop document \(PSD\), which"),
        (b"\xff\x0a" + bytes(40), "is a JPEG XL picture, which"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), r"is a camera raw file \(CR2\), which"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", r"is a camera raw file \(CR3\), which"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "is a video, which"),
        (gzip.compress(SVG), "is an SVG drawing"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"is damaged and cannot be decoded \(its header is invalid"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
        (JPEG[: len(JPEG) // 3], r"is cut off: only \d+% of it is there"),
        (JPEG[:20], "is not a picture|is damaged"),
        (PNG[: len(PNG) // 3], r"is cut off: only \d+% of it is there"),
        (PNG[:33], "is damaged|is not a picture"),
        (PNG[:8], "is not a picture|is damaged"),
        (PNG.replace(b"IDAT", b"IDAX"), "is damaged|is not a picture"),
        (b"BM" + bytes(100), "is not a picture|is damaged"),
        (b"GIF89a" + bytes(20), "is not a picture|is damaged"),
        (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(30), "is not a picture|is damaged"),
        (b"II*\0\x08\0\0\0\0\0", "is not a picture|is damaged"),
    ],
)
def test_a_bad_file_gets_its_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(ImageError, match=rf"^photo\.png {sentence}"):
            load_image(source, name="photo.png")


def test_a_missing_file_gets_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.png cannot be read \(No such file"):
        load_image(tmp_path / "nowhere.png")


def test_a_folder_gets_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(tmp_path)


def test_a_name_with_a_null_gets_its_sentence() -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        load_image("photo\0.png")


def test_the_sentence_does_not_tell_where_the_file_lies(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"text")
    with pytest.raises(ImageError, match=r"photo\.png") as caught:
        load_image(path)
    assert str(tmp_path) not in str(caught.value)


def test_a_picture_over_the_limit_is_refused() -> None:
    data = encoded(Image.new("RGB", (40, 30)))
    assert load_image(data, max_pixels=1200).size == (30, 40)
    with pytest.raises(ImageError, match=r"picture has 0 megapixels \(40 x 30\); at most .* are allowed"):
        load_image(data, max_pixels=1199)


BOUNDED = """
    import resource, sys
    from segmentation import ImageError, load_image

    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (48 << 20), resource.RLIM_INFINITY))
    try:
        load_image(sys.argv[1])
    except ImageError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory the Linux way")
@pytest.mark.parametrize("edge", [12_000, 20_000])
def test_a_huge_picture_in_a_small_file_is_refused_in_bounded_memory(tmp_path: Path, edge: int) -> None:
    row = bytes(1 + edge // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(edge)) + packer.flush()
    path = tmp_path / "bomb.png"
    path.write_bytes(png(8, 1, 1, 0, b"\0"))
    content = bytearray(b"\x89PNG\r\n\x1a\n")
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)),
        (b"IDAT", body),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    assert len(content) < 60_000
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOUNDED), path], capture_output=True, text=True, timeout=60, check=True
    )
    assert (
        f"bomb.png has {edge * edge // 1_000_000} megapixels ({edge} x {edge}); at most 50 are allowed" in answer.stdout
    )


def test_a_text_chunk_that_unpacks_to_much_does_no_harm() -> None:
    bomb = b"comment\0\0" + zlib.compress(bytes(80 << 20), 9)
    data = png(4, 4, 8, 0, bytes(16), (b"zTXt", bomb))
    with contextlib.suppress(ImageError):  # decoded or refused; anything else is a bug
        assert load_image(data).size == (4, 4)


# ------------------------------------------------------------------------------------------------- handles, resizing


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files the Linux way")
def test_files_are_closed_whatever_they_hold(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    path = tmp_path / "photo"
    before = open_files()
    for content in (PNG, JPEG, PNG[:3000], b"", b"text", encoded(Image.new("RGB", (9, 9)), "TIFF")):
        path.write_bytes(content)
        with contextlib.suppress(ImageError):
            load_image(path)
        with contextlib.suppress(ImageError):
            load_image(path, max_pixels=1)
    assert open_files() == before


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box"])
@pytest.mark.parametrize("plane", [COLOURS, GREYS, (GREYS / 255).astype(np.float32)])
def test_resizing_keeps_kind_and_gives_height_and_width(plane: Array, interpolation: Any) -> None:
    for size in ((12, 20), (5, 7), (1, 1), (60, 31)):
        out = resize(plane, size, interpolation)
        assert out.shape == size + plane.shape[2:]
        assert out.dtype == plane.dtype


def test_resizing_to_half_by_box_averages() -> None:
    out = resize(GREYS, (6, 10), "box")
    expected = GREYS.reshape(6, 2, 10, 2).mean(axis=(1, 3))
    assert np.abs(out - expected).max() <= 1  # rounded once in each direction


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "box"])
@pytest.mark.parametrize("size", [(32, 32), (33, 70), (5, 400), (150, 7)])
def test_shrinking_by_much_gives_what_pillow_gives(size: tuple[int, int], interpolation: Any) -> None:
    for pixels in (RNG.integers(0, 256, (517, 1031, 3), np.uint8), RNG.integers(0, 256, (300, 77), np.uint8)):
        resampling = Image.Resampling[interpolation.upper()]
        expected = Image.fromarray(pixels).resize(size[::-1], resampling, reducing_gap=2.0)
        assert np.abs(resize(pixels, size, interpolation).astype(int) - np.asarray(expected)).max() <= 1


def test_resizing_by_nearest_invents_no_value() -> None:
    assert set(np.unique(resize(INDICES, (31, 47), "nearest"))) <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("size", "longest", "wanted"),
    [
        ((40, 80), 20, (10, 20)),
        ((80, 40), 20, (20, 10)),
        ((30, 31), 15, (15, 15)),
        ((1, 5000), 100, (1, 100)),
        ((5000, 1), 1, (1, 1)),
    ],
)
def test_a_picture_is_shrunk_to_its_longer_side(size: tuple[int, int], longest: int, wanted: tuple[int, int]) -> None:
    rgb, opacity = np.full((*size, 3), 99, np.uint8), np.full(size, 44, np.uint8)
    small = shrunk(Picture(rgb, opacity, SRGB, "a.png", ("said",), "PNG"), longest)
    assert small.size == wanted
    assert (small.rgb == 99).all()
    assert small.opacity is not None
    assert small.opacity.shape == wanted
    assert (small.opacity == 44).all()
    assert (small.icc_profile, small.name, small.notes, small.kind) == (SRGB, "a.png", ("said",), "PNG")


def test_a_shrunk_pictures_pixels_are_means() -> None:
    small = shrunk(Picture(COLOURS, OPACITY), 10)
    assert np.abs(small.rgb - COLOURS.reshape(6, 2, 10, 2, 3).mean((1, 3))).max() <= 1  # rounded twice
    assert small.opacity is not None
    assert np.abs(small.opacity - OPACITY.reshape(6, 2, 10, 2).mean((1, 3))).max() <= 1


@pytest.mark.parametrize("longest", [20, 21, 10_000])
def test_a_small_picture_is_not_shrunk(longest: int) -> None:
    picture = Picture(COLOURS, OPACITY)
    assert shrunk(picture, longest) is picture


# ------------------------------------------------------------------------------------------------- other colour spaces


def test_colours_are_converted_into_the_wanted_space() -> None:
    wide, notes = to_profile(COLOURS, None, WIDE)
    assert np.abs(wide - in_wide(COLOURS)).max() <= 1
    assert notes == ()
    # dark colours of sRGB are steep, so there a level of the wide space is several
    back, _ = to_profile(wide, WIDE, None)
    assert np.abs(back.astype(int) - COLOURS).mean() < 1


def test_neutral_greys_stay_neutral_in_another_space() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    converted = to_profile(greys, None, WIDE)[0].astype(int)
    assert np.ptp(converted, axis=2).max() <= 1
    assert converted[0, 0].tolist() == [0, 0, 0]
    assert converted[0, 255].tolist() == [255, 255, 255]
    assert converted[0, 128, 0] < 115  # it is another space: the same grey has another number


@pytest.mark.parametrize("own", [None, SRGB, WIDE])
def test_colours_of_the_wanted_space_are_left_alone(own: bytes | None) -> None:
    assert to_profile(COLOURS, own, own)[0] is COLOURS


@pytest.mark.parametrize("broken", [b"junk", bytes(16) + b"RGB " + bytes(200), WIDE[:200]])
def test_colours_of_a_space_that_cannot_be_read_are_taken_as_they_are_and_that_is_said(broken: bytes) -> None:
    for own, wanted in ((broken, None), (None, broken)):
        colours, notes = to_profile(COLOURS, own, wanted)
        assert np.array_equal(colours, COLOURS)
        assert notes == ("A colour profile could not be used, so the background's colours may differ a little.",)


# ------------------------------------------------------------------------------------------------- kinds

ENDINGS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "GIF": ".gif",
    "AVIF": ".avif",
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_picture_knows_its_kind_whatever_its_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.dat"
    path.write_bytes(encoded(Image.fromarray(COLOURS), kind))
    assert load_image(path).kind == kind
    assert picture_ending(path, "It") == ENDINGS[kind]


def test_a_picture_that_was_no_file_is_of_no_kind() -> None:
    assert Picture(COLOURS).kind == ""


def test_a_photo_with_a_second_view_is_named_as_a_photo(tmp_path: Path) -> None:
    first, second = Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1].copy())
    (tmp_path / "a").write_bytes(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert picture_ending(tmp_path / "a", "It") == ".jpg"


def test_what_is_no_picture_has_no_ending(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("<html><svg></svg></html>")
    with pytest.raises(ImageError, match="It is a web page, not the picture on it"):
        picture_ending(tmp_path / "a", "It")


# ------------------------------------------------------------------------------------------------- writing

PLANES = [GREYS, COLOURS, np.dstack([COLOURS, OPACITY]), np.dstack([COLOURS, np.zeros_like(OPACITY)])]


@pytest.mark.parametrize("pixels", PLANES, ids=["grey", "colours", "half transparent", "hidden"])
def test_webp_loses_nothing(tmp_path: Path, pixels: Array) -> None:
    save_webp(pixels, tmp_path / "a.webp", SRGB)
    with Image.open(tmp_path / "a.webp") as image:
        assert image.format == "WEBP"
        assert image.info["icc_profile"] == SRGB
        read = np.asarray(image)
    assert np.array_equal(read, grey_as_rgb(pixels) if pixels.ndim == 2 else pixels)


def test_jpeg_keeps_edges_of_colour_sharp(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, 0::2], stripes[:, 1::2] = (200, 40, 40), (40, 40, 200)  # of nearly one brightness
    save_jpeg(stripes, tmp_path / "a.jpg", SRGB)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert image.info["icc_profile"] == SRGB
        assert np.abs(np.asarray(image).astype(int) - stripes).mean() < 8
    Image.fromarray(stripes).save(tmp_path / "halved.jpg", quality=95, subsampling=2)
    with Image.open(tmp_path / "halved.jpg") as image:
        assert np.abs(np.asarray(image).astype(int) - stripes).mean() > 40  # what is being avoided


def test_a_grey_jpeg_is_grey(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))
    save_jpeg(ramp, tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "L"
        assert "icc_profile" not in image.info
        assert np.abs(np.asarray(image).astype(int) - ramp).max() <= 3


@pytest.mark.parametrize(
    ("save", "most", "sentence"),
    [
        (save_webp, 16_383, r"16384 pixels are more than a WebP can hold \(16383 a side\)\. Choose PNG"),
        (save_jpeg, 65_500, r"65501 pixels are more than a JPEG can hold \(65500 a side\)\. Choose PNG"),
    ],
)
def test_more_than_a_format_can_hold_is_refused_and_leaves_nothing(
    tmp_path: Path, save: Callable[[Array, Path], None], most: int, sentence: str
) -> None:
    save(np.zeros((1, most), np.uint8), tmp_path / "most")
    with Image.open(tmp_path / "most") as image:
        assert image.size == (most, 1)
    with pytest.raises(ImageError, match=sentence):
        save(np.zeros((most + 1, 1), np.uint8), tmp_path / "more")
    with pytest.raises(ImageError, match=f"{most + 1} x 1 pixels"):
        save(np.zeros((1, most + 1), np.uint8), tmp_path / "more")
    assert [path.name for path in tmp_path.iterdir()] == ["most"]


class DiskFullError(Exception):
    pass


def write_half(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        assert path.read_bytes() == b"before"
        raise DiskFullError("full")


def test_a_file_that_is_not_finished_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    with pytest.raises(DiskFullError, match="full"):
        write_half(path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.png", b"before")]


def test_a_finished_file_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"after")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.png", b"after")]


@pytest.mark.parametrize("save", [save_png, save_webp, save_jpeg])
def test_a_folder_that_is_not_there_is_an_error_of_the_disk(
    tmp_path: Path, save: Callable[[Array, Path], None]
) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save(COLOURS, tmp_path / "nowhere" / "a")
