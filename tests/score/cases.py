"""Predictions with their truths, for our measures and for others' code alike: made by hand, and from photographs."""

import hashlib
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Plane: TypeAlias = NDArray[np.uint8]

REFERENCE = Path(__file__).resolve().parent.parent / "reference"


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.asarray((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2)


def _plane(values: NDArray[np.float64] | NDArray[np.bool_]) -> Plane:
    return np.clip(np.rint(values * 255.0), 0, 255).astype(np.uint8)


def cases() -> dict[str, tuple[Plane, Plane]]:
    """Name -> prediction and truth."""
    size = (90, 120)
    truth = _plane(disc(size, (45, 60), 30))
    rng = np.random.default_rng(12)
    soft = _plane(gaussian_filter(disc(size, (45, 60), 30).astype(float), 4))
    nothing, everything = np.zeros(size, np.uint8), np.full(size, 255, np.uint8)
    squares = np.zeros(size, np.uint8)
    squares[10:30, 15:40], squares[50:85, 70:118] = 255, 255
    last_column = np.zeros(size, np.uint8)
    last_column[20:50, 100:] = 255
    dot = np.zeros(size, np.uint8)
    dot[40, 70] = 255
    made = {
        "perfect": (truth, truth),
        "inverted": (255 - truth, truth),
        "soft": (soft, truth),
        "shifted": (_plane(disc(size, (50, 66), 28)), truth),
        "noise": (rng.integers(0, 256, size, np.uint8), truth),
        "soft with noise": (_plane(soft / 255 * 0.8 + rng.random(size) * 0.2), truth),
        "faint": (soft // 3 + 20, truth),  # stretched
        "two squares, one found": (_plane(gaussian_filter((squares[:, ::-1] > 0).astype(float), 2)), squares),
        "squares with noise": (np.where(rng.random(size) < 0.1, 255 - squares, squares), squares),
        "soft truth": (truth, soft),
        "at the edge": (soft, last_column),
        "one pixel": (soft, dot),
        "one pixel found": (dot, truth),
        "flat grey": (np.full(size, 90, np.uint8), truth),
        "flat grey in a corner": (np.full((60, 80), 77, np.uint8), _plane(disc((60, 80), (5, 5), 9))),
        "nothing found": (nothing, truth),
        "everything found": (everything, truth),
        "no subject": (soft, nothing),
        "no subject, none found": (nothing, nothing),
        "all subject": (soft, everything),
        "all subject, all found": (everything, everything),
        "lines": (soft, np.where((np.indices(size).sum(axis=0) % 9) < 2, 255, 0).astype(np.uint8)),
        "scattered": (soft, np.where(rng.random(size) < 0.01, 255, 0).astype(np.uint8)),
        "one row": (soft[45:46], truth[45:46]),
        "one column": (soft[:, 60:61], truth[:, 60:61]),
        "tiny": (np.array([[10, 200], [130, 90]], np.uint8), np.array([[0, 255], [255, 0]], np.uint8)),
    }
    with np.load(REFERENCE / "rembg_masks.npz") as masks:
        photographs = {name: masks[name] for name in masks.files if name != "sha256"}
    chelsea, hard = photographs["chelsea"], photographs["chelsea_post_processed"]
    made["u2netp's mask of a cat"] = (chelsea, hard)
    for name in ("cheetah", "astronaut"):
        mask = photographs[name]
        made[f"u2netp's mask, {name}"] = (
            mask,
            _plane(gaussian_filter(np.roll(mask, (5, -7), (0, 1)) / 255.0, 3) > 0.5),
        )
    made["a cat's mask as the soft truth"] = (hard, chelsea)
    return made


def digest(prediction: Plane, truth: Plane) -> str:
    """A hash of one case."""
    return hashlib.sha256(f"{prediction.shape}".encode() + prediction.tobytes() + truth.tobytes()).hexdigest()
