"""A person's own masks and trimaps: every kind of file, and a sentence about those that do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segmentation import ImageError, load_mask, load_trimap
from segmentation.picture.picture import Limits

SIZE = 40, 60
PLANE = np.zeros(SIZE, np.uint8)
PLANE[10:30, 20:50] = 255
PLANE[5:10, 20:50] = 128


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def with_alpha(alpha: np.ndarray[Any, Any], grey: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(np.dstack([grey, grey, grey, alpha]))


def test_a_mask_is_the_grey_levels_or_the_transparency(tmp_path: Path) -> None:
    opaque, noise = np.full(SIZE, 255, np.uint8), np.full(SIZE, 77, np.uint8)
    for name, image in {
        "grey.png": Image.fromarray(PLANE),
        "rgb.png": Image.fromarray(np.dstack([PLANE] * 3)),
        "alpha.png": with_alpha(PLANE, noise),
        "opaque.png": with_alpha(opaque, PLANE),
        "half.png": with_alpha(opaque // 2, PLANE),
        "16-bit.png": Image.fromarray(PLANE.astype(np.uint16) * 257),
        "grey.webp": Image.fromarray(np.dstack([PLANE] * 3)),
    }.items():
        mask, notes = load_mask(saved(tmp_path / name, image, **({"lossless": True} if "webp" in name else {})), SIZE)
        assert np.array_equal(mask, PLANE), name
        assert notes == ()
    bits = np.where(PLANE > 200, 255, 0).astype(np.uint8)
    mask, _ = load_mask(saved(tmp_path / "bits.png", Image.fromarray(bits).convert("1")), SIZE)
    assert np.array_equal(mask, bits)


def test_a_trimap_has_three_values_with_room_for_jpegs(tmp_path: Path) -> None:
    levels = np.tile(np.array([0, 10, 11, 128, 244, 245, 255], np.uint8), (5, 1))
    trimap, _ = load_trimap(saved(tmp_path / "a.png", Image.fromarray(levels)), (5, 7))
    assert trimap[0].tolist() == [0, 0, 128, 128, 128, 255, 255]
    trimap, _ = load_trimap(saved(tmp_path / "a.jpg", Image.fromarray(PLANE), quality=95), SIZE)
    assert set(np.unique(trimap)) <= {0, 128, 255}
    assert (trimap == PLANE).mean() > 0.95


def test_another_size_of_the_same_shape_is_resized_with_a_sentence(tmp_path: Path) -> None:
    for factor in (2, 0.5):
        image = Image.fromarray(PLANE).resize((int(60 * factor), int(40 * factor)), Image.Resampling.NEAREST)
        path = saved(tmp_path / "other.png", image)
        mask, notes = load_mask(path, SIZE)
        assert mask.shape == SIZE
        assert np.abs(mask.astype(int) - PLANE).mean() < 10
        assert "and was resized to its picture, which is 60 x 40." in notes[0]
        trimap, notes = load_trimap(path, SIZE)
        assert np.array_equal(trimap, PLANE) or factor < 1
        assert set(np.unique(trimap)) <= {0, 128, 255}
        assert len(notes) == 1


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (Image.new("L", (60, 42)), "is 60 x 42, but its picture is 60 x 40: they must have the same shape"),
        (Image.new("L", (40, 60)), "they must have the same shape"),
        (Image.new("RGB", (60, 40), (255, 0, 0)), "is a coloured picture without transparency"),
        (Image.fromarray(PLANE // 255), "holds only the levels 0 and 1"),
    ],
)
def test_what_is_no_mask_gets_its_sentence(tmp_path: Path, image: Image.Image, sentence: str) -> None:
    path = saved(tmp_path / "wrong.png", image)
    for load in (load_mask, load_trimap):
        with pytest.raises(ImageError, match=sentence):
            load(path, SIZE)


@pytest.mark.parametrize(("most", "is_told"), [(0, False), (2, True), (10, True), (11, False)])
def test_a_plane_of_class_numbers_is_told_to_be_nearly_black(tmp_path: Path, most: int, is_told: bool) -> None:
    path = saved(tmp_path / "classes.png", Image.fromarray(PLANE // 255 * np.uint8(most)))
    for load in (load_mask, load_trimap):
        _, notes = load(path, SIZE)
        told = (f"classes.png is nearly black: its lightest level is {most}. White must be 255.",)
        assert notes == (told if is_told else ())


def test_the_usual_limits_hold(tmp_path: Path) -> None:
    path = saved(tmp_path / "large.png", Image.new("L", (60, 40)))
    with pytest.raises(ImageError, match="megapixels"):
        load_mask(path, SIZE, Limits(max_pixels=2000))
    with pytest.raises(ImageError, match="not a picture"):
        load_mask(b"not a picture", SIZE)
