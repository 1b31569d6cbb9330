"""Example pictures to try with one click: photographs from the Gradio package."""

import base64
import shutil
from functools import cache
from pathlib import Path

from segmentation.web.guard.gradio_seams.files import new_upload, photographs
from segmentation.web.thumbnails import to_jpeg

NAMES = {
    "cheetah.jpg": "A running cheetah",
    "lion.jpg": "A lion",
    "groot.jpeg": "A wooden figure",
    "tower.jpg": "A tower",
}
THUMBNAIL_SIDE = 112  # pixels


def examples() -> list[Path]:
    """The example pictures that exist."""
    return [path for name in NAMES if (path := photographs() / name).is_file()]


def example_uploaded(number: int) -> Path:
    """A copy of an example in the upload folder, which the guard accepts and the sweep deletes."""
    source = examples()[number]
    return shutil.copyfile(source, new_upload(source.name))


@cache
def example_buttons() -> str:
    """HTML with one button per picture."""
    buttons = [
        f'<button type="button" data-example="{number}" data-name="{path.stem}" aria-label="{NAMES[path.name]}">'
        f'<img alt="" src="{_thumbnail(path)}"></button>'
        for number, path in enumerate(examples())
    ]
    return f'<div class="examples">{"".join(buttons)}</div>'


def _thumbnail(path: Path) -> str:
    """A data URL of a few kilobytes, so that no route to the file system is needed."""
    return f"data:image/jpeg;base64,{base64.b64encode(to_jpeg(path, THUMBNAIL_SIDE)).decode()}"
