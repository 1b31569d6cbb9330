"""Pictures to try at one click: photographs that ship inside the Gradio package."""

import base64
import shutil
from functools import cache
from pathlib import Path

from segmentation.web.guard.gradio_seams.files import new_upload, photographs
from segmentation.web.page.preview import to_jpeg

NAMES = {
    "cheetah.jpg": "A running cheetah",
    "lion.jpg": "A lion",
    "groot.jpeg": "A wooden figure",
    "tower.jpg": "A tower",
}
THUMBNAIL_SIDE = 112  # pixels


def examples() -> list[Path]:
    """The pictures that are there."""
    return [path for name in NAMES if (path := photographs() / name).is_file()]


def example_uploaded(number: int) -> Path:
    """An example as if the visitor had uploaded it: a copy that the guard takes and the sweeper deletes."""
    source = examples()[number]
    return shutil.copyfile(source, new_upload(source.name))


@cache
def example_buttons() -> str:
    """HTML with a button a picture."""
    buttons = [
        f'<button type="button" data-example="{number}" data-name="{path.stem}" aria-label="{NAMES[path.name]}">'
        f'<img alt="" src="{_thumbnail(path)}"></button>'
        for number, path in enumerate(examples())
    ]
    return f'<div class="examples">{"".join(buttons)}</div>'


def _thumbnail(path: Path) -> str:
    """A data address: some kilobytes each, so they need no door to the file system."""
    return f"data:image/jpeg;base64,{base64.b64encode(to_jpeg(path, THUMBNAIL_SIDE)).decode()}"
