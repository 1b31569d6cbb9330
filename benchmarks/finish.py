"""What canvas, shadow and outline add to writing a cutout of 12 megapixels: CPU seconds and memory.

`python -m benchmarks.finish [megapixels]`
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.sides import machine, photo, table
from benchmarks.worker import memory, settle
from segmentation.picture.export import save_export
from segmentation.picture.load import load_image
from segmentation.settings import Export

CASES = {
    "transparent PNG": Export(),
    "drop shadow": Export(shadow="drop"),
    "contact shadow": Export(shadow="contact"),
    "both": Export(shadow="both"),
    "both, hardly blurred (0.2 %)": Export(shadow="both", shadow_blur=0.2),
    "outline": Export(outline_width=2),
    "thin outline (0.3 %)": Export(outline_width=0.3),
    "both and outline": Export(shadow="both", outline_width=2),
    "canvas 1:1": Export(canvas="1:1"),
    "canvas 1:1, both and outline": Export(canvas="1:1", shadow="both", outline_width=2),
    "canvas 1000x1000, both and outline": Export(canvas="1000x1000", shadow="both", outline_width=2),
    "on white": Export(background="#ffffff"),
    "on white, drop shadow": Export(background="#ffffff", shadow="drop"),
    "JPEG on white": Export(background="#ffffff", format="jpeg"),
    "JPEG on white, drop shadow": Export(background="#ffffff", format="jpeg", shadow="drop"),
    "JPEG on white, at most 1000 kB": Export(background="#ffffff", format="jpeg", max_kb=1000),
    "WebP, at most 1000 kB": Export(format="webp", max_kb=1000),
    "WebP, canvas 1000x1000, at most 100 kB": Export(format="webp", canvas="1000x1000", max_kb=100),
}


def main() -> None:
    picture = load_image(photo(sys.argv[1] if sys.argv[1:] else "12"))
    height, width = picture.size
    y, x = np.ogrid[:height, :width]
    far = np.hypot((y - height * 0.52) / 1.1, x - width / 2) + 0.02 * height * np.sin(x / 37) * np.cos(y / 53)
    alpha = (np.clip((height * 0.36 - far) / 6 + 0.5, 0, 1) * 255).astype(np.uint8)
    del far
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(4):
            for name, export in CASES.items():
                path = Path(folder) / f"a{export.ending}"
                settle()
                before, start = memory("VmRSS"), time.process_time()
                save_export(picture, picture.rgb, alpha, path, export)
                if repeat:  # the first one warms up
                    seconds[name].append(time.process_time() - start)
                    peaks[name] = memory("VmHWM") - before
    costs = {name: statistics.median(each) for name, each in seconds.items()}
    plain = costs["transparent PNG"]
    rows = [[name, f"{cost:.2f}", f"{cost / plain:.1f}", f"{peaks[name]:.0f}"] for name, cost in costs.items()]
    print(f"{machine()}\n\n{width} x {height} pixels\n")
    print(table(["file", "CPU s", "of the transparent PNG", "rise of memory MiB"], rows))


if __name__ == "__main__":
    main()
