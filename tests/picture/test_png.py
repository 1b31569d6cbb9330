"""The PNG writer: whatever goes in, Pillow reads the same pixels back, and nothing but pixels and the profile."""

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from segmentation import save_png
from segmentation.picture.png import save_png_strips

Pixels = npt.NDArray[np.uint8]


def read(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        image.verify()  # checks every chunk's checksum
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def written(pixels: Pixels, icc_profile: bytes | None = None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        save_png(pixels, path, icc_profile)
        return path.read_bytes()


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def random_pixels(height: int, width: int, channels: int, seed: int = 0) -> Pixels:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@settings(deadline=None, max_examples=100)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3, 4]),
    step=st.sampled_from([1, 100, 255]),  # of noise, of few levels, of nearly none
    seed=st.integers(0, 2**32 - 1),
)
def test_any_picture_is_read_back_alike(height: int, width: int, channels: int, step: int, seed: int) -> None:
    pixels = random_pixels(height, width, channels, seed) // step
    assert np.array_equal(read(written(pixels)), pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_pictures_of_one_row_or_column_are_read_back_alike(height: int, width: int, channels: int) -> None:
    pixels = random_pixels(height, width, channels)
    assert np.array_equal(read(written(pixels)), pixels)


@pytest.mark.parametrize("height", [63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513])
def test_pictures_around_the_writers_strips_are_read_back_alike(height: int) -> None:
    pixels = random_pixels(height, 1024, 4)  # 4096 bytes a row: a strip of a power of two of bytes ends at such a row
    assert np.array_equal(read(written(pixels)), pixels)


def test_a_row_longer_than_a_strip_is_read_back_alike() -> None:
    pixels = random_pixels(3, 300_000, 4)
    assert np.array_equal(read(written(pixels)), pixels)


@pytest.mark.parametrize("rows", [1, 3, 7, 20])
def test_strips_in_a_buffer_that_is_used_again_make_the_same_file(tmp_path: Path, rows: int) -> None:
    pixels = random_pixels(20, 30, 4)
    buffer = np.empty((rows, 30, 4), np.uint8)

    def strips() -> Iterator[Pixels]:
        for top in range(0, 20, rows):
            strip = buffer[: min(rows, 20 - top)]
            strip[:] = pixels[top : top + rows]
            yield strip

    save_png_strips(strips(), (20, 30), 4, tmp_path / "strips.png")
    assert np.array_equal(read((tmp_path / "strips.png").read_bytes()), pixels)


def test_a_view_with_gaps_is_read_back_alike() -> None:
    pixels = random_pixels(64, 64, 4)
    assert np.array_equal(read(written(pixels[::2, 5:40, :3])), pixels[::2, 5:40, :3])
    assert np.array_equal(read(written(pixels[::-1, ::-1])), pixels[::-1, ::-1])


def test_a_flat_picture_becomes_small() -> None:
    assert len(written(np.full((1000, 1000, 4), 7, np.uint8))) < 40_000


def test_the_file_holds_nothing_but_pixels() -> None:
    kinds = [kind for kind, _ in chunks(written(random_pixels(300, 1024, 4)))]
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert set(kinds[1:-1]) == {b"IDAT"}


def test_the_colour_profile_is_kept_byte_for_byte() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = written(random_pixels(8, 8, 3), profile)
    kinds = [kind for kind, _ in chunks(data)]
    assert kinds[:2] == [b"IHDR", b"iCCP"]
    assert set(kinds) == {b"IHDR", b"iCCP", b"IDAT", b"IEND"}
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == profile


def test_the_compressed_data_ends_where_the_picture_ends() -> None:
    pixels = random_pixels(7, 5, 3)
    inflate = zlib.decompressobj()
    rows = inflate.decompress(b"".join(body for kind, body in chunks(written(pixels)) if kind == b"IDAT"))
    assert inflate.eof
    assert not inflate.unused_data
    assert len(rows) == 7 * (1 + 5 * 3)


def test_a_file_is_written_by_name(tmp_path: Path) -> None:
    pixels = random_pixels(20, 30, 4)
    save_png(pixels, tmp_path / "a.png")
    save_png(pixels, str(tmp_path / "b.png"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes() == written(pixels)


def test_a_folder_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_png(random_pixels(2, 2, 3), tmp_path / "nowhere" / "a.png")
