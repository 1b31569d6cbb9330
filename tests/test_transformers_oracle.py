"""Folders in the Hub's layout through transformers.js and through us: two readings of one convention must agree.

They agree to a level where the picture has the network's own size. At other sizes resampling differs, and nothing else:
with that of transformers.js (`as_sharp_resizes`) in place of ours, they agree again. How much that matters depends on
the network: 0.1 to 0.8 of 255 for MODNet on people, 0.2 to 5 for u2netp. Ours is nearer to the truth, as the last tests
show, and stays.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import affine_transform

from segmentation import Registry, Session, load_image
from segmentation.arrays import RGB, Mask, Size
from segmentation.matting import mask as mask_module
from segmentation.matting.mask import to_mask
from segmentation.models.inspection.local import inspect_folder
from segmentation.network import tensor as tensor_module
from segmentation.network.tensor import to_tensor
from segmentation.picture.resize import resize
from segmentation.prediction import predict
from tests.conftest import PHOTOS
from tests.graphs import brightness
from tests.repositories import HALF_HALF, IMAGENET, REPOSITORIES, scene, write_repository
from tests.transformers_js import Answer, Job, run


def preprocessor(mean: tuple[float, ...], std: tuple[float, ...], **more: Any) -> dict[str, Any]:
    """A `preprocessor_config.json`, with the keys of Xenova/modnet's."""
    return {
        "do_normalize": True, "do_pad": False, "do_rescale": True, "do_resize": True,
        "feature_extractor_type": "ImageFeatureExtractor", "image_mean": list(mean), "image_std": list(std),
        "resample": 2, "rescale_factor": 0.00392156862745098,
    } | more  # fmt: skip


DECLARED = {
    "modnet": preprocessor(*HALF_HALF, size={"shortest_edge": 512}, size_divisibility=32),
    "u2netp": preprocessor(*IMAGENET, size={"height": 320, "width": 320}),
    "u2netp-lanczos": preprocessor(*IMAGENET, size={"height": 320, "width": 320}, resample=1),
    "brightness": preprocessor((0.0,) * 3, (1.0,) * 3, size={"height": 64, "width": 64}),
}
"""Of the models beside the generated repositories."""

UNSUPPORTED = {
    "nhwc": "Got invalid dimensions for input: image",  # it only makes (1, 3, h, w)
    "uint8": "Unexpected input data type. Actual: (tensor(float)) , expected: (tensor(uint8))",
    "float16": "Unexpected input data type. Actual: (tensor(float)) , expected: (tensor(float16))",
    "softmax_background_first": "Expected mask to have 1 channel, but got 2",
    "softmax_background_last": "Expected mask to have 1 channel, but got 2",
    "mask_second": "Tensor should have 3 dimensions, but has 1",  # the first output counts, whatever it is
}
"""Generated repositories that transformers.js cannot run, and what it says."""
ALIKE = [name for name in REPOSITORIES if name not in {*UNSUPPORTED, "letterbox", "labels"}]
"""Generated repositories that both read alike."""


def photo(name: str, rows: slice = slice(None), columns: slice = slice(None), size: Size | None = None) -> RGB:
    """A photograph, cropped and resized."""
    with Image.open(PHOTOS[name]) as file:
        image = Image.fromarray(np.asarray(file.convert("RGB"))[rows, columns])
    pixels: RGB = np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS) if size else image)
    return pixels


def dark() -> RGB:
    """A photograph of 320 x 320 whose largest value is 51."""
    levels = photo("chelsea", size=(320, 320)).astype(float)
    pixels: RGB = np.rint(levels * (51 / levels.max())).astype(np.uint8)
    return pixels


def figure(size: Size) -> RGB:
    """A white figure on black: its own mask."""
    return np.repeat(scene(3, size)[1][..., None], 3, axis=2)


PICTURES: dict[str, Callable[[], RGB]] = {
    "cheetah": lambda: photo("cheetah"),  # 343 x 502
    "chelsea": lambda: photo("chelsea"),  # 300 x 451
    "woman": lambda: photo("astronaut"),  # 512 x 512
    "tall": lambda: photo("astronaut", columns=slice(120, 350)),  # 512 x 230
    "large": lambda: photo("astronaut", columns=slice(90, 400), size=(1600, 968)),
    "512 x 704": lambda: photo("astronaut", slice(0, 372), size=(512, 704)),
    "320 x 320": lambda: photo("chelsea", size=(320, 320)),
    "128 x 128": lambda: photo("chelsea", size=(128, 128)),
    "scene": lambda: scene()[0],  # 240 x 320
    "scene of 128 x 128": lambda: scene(1, (128, 128))[0],
    "scene of 128 x 192": lambda: scene(2, (128, 192))[0],
    "dark": dark,
    "bright": lambda: dark() * np.uint8(5),
    "white": lambda: np.full((200, 300, 3), 255, np.uint8),
    "figure": lambda: figure((200, 300)),
    "large figure": lambda: figure((900, 1200)),
}

OF_ITS_OWN_SIZE = [
    ("modnet", "woman"),
    ("modnet", "512 x 704"),
    ("u2netp", "320 x 320"),
    ("u2netp", "dark"),
    *((name, picture) for name in ALIKE for picture in ("128 x 128", "scene of 128 x 128")),
    ("multiple_of_32", "scene of 128 x 192"),
]
# MODNet knows people only: on a cat, changing 0.2 % of its input by one level already changes its mask by 0.5 of 255
OF_ANOTHER_SIZE = [
    *(("modnet", picture) for picture in ("tall", "large")),
    *(("u2netp", picture) for picture in ("chelsea", "tall", "large")),
    ("u2netp-lanczos", "cheetah"),  # enlarging, as of 300 x 451, sharp has no Lanczos
    *((name, picture) for name in ALIKE for picture in ("scene", "cheetah", "tall")),
]
APART = [
    *((name, "scene of 128 x 128") for name in UNSUPPORTED),
    ("letterbox", "scene"),
    ("labels", "scene of 128 x 128"),
    ("u2netp", "bright"),
    *(("brightness", picture) for picture in ("white", "figure", "large figure")),
]


@dataclass(frozen=True)
class Oracle:
    """The pictures, what transformers.js makes of them, and what we make of them."""

    pictures: Path
    answers: dict[tuple[str, str], Answer]
    session: Callable[[str], Session]

    def theirs(self, model: str, picture: str) -> Mask:
        """The mask of transformers.js."""
        answer = self.answers[model, picture]
        assert not answer.error
        return answer.masks[""]

    def ours(self, model: str, picture: str) -> Mask:
        """Our mask, of a network with one class."""
        return masks(self.session(model), self.pictures / f"{picture}.png")[""]


def masks(session: Session, path: Path) -> dict[str, Mask]:
    """Our masks of a picture, by class."""
    picture = load_image(path)
    return {label: to_mask(plane, picture.size) for label, plane in predict(picture, session).maps.items()}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory, fetched: Callable[[str], Path]) -> Oracle:
    models, pictures, output = (tmp_path_factory.mktemp(name) for name in ("models", "pictures", "masks"))
    for name in REPOSITORIES:
        write_repository(name, models / name)
    for name, declared in DECLARED.items():
        (models / name / "onnx").mkdir(parents=True)
        path = models / name / "onnx" / "model.onnx"
        if name == "brightness":
            brightness(path)
        else:
            path.symlink_to(fetched(name.removesuffix("-lanczos")))
        (models / name / "preprocessor_config.json").write_text(json.dumps(declared), encoding="utf-8")
        # of the types without classes that transformers.js knows, any will do
        (models / name / "config.json").write_text('{"model_type": "isnet"}', encoding="utf-8")
    for name, draw in PICTURES.items():
        Image.fromarray(draw()).save(pictures / f"{name}.png", compress_level=1)

    wanted: dict[str, list[str]] = {}
    for model, picture in (*OF_ITS_OWN_SIZE, *OF_ANOTHER_SIZE, *APART):
        wanted.setdefault(model, []).append(picture)
    jobs = [
        Job(model, [pictures / f"{name}.png" for name in names], classes=model == "labels")
        for model, names in wanted.items()
    ]
    answers = {
        (job.model, picture.stem): answer
        for job, those in zip(jobs, run(models, jobs, output), strict=True)
        for picture, answer in zip(job.pictures, those, strict=True)
    }

    @cache
    def session(model: str) -> Session:
        spec = inspect_folder(models / model).spec
        # in this process: one of its own gives the same masks and takes a second to start
        spec = spec.model_copy(update={"registered": True})
        return Session(spec, models / model / "onnx" / "model.onnx", "cpu", threads=1)

    return Oracle(pictures, answers, session)


def as_sharp_resizes(plane: npt.NDArray[np.uint8], size: Size) -> npt.NDArray[np.uint8]:
    """Bilinear as in transformers.js under Node.js, by sharp's affine transform.

    Pixel (0, 0) stays at (0, 0), so the picture moves by half a pixel and back; shrinking skips pixels instead of
    averaging them; and enlarging fades to black beyond the last row and column.
    """
    planes = np.atleast_3d(plane).astype(float)
    step = planes.shape[0] / size[0], planes.shape[1] / size[1]
    bands = [
        affine_transform(planes[..., band], step, output_shape=size, order=1, mode="grid-constant")
        for band in range(planes.shape[2])
    ]
    resized: npt.NDArray[np.uint8] = np.floor(np.dstack(bands) + 0.5).astype(np.uint8)
    return resized.reshape(*size, *plane.shape[2:])


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resample as transformers.js does: pictures by the declared filter, masks bilinearly."""
    monkeypatch.setattr(
        tensor_module,
        "resize",
        lambda rgb, size, how: as_sharp_resizes(rgb, size) if how == "bilinear" else resize(rgb, size, how),
    )
    monkeypatch.setattr(mask_module, "resize", lambda plane, size, _: as_sharp_resizes(plane, size))


def difference(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Mean absolute difference, in levels of 255."""
    return float(np.abs(a.astype(float) - b).mean())


def overlap(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Intersection over union at 128."""
    union = ((a >= 128) | (b >= 128)).sum()
    assert union >= 100, "empty masks say nothing"
    return float(((a >= 128) & (b >= 128)).sum() / union)


def assert_alike(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> None:
    assert difference(ours, theirs) <= 0.5
    assert overlap(ours, theirs) >= 0.995


@pytest.mark.parametrize(("model", "picture"), OF_ITS_OWN_SIZE)
def test_masks_of_pictures_of_the_networks_own_size_are_alike(oracle: Oracle, model: str, picture: str) -> None:
    assert_alike(oracle.ours(model, picture), oracle.theirs(model, picture))


@pytest.mark.usefixtures("sharp")
@pytest.mark.parametrize(("model", "picture"), OF_ANOTHER_SIZE)
def test_masks_of_other_pictures_differ_by_resampling_only(oracle: Oracle, model: str, picture: str) -> None:
    assert_alike(oracle.ours(model, picture), oracle.theirs(model, picture))


@pytest.mark.parametrize("picture", ["tall", "large"])
def test_modnet_finds_the_same_people_whatever_the_resampling(oracle: Oracle, picture: str) -> None:
    ours, theirs = oracle.ours("modnet", picture), oracle.theirs("modnet", picture)
    assert overlap(ours, theirs) >= 0.995
    assert difference(ours, theirs) <= 1  # 0.8 and 0.2


@pytest.mark.parametrize(("model", "reason"), UNSUPPORTED.items())
def test_transformers_js_cannot_run_the_others(oracle: Oracle, model: str, reason: str) -> None:
    assert reason in oracle.answers[model, "scene of 128 x 128"].error
    assert overlap(oracle.ours(model, "scene of 128 x 128"), scene(1, (128, 128))[1]) >= 0.95  # and we can


@pytest.mark.usefixtures("sharp")
def test_transformers_js_stretches_a_letterboxed_mask_over_the_picture_with_its_padding(oracle: Oracle) -> None:
    picture, session = load_image(oracle.pictures / "scene.png"), oracle.session("letterbox")
    tensor, at = to_tensor(picture.rgb, session.input)
    assert (at.height, at.width) == (96, 128)  # as 240 x 320
    (plane,) = session.run(tensor).output[0]  # (128, 128): we go on with the first 96 rows
    assert_alike(to_mask(plane, picture.size), oracle.theirs("letterbox", "scene"))


def test_classes_cover_the_same_pixels(oracle: Oracle) -> None:
    # transformers.js says which class is the likeliest, we say how likely it is
    theirs = oracle.answers["labels", "scene of 128 x 128"].masks
    ours = masks(oracle.session("labels"), oracle.pictures / "scene of 128 x 128.png")
    assert {label.lower() for label in theirs} == {"background", *ours} == {"background", "hair", "skin"}
    for label, mask in ours.items():
        assert_alike(np.where(mask >= 128, 255, 0), theirs[label.capitalize()])


def test_u2netps_registry_entry_differs_as_it_divides_by_the_pictures_maximum(
    oracle: Oracle, registry: Registry
) -> None:
    entry = registry["u2netp"]
    plain = entry.model_copy(update={"output": entry.output.model_copy(update={"normalise": "none"})})
    (ours,) = masks(Session(plain, oracle.session("u2netp").path, "cpu"), oracle.pictures / "dark.png").values()
    assert_alike(ours, oracle.theirs("u2netp", "bright"))
    assert overlap(ours, oracle.theirs("u2netp", "dark")) < 0.5


@pytest.mark.parametrize("picture", ["figure", "large figure"])
def test_our_resampling_is_nearer_to_the_truth(oracle: Oracle, picture: str) -> None:
    truth = PICTURES[picture]()[..., 0]
    ours, theirs = oracle.ours("brightness", picture), oracle.theirs("brightness", picture)
    assert difference(ours, truth) < difference(theirs, truth)
    assert overlap(ours, truth) >= 0.99 > 0.97 >= overlap(theirs, truth)


def test_our_masks_reach_the_last_row_and_column_and_those_of_transformers_js_fade(oracle: Oracle) -> None:
    ours, theirs = oracle.ours("brightness", "white"), oracle.theirs("brightness", "white")
    assert ours.min() == 255
    assert theirs[100, 150] == 255
    assert theirs[-1].mean() < 128
    assert theirs[:, -1].mean() < 128
