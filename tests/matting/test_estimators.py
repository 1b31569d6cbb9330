"""PyMatting's other estimators as matting methods. Oracle: PyMatting straight, on the whole picture."""

import contextlib
import io
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from segmentation import MattingError, Settings
from segmentation.matting import estimators
from segmentation.matting.alpha import MAX_BYTES, estimate_alpha
from segmentation.matting.estimators import ESTIMATORS, NoSolutionError, estimate
from segmentation.prediction import NO_TRUST, Prediction, ignored_settings
from segmentation.settings import Method
from tests.matting.test_matting import Array, in_a_process_of_its_own, output_of, scene, seen_by_network, trimap_of


def pymattings(method: Method, image: Array, trimap: Array) -> Array:
    import pymatting

    return np.asarray(getattr(pymatting, f"estimate_alpha_{method}")(image / 255.0, trimap / 255.0))


@pytest.fixture(scope="module")
def picture() -> tuple[Array, Array, Array]:
    """A picture whose band lies in a small part of it; its trimap, and its true alpha."""
    scene_image, scene_alpha, _ = scene(70, 80)
    image, alpha = np.full((110, 120, 3), (40, 80, 160), np.uint8), np.zeros((110, 120))
    image[20:90, 10:90], alpha[20:90, 10:90] = scene_image, scene_alpha
    return image, trimap_of(seen_by_network(alpha), 4), alpha


@pytest.mark.parametrize("method", ESTIMATORS)
def test_the_alpha_is_pymattings_for_the_whole_picture(method: Method, picture: tuple[Array, Array, Array]) -> None:
    image, trimap, alpha = picture
    matte = estimate_alpha(image, trimap, method=method)
    unknown = trimap == 128
    assert np.abs(matte.alpha - pymattings(method, image, trimap))[unknown].max() < 1 / 255
    assert (matte.alpha[trimap == 255] == 1).all()
    assert (matte.alpha[trimap == 0] == 0).all()
    assert matte.alpha.dtype == np.float32
    assert np.abs(matte.alpha - alpha).mean() < 0.02
    assert (matte.warnings, matte.working_size) == ((), unknown.shape)
    assert matte.unknown == np.count_nonzero(unknown)
    assert matte.iterations > 0


@pytest.mark.parametrize("method", ESTIMATORS)
def test_a_large_picture_is_solved_smaller_and_says_so(method: Method, picture: tuple[Array, Array, Array]) -> None:
    image, trimap, alpha = picture
    matte = estimate_alpha(image, trimap, method=method, max_bytes=ESTIMATORS[method].nbytes * 1500)
    height, width = matte.working_size
    assert height * width < 0.8 * trimap.size
    (warning,) = matte.warnings
    assert f"matted at {width} x {height} pixels; change matting_method" in warning
    assert np.abs(matte.alpha - alpha).mean() < 0.03
    assert (matte.alpha[trimap == 255] == 1).all()


def test_the_memory_allowed_bounds_what_is_solved() -> None:
    for estimator in ESTIMATORS.values():
        scale = estimator.scale(12_000_000, MAX_BYTES)
        assert scale**2 * 12e6 * estimator.nbytes <= 1.001 * MAX_BYTES
        assert scale**2 * 12e6 <= 1.001 * estimators.MAX_PIXELS
    assert ESTIMATORS["rw"].scale(100, MAX_BYTES) == 1


MEMORY = """
import re
from pathlib import Path
from segmentation.matting.estimators import ESTIMATORS, estimate
from tests.matting.test_matting import scene, seen_by_network, trimap_of
def memory(field):
    return int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
def used(height, width, method):
    image, alpha, _ = scene(height, width)
    trimap = trimap_of(seen_by_network(alpha), 2)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    estimate(image, trimap, method)
    return memory("VmHWM") - before
for method in ("lbdm", "knn"):  # the others are bounded by their pixels
    used(60, 60, method)
    print(used(250, 300, method) / 250 / 300 / ESTIMATORS[method].nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_memory_is_what_is_said() -> None:
    shares = [float(share) for share in in_a_process_of_its_own(MEMORY).split()]
    assert all(0.6 < share <= 1 for share in shares), shares


@pytest.mark.parametrize("method", ESTIMATORS)
def test_pictures_smaller_than_a_window_are_solved(method: Method) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 30, 3), np.uint8)
    trimap = np.full((2, 30), 128, np.uint8)
    trimap[:, :10], trimap[:, 20:] = 0, 255
    alpha = estimate_alpha(image, trimap, method=method).alpha
    assert alpha.shape == (2, 30)
    assert np.isfinite(alpha).all()


@pytest.mark.parametrize("method", ESTIMATORS)
def test_without_a_solution_the_mask_is_kept_and_that_is_said(
    method: Method, picture: tuple[Array, Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, trimap, alpha = picture
    impatient = {method: replace(ESTIMATORS[method], max_iterations=1)}
    monkeypatch.setattr(estimators, "ESTIMATORS", impatient)
    mask = seen_by_network(alpha)
    matte = estimate_alpha(image, trimap, mask=mask, method=method)
    assert matte.warnings == (
        "The matting equations have no solution here, so the mask was kept; change matting_method.",
    )
    assert np.array_equal(matte.alpha[trimap == 128], mask[trimap == 128] / np.float32(255))
    with pytest.raises(MattingError, match=r"no solution here; change matting_method\."):
        estimate_alpha(image, trimap, method=method)


def test_a_side_that_is_lost_in_a_smaller_picture_is_no_solution() -> None:
    with pytest.raises(NoSolutionError):
        estimate(np.zeros((30, 30, 3), np.uint8), np.full((30, 30), 128, np.uint8), "rw")


def test_nothing_is_printed_when_the_factor_needs_a_second_attempt() -> None:
    import pymatting
    from scipy.sparse import csc_matrix

    estimators.warm_up()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        pymatting.ichol(csc_matrix(np.array([[1.0, 2.0], [2.0, 1.0]])))
    assert printed.getvalue() == ""


ABREAST = """
import threading
import numpy as np
from segmentation.matting.alpha import estimate_alpha
image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
trimap = np.full((60, 60), 128, np.uint8)
trimap[:5], trimap[50:] = 0, 255
def mat(method):
    for _ in range(4):
        estimate_alpha(image, trimap, method=method)
threads = [threading.Thread(target=mat, args=(method,)) for method in ("knn", "lkm", "knn", "lkm")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("alive")
"""


def test_threads_without_openmp_do_not_abort_the_process() -> None:
    assert in_a_process_of_its_own(ABREAST, NUMBA_THREADING_LAYER="workqueue") == "alive\n"


OTHERS = """
import sys
import numpy as np
from segmentation import Settings
from segmentation.matting.alpha import estimate_alpha, warm_up
from segmentation.matting.estimators import prepare
from segmentation.web.runs.service import Service
import segmentation.__main__
warm_up()
image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
trimap = np.full((60, 60), 128, np.uint8)
trimap[:5], trimap[50:] = 0, 255
for method in ("fast", "closed-form"):
    estimate_alpha(image, trimap, mask=trimap, method=method)
    prepare(Settings(matting_method=method))
prepare(Settings(matting_method="knn", alpha_matting=False))
print("pymatting" in sys.modules)
estimate_alpha(image, trimap, method="rw")
print("pymatting" in sys.modules)
"""


def test_pymatting_is_imported_for_its_methods_only() -> None:
    assert in_a_process_of_its_own(OTHERS) == "False\nTrue\n"


def test_what_takes_long_to_prepare_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimators, "SLOW", 0.0)
    monkeypatch.setattr(estimators, "_ready", threading.Event())
    said: list[str] = []
    for _ in range(2):
        estimators.prepare(Settings(matting_method="knn"), said.append)
    assert said == ["Preparing this matting method (once after installation, about a minute)"]


MISSING = """
import sys
sys.modules["pymatting"] = None  # as if it were not installed
from segmentation import MattingError, Settings
from segmentation.matting.estimators import prepare
try:
    prepare(Settings(matting_method="knn"))
except MattingError as error:
    print(error)
"""


def test_a_server_without_it_says_so() -> None:
    assert in_a_process_of_its_own(MISSING) == (
        "This matting method is unavailable on this server; change matting_method.\n"
    )


def test_trust_counts_only_where_there_is_doubt_and_that_is_said(picture: tuple[Array, Array, Array]) -> None:
    image, trimap, alpha = picture
    mask, output = seen_by_network(alpha, 10), output_of(alpha, 10)
    mattes = [estimate_alpha(image, trimap, mask=mask, output=output, trust=t, method="rw") for t in (0.0, 0.003, 0.1)]
    assert all(np.array_equal(matte.alpha, mattes[0].alpha) for matte in mattes)
    prediction = Prediction({}, "", "", "", 0, (1, 1), {})
    assert ignored_settings(prediction, Settings(matting_method="rw", trust_mask=0.1)) == [NO_TRUST]
    for values in ({"matting_method": "rw"}, {"trust_mask": 0.1}, {"matting_method": "rw", "trust_mask": 0.0}):
        assert ignored_settings(prediction, Settings(**values)) == []
