"""Example pictures to try with one click: a portrait of ours, and photographs from the Gradio package."""

import base64
import shutil
from functools import cache
from pathlib import Path

import numpy as np

from segmentation.picture.encode import to_small_webp
from segmentation.picture.load import load_image
from segmentation.picture.resize import shrunk
from segmentation.web.guard.gradio_seams.files import new_upload, photographs

PHOTOS = Path(__file__).parent / "photos"
"""Ours, and what is cut out of each; made by `python -m tests.make_photos`."""

NAMES = {
    "astronaut.jpg": "An astronaut",
    "cheetah.jpg": "A running cheetah",
    "lion.jpg": "A lion",
    "groot.jpeg": "A wooden figure",
}
THUMBNAIL_SIDE = 200  # pixels
HERO_SIDE = 480  # pixels


def examples() -> list[Path]:
    """The example pictures that exist."""
    found = [next((f / name for f in (PHOTOS, photographs()) if (f / name).is_file()), None) for name in NAMES]
    return [path for path in found if path]


def example_uploaded(number: int) -> Path:
    """A copy of an example in the upload folder, which the guard accepts and the sweep deletes."""
    source = examples()[number]
    return shutil.copyfile(source, new_upload(source.name))


@cache
def example_buttons() -> str:
    """HTML with one button per picture, which shows half of what is cut out of it."""
    buttons = [
        f'<button type="button" data-example="{number}" data-name="{path.stem}" aria-label="{NAMES[path.name]}">'
        f'<img alt="" src="{_small(path, THUMBNAIL_SIDE)}">'
        f'<span><img alt="" src="{_small(_cutout_file(path), THUMBNAIL_SIDE)}"></span></button>'
        for number, path in enumerate(examples())
        if _cutout_file(path).is_file()
    ]
    return f'<div class="examples">{"".join(buttons)}</div>'


@cache
def hero_pictures() -> dict[str, str]:
    """The portrait of the first screen, before and after."""
    portrait = PHOTOS / "astronaut.jpg"
    return {"before": _small(portrait, HERO_SIDE), "after": _url(_cutout_file(portrait).read_bytes())}


def _small(path: Path, side: int) -> str:
    """A data URL of a few kilobytes, so that no route to the file system is needed."""
    picture = shrunk(load_image(path), side)
    pixels = picture.rgb if picture.opacity is None else np.dstack([picture.rgb, picture.opacity])
    return _url(to_small_webp(pixels))


def _url(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"


def _cutout_file(path: Path) -> Path:
    return PHOTOS / f"{path.stem}-cutout.webp"
