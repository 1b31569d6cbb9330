"""What a stroke costs beside the matting of the whole picture, at full size and at screen size, in CPU seconds.

`python -m benchmarks.strokes [megapixels ...]`. A stroke is a short line on the outline that says the opposite of the
mask on one side, and so is carried on; it is drawn on a picture that is already solved. Its length and radius are those
of a hand on a screen of 720 pixels: 60 and 10 of these. All tasks of a picture take turns. Set OMP_NUM_THREADS=1.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.sides import machine, photo, table
from segmentation import Result, Settings, load_image, load_registry, load_session, predict, refine
from segmentation.corrections import Correction, Stroke
from segmentation.matting.alpha import FAST_UNKNOWN, warm_up
from segmentation.picture.picture import Picture
from segmentation.picture.resize import shrunk
from segmentation.web.runs.predictions import PREVIEW_SIDE
from segmentation.web.runs.previews import MAX_UNKNOWN

PHOTOS = ("astronaut.png", "chelsea.png")
STROKES = 6
RADIUS, LENGTH = 10, 60  # pixels on a screen


def strokes_on(result: Result) -> list[Stroke]:
    """Short lines along the outline, in turn to keep what lies outside and to remove what lies inside."""
    height, width = result.alpha.shape
    unit = max(height, width) / PREVIEW_SIDE
    random, inside = np.random.default_rng(0), result.alpha > 127
    outline = np.argwhere(inside[:, 1:] != inside[:, :-1])
    strokes = []
    for number in range(STROKES):
        y, x = outline[random.integers(len(outline))]
        line = np.linspace(-LENGTH / 2, LENGTH / 2, 12)[:, None] * (0.0, unit) + (x, y)
        strokes.append(Stroke("remove" if number % 2 else "keep", RADIUS * unit, tuple(map(tuple, line.tolist()))))
    return strokes


def seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    warm_up()
    session, settings, rows = load_session(load_registry()["u2netp"]), Settings(), []
    for megapixels in sys.argv[1:] or ["1", "4", "12"]:
        for name in PHOTOS:
            picture = load_image(photo(megapixels, name))
            probability = predict(picture, session).maps[""]
            costs: dict[str, list[float]] = {}
            whole = refine(picture, probability, settings)
            small = shrunk(picture, PREVIEW_SIDE)
            for stroke in strokes_on(whole):
                factor = max(small.size) / max(picture.size)
                scaled = Correction(strokes=(stroke,)).scaled(factor).strokes
                sizes: list[tuple[str, Picture, tuple[Stroke, ...], int]] = [
                    ("full", picture, (stroke,), FAST_UNKNOWN),
                    ("screen", small, scaled, MAX_UNKNOWN),
                ]
                for size, pixels, drawn, most in sizes:
                    solve = partial(refine, pixels, probability, settings, max_unknown=most)
                    base = solve().solved
                    costs.setdefault(f"{size} matting", []).append(seconds(solve))
                    costs.setdefault(f"{size} stroke", []).append(seconds(partial(solve, strokes=drawn, base=base)))
            for size in ("full", "screen"):
                matting_s, stroke_s = costs[f"{size} matting"], costs[f"{size} stroke"]
                rows.append([
                    megapixels, name.removesuffix(".png"), size, f"{statistics.median(matting_s):.2f}",
                    f"{statistics.median(stroke_s):.3f}", f"{max(stroke_s):.3f}",
                    f"**{statistics.median(s / m for s, m in zip(stroke_s, matting_s, strict=True)):.2f}**",
                ])  # fmt: skip
                print(rows[-1], flush=True)
    print(f"\n{machine()}\n")
    print(table(["MP", "photo", "size", "matting CPU s", "a stroke, median", "slowest of 6", "ratio"], rows))


if __name__ == "__main__":
    main()
