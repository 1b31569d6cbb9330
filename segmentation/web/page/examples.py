"""Pictures to try at one click: photographs that ship inside the Gradio package."""

import base64
import secrets
import shutil
from functools import cache
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from segmentation.web.page.preview import to_jpeg

FOLDER = Path(gr.__file__).parent / "media_assets" / "images"
NAMES = {
    "cheetah.jpg": "A running cheetah",
    "lion.jpg": "A lion",
    "groot.jpeg": "A wooden figure",
    "tower.jpg": "A tower",
}
THUMBNAIL_SIDE = 112  # pixels


def examples() -> list[Path]:
    """The pictures that are there."""
    return [FOLDER / name for name in NAMES if (FOLDER / name).is_file()]


def example_uploaded(number: int) -> Path:
    """An example as if the visitor had uploaded it: a copy that the guard takes and the sweeper deletes."""
    source = examples()[number]
    target = Path(get_upload_folder()) / secrets.token_hex(32) / source.name
    target.parent.mkdir(parents=True)
    shutil.copyfile(source, target)
    return target


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
