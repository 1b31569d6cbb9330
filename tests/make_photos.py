"""Makes the pictures of the page's first screen: `python -m tests.make_photos`, after matting has changed.

The portrait is NASA's of Eileen Collins, in the public domain; it comes with scikit-image. The others are Gradio's.
"""

from pathlib import Path

import gradio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segmentation import Settings, load_image, load_registry, load_session, segment
from tests.conftest import PHOTOS

FOLDER = Path(__file__).parents[1] / "segmentation" / "web" / "page" / "photos"
GRADIO = Path(gradio.__file__).parent / "media_assets" / "images"
SIDE, THUMBNAIL = 480, 200  # pixels of the longer side: of the large one, of the others
MODELS = {"astronaut": "modnet", "cheetah": "u2netp", "lion": "u2netp", "groot": "u2netp"}


def main() -> None:
    """Write a photograph, and everything cut out."""
    registry, files = load_registry(), {"astronaut": PHOTOS["astronaut"]}
    files |= {path.stem: path for path in GRADIO.iterdir() if path.stem in MODELS}
    for name, model in MODELS.items():
        settings = Settings(alpha_matting=True, alpha_matting_erode_size="auto")
        cutout = segment(load_image(files[name]), load_session(registry[model]), settings).cutout
        _save(cutout, name, SIDE if name == "astronaut" else THUMBNAIL)
    with Image.open(files["astronaut"]) as photo:
        photo.convert("RGB").save(FOLDER / "astronaut.jpg", quality=88)


def _save(cutout: NDArray[np.uint8], name: str, side: int) -> None:
    picture = Image.fromarray(cutout)
    picture.thumbnail((side, side))
    picture.save(FOLDER / f"{name}-cutout.webp", quality=72, alpha_quality=80, method=6)


if __name__ == "__main__":
    main()
