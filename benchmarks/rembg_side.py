"""rembg 2.0.86's side; runs in rembg's own environment."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from rembg import new_session, remove
from rembg.bg import alpha_matting_cutout, fix_image_orientation, post_process

from benchmarks import worker

session = new_session("u2netp", providers=["CPUExecutionProvider"])
masks: dict[str, tuple[Image.Image, Image.Image]] = {}


def _mask(photo: str) -> tuple[Image.Image, Image.Image]:
    if photo not in masks:
        masks.clear()
        image = fix_image_orientation(Image.open(photo))
        masks[photo] = image, session.predict(image)[0]
    return masks[photo]


def plain(photo: str) -> Callable[[], Any]:
    data = Path(photo).read_bytes()
    return lambda: len(remove(data, session=session))


def matted(photo: str) -> Callable[[], Any]:
    data = Path(photo).read_bytes()
    return lambda: len(remove(data, session=session, alpha_matting=True))


def matting(photo: str, **_: Any) -> Callable[[], Any]:
    image, mask = _mask(photo)
    return lambda: alpha_matting_cutout(image, mask, 240, 20, 10) and None


def post_processing(photo: str) -> Callable[[], Any]:
    import numpy as np

    mask = np.array(_mask(photo)[1])
    return lambda: post_process(mask) is None


def batch(photos: list[str]) -> Callable[[], Any]:
    def run() -> None:
        for photo in photos:
            Image.open(io.BytesIO(remove(Path(photo).read_bytes(), session=session))).close()

    return run


if __name__ == "__main__":
    worker.time_the_network()
    worker.serve(
        {"plain": plain, "matted": matted, "matting": matting, "post_processing": post_processing, "batch": batch}
    )
