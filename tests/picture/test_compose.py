"""Cutouts: straight colours, zeroed where nothing is to be seen, exact products of opacity; what lies behind them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

from segmentation.picture.compose import (
    blur_background,
    compose_cutout,
    compose_over,
    fit_backdrop,
    multiply_opacity,
    save_cutout,
    thumbnail,
)
from segmentation.picture.load import load_image

Array = npt.NDArray[Any]

RED, BLUE = np.array([255, 0, 0], np.uint8), np.array([0, 0, 255], np.uint8)

RNG = np.random.default_rng(2)
COLOURS = RNG.integers(1, 256, (30, 40, 3), np.uint8)


def test_a_cutout_keeps_straight_colours_and_zeroes_what_is_fully_transparent() -> None:
    alpha = RNG.choice(np.array([0, 1, 127, 255], np.uint8), (30, 40))
    cutout = compose_cutout(COLOURS, alpha)
    assert cutout.shape == (30, 40, 4)
    assert cutout.dtype == np.uint8
    assert np.array_equal(cutout[..., 3], alpha)
    assert np.array_equal(cutout[alpha > 0][:, :3], COLOURS[alpha > 0])
    assert not cutout[alpha == 0].any()


def test_composing_leaves_its_inputs() -> None:
    alpha = np.zeros((30, 40), np.uint8)
    before = COLOURS.copy()
    compose_cutout(COLOURS, alpha)
    assert np.array_equal(COLOURS, before)
    assert not alpha.any()


def test_two_opacities_multiply_and_are_rounded() -> None:
    ours, own = (plane.astype(np.uint8) for plane in np.mgrid[0:256, 0:256])
    exact = np.mgrid[0:256, 0:256].prod(axis=0) / 255
    product = multiply_opacity(ours, own)
    assert product.dtype == np.uint8
    assert np.abs(product - exact).max() <= 0.5
    assert np.array_equal(product[255], np.arange(256))
    assert not product[0].any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (30, 40), (255, 512), (256, 512), (257, 512), (2, 70_000)])
def test_a_cutout_written_in_strips_is_the_composed_one(tmp_path: Path, height: int, width: int) -> None:
    colours = RNG.integers(0, 256, (height, width, 3), np.uint8)
    alpha = RNG.choice(np.array([0, 99, 255], np.uint8), (height, width))
    save_cutout(colours, alpha, tmp_path / "cutout.png")
    with Image.open(tmp_path / "cutout.png") as image:
        assert np.array_equal(np.asarray(image), compose_cutout(colours, alpha))


def test_a_written_cutout_keeps_the_colour_profile(tmp_path: Path) -> None:
    profile = bytes(16) + b"RGB " + bytes(200)
    save_cutout(COLOURS, COLOURS[..., 0], tmp_path / "cutout.png", profile)
    assert load_image(tmp_path / "cutout.png").icc_profile == profile


# ------------------------------------------------------------------------------------------------- over something


def test_a_cutout_over_a_colour_is_their_mean_by_opacity_rounded() -> None:
    opacity, level = (plane.astype(np.uint8) for plane in np.mgrid[0:256, 0:256])
    colours = np.dstack([level] * 3)
    for first in range(0, 256, 3):  # with three channels: every opacity, every colour, every colour behind
        behind = min(first, 253), min(first + 1, 254), min(first + 2, 255)
        composite = compose_over(colours, opacity, behind)
        truth = np.rint((opacity[..., None] * colours.astype(float) + (255.0 - opacity[..., None]) * behind) / 255)
        assert composite.dtype == np.uint8
        assert np.array_equal(composite, truth)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (30, 40), (257, 512), (2, 70_000)])
def test_a_cutout_over_a_picture_is_their_mean_by_opacity_rounded(height: int, width: int) -> None:
    colours, behind = RNG.integers(0, 256, (2, height, width, 3), np.uint8)
    alpha = RNG.choice(np.array([0, 1, 99, 254, 255], np.uint8), (height, width))
    before = colours.copy(), behind.copy()
    composite = compose_over(colours, alpha, behind)
    share = alpha[..., None] / 255
    assert np.array_equal(composite, np.rint(share * colours + (1 - share) * behind))
    assert np.array_equal(composite[alpha == 255], colours[alpha == 255])
    assert np.array_equal(composite[alpha == 0], behind[alpha == 0])
    assert np.array_equal(colours, before[0])
    assert np.array_equal(behind, before[1])


def test_a_part_of_a_cutout_is_composed_as_in_the_whole() -> None:
    alpha, behind = RNG.integers(0, 256, (30, 40), np.uint8), RNG.integers(0, 256, (30, 40, 3), np.uint8)
    part = np.s_[7:21, 3:38]
    assert np.array_equal(
        compose_over(COLOURS[part], alpha[part], behind[part]), compose_over(COLOURS, alpha, behind)[part]
    )


# ------------------------------------------------------------------------------------------------- backdrops


def test_a_backdrop_fills_and_is_cropped_from_the_middle() -> None:
    wide = RNG.integers(0, 256, (40, 100, 3), np.uint8)
    assert np.array_equal(fit_backdrop(wide, (40, 40), "fill"), wide[:, 30:70])
    tall = np.ascontiguousarray(wide.swapaxes(0, 1))
    assert np.array_equal(fit_backdrop(tall, (40, 40), "fill"), tall[30:70])
    assert np.array_equal(fit_backdrop(wide, (40, 100), "fill"), wide)


def test_a_backdrop_that_fits_is_shown_whole_beside_its_mean_colour() -> None:
    wide = RNG.integers(0, 256, (40, 100, 3), np.uint8)
    shown = fit_backdrop(wide, (90, 100), "fit")
    assert np.array_equal(shown[25:65], wide)
    for beside in (shown[:25], shown[65:]):
        assert np.array_equal(beside, np.broadcast_to(np.rint(wide.mean((0, 1))), beside.shape))
    assert np.array_equal(fit_backdrop(wide, (40, 100), "fit"), wide)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((150, 225), (400, 600)), ((300, 451), (90, 60)), ((300, 451), (60, 90)), ((75, 110), (300, 120))],
)
def test_a_backdrop_of_another_size_is_what_pillow_makes_of_it(
    photos: dict[str, Path], size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    with Image.open(photos["chelsea"]) as photo:
        image = photo.convert("RGB").resize(size[::-1])
    backdrop = np.asarray(image)
    filled = np.asarray(ImageOps.fit(image, wanted[::-1], Image.Resampling.BICUBIC))
    # Pillow crops by fractions of a pixel, so edges lie up to half a pixel beside ours
    assert np.abs(fit_backdrop(backdrop, wanted, "fill").astype(int) - filled).mean() < 3
    mean = tuple(int(level) for level in np.rint(backdrop.mean((0, 1))))
    padded = np.asarray(ImageOps.pad(image, wanted[::-1], Image.Resampling.BICUBIC, color=mean))
    assert np.abs(fit_backdrop(backdrop, wanted, "fit").astype(int) - padded).mean() < 3


@pytest.mark.parametrize("fit", ["fill", "fit"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2), (64, 64)])
@pytest.mark.parametrize("wanted", [(1, 1), (1, 400), (400, 1), (7, 5)])
def test_a_backdrop_of_any_shape_covers_a_picture_of_any_shape(
    fit: str, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    covered = fit_backdrop(np.full((*size, 3), (9, 99, 199), np.uint8), wanted, fit)
    assert covered.shape == (*wanted, 3)
    assert covered.dtype == np.uint8
    assert (covered == (9, 99, 199)).all()


# ------------------------------------------------------------------------------------------------- out of focus


def disc(height: int, width: int, radius: float, softness: float = 1e-9) -> Array:
    """Opacity 0..255 of a disc in the middle, its outline so many pixels soft."""
    y, x = np.mgrid[0:height, 0:width]
    distance: Array = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    return np.rint(np.clip((radius - distance) / softness + 0.5, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("softness", [1e-9, 6.0])
@pytest.mark.parametrize(("height", "width"), [(61, 80), (403, 310)])
@pytest.mark.parametrize("percent", [0.1, 2.0, 20.0])
def test_nothing_of_a_red_subject_bleeds_into_the_blue_behind_it(
    softness: float, height: int, width: int, percent: float
) -> None:
    alpha = disc(height, width, 0.3 * width, softness)
    colours = np.full((height, width, 3), RED)
    image = compose_over(colours, alpha, (0, 0, 255))
    blurred = blur_background(image, alpha, percent)
    seen = alpha < 255
    assert np.abs(blurred[seen].astype(int) - BLUE).max() <= 1


@pytest.mark.parametrize("percent", [0.5, 2.0, 8.0])
def test_a_blur_is_the_gaussian_of_what_is_behind_alone(photos: dict[str, Path], percent: float) -> None:
    image = load_image(photos["chelsea"]).rgb
    height, width = image.shape[:2]
    alpha = disc(height, width, 90)
    blurred = blur_background(image, alpha, percent)
    # what lies beyond the rim by which masks go wrong
    weight = 1 - disc(height, width, 90 + 0.02 * 451)[..., None] / 255
    sigma = max(alpha.shape) * percent / 100
    around = (sigma, sigma, 0)
    with np.errstate(invalid="ignore"):  # far inside the subject both are 0
        truth = gaussian_filter(image * weight, around, mode="nearest") / gaussian_filter(
            weight, around, mode="nearest"
        )
    error = np.abs(blurred - truth)[disc(height, width, 90 + 0.02 * 451 + sigma) == 0]
    assert error.mean() < 1


@pytest.mark.parametrize("missing", [0, 4])  # pixels by which the mask is too small
@pytest.mark.parametrize("percent", [0.5, 2.0, 8.0])
def test_a_bright_subject_does_not_glow_into_its_surroundings(percent: float, missing: int) -> None:
    opacity = disc(600, 600, 150, 6)
    image = compose_over(np.full((600, 600, 3), 235, np.uint8), opacity, (15, 15, 15))
    mask = disc(600, 600, 150 - missing, 6)
    seen = compose_over(image, mask, blur_background(image, mask, percent))
    ring = (disc(600, 600, 174) > 0) & (disc(600, 600, 154) == 0)
    assert np.abs(seen[ring].astype(int) - 15).max() <= 2


def test_without_a_subject_the_whole_picture_is_out_of_focus(photos: dict[str, Path]) -> None:
    image = load_image(photos["chelsea"]).rgb
    sigma = 451 * 0.02
    truth = gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="nearest")
    blurred = blur_background(image, np.zeros(image.shape[:2], np.uint8), 2.0)
    assert np.abs(blurred - truth).mean() < 1
    assert image.std() > 2 + blurred.std()


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (50, 70)])
@pytest.mark.parametrize("opacity", [0, 128, 254, 255])
@pytest.mark.parametrize("percent", [0.1, 20.0])
def test_a_blur_of_an_even_picture_of_any_shape_is_even(size: tuple[int, int], opacity: int, percent: float) -> None:
    image = np.full((*size, 3), (20, 120, 220), np.uint8)
    alpha = np.full(size, opacity, np.uint8)
    blurred = blur_background(image, alpha, percent)
    assert blurred.shape == image.shape
    assert blurred.dtype == np.uint8
    assert np.abs(compose_over(image, alpha, blurred).astype(int) - image).max() <= 1


# ------------------------------------------------------------------------------------------------- thumbnails


@pytest.mark.parametrize(
    ("size", "longest", "wanted"),
    [
        ((300, 400), 100, (75, 100)),
        ((400, 300), 100, (100, 75)),
        ((301, 403), 97, (72, 97)),
        ((50, 40), 100, (50, 40)),
        ((1, 5000), 50, (1, 50)),
        ((5000, 1), 50, (50, 1)),
        ((1, 1), 1, (1, 1)),
        ((4000, 30), 40, (40, 1)),
    ],
)
def test_a_thumbnail_has_the_shape_of_its_cutout(size: tuple[int, int], longest: int, wanted: tuple[int, int]) -> None:
    small = thumbnail(np.full((*size, 3), (9, 99, 199), np.uint8), np.full(size, 255, np.uint8), longest)
    assert small.shape == (*wanted, 4)
    assert (small == (9, 99, 199, 255)).all()


def test_a_small_cutout_is_its_own_thumbnail() -> None:
    alpha = RNG.choice(np.array([0, 255], np.uint8), (30, 40))
    assert np.array_equal(thumbnail(COLOURS, alpha, 40), compose_cutout(COLOURS, alpha))


@pytest.mark.parametrize(("factor", "most"), [(2, 2), (4, 2), (7, 10), (16, 10)])
def test_a_thumbnail_is_the_mean_by_opacity(factor: int, most: float) -> None:
    height, width = 20, 30
    across = np.linspace(30, 250, width * factor).astype(np.uint8)
    colours = np.tile(np.dstack([across, across[::-1], across // 2]), (height * factor, 1, 1))
    alpha = disc(height * factor, width * factor, 8 * factor, 5 * factor)
    small = thumbnail(colours, alpha, width).astype(float)

    def blocks(plane: Array) -> Array:
        return np.asarray(plane.reshape(height, factor, width, factor, -1).mean((1, 3)))

    opacity = np.abs(small[..., 3:] - blocks(alpha))
    seen = np.abs(small[..., :3] * small[..., 3:] / 255 - blocks(colours * (alpha[..., None] / 255)))
    for error in (opacity, seen):
        assert error.mean() < most / 4
        assert error.max() <= most  # of large pictures not every pixel is looked at


@pytest.mark.parametrize("longest", [20, 50, 99, 300])
def test_a_thumbnail_of_a_hard_edge_has_no_dark_fringe(longest: int) -> None:
    alpha = disc(640, 640, 250)
    colours = np.full((640, 640, 3), (250, 160, 40), np.uint8) * (alpha > 0)[..., None]  # black where nothing is seen
    small = thumbnail(colours, alpha, longest)
    edge = (small[..., 3] > 0) & (small[..., 3] < 255)
    assert edge.sum() > longest
    # a level of rounding weighs the more, the less is seen of it
    off = np.abs(small[edge][:, :3].astype(float) - (250, 160, 40)) * small[edge][:, 3:] / 255
    assert off.max() <= 1.5
    assert not small[small[..., 3] == 0].any()
