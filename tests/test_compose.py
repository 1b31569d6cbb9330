"""Cutouts: straight colours, zeroed where nothing is to be seen, exact products of opacity."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmentation.compose import compose_cutout, multiply_opacity, save_cutout
from segmentation.image import load_image

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
