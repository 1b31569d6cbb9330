"""Real networks against others' code: rembg's stored answers, and MODNet written out step by step."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from PIL import Image

from segmentation import Session, Settings, load_image, segment
from segmentation.matting.mask import post_processed

STORED = Path(__file__).parent / "reference" / "rembg_masks.npz"
"""Made by `reference/make_rembg_reference.py` from rembg 2.0.86."""

Mask = npt.NDArray[np.uint8]
Plane = Mask | npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def rembg(photos: dict[str, Path]) -> dict[str, Mask]:
    with np.load(STORED) as file:
        stored = dict(file)
    hashes = json.loads(str(stored.pop("sha256")))
    assert hashes == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in photos.items()}, (
        "other photographs than those of the stored masks: run reference/make_rembg_reference.py"
    )
    return stored


def overlap(a: Plane, b: Plane) -> float:
    """Intersection over union at 128."""
    return float(((a >= 128) & (b >= 128)).sum() / ((a >= 128) | (b >= 128)).sum())


def difference(a: Plane, b: Plane) -> float:
    """Mean absolute difference, in levels of 255."""
    return float(np.abs(a.astype(float) - b).mean())


@pytest.mark.parametrize("name", ["cheetah", "chelsea", "astronaut"])
def test_u2netp_gives_the_mask_of_rembg(
    u2netp: Session, photos: dict[str, Path], rembg: dict[str, Mask], name: str
) -> None:
    mask = segment(load_image(photos[name]), u2netp, Settings(alpha_matting=False)).mask
    assert mask.shape == rembg[name].shape
    assert difference(mask, rembg[name]) <= 0.5
    assert overlap(mask, rembg[name]) >= 0.999


def test_post_processing_of_rembgs_mask_gives_its_very_pixels(rembg: dict[str, Mask]) -> None:
    assert np.array_equal(post_processed(rembg["chelsea"]), rembg["chelsea_post_processed"])


def test_u2netp_post_processed_gives_the_mask_of_rembg(
    u2netp: Session, photos: dict[str, Path], rembg: dict[str, Mask]
) -> None:
    settings = Settings(alpha_matting=False, post_process_mask=True)
    mask = segment(load_image(photos["chelsea"]), u2netp, settings).mask
    assert overlap(mask, rembg["chelsea_post_processed"]) >= 0.999


@pytest.mark.parametrize(("name", "width", "height"), [("astronaut", 512, 512), ("cheetah", 736, 512)])
def test_modnet_gives_the_mask_of_its_steps_written_out(
    modnet: Session, photos: dict[str, Path], fetched: Callable[[str], Path], name: str, width: int, height: int
) -> None:
    # the authors' inference_onnx.py: the short edge to 512, both edges to multiples of 32, (x - 127.5) / 127.5
    with Image.open(photos[name]) as photo:
        rgb = photo.convert("RGB")
    small = np.asarray(rgb.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    tensor = ((small - 127.5) / 127.5).transpose(2, 0, 1)[None]
    network = onnxruntime.InferenceSession(fetched("modnet"), providers=["CPUExecutionProvider"])
    (output,) = network.run(["output"], {"input": tensor})
    matte = Image.fromarray(output[0, 0]).resize(rgb.size, Image.Resampling.BICUBIC)
    reference = np.clip(np.asarray(matte), 0, 1) * 255

    mask = segment(load_image(photos[name]), modnet, Settings(alpha_matting=False)).mask
    assert difference(mask, reference) <= 0.5
    assert overlap(mask, reference) >= 0.999
