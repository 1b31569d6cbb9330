"""Doubt over more than an outline: decided along the picture's edges, reported, and left alone where it is opacity."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from segmentation import Settings, Stroke, load_registry, refine
from segmentation.matting.alpha import Matte, estimate_alpha
from segmentation.matting.doubt import decide
from segmentation.matting.mask import to_mask
from segmentation.matting.trimap import to_trimap
from segmentation.picture.picture import Picture
from segmentation.settings import Method

Array = npt.NDArray[Any]
CELL, SIZE = 4, (240, 320)
BODY, ARM, STONE = np.s_[60:200, 40:140], np.s_[100:140, 140:250], np.s_[20:70, 220:300]


def scene() -> tuple[Array, Array, Array]:
    """An orange body with an arm, and a grey stone, on blue; its alpha; and what a network sure of the body sees."""
    random = np.random.default_rng(0)
    alpha = np.zeros(SIZE, np.float32)
    alpha[BODY] = alpha[ARM] = 1
    image = np.empty((*SIZE, 3))
    image[:] = 40, 80, 160
    image[STONE] = 120, 120, 125
    image[alpha == 1] = 210, 120, 60
    image += gaussian_filter(random.normal(size=image.shape), (2, 2, 0)) * 40
    output = alpha.copy()
    drift = gaussian_filter(random.normal(size=SIZE), 20) * 8
    output[ARM] = (0.45 + drift)[ARM]
    output[STONE] = (0.55 + drift)[STONE]
    cells = output.reshape(SIZE[0] // CELL, CELL, SIZE[1] // CELL, CELL).mean((1, 3))
    return np.clip(image, 0, 255).astype(np.uint8), alpha, cells.astype(np.float32)


def matted(image: Array, output: Array, trimap: Array | None = None, **options: Any) -> Matte:
    mask = to_mask(output, SIZE)
    return estimate_alpha(
        image, to_trimap(mask, 240, 20, 6) if trimap is None else trimap, mask=mask, output=output, **options
    )


def ghosts(alpha: Array, output: Array) -> int:
    """Pixels that are neither in nor out more than two cells from what the network is certain of."""
    mask = to_mask(output, SIZE)
    far = distance_transform_edt((mask >= 20) & (mask <= 240)) > 2 * CELL
    return int(np.count_nonzero(far & (alpha > 0.15) & (alpha < 0.85)))


@pytest.mark.parametrize("method", ["fast", "closed-form", "lbdm"])
def test_doubt_is_decided_by_the_picture(method: Method) -> None:
    image, truth, output = scene()
    matte = matted(image, output, method=method)
    mask_error = np.abs(to_mask(output, SIZE) / 255 - truth).mean()
    assert np.abs(matte.alpha - truth).mean() < 0.1 * mask_error
    assert matte.alpha[ARM].mean() > 0.95  # though the network was against it
    assert matte.alpha[STONE].mean() < 0.03  # though the network was for it
    assert ghosts(matte.alpha, output) == 0
    assert matte.warnings == ()


def test_the_doubt_is_reported() -> None:
    image, truth, output = scene()
    matte = matted(image, output)
    assert matte.doubt is not None
    height, width = matte.doubt.shape
    assert max(height, width) == max(output.shape)
    where = np.kron(matte.doubt, np.ones((CELL, CELL))).astype(bool)
    assert where[ARM].mean() > 0.8
    assert where[STONE].mean() > 0.8
    assert where[BODY].mean() < 0.05
    doubtful = truth[ARM].size + truth[STONE].size
    assert matte.doubt_share == pytest.approx(doubtful / (doubtful + truth[BODY].size), abs=0.05)
    result = refine(Picture(image), output)
    assert result.doubt_share == pytest.approx(matte.doubt_share, abs=0.01)
    assert result.doubt is not None
    share = f"{result.doubt_share:.0%}"
    assert f"The model is unsure about {share} of the subject: keep or remove it with a stroke." in result.warnings


def test_the_mask_and_the_trimap_of_the_result_are_those_of_the_network() -> None:
    image, _, output = scene()
    result = refine(Picture(image), output, Settings(alpha_matting_erode_size=6))
    assert np.array_equal(result.mask, to_mask(output, SIZE))
    assert result.trimap is not None
    assert np.array_equal(result.trimap, to_trimap(result.mask, 240, 20, 6))


def test_without_doubt_nothing_changes() -> None:
    image, truth, _ = scene()
    output = truth.reshape(SIZE[0] // CELL, CELL, SIZE[1] // CELL, CELL).mean((1, 3)).astype(np.float32)
    mask = to_mask(output, SIZE)
    assert decide(image, to_trimap(mask, 240, 20, 6), mask, output, 0.003) is None
    result = refine(Picture(image), output)
    assert result.doubt is None
    assert result.doubt_share == 0
    assert not result.warnings


def test_a_decision_changes_no_outline_elsewhere() -> None:
    """A decided output has steps that a vague network has not: they must not pass for detail."""
    image, _, output = scene()
    sure = np.where(output == 1, output, 0)
    vague, sure = gaussian_filter(output, 1), gaussian_filter(sure, 1)
    with_doubt, without = matted(image, vague), matted(image, sure)
    assert with_doubt.doubt is not None
    elsewhere = np.s_[:, :80]
    assert np.allclose(with_doubt.alpha[elsewhere], without.alpha[elsewhere], atol=0.01)


def test_classic_matting_decides_nothing() -> None:
    image, _, output = scene()
    mask = to_mask(output, SIZE)
    trimap = to_trimap(mask, 240, 20, 6)
    classic = estimate_alpha(image, trimap, mask=mask, trust=0, method="closed-form")
    matte = matted(image, output, trust=0, method="closed-form")
    assert np.array_equal(matte.alpha, classic.alpha)
    assert matte.doubt is None


def test_opacity_is_not_decided() -> None:
    image, _, output = scene()
    glass = np.full_like(output, 0)
    glass[20:40, 20:60] = 0.5
    glass[30:50, 30:40] = 1
    flat = np.full_like(image, 128)  # no picture to decide by
    kept = matted(flat, glass, true_alpha=True)
    assert kept.doubt is None
    assert kept.doubt_share == 0
    decided = matted(flat, glass)
    assert ghosts(decided.alpha, glass) < ghosts(kept.alpha, glass)
    assert not [text for text in refine(Picture(flat), glass, true_alpha=True).warnings if "unsure" in text]


def test_detail_that_the_network_resolves_is_opacity() -> None:
    image, _, output = scene()
    random = np.random.default_rng(1)
    output = np.where((output > 0) & (output < 1), 0, output)
    output[10:50, 50:70] = random.choice(np.array([0.2, 0.8], np.float32), (40, 20))
    mask = to_mask(output, SIZE)
    assert decide(image, to_trimap(mask, 240, 20, 6), mask, output, 0.003) is None


def test_certain_pixels_of_the_trimap_decide_and_stay() -> None:
    image, _, output = scene()
    trimap = to_trimap(to_mask(output, SIZE), 240, 20, 6)
    trimap[30:60, 230:290] = 255  # the stone is wanted after all
    matte = matted(image, output, trimap)
    assert (matte.alpha[30:60, 230:290] == 1).all()
    assert matte.alpha[STONE].mean() > 0.7


def test_a_finer_network_is_not_judged_on_finer_cells() -> None:
    image = np.zeros((700, 900, 3), np.uint8)
    mask = np.zeros((700, 900), np.uint8)
    mask[300:600, 300:600] = 255
    mask[250:650, 200:300] = 128
    decision = decide(image, to_trimap(mask, 240, 20, 10), mask, (mask / np.float32(255)).astype(np.float32), 0.003)
    assert decision is not None
    assert max(decision.doubt.shape) == 160


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 5), (40, 40)])
def test_any_size_is_decided(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    image = random.integers(0, 256, (*shape, 3), np.uint8)
    for output in (np.full((9, 9), 0.5, np.float32), np.linspace(0, 1, 81, dtype=np.float32).reshape(9, 9)):
        mask = to_mask(output, shape)
        matte = estimate_alpha(image, to_trimap(mask, 240, 20, 1), mask=mask, output=output)
        assert np.isfinite(matte.alpha).all()
        assert matte.alpha.shape == shape


def test_the_registry_says_which_networks_give_opacity() -> None:
    registry = load_registry()
    assert {model for model in registry if registry[model].output.true_alpha} == {"modnet", "birefnet-matting"}


def test_a_stroke_settles_the_doubt_that_it_touches() -> None:
    image, _, output = scene()
    picture = Picture(image)
    unsure = refine(picture, output)
    assert unsure.doubt is not None
    kept = Stroke("keep", 5, ((170.0, 120.0), (230.0, 120.0)))
    left = refine(picture, output, strokes=[kept])
    assert left.doubt is not None
    assert not left.doubt[left.doubt.shape[0] * 100 // SIZE[0] : left.doubt.shape[0] * 140 // SIZE[0]].any()
    assert np.array_equal(left.doubt[: left.doubt.shape[0] // 4], unsure.doubt[: left.doubt.shape[0] // 4])
    assert 0 < left.doubt_share < unsure.doubt_share
    both = refine(picture, output, strokes=[kept, Stroke("remove", 5, ((260.0, 45.0),))])
    assert (both.doubt, both.doubt_share) == (None, 0.0)
    assert not [warning for warning in both.warnings if "unsure" in warning]
