"""Pixels that decode are used, whatever stands beside them, and no file costs more than its pixels may."""

import contextlib
import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from segmentation import ImageError, load_image
from segmentation.picture.decoder_process import decode_apart
from segmentation.picture.decoding import decode, is_harmless
from segmentation.picture.file_kind import kind_of
from segmentation.picture.picture import Limits
from segmentation.picture.side_data import CostlyError, cleaned, orientation

RNG = np.random.default_rng(3)
Y, X = np.mgrid[:120, :160]
COLOURS = np.dstack([X, Y, (X + Y) // 2]).astype(np.uint8)
COLOURS[30:60, 40:90] = (250, 10, 10)


def encoded(pixels: np.ndarray = COLOURS, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) if crc is None else crc)
    )


def with_chunk(data: bytes, made: bytes) -> bytes:
    """A PNG with something between its header and its pixels."""
    return data[:33] + made + data[33:]


def exif(value: int, *, kind: int = 3, count: int = 1, head: bytes = b"II*\0") -> bytes:
    """A TIFF block that says nothing but an orientation."""
    return head + struct.pack("<IHHHIII", 8, 1, 0x112, kind, count, value, 0)


def with_segment(data: bytes, code: int, body: bytes) -> bytes:
    """A JPEG with a segment more, in front of all others."""
    return data[:2] + struct.pack(">BBH", 0xFF, code, len(body) + 2) + body + data[2:]


# ------------------------------------------------------------------------------------------------- what stands beside


@pytest.mark.parametrize(
    "made",
    [
        chunk(b"tEXt", b"Comment\0hello", crc=1),
        chunk(b"eXIf", b"XX*\0" + bytes(40)),
        chunk(b"eXIf", exif(6, kind=7)),
        chunk(b"gAMA", b"\0\1"),
        chunk(b"pHYs", b"\0\1"),
        chunk(b"iCCP", b"no end"),
        chunk(b"iCCP", b"ICC\0\0" + zlib.compress(bytes(8 << 20), 9)),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(90 << 20), 9)),
        chunk(b"cHRM", b""),
        chunk(b"sRGB", b""),
    ],
)
def test_a_png_is_read_whatever_stands_beside_its_pixels(made: bytes) -> None:
    picture = load_image(with_chunk(encoded(), made))
    assert np.array_equal(picture.rgb, COLOURS)
    assert picture.notes == ()


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (0xE1, b"Exif\0\0XX*\0" + bytes(40)),
        (0xE1, b"Exif\0\0" + exif(6, kind=2, count=9000)),
        (0xED, b"Photoshop 3.0\x008BIM" + bytes(3)),
        (0xE0, b"JF"),
        (0xEE, b"Ado"),
        (0xE2, b"ICC_PROFILE\0"),
    ],
)
def test_a_jpeg_is_read_whatever_stands_beside_its_pixels(code: int, body: bytes) -> None:
    data = encoded(kind="JPEG", quality=95, subsampling=0)
    picture = load_image(with_segment(data, code, body))
    assert np.array_equal(picture.rgb, load_image(data).rgb)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_few_wrong_bytes_of_exif_make_a_picture_unreadable(kind: str) -> None:
    tags = Image.Exif()
    tags[0x112], tags[0x10F], tags[0x131] = 6, "Maker", "Software"
    tags.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = bytearray(encoded(kind=kind, exif=tags, **options))
    block = tags.tobytes()[6:]
    at = bytes(data).index(block)
    sizes = set()
    for _ in range(300):
        changed = bytearray(data)
        for place in RNG.integers(at, at + len(block), RNG.integers(1, 5)):
            changed[place] = RNG.integers(256)
        sizes.add(load_image(bytes(changed)).size)
    assert sizes <= {(120, 160), (160, 120)}


@pytest.mark.parametrize(
    ("data", "turned"),
    [
        (with_segment(encoded(kind="JPEG"), 0xE1, b"Exif\0\0" + exif(6)), 6),
        (with_segment(encoded(kind="JPEG"), 0xE1, b"Exif\0\0" + exif(6, kind=4)), 1),  # a LONG
        (with_segment(encoded(kind="JPEG"), 0xE1, b"Exif\0\0" + exif(9)), 1),
        (
            # a second block is never read
            with_segment(with_segment(encoded(kind="JPEG"), 0xE1, b"Exif\0\0" + exif(3)), 0xE1, b"Exif\0\0" + exif(6)),
            6,
        ),
        (
            with_segment(encoded(kind="JPEG"), 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='6'/>"),
            1,
        ),
        (with_chunk(encoded(), chunk(b"eXIf", exif(8))), 8),
        (with_chunk(encoded(), chunk(b"eXIf", exif(8), crc=2) + chunk(b"eXIf", exif(3))), 3),
        (encoded()[:-12] + chunk(b"eXIf", exif(8)) + encoded()[-12:], 1),  # behind the pixels
    ],
)
def test_pictures_are_turned_as_browsers_do(data: bytes, turned: int) -> None:
    assert orientation(data, kind_of(data).name) == turned
    assert load_image(data).size == ((160, 120) if turned in (6, 8) else (120, 160))


# ------------------------------------------------------------------------------------------------- cut off


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 95}), ("PNG", {}), ("GIF", {"interlace": 0}), ("JPEG", {"progressive": True})],
    ids=["jpeg", "png", "gif", "progressive"],
)
def test_a_picture_that_is_cut_off_is_taken_as_far_as_it_goes(kind: str, options: dict[str, object]) -> None:
    detailed = np.clip(COLOURS.astype(int) + RNG.normal(0, 12, COLOURS.shape), 0, 255).astype(np.uint8)
    data = encoded(detailed, kind, **options)
    whole = load_image(data)
    part = load_image(data[: int(len(data) * 0.8)])
    assert part.size == whole.size
    assert np.abs(part.rgb[:70].astype(int) - whole.rgb[:70]).mean() < 1.5
    assert any("cut off" in note for note in part.notes)
    assert not part.is_whole
    if not options.get("progressive"):
        assert part.opacity is not None
        assert (part.opacity[:70] == 255).all()
        assert (part.opacity[-10:] == 0).all()  # what is not there is in no cutout
        with pytest.raises(ImageError, match=r"is cut off: only \d+% of it is there"):
            load_image(data[: int(len(data) * 0.3)])


def test_a_bitmap_lacks_its_top_which_comes_last() -> None:
    data = encoded(kind="BMP")
    picture = load_image(data[: int(len(data) * 0.8)])
    assert picture.opacity is not None
    there = picture.opacity[:, 0] == 255
    assert there.tolist() == sorted(there.tolist())
    assert np.array_equal(picture.rgb[there], COLOURS[there])
    assert np.array_equal(picture.rgb[0], COLOURS[there.argmax()])


def test_a_jpeg_without_its_end_marker_is_whole() -> None:
    data = encoded(kind="JPEG")
    picture = load_image(data[:-2])
    assert np.array_equal(picture.rgb, load_image(data).rgb)
    assert (picture.notes, picture.is_whole) == ((), True)


def test_a_turned_picture_that_is_cut_off_lacks_the_side_that_is_its_end() -> None:
    data = with_segment(encoded(COLOURS, "JPEG", quality=95), 0xE1, b"Exif\0\0" + exif(6))
    picture = load_image(data[: int(len(data) * 0.8)])
    assert picture.size == (160, 120)
    assert picture.opacity is not None
    assert (picture.opacity[:, -60:] == 255).all()
    assert (picture.opacity[:, 0] == 0).all()


# ------------------------------------------------------------------------------------------------- cost


def costly() -> dict[str, bytes]:
    grey = encoded(np.zeros((8, 8), np.uint8), "GIF")
    tile = bytearray(encoded(COLOURS, "TIFF"))
    jpeg = encoded(RNG.integers(0, 256, (8, 8, 3), np.uint8), "JPEG")
    return {
        "gif of comments": grey[:13] + b"\x21\xfe\1x\0" * 900_000 + grey[13:],
        "gif of comments alone": grey[:13] + b"\x21\xfe\xff" + b"x" * 255 + b"\0" + b"\x21\xfe\1x\0" * 150_000 + b";",
        "png of profiles": with_chunk(encoded(), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(4 << 20))) * 3000),
        "jpeg of segments": jpeg[:2] + b"\xff\xed\0\2" * 500_000 + jpeg[2:],
        "png of chunks": encoded()[:33] + chunk(b"tEXt", b"") * 200_000 + encoded()[33:],
        "tiff with a huge tile": huge_tile(bytes(tile)),
        "png of one column": bytes(png_header(1, 50_000_000)),
        "png of one row": bytes(png_header(40_000, 1)),
    }


@pytest.mark.parametrize("name", ["gif of comments alone", "png of profiles"])
def test_what_stands_beside_the_pixels_costs_next_to_nothing(name: str) -> None:
    data = costly()[name]
    begun = time.process_time()
    with contextlib.suppress(ImageError):
        load_image(data)
    assert time.process_time() - begun < 5


def png_header(width: int, height: int) -> bytes:
    rows = zlib.compressobj(9)
    body = b"".join([rows.compress(bytes(1 + (width + 7) // 8)) for _ in range(min(height, 100))]) + rows.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


def huge_tile(_: bytes) -> bytes:
    """A TIFF of 64 x 48 pixels with one tile of 46336 x 46336."""
    tags = [
        (256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1),
        (322, 4, 1, 46336), (323, 4, 1, 46336), (324, 4, 1, 200), (325, 4, 1, 20),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    return data.ljust(200, b"\0") + zlib.compress(bytes(100))


@pytest.mark.parametrize(
    "name",
    [
        "gif of comments",
        "jpeg of segments",
        "png of chunks",
        "tiff with a huge tile",
        "png of one column",
        "png of one row",
    ],
)
def test_a_file_made_to_be_costly_is_refused_before_it_costs(name: str) -> None:
    data = costly()[name]
    begun = time.process_time()
    with pytest.raises(ImageError, match=r"would take too long|at most 30000 a side"):
        load_image(data)
    assert time.process_time() - begun < 5  # of this process; today's decoders took half a minute to hours


def test_many_scans_are_not_plainly_harmless() -> None:
    data = encoded(RNG.integers(0, 256, (64, 64, 3), np.uint8), "JPEG", progressive=True)
    assert is_harmless(data, "JPEG")
    scan = data.index(b"\xff\xda")
    assert not is_harmless(data[:scan] + data[scan : scan + 30] * 200_000, "JPEG")


def test_run_lengths_of_a_bitmap_are_not_plainly_harmless() -> None:
    header = struct.pack("<IiiHHII", 40, 7000, 7000, 1, 8, 1, 0) + bytes(16)
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + header + bytes(1024) + b"\1\5\0\0" * 7000 + b"\0\1"
    assert not is_harmless(data, "BMP")
    assert is_harmless(encoded(kind="BMP"), "BMP")


def test_an_answer_that_makes_no_sense_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    from segmentation.picture import decoder_process

    for answer in (
        "[]",
        '{"size": [2, 2], "lengths": [-1, 0, 0]}',
        '{"size": [2, 2], "lengths": [999999999999, 0, 0]}',
        '{"size": [9, 9], "lengths": [12, 0, 0], "notes": []}',
        "nonsense",
    ):
        program = f"import sys; sys.stdin.buffer.readline(); print({answer!r}, flush=True); sys.stdin.read()"
        monkeypatch.setattr(decoder_process, "_PROGRAM", program)
        decoder_process._drop_all()
        with pytest.raises(ImageError, match="its decoder ended unexpectedly"):
            decode_apart(encoded(kind="TIFF"), "TIFF", "a.tif", Limits())


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segmentation.picture import decoder_process

    (tmp_path / "json.py").write_text("raise SystemExit('stolen')")
    monkeypatch.chdir(tmp_path)
    decoder_process._drop_all()
    assert load_image(encoded(kind="AVIF")).size == (120, 160)


def test_what_takes_too_long_is_ended_with_a_sentence() -> None:
    slow = scans(2048, 1500)
    begun = time.monotonic()
    with pytest.raises(ImageError, match=r"Reading photo\.jpg took longer than 0\.5 s and was stopped"):
        load_image(slow, name="photo.jpg", seconds=0.5)
    assert time.monotonic() - begun < 10
    assert load_image(encoded(kind="AVIF")).size == (120, 160)  # the next one has a process again


def scans(edge: int, count: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times."""
    data = encoded(np.zeros((edge, edge, 3), np.uint8), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def test_what_takes_too_much_memory_is_ended_with_a_sentence() -> None:
    big = encoded(np.zeros((9000, 9000), np.uint8), "TIFF", compression="tiff_deflate")
    limits = Limits(max_pixels=100_000_000)
    assert decode_apart(big, "TIFF", "a.tif", limits).size == (9000, 9000)
    script = (
        "import segmentation.picture.decoder_process as d\nd._BASE_BYTES, d._BYTES_A_PIXEL = 64 << 20, 0\nd.serve()\n"
    )
    request = b'{"kind": "TIFF", "name": "a.tif", "limits": [100000000, 30000, 20], "bytes": %d}\n' % len(big)
    done = subprocess.run([sys.executable, "-c", script], input=request + big, capture_output=True, check=False)
    assert b"needs more memory than one picture may use" in done.stdout or done.returncode != 0


def test_the_process_apart_gives_what_this_one_would() -> None:
    opaque = np.dstack([COLOURS, (X % 256).astype(np.uint8)])
    for pixels, kind in ((COLOURS, "TIFF"), (opaque, "TIFF"), (COLOURS, "PNG"), (opaque, "PNG")):
        data = encoded(pixels, kind)
        here, apart = decode(data, kind, "a", Limits()), decode_apart(data, kind, "a", Limits())
        assert np.array_equal(here.rgb, apart.rgb)
        assert (here.opacity is None) == (apart.opacity is None)
        if here.opacity is not None and apart.opacity is not None:
            assert np.array_equal(here.opacity, apart.opacity)
        assert (here.notes, here.kind, here.icc_profile) == (apart.notes, apart.kind, apart.icc_profile)
        apart.rgb[0, 0] = 1  # it may be written to, as the other


def test_cleaning_changes_no_pixel_of_honest_files(photos: dict[str, Path]) -> None:
    for path in photos.values():
        data = path.read_bytes()
        kind = kind_of(data).name
        with Image.open(path) as honest, Image.open(io.BytesIO(cleaned(data, kind))) as clean:
            assert np.array_equal(np.asarray(honest), np.asarray(clean))


def test_an_animation_is_its_first_frame_and_says_so() -> None:
    frames = [Image.fromarray(np.full((20, 30, 3), level, np.uint8)) for level in (10, 200)]
    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        file = io.BytesIO()
        frames[0].save(
            file, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        picture = load_image(file.getvalue())
        assert abs(int(picture.rgb.mean()) - 10) < 3
        assert any("only its first frame" in note for note in picture.notes), kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_random_damage_gives_a_picture_or_a_sentence(kind: str) -> None:
    data = encoded(COLOURS, kind)
    taken = 0
    for _ in range(40):
        changed = bytearray(data)
        for place in RNG.integers(8, len(data), RNG.integers(1, 6)):
            changed[place] = RNG.integers(256)
        with contextlib.suppress(ImageError):
            taken += load_image(bytes(changed)).rgb.ndim == 3
    assert taken or kind in ("AVIF", "WEBP")


def test_too_many_parts_are_told_from_honest_ones() -> None:
    with pytest.raises(CostlyError):
        cleaned(costly()["png of chunks"], "PNG")


# ------------------------------------------------------------------------------------------------- phones


@pytest.fixture(scope="module", autouse=True)
def _heif() -> None:
    register_heif_opener()


def heic(pixels: np.ndarray = COLOURS, **options: object) -> bytes:
    return encoded(pixels, "HEIF", quality=90, **options)


def test_what_phones_give_is_read(tmp_path: Path) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(heic())
    picture = load_image(path)
    assert (picture.size, picture.kind, picture.notes) == ((120, 160), "HEIF", ())
    assert np.abs(picture.rgb.astype(int) - COLOURS).mean() < 6


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"])
def test_every_brand_is_known(brand: bytes) -> None:
    data = heic()
    assert kind_of(data[:8] + brand + data[12:]).name == "HEIF"


def test_of_a_burst_the_primary_picture_is_taken() -> None:
    file = io.BytesIO()
    others = [Image.fromarray(np.full((120, 160, 3), level, np.uint8)) for level in (0, 255)]
    others[0].save(
        file, "HEIF", save_all=True, append_images=[Image.fromarray(COLOURS), others[1]], primary_index=1, quality=90
    )
    picture = load_image(file.getvalue())
    assert np.abs(picture.rgb.astype(int) - COLOURS).mean() < 6
    assert picture.notes == ()


def test_a_heic_is_turned_by_its_own_boxes_once() -> None:
    tags = Image.Exif()
    tags[0x112] = 6
    assert load_image(heic(exif=tags.tobytes())).size == (160, 120)


def test_transparency_of_a_heic_is_kept() -> None:
    alpha = np.zeros((120, 160), np.uint8)
    alpha[:, 80:] = 255
    picture = load_image(heic(np.dstack([COLOURS, alpha])))
    assert picture.opacity is not None
    assert picture.opacity[60, 20] < 10
    assert picture.opacity[60, 140] > 245


def test_a_damaged_heic_gets_a_sentence() -> None:
    data = heic()
    with pytest.raises(ImageError, match="is damaged and cannot be decoded"):
        load_image(data[: len(data) // 2])
