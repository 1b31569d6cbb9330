"""Errors of mattes against true alpha: the bare mask, rembg's way, ours and PyMatting's, for each kind of mask.

`python -m benchmarks.quality TRUTH`, where the folder TRUTH holds image/, alpha/, trimap1/ and trimap2/ with files of
equal names, as the training set of alphamatting.com has them. Means over the photographs of SAD, MSE x 1000, gradient
and connectivity error as in `segmentation.score.mattes`, over the whole picture for masks and over the unknown pixels
for drawn trimaps. Simulated networks: the true alpha seen through so many pixels.
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_erosion

from segmentation import load_registry, load_session, predict
from segmentation.matting.alpha import estimate_alpha, warm_up
from segmentation.matting.estimators import ESTIMATORS
from segmentation.matting.estimators import warm_up as warm_up_estimators
from segmentation.matting.mask import to_mask
from segmentation.matting.trimap import auto_erode_size, to_trimap
from segmentation.picture.picture import Picture
from segmentation.score.mattes import MatteErrors, measure_mattes
from segmentation.settings import Method

Plane = npt.NDArray[Any]
Ways = Iterator[tuple[str, Callable[[], Plane]]]


def rembg_way(image: Plane, mask: Plane) -> Plane:
    """Its trimap and PyMatting on the whole picture; where that fails the mask, as rembg does without a word."""
    from pymatting import estimate_alpha_cf

    square = np.ones((10, 10), np.uint8)
    trimap = np.full(mask.shape, 128, np.uint8)
    trimap[binary_erosion(mask > 240, square)] = 255
    trimap[binary_erosion(mask < 20, square, border_value=1)] = 0
    with contextlib.suppress(ValueError):
        return np.asarray(estimate_alpha_cf(image / 255.0, trimap / 255.0))
    return mask / 255.0


def ways(image: Plane, probability: Plane, true_alpha: bool) -> Ways:
    mask = to_mask(probability, image.shape[:2])

    def ours(size: int = 10, **options: Any) -> Plane:
        trimap = to_trimap(mask, 240, 20, size)
        return estimate_alpha(image, trimap, mask=mask, true_alpha=true_alpha, **options).alpha

    auto = auto_erode_size(image.shape[:2], probability.shape)
    yield "mask only", lambda: mask / 255.0
    yield "rembg's way", lambda: rembg_way(image, mask)
    yield "closed-form, trust 0", lambda: ours(trust=0.0, method="closed-form")
    yield "closed-form", lambda: ours(output=probability, method="closed-form")
    yield "fast", lambda: ours(output=probability)
    yield "fast, auto erosion", lambda: ours(auto, output=probability)
    for method in ESTIMATORS:
        yield method, partial(ours, output=probability, method=method)


def alpha_by(image: Plane, trimap: Plane, method: Method) -> Plane:
    return estimate_alpha(image, trimap, method=method).alpha


def drawn_ways(image: Plane, trimap: Plane) -> Ways:
    from pymatting import estimate_alpha_cf

    yield "trimap only", lambda: trimap / 255.0
    yield "rembg's way", lambda: np.asarray(estimate_alpha_cf(image / 255.0, trimap / 255.0))
    yield "closed-form, trust 0", lambda: estimate_alpha(image, trimap, method="closed-form").alpha
    yield "fast", lambda: estimate_alpha(image, trimap).alpha
    for method in ESTIMATORS:
        yield method, partial(alpha_by, image, trimap, method)


def score(title: str, folder: Path, candidates: Callable[[str, Plane, Plane], tuple[Plane, Ways]]) -> None:
    total: dict[str, list[MatteErrors]] = {}
    cpu: dict[str, float] = {}
    for path in sorted((folder / "image").glob("*.png")):
        with Image.open(path) as picture, Image.open(folder / "alpha" / path.name) as matte:
            image, truth = np.asarray(picture.convert("RGB")), np.asarray(matte.convert("L")) / 255.0
        where, here = candidates(path.name, image, truth)
        for way, run in here:
            start = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):  # PyMatting prints
                alpha = run()
            cpu[way] = cpu.get(way, 0.0) + time.process_time() - start
            total.setdefault(way, []).append(measure_mattes(np.asarray(alpha, np.float64), truth, where))
    print(f"\n**{title}**\n\n| | SAD | MSE | gradient | connectivity | CPU s | no worse in SAD than rembg's |")
    print("|---|---|---|---|---|---|---|")
    reference = np.array([errors.sad for errors in total["rembg's way"]])
    for way, each in total.items():
        table = np.array([(errors.sad, 1e3 * errors.mse, errors.gradient, errors.connectivity) for errors in each])
        sad, mse, gradient, connectivity = table.mean(0)
        wins = int((table[:, 0] <= 1.001 * reference).sum())
        print(
            f"| {way} | {sad:.3f} | {mse:.3f} | {gradient:.3f} | {connectivity:.3f} | {cpu[way]:.1f} "
            f"| {wins} of {len(each)} |",
            flush=True,
        )


def predicted(model: str) -> Callable[[str, Plane, Plane], tuple[Plane, Ways]]:
    session = load_session(load_registry()[model], device="cpu")

    def candidates(_: str, image: Plane, truth: Plane) -> tuple[Plane, Ways]:
        prediction = predict(Picture(image), session)
        return np.ones(truth.shape, bool), ways(image, prediction.maps[""], prediction.true_alpha)

    return candidates


def simulated(side: int) -> Callable[[str, Plane, Plane], tuple[Plane, Ways]]:
    def candidates(_: str, image: Plane, truth: Plane) -> tuple[Plane, Ways]:
        seen = Image.fromarray(truth.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
        return np.ones(truth.shape, bool), ways(image, np.asarray(seen), False)

    return candidates


def drawn(folder: Path) -> Callable[[str, Plane, Plane], tuple[Plane, Ways]]:
    def candidates(name: str, image: Plane, _: Plane) -> tuple[Plane, Ways]:
        with Image.open(folder / name) as picture:
            levels = np.asarray(picture.convert("L"))
        trimap = np.where(levels < 26, 0, np.where(levels > 229, 255, 128)).astype(np.uint8)
        return trimap == 128, drawn_ways(image, trimap)

    return candidates


def main() -> None:
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "image").is_dir():
        sys.exit("usage: python -m benchmarks.quality TRUTH, a folder with image/, alpha/, trimap1/ and trimap2/")
    folder = Path(sys.argv[1])
    warm_up()
    warm_up_estimators()
    score("u2netp", folder, predicted("u2netp"))
    score("MODNet", folder, predicted("modnet"))
    for side in (80, 320):
        score(f"perfect network of {side} x {side} pixels", folder, simulated(side))
    for kind in ("trimap1", "trimap2"):
        score(f"drawn {kind}, errors inside the unknown", folder, drawn(folder / kind))


if __name__ == "__main__":
    main()
