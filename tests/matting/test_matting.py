"""Trimap to matte to colours. Oracles: PyMatting straight, and a truth composed here."""

import contextlib
import io
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from segmentation import MattingError
from segmentation.matting.alpha import estimate_alpha
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.prior import detail
from segmentation.matting.trimap import auto_erode_size, to_certain_trimap, to_trimap
from segmentation.settings import Method

Array = npt.NDArray[Any]


def scene(height: int = 96, width: int = 120, seed: int = 0, softness: float = 3.0) -> tuple[Array, Array, Array]:
    """A blob of known opacity and colours over a known background: image, alpha, foreground."""
    random = np.random.default_rng(seed)
    noise = gaussian_filter(random.normal(size=(height, width)), 9, mode="nearest")
    y, x = np.mgrid[:height, :width]
    radius = np.hypot((y - height / 2) / height, (x - width / 2) / width) + 0.6 * noise
    alpha = 1 / (1 + np.exp((radius - 0.27) * width / softness))
    alpha = np.where(alpha < 0.02, 0, np.where(alpha > 0.98, 1, alpha))
    shade = gaussian_filter(random.normal(size=(2, height, width)), (0, 12, 12)) * 300
    foreground = np.clip(np.array([200, 120, 60]) + shade[0][..., None], 0, 255)
    background = np.clip(np.array([40, 80, 160]) + shade[1][..., None], 0, 255)
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    return np.rint(image).astype(np.uint8), alpha, foreground


def output_of(alpha: Array, cell: int) -> Array:
    """A network's probability map: the opacity averaged over cells."""
    h, w = alpha.shape[0] // cell, alpha.shape[1] // cell
    return np.asarray(alpha.reshape(h, cell, w, cell).mean((1, 3)), np.float32)


def seen_by_network(alpha: Array, cell: int = 1) -> Array:
    """The mask of that map, spread out without interpolation."""
    return np.asarray(np.rint(255 * np.kron(output_of(alpha, cell), np.ones((cell, cell)))), np.uint8)


def trimap_of(mask: Array, size: int = 6) -> Array:
    return to_trimap(mask, 240, 20, size)


def pymatting_alpha(image: Array, trimap: Array, **options: Any) -> Array:
    import pymatting

    with contextlib.redirect_stdout(io.StringIO()):
        return np.asarray(pymatting.estimate_alpha_cf(image / 255.0, trimap / 255.0, **options))


@pytest.mark.parametrize("seed", range(4))
def test_closed_form_without_trust_is_pymattings(seed: int) -> None:
    image, alpha, _ = scene(seed=seed)
    trimap = trimap_of(seen_by_network(alpha))
    ours = estimate_alpha(image, trimap, trust=0, method="closed-form").alpha
    assert np.abs(ours - pymatting_alpha(image, trimap)).max() < 1 / 255


def test_closed_form_is_pymattings_with_noise_and_a_band_at_the_frame() -> None:
    image = np.random.default_rng(3).integers(0, 256, (50, 41, 3), np.uint8)
    trimap = np.full((50, 41), 128, np.uint8)
    trimap[20:30, 10:20], trimap[:, 36:38], trimap[44] = 255, 0, 0
    ours = estimate_alpha(image, trimap, trust=0, method="closed-form").alpha
    assert np.abs(ours - pymatting_alpha(image, trimap, cg_kwargs={"rtol": 1e-10})).max() < 1 / 255


def test_fast_without_mask_solves_small_pictures_exactly() -> None:
    image, alpha, _ = scene()
    trimap = trimap_of(seen_by_network(alpha))
    exact = estimate_alpha(image, trimap, trust=0, method="closed-form").alpha
    assert np.array_equal(estimate_alpha(image, trimap).alpha, exact)


def test_known_truth_is_recovered() -> None:
    image, alpha, _ = scene()
    matte = estimate_alpha(image, trimap_of(seen_by_network(alpha)))
    assert np.abs(matte.alpha - alpha).mean() < 0.01
    assert matte.warnings == ()


def test_certain_pixels_stay_certain() -> None:
    image, alpha, _ = scene()
    mask = seen_by_network(alpha, 4)
    trimap = trimap_of(mask)
    matte = estimate_alpha(image, trimap, mask=mask, output=output_of(alpha, 4)).alpha
    assert (matte[trimap == 255] == 1).all()
    assert (matte[trimap == 0] == 0).all()
    assert matte.dtype == np.float32
    assert matte.min() >= 0
    assert matte.max() <= 1


def test_trust_draws_to_the_mask() -> None:
    image, alpha, _ = scene()
    image = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)  # colours that say nothing
    mask = seen_by_network(alpha, 4)
    trimap = trimap_of(mask)
    far, near = (np.abs(estimate_alpha(image, trimap, mask=mask, trust=t).alpha - mask / 255).mean() for t in (0, 0.1))
    assert near < 0.8 * far


def test_cells_of_a_detailed_mask_are_kept_to() -> None:
    image, alpha, _ = scene(softness=1.0)
    mask = seen_by_network(alpha, 4)
    trimap = trimap_of(mask)
    errors = [
        np.abs(estimate_alpha(image, trimap, mask=mask, output=output).alpha - alpha).mean()
        for output in (None, output_of(alpha, 4))
    ]
    assert errors[1] < errors[0]
    assert errors[1] < np.abs(mask / 255 - alpha).mean()


def test_a_vague_mask_is_not_taken_for_detailed() -> None:
    sharp = (np.random.default_rng(0).random((40, 40)) > 0.5).astype(np.float32)
    assert detail(sharp) == 1
    assert detail(gaussian_filter(sharp, 3)) == 0
    assert detail(np.zeros((5, 5), np.float32)) == 0
    assert detail(np.zeros((1, 1), np.float32)) == 0


def test_large_picture_is_solved_smaller_and_carried_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segmentation.matting.alpha.FAST_PIXELS", 3000)
    image, alpha, _ = scene()
    mask = seen_by_network(alpha, 2)
    matte = estimate_alpha(image, trimap_of(mask), mask=mask)
    assert np.prod(matte.working_size) < 3200
    assert matte.alpha.shape == alpha.shape
    assert np.abs(matte.alpha - alpha).mean() < 0.01


@pytest.mark.parametrize("share", [1, 2, 4, 10])
def test_fast_solves_no_more_pixels_than_it_may(share: int) -> None:
    image, alpha, _ = scene(192, 240)
    mask = seen_by_network(alpha)
    trimap = trimap_of(mask, 12)
    unknown = int(np.count_nonzero(trimap == 128))
    matte = estimate_alpha(image, trimap, mask=mask, max_unknown=unknown // share)
    assert matte.unknown <= 1.2 * unknown / share  # the band of a smaller trimap is a little wider
    assert (matte.working_size == trimap.shape) == (share == 1)
    assert matte.alpha.shape == alpha.shape
    assert matte.warnings == ()
    assert np.abs(matte.alpha - alpha).mean() < 0.02
    exact = estimate_alpha(image, trimap, mask=mask, method="closed-form", max_unknown=unknown // share)
    assert exact.working_size == trimap.shape  # that is about the fast way only


@pytest.mark.parametrize("method", ["fast", "closed-form"])
def test_little_memory_means_a_smaller_size_and_a_warning(method: Method) -> None:
    image, alpha, _ = scene(200, 240)
    mask = seen_by_network(alpha)
    matte = estimate_alpha(image, trimap_of(mask, 20), mask=mask, method=method, max_bytes=4_000_000)
    assert matte.working_size < (200, 240)
    assert "alpha_matting_erode_size" in matte.warnings[0]
    assert np.abs(matte.alpha - alpha).mean() < 0.02


@pytest.mark.parametrize(("value", "name"), [(0, "foreground"), (255, "background")])
def test_nothing_certain_of_a_side_is_an_error_without_mask_and_a_warning_with(value: int, name: str) -> None:
    image, alpha, _ = scene()
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[:10] = value
    with pytest.raises(MattingError, match=f"certain {name}"):
        estimate_alpha(image, trimap)
    mask = seen_by_network(alpha, 4)
    matte = estimate_alpha(image, trimap, mask=mask)
    # a level of 254 is a network that is sure: the mask's levels are cut off, not rounded
    assert np.array_equal(matte.alpha, (mask + (mask == 254)) / np.float32(255))
    assert f"alpha_matting_{name}_threshold" in matte.warnings[0]


def test_everything_unknown_keeps_the_mask() -> None:
    image, alpha, _ = scene()
    mask = seen_by_network(alpha)
    matte = estimate_alpha(image, np.full(alpha.shape, 128, np.uint8), mask=mask)
    assert np.array_equal(matte.alpha, (mask + (mask == 254)) / np.float32(255))
    assert matte.warnings


def test_nothing_unknown_is_the_trimap() -> None:
    image, alpha, _ = scene()
    trimap = np.where(alpha > 0.5, 255, 0).astype(np.uint8)
    matte = estimate_alpha(image, trimap)
    assert np.array_equal(matte.alpha, trimap / np.float32(255))
    assert matte.unknown == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 30), (3, 3), (5, 4)])
@pytest.mark.parametrize("method", ["fast", "closed-form"])
def test_tiny_pictures(shape: tuple[int, int], method: Method) -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (*shape, 3), np.uint8)
    trimap = np.full(shape, 128, np.uint8)
    trimap.flat[0], trimap.flat[-1] = 255, 0
    mask = random.integers(0, 256, shape, np.uint8)
    for given_mask in (None, mask):
        with contextlib.suppress(MattingError):
            matte = estimate_alpha(image, trimap, mask=given_mask, method=method)
            assert matte.alpha.shape == shape
            assert np.isfinite(matte.alpha).all()
            assert estimate_foreground(image, matte.alpha).shape == image.shape


def test_a_piece_without_certain_foreground_keeps_the_mask() -> None:
    image, alpha, _ = scene(200, 240)
    mask = seen_by_network(alpha)
    mask[4:10, 4:60] = 255
    image[4:10, 4:60] = 250
    trimap = trimap_of(mask, 9)
    assert (trimap[4:10, 4:60] != 255).all()
    methods: tuple[tuple[Method, float], ...] = (("fast", 0.0), ("closed-form", 1e-3))
    for method, trust in methods:
        matte = estimate_alpha(image, trimap, mask=mask, trust=trust, method=method)
        assert (matte.alpha[4:10, 4:60] == 1).all()
        assert "touches no certain foreground" in matte.warnings[0]


def test_closed_form_without_trust_is_pymattings_beside_a_stray_piece_too() -> None:
    image, alpha, _ = scene(200, 240)
    mask = seen_by_network(alpha)
    mask[4:10, 4:60] = 255
    trimap = trimap_of(mask, 9)
    ours = estimate_alpha(image, trimap, mask=mask, trust=0, method="closed-form").alpha
    assert np.abs(ours - pymatting_alpha(image, trimap)).max() < 1 / 255


def test_flat_picture_is_finite() -> None:
    _, alpha, _ = scene()
    mask = seen_by_network(alpha)
    flat = np.full((*alpha.shape, 3), 90, np.uint8)
    matte = estimate_alpha(flat, trimap_of(mask), trust=0, method="closed-form")
    assert np.isfinite(matte.alpha).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from(["fast", "closed-form"]),
)
def test_no_trimap_breaks_it(height: int, width: int, seed: int, masked: bool, method: Method) -> None:
    random = np.random.default_rng(seed)
    image = random.integers(0, random.integers(1, 257), (height, width, 3), np.uint8)
    trimap = random.choice(np.array([0, 128, 255], np.uint8), (height, width), p=random.dirichlet([1, 2, 1]))
    mask = random.integers(0, 256, (height, width), np.uint8) if masked else None
    output = random.random((random.integers(1, 9), random.integers(1, 9))).astype(np.float32)
    try:
        matte = estimate_alpha(
            image, trimap, mask=mask, output=output, method=method, trust=float(random.choice([0, 0.003, 1]))
        )
    except MattingError:
        assert mask is None
        return
    assert np.isfinite(matte.alpha).all()
    assert matte.alpha.min() >= 0
    assert matte.alpha.max() <= 1


def test_wrong_shapes_and_types_are_refused() -> None:
    image, alpha, _ = scene()
    floats: Any = image / 255
    with pytest.raises(ValueError, match="h, w"):
        estimate_alpha(image, np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        estimate_alpha(floats, np.zeros(alpha.shape, np.uint8))


def test_read_only_and_strided_arrays_are_taken() -> None:
    image, alpha, _ = scene()
    mask = seen_by_network(alpha)
    trimap = trimap_of(mask)
    expected = estimate_alpha(image, trimap, mask=mask).alpha
    image = np.asfortranarray(image)
    for array in (image, trimap, mask):
        array.flags.writeable = False
    assert np.array_equal(estimate_alpha(image, trimap, mask=mask).alpha, expected)


def test_threads_matte_at_once_with_the_same_result() -> None:
    scenes = [scene(seed=seed) for seed in range(6)]
    trimaps = [trimap_of(seen_by_network(alpha)) for _, alpha, _ in scenes]
    alone = [estimate_alpha(image, trimap).alpha for (image, _, _), trimap in zip(scenes, trimaps, strict=True)]
    together: list[Array] = [np.empty(0)] * len(scenes)

    def work(i: int) -> None:
        for _ in range(3):
            together[i] = estimate_alpha(scenes[i][0], trimaps[i]).alpha
            estimate_foreground(scenes[i][0], together[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(scenes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_foreground_is_no_worse_than_pymattings() -> None:
    import pymatting

    _, alpha, truth = scene(160, 200, softness=8.0)
    truth = np.clip(
        truth + 40 * gaussian_filter(np.random.default_rng(5).normal(size=truth.shape), (3, 3, 0)) * 6, 0, 255
    )
    other = 255 - truth[::-1, ::-1]
    image = np.rint(alpha[..., None] * truth + (1 - alpha[..., None]) * other).astype(np.uint8)
    matte = alpha.astype(np.float32)
    band = (alpha > 0) & (alpha < 1)

    def error(colours: Array) -> float:
        return float(np.abs((colours - truth) * alpha[..., None])[band].mean())

    ours = error(estimate_foreground(image, matte))
    # on photographs it is a quarter to a third better ; a smooth ramp like this one favours pymatting's weights
    assert ours <= 1.05 * error(255 * pymatting.estimate_foreground_ml(image / 255, alpha))
    assert ours < 0.5 * error(image)


def test_opaque_pixels_keep_their_bytes_and_invisible_ones_are_black() -> None:
    image, alpha, _ = scene()
    colours = estimate_foreground(image, alpha.astype(np.float32))
    assert np.array_equal(colours[alpha == 1], image[alpha == 1])
    assert not colours[alpha == 0].any()


def test_no_erosion_erodes_nothing() -> None:
    mask = np.array([[0, 19, 20, 128, 240, 241, 255]], np.uint8)
    assert to_trimap(mask, 240, 20, 0).tolist() == [[0, 0, 128, 128, 128, 255, 255]]


def test_erosion_retreats_until_something_is_certain() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[30:34, 10:50] = 255
    trimap, eroded_by = to_certain_trimap(mask, 240, 20, 10)
    assert (trimap == 255).any()
    assert eroded_by == 2
    assert to_certain_trimap(mask, 240, 20, 3)[1] == 3
    assert (to_certain_trimap(np.full((9, 9), 128, np.uint8), 240, 20, 10)[0] == 128).all()


def test_auto_erosion_follows_the_cell_and_spares_icons() -> None:
    assert auto_erode_size((564, 800), (320, 320)) == 5
    assert auto_erode_size((3000, 4000), (320, 320)) == 15
    assert auto_erode_size((64, 64), (320, 320)) == 1


def in_a_process_of_its_own(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_compiles_and_prints_nothing() -> None:
    said = in_a_process_of_its_own("import sys, segmentation.matting.alpha; print('numba' in sys.modules)")
    assert said == "False\n"


def test_threads_without_openmp_do_not_end_the_process() -> None:
    code = """
import threading
import numpy as np
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.alpha import estimate_alpha
image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
trimap = np.full((120, 160), 128, np.uint8)
trimap[:, :60], trimap[:, 100:] = 0, 255
def work():
    for _ in range(5):
        estimate_foreground(image, estimate_alpha(image, trimap).alpha)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("alive")
"""
    assert in_a_process_of_its_own(code, NUMBA_THREADING_LAYER="workqueue") == "alive\n"


def test_fifty_megapixels_with_a_wide_band_take_less_than_a_gigabyte() -> None:
    code = """
import re
from pathlib import Path
import numpy as np
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.trimap import to_certain_trimap
from segmentation.matting.alpha import estimate_alpha, warm_up
warm_up()
h, w = 5773, 8660
image = np.repeat(np.random.default_rng(0).integers(0, 256, (h, 1, 3), np.uint8), w, axis=1)
mask = np.empty((h, w), np.uint8)
mask[:] = np.clip((np.arange(w) - w / 3) / w * 3, 0, 1) * 255  # a third of the picture is neither
trimap, _ = to_certain_trimap(mask, 240, 20, 10)
def memory(field):
    return int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
matte = estimate_alpha(image, trimap, mask=mask, method="closed-form")
estimate_foreground(image, matte.alpha)
print(memory("VmHWM") - before)
"""
    assert float(in_a_process_of_its_own(code)) < 1000
