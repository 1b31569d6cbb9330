"""Cutouts as files: every background in every format reads back as what was composed, cropped or not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from segmentation import ImageError, Picture, SettingsError
from segmentation.picture.compose import blur_background, compose_cutout, fit_backdrop, save_cutout
from segmentation.picture.export import export_box, save_export, save_small
from segmentation.picture.layout import layout_of
from segmentation.picture.load import load_image
from segmentation.settings import BACKGROUNDS, CHOICES, Export, with_values
from tests.picture.profiles import WIDE, in_wide

Array = npt.NDArray[Any]

RNG = np.random.default_rng(5)


def smooth(height: int, width: int) -> Array:
    """A picture without detail, which JPEG keeps nearly as it is."""
    return np.clip(gaussian_filter(RNG.uniform(-1500, 1750, (height, width, 3)), (6, 6, 0), mode="nearest"), 0, 255)


def soft_disc(height: int = 60, width: int = 80, radius: float = 18) -> Array:
    y, x = np.mgrid[0:height, 0:width]
    distance: Array = np.hypot(y - height / 2, x - width / 2)
    return np.rint(np.clip((radius - distance) / 4 + 0.5, 0, 1) * 255).astype(np.uint8)


PICTURE = Picture(smooth(60, 80).astype(np.uint8))
COLOURS = smooth(60, 80).astype(np.uint8)
ALPHA = soft_disc()
BACKDROP = Picture(smooth(50, 90).astype(np.uint8))


def over(colours: Array, alpha: Array, behind: Any) -> Array:
    share = alpha[..., None] / 255
    return np.asarray(np.rint(share * colours + (1 - share) * behind), np.uint8)


def expected(export: Export) -> Array:
    """The pixels of the file, but for what JPEG changes."""
    if export.background == "mask":
        return ALPHA
    if export.background == "transparent" and export.format != "jpeg":
        return np.dstack([COLOURS * (ALPHA > 0)[..., None], ALPHA])
    behind: Any = export.colour or (255, 255, 255)
    if export.background == "picture":
        behind = fit_backdrop(BACKDROP.rgb, (60, 80), export.background_fit)
    if export.background == "blur":
        behind = blur_background(PICTURE.rgb, ALPHA, export.background_blur)
    return over(COLOURS, ALPHA, behind)


def read(path: Path) -> Array:
    with Image.open(path) as image:
        assert image.format == {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG"}[path.suffix]
        return np.asarray(image)


def written(folder: Path, export: Export, picture: Picture = PICTURE, backdrop: Picture | None = BACKDROP) -> Array:
    path = folder / f"cutout{export.ending}"
    save_export(picture, COLOURS, ALPHA, path, export, backdrop)
    return read(path)


@pytest.mark.parametrize("kind", CHOICES["format"])
@pytest.mark.parametrize("background", [*BACKGROUNDS, "#336699"])
def test_every_background_is_written_in_every_format(tmp_path: Path, background: str, kind: Any) -> None:
    export = Export(background=background, format=kind, background_blur=6, background_fit="fit")
    pixels, truth = written(tmp_path, export), expected(export)
    if background == "mask" and kind == "webp":  # which knows no grey
        truth = np.dstack([truth] * 3)
    assert pixels.shape == truth.shape
    if kind == "jpeg":
        assert np.abs(pixels.astype(int) - truth).mean() < 1.5
        assert np.abs(pixels.astype(int) - truth).max() <= 16
    else:
        assert np.array_equal(pixels, truth)
    assert [path.name for path in tmp_path.iterdir()] == [f"cutout{export.ending}"]


def test_a_transparent_png_is_the_very_file_of_the_cutout(tmp_path: Path) -> None:
    picture = replace(PICTURE, icc_profile=WIDE)
    assert save_export(picture, COLOURS, ALPHA, tmp_path / "export.png", Export()) == ()
    save_cutout(COLOURS, ALPHA, tmp_path / "cutout.png", WIDE)
    assert (tmp_path / "export.png").read_bytes() == (tmp_path / "cutout.png").read_bytes()


def test_a_transparent_jpeg_lies_over_white_and_says_so(tmp_path: Path) -> None:
    (note,) = save_export(PICTURE, COLOURS, ALPHA, tmp_path / "a.jpg", Export(format="jpeg"))
    assert "JPEG has no transparency" in note
    assert "white" in note
    assert read(tmp_path / "a.jpg")[:5].min() >= 254


@pytest.mark.parametrize("background", ["picture", "blur", "mask", "#000000"])
def test_a_jpeg_with_a_background_has_nothing_to_say(tmp_path: Path, background: str) -> None:
    export = Export(background=background, format="jpeg")
    assert save_export(PICTURE, COLOURS, ALPHA, tmp_path / "a.jpg", export, BACKDROP) == ()


def test_a_picture_behind_that_is_not_there_is_asked_for_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is none: add a backdrop"):
        save_export(PICTURE, COLOURS, ALPHA, tmp_path / "a.png", Export(background="picture"))
    assert list(tmp_path.iterdir()) == []


def test_a_backdrop_that_is_not_asked_for_is_not_used(tmp_path: Path) -> None:
    save_export(PICTURE, COLOURS, ALPHA, tmp_path / "a.png", Export(), BACKDROP)
    assert np.array_equal(read(tmp_path / "a.png"), compose_cutout(COLOURS, ALPHA))


@pytest.mark.parametrize("background", ["transparent", "mask", "#ffffff"])
def test_a_picture_too_wide_for_webp_is_refused_and_leaves_nothing(tmp_path: Path, background: str) -> None:
    wide = np.zeros((1, 16_384, 3), np.uint8)
    export = Export(background=background, format="webp")
    with pytest.raises(ImageError, match="16384 x 1 pixels are more than a WebP can hold"):
        save_export(Picture(wide), wide, wide[..., 0], tmp_path / "a.webp", export)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------- cropping


def block(top: int, bottom: int, left: int, right: int, level: int = 255) -> npt.NDArray[np.uint8]:
    alpha = np.zeros((60, 80), np.uint8)
    alpha[top:bottom, left:right] = level
    return alpha


@pytest.mark.parametrize(
    ("alpha", "margin", "box"),
    [
        (block(20, 40, 30, 60), 0, (30, 20, 60, 40)),
        (block(20, 40, 30, 60), 10, (27, 17, 63, 43)),  # of the longer side, which is 30
        (block(10, 50, 30, 50), 10, (26, 6, 54, 54)),
        (block(20, 40, 30, 60), 100, (0, 0, 80, 60)),  # as far as the picture goes
        (block(0, 10, 70, 80), 20, (68, 0, 80, 12)),
        (block(59, 60, 0, 1), 0, (0, 59, 1, 60)),
        (block(0, 60, 0, 80), 50, (0, 0, 80, 60)),
        (block(5, 6, 7, 8, level=8), 0, (7, 5, 8, 6)),
        (np.maximum(block(20, 40, 30, 60), 7), 0, (30, 20, 60, 40)),  # haze is no subject
        (np.full((60, 80), 7, np.uint8), 0, (0, 0, 80, 60)),
        (np.zeros((60, 80), np.uint8), 5, (0, 0, 80, 60)),  # nothing to crop to
    ],
)
def test_a_crop_is_the_subject_with_room_around_it(alpha: Array, margin: float, box: tuple[int, ...]) -> None:
    assert export_box(alpha, Export(crop=True, crop_margin=margin)) == box
    assert export_box(alpha, Export(crop=False, crop_margin=margin)) == (0, 0, 80, 60)


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("background", [*BACKGROUNDS, "#336699"])
def test_a_cropped_file_is_a_part_of_the_whole_one(tmp_path: Path, background: str, kind: Any) -> None:
    export = Export(background=background, format=kind, crop=True, crop_margin=12.5)
    left, top, right, bottom = layout_of(ALPHA, export).part
    assert 0 < left < right < 80
    assert 0 < top < bottom < 60
    whole = written(tmp_path, with_values(export, crop=False))
    assert np.array_equal(written(tmp_path, export), whole[top:bottom, left:right])


# ------------------------------------------------------------------------------------------------- colour spaces


@pytest.mark.parametrize("kind", CHOICES["format"])
@pytest.mark.parametrize("background", ["transparent", "picture", "blur", "#336699"])
def test_the_pictures_colour_profile_is_kept(tmp_path: Path, background: str, kind: Any) -> None:
    export = Export(background=background, format=kind)
    written(tmp_path, export, replace(PICTURE, icc_profile=WIDE))
    assert load_image(tmp_path / f"cutout{export.ending}").icc_profile == WIDE


@pytest.mark.parametrize("kind", CHOICES["format"])
def test_a_mask_has_no_colour_profile(tmp_path: Path, kind: Any) -> None:
    export = Export(background="mask", format=kind)
    written(tmp_path, export, replace(PICTURE, icc_profile=WIDE))
    with Image.open(tmp_path / f"cutout{export.ending}") as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("colour", ["#336699", "#ff0000", "#808080", "#ffffff", "#000000"])
def test_a_colour_is_converted_into_the_pictures_space_and_the_subject_is_not(tmp_path: Path, colour: str) -> None:
    export = Export(background=colour)
    pixels = written(tmp_path, export, replace(PICTURE, icc_profile=WIDE))
    assert np.array_equal(pixels[ALPHA == 255], COLOURS[ALPHA == 255])
    behind = pixels[ALPHA == 0]
    assert np.abs(behind - in_wide(np.array(export.colour, np.uint8))).max() <= 1
    if len(set(colour[1::2])) == 1 == len(set(colour[2::2])):  # a grey
        assert np.ptp(behind.astype(int), axis=1).max() <= 1


@pytest.mark.parametrize("own", [None, WIDE])
@pytest.mark.parametrize("wanted", [None, WIDE])
def test_a_backdrop_is_converted_into_the_pictures_space(
    tmp_path: Path, own: bytes | None, wanted: bytes | None
) -> None:
    grey = RNG.integers(60, 256, (60, 80, 1), np.uint8).repeat(3, axis=2)
    numbers = grey if own is None else np.rint(in_wide(grey)).astype(np.uint8)
    backdrop, export = Picture(numbers, icc_profile=own), Export(background="picture")
    pixels = written(tmp_path, export, replace(PICTURE, icc_profile=wanted), backdrop)[ALPHA == 0]
    truth = grey if wanted is None else in_wide(grey)
    assert np.abs(pixels.astype(float) - truth[ALPHA == 0]).max() <= 2
    assert np.ptp(pixels.astype(int), axis=1).max() <= 1


# ------------------------------------------------------------------------------------------------- thumbnails


@pytest.mark.parametrize("kind", CHOICES["format"])
@pytest.mark.parametrize("background", [*BACKGROUNDS, "#336699"])
def test_a_thumbnail_shows_the_file_made_smaller(tmp_path: Path, background: str, kind: Any) -> None:
    export = Export(background=background, format=kind, background_blur=10)
    path = tmp_path / "small.png"
    save_small(PICTURE, COLOURS, ALPHA, path, export, BACKDROP, 40)
    small = read(path)
    whole = expected(export).astype(float)
    if whole.ndim == 3 and whole.shape[2] == 4:  # what is seen of it over black
        whole, small = over(whole[..., :3], ALPHA, 0), over(small[..., :3], small[..., 3], 0)
    truth = whole.reshape(30, 2, 40, 2, -1).mean((1, 3))
    assert np.abs(small.reshape(30, 40, -1) - truth).mean() < 3


def test_a_thumbnail_of_a_crop_shows_the_crop(tmp_path: Path) -> None:
    export = Export(crop=True, crop_margin=0)
    picture = Picture(np.zeros((120, 160, 3), np.uint8))
    save_small(
        picture,
        picture.rgb,
        np.kron(block(20, 40, 30, 60), np.ones((2, 2), np.uint8)),
        tmp_path / "a.png",
        export,
        None,
        30,
    )
    small = read(tmp_path / "a.png")
    assert small.shape == (20, 30, 4)
    assert (small[..., 3] == 255).all()


def test_a_thumbnail_keeps_the_colour_profile(tmp_path: Path) -> None:
    save_small(replace(PICTURE, icc_profile=WIDE), COLOURS, ALPHA, tmp_path / "a.png", Export(), None, 40)
    assert load_image(tmp_path / "a.png").icc_profile == WIDE


def test_what_a_picture_or_backdrop_hides_under_its_transparency_does_not_come_to_light(tmp_path: Path) -> None:
    hidden = np.full((40, 60, 3), (255, 0, 0), np.uint8)  # all of it is red, and the left half is transparent
    opacity = np.zeros((40, 60), np.uint8)
    opacity[:, 30:] = 255
    hidden[:, 30:] = (0, 0, 255)
    alpha = np.zeros((40, 60), np.uint8)
    alpha[15:25, 40:50] = 255
    for picture, export, backdrop in (
        (Picture(hidden, opacity), Export(background="blur", background_blur=0.1), None),
        (Picture(np.zeros_like(hidden)), Export(background="picture"), Picture(hidden, opacity)),
    ):
        save_export(picture, picture.rgb, alpha, tmp_path / "a.png", export, backdrop)
        with Image.open(tmp_path / "a.png") as written:
            seen = np.asarray(written)
        assert seen[5, 5].tolist() == [255, 255, 255]
        assert seen[5, 55].tolist() == [0, 0, 255]
