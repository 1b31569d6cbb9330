"""Probability map -> mask -> trimap, against scikit-image and SciPy as rembg uses them."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import binary_erosion, gaussian_filter
from skimage.morphology import disk, opening

from segmentation.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from segmentation.matting.mask import post_processed, to_mask
from segmentation.matting.trimap import to_trimap

Plane = npt.NDArray[np.uint8]


def rembg_post_process(mask: Plane) -> Plane:
    """rembg 2.0.86, `rembg/bg.py`."""
    opened = opening(mask, disk(1))
    smooth = gaussian_filter(opened.astype(np.float64), sigma=2)
    return np.where(smooth < 127, 0, 255).astype(np.uint8)


def rembg_trimap(mask: Plane, foreground: int, background: int, erode: int) -> Plane:
    """rembg 2.0.86, `rembg/bg.py`."""
    structure = np.ones((erode, erode), np.uint8)
    trimap = np.full(mask.shape, 128, np.uint8)
    trimap[binary_erosion(mask > foreground, structure=structure)] = 255
    trimap[binary_erosion(mask < background, structure=structure, border_value=1)] = 0
    return trimap


def blobs(height: int, width: int, seed: int) -> Plane:
    """Soft blobs with some noise: flat regions, outlines and specks."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(1, height // 12), max(1, width // 12)), np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    soft = np.clip((soft - 128) * 4 + 128, 0, 255)
    specks = rng.random((height, width)) < 0.03
    return np.asarray(np.where(specks, 255 - soft, soft), np.uint8)


# ------------------------------------------------------------------------------------------------- mask


def test_the_mask_has_the_size_asked_for() -> None:
    mask = to_mask(np.random.default_rng(0).random((32, 32), np.float32), (123, 457))
    assert mask.shape == (123, 457)
    assert mask.dtype == np.uint8


def test_at_the_same_size_a_level_is_off_by_less_than_one() -> None:
    probability = np.linspace(0, 1, 1000, dtype=np.float32).reshape(25, 40)
    mask = to_mask(probability, (25, 40))
    assert np.abs(mask - probability * 255.0).max() < 1
    assert (mask[0, 0], mask[-1, -1]) == (0, 255)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_map_becomes_a_flat_mask(level: float) -> None:
    mask = to_mask(np.full((20, 30), level, np.float32), (61, 77))
    assert len(np.unique(mask)) == 1
    assert abs(float(mask[0, 0]) - level * 255) < 1


def test_a_soft_outline_is_kept_soft() -> None:
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    mask = to_mask(ramp, (128, 128)).astype(int)
    assert len(np.unique(mask)) > 100
    assert (np.diff(mask, axis=1) >= 0).all()


def test_the_mask_is_post_processed_on_request() -> None:
    probability = np.zeros((64, 64), np.float32)
    probability[16:48, 16:48] = 1
    probability[4, 4] = 1  # a speck
    plain, clean = to_mask(probability, (64, 64)), to_mask(probability, (64, 64), post_process=True)
    assert plain[4, 4] == 255
    assert clean[4, 4] == 0
    assert clean[32, 32] == 255
    assert set(np.unique(clean)) == {0, 255}


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 200), width=st.integers(1, 200), seed=st.integers(0, 1000))
def test_post_processing_gives_the_pixels_of_rembg(height: int, width: int, seed: int) -> None:
    mask = blobs(height, width, seed)
    assert np.array_equal(post_processed(mask), rembg_post_process(mask))


@pytest.mark.parametrize("level", [0, 126, 127, 128, 255])
def test_post_processing_of_a_flat_mask_gives_the_pixels_of_rembg(level: int) -> None:
    mask = np.full((20, 30), level, np.uint8)
    assert np.array_equal(post_processed(mask), rembg_post_process(mask))


def test_post_processing_leaves_its_input() -> None:
    mask = blobs(40, 40, 0)
    before = mask.copy()
    post_processed(mask)
    assert np.array_equal(mask, before)


# ------------------------------------------------------------------------------------------------- trimap


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    seed=st.integers(0, 1000),
    erode=st.integers(1, 30),
    thresholds=st.sampled_from([(240, 20), (240, 10), (128, 127), (255, 0), (200, 100)]),
)
def test_the_trimap_is_that_of_rembg(
    height: int, width: int, seed: int, erode: int, thresholds: tuple[int, int]
) -> None:
    mask = blobs(height, width, seed)
    assert np.array_equal(to_trimap(mask, *thresholds, erode), rembg_trimap(mask, *thresholds, erode))


def test_without_erosion_the_thresholds_alone_decide() -> None:
    mask = np.array([[0, 19, 20, 128, 240, 241, 255]], np.uint8)
    expected = [[BACKGROUND, BACKGROUND, UNKNOWN, UNKNOWN, UNKNOWN, FOREGROUND, FOREGROUND]]
    assert np.array_equal(to_trimap(mask, 240, 20, 0), expected)


def test_both_regions_shrink_from_their_common_edge_and_background_goes_on_beyond_the_border() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 255
    trimap = to_trimap(mask, 240, 20, 9)
    assert (trimap[:, :16] == BACKGROUND).all()
    assert (trimap[:, 16:24] == UNKNOWN).all()
    assert (trimap[4:36, 24:36] == FOREGROUND).all()
    assert (trimap[:, 36:] == UNKNOWN).all()  # a subject cut by the picture's edge is not certain there, as in rembg


def test_an_erosion_larger_than_the_picture_leaves_nothing_certain_of_the_subject() -> None:
    mask = np.full((40, 40), 255, np.uint8)
    assert (to_trimap(mask, 240, 20, 500) == UNKNOWN).all()


def test_a_trimap_holds_three_values() -> None:
    trimap = to_trimap(blobs(200, 200, 3), 240, 20, 4)
    assert trimap.dtype == np.uint8
    assert set(np.unique(trimap)) == {BACKGROUND, UNKNOWN, FOREGROUND}
