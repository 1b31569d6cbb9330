"""Mattes before and after the doubt of a network is decided, against the bare mask and rembg's way.

`python -m benchmarks.doubt TRUTH`, where the folder TRUTH holds image/ and alpha/ as for `benchmarks.quality`. Each
photograph is measured as it is, over three other photographs, and with a mistake planted into the output of a perfect
network of 320 x 320 pixels: a part of the subject at 0.54, an object of the background at 0.46. Parameters were chosen
on the photographs of even places and the backgrounds of CHOSEN; the others have backgrounds of their own.

Ghosts: share of the picture in percent with alpha from 0.15 to 0.85, more than two pixels of the network's output from
what its mask is certain of. True ones are those of the true alpha.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio
import numpy as np
import skimage
from PIL import Image
from scipy import ndimage

from benchmarks.correction import planted
from benchmarks.quality import Plane
from benchmarks.sides import table
from segmentation import load_registry, load_session, predict
from segmentation.matting.alpha import estimate_alpha, warm_up
from segmentation.matting.foreground import estimate_foreground
from segmentation.matting.mask import to_mask
from segmentation.matting.trimap import to_trimap
from segmentation.picture.picture import Picture
from segmentation.picture.resize import resize
from segmentation.score.mattes import measure_mattes

_SKIMAGE, _GRADIO = (Path(package.__file__ or "").parent for package in (skimage, gradio))
_DATA, _MEDIA = _SKIMAGE / "data", _GRADIO / "media_assets" / "images"
CHOSEN = (
    _DATA / "coffee.png",
    _MEDIA / "cheetah.jpg",
    _DATA / "rocket.jpg",
    _DATA / "brick.png",
    _DATA / "motorcycle_left.png",
    _MEDIA / "tower.jpg",
    _DATA / "chelsea.png",
)
ASIDE = (
    _DATA / "astronaut.png",
    _MEDIA / "cheetah1.jpg",
    _GRADIO / "test_data" / "cheetah2.jpg",
    _MEDIA / "groot.jpeg",
    _DATA / "grass.png",
    _DATA / "gravel.png",
    _DATA / "ihc.png",
)
BEHIND = 3  # composites of a photograph
FOUND = 0.5  # overlap of mask and truth from which a network has found the subject
WAYS = "mask", "rembg's way", "undecided", "decided"


@dataclass(frozen=True)
class Case:
    """A picture of known alpha."""

    kind: str
    image: Plane
    truth: Plane  # uint8


def cases(folder: Path) -> Iterator[Case]:
    """Photographs and composites."""
    for place, file in enumerate(sorted((folder / "image").glob("*.png"))):
        with Image.open(file) as picture, Image.open(folder / "alpha" / file.name) as matte:
            image, truth = np.asarray(picture.convert("RGB")), np.asarray(matte.convert("L"))
        behind, aside = (ASIDE, "kept aside") if place % 2 else (CHOSEN, "chosen on")
        yield Case(f"photographs, {aside}", image, truth)
        alpha = (truth / np.float32(255)).astype(np.float32)
        colours = estimate_foreground(image, alpha)
        for number in range(BEHIND):
            other = filled(behind[(place // 2 + 2 * number) % len(behind)], truth.shape)
            mixed = alpha[..., None] * colours + (1 - alpha[..., None]) * other
            yield Case(f"composites, {aside}", np.rint(mixed).astype(np.uint8), truth)


def filled(file: Path, shape: tuple[int, ...]) -> Plane:
    """A photograph that covers so many rows and columns, cropped."""
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    scale = max(shape[0] / picture.height, shape[1] / picture.width)
    size = max(shape[1], round(picture.width * scale)), max(shape[0], round(picture.height * scale))
    left, top = (size[0] - shape[1]) // 2, (size[1] - shape[0]) // 2
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture.crop((left, top, left + shape[1], top + shape[0])))


def mattes(image: Plane, output: Plane, true_alpha: bool) -> dict[str, Plane]:
    """The matte of each of WAYS."""
    mask = to_mask(output, (image.shape[0], image.shape[1]))
    trimap = to_trimap(mask, 240, 20, 10)
    return {
        "mask": mask / 255.0,
        "rembg's way": estimate_alpha(image, trimap, mask=mask, trust=0.0, method="closed-form").alpha,
        "undecided": estimate_alpha(image, trimap, mask=mask, output=output, true_alpha=True).alpha,
        "decided": estimate_alpha(image, trimap, mask=mask, output=output, true_alpha=true_alpha).alpha,
    }


def errors(alpha: Plane, truth: Plane, far: Plane) -> list[float]:
    """SAD, MSE x 1000, gradient, ghosts and true ghosts."""
    matte = measure_mattes(np.asarray(alpha, np.float64), truth / 255.0)
    ghosts = far & (alpha > 0.15) & (alpha < 0.85)
    true = far & (truth > 0.15 * 255) & (truth < 0.85 * 255)
    return [matte.sad, 1e3 * matte.mse, matte.gradient, 100 * ghosts.mean(), 100 * true.mean()]


def far_from_certain(mask: Plane, output: Plane) -> Plane:
    """Where a ghost may be."""
    uncertain = (mask >= 20) & (mask <= 240)
    cell = max(mask.shape[0] / output.shape[0], mask.shape[1] / output.shape[1])
    return uncertain if uncertain.all() else ndimage.distance_transform_edt(uncertain) > 2 * cell


def found(mask: Plane, truth: Plane) -> bool:
    """Whether mask and truth are of the same subject, rather than the network's of another one."""
    one, other = mask > 0.5, truth > 127
    return bool(np.count_nonzero(one & other) >= FOUND * np.count_nonzero(one | other))


def main() -> None:
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "image").is_dir():
        sys.exit("usage: python -m benchmarks.doubt TRUTH, a folder with image/ and alpha/")
    warm_up()
    sessions = {name: load_session(load_registry()[name], device="cpu") for name in ("u2netp", "modnet")}
    rows: dict[str, list[dict[str, list[float]]]] = {}

    def add(title: str, case: Case, output: Plane, true_alpha: bool) -> None:
        alphas = mattes(case.image, output, true_alpha)
        far = far_from_certain(to_mask(output, (case.truth.shape[0], case.truth.shape[1])), output)
        each = {way: errors(alpha, case.truth, far) for way, alpha in alphas.items()}
        rows.setdefault(f"{title}, {case.kind}", []).append(each)
        if case.kind.startswith("composites") and title in sessions and found(alphas["mask"], case.truth):
            rows.setdefault(f"{title}, {case.kind}, subject found", []).append(each)

    for case in cases(Path(sys.argv[1])):
        for name, session in sessions.items():
            prediction = predict(Picture(case.image), session)
            add(name, case, prediction.maps[""], prediction.true_alpha)
        truth = (case.truth / np.float32(255)).astype(np.float32)
        seen, places = truth.copy(), {mistake: where for mistake, where, _ in planted(case.image, truth)}
        for mistake, level in (("limb lost", 0.54), ("island kept", 0.46)):
            if mistake in places:
                seen[places[mistake]] = level
        if (seen != truth).any():
            add("planted", case, resize(seen, (320, 320), "box"), False)
    heads = [f"{way}: SAD / MSE / gradient / ghosts" for way in WAYS]
    print(
        table(
            ["", "pictures", *heads, "true ghosts"],
            [
                [
                    title,
                    str(len(each)),
                    *(
                        "{:.2f} / {:.2f} / {:.2f} / {:.2f} %".format(*np.mean([one[way] for one in each], 0)[:4])
                        for way in WAYS
                    ),
                    f"{np.mean([one['mask'][4] for one in each]):.2f} %",
                ]
                for title, each in sorted(rows.items())
            ],
        )
    )


if __name__ == "__main__":
    main()
