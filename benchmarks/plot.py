"""One picture of time and memory against megapixels, with and without matting, ours and rembg's: benchmarks/cost.svg.

`python -m benchmarks.plot`. Each point is a fresh process: bytes to PNG bytes, once to warm up and once measured; the
peak is above what the process held before its first picture.
"""

import html
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sides import HERE, SIZES, Side, machine, photo, rembg_python

SERIES = {  # label -> side, task, colour, megapixels
    "rembg, matted": ("rembg", "matted", "#b45309", ("0.3", "1", "4", "12")),  # 24 would take it 12 GB
    "rembg, plain": ("rembg", "plain", "#f59e0b", ("0.3", "1", "4", "12", "24")),
    "Segmatte, matted": ("ours", "matted", "#0f766e", ("0.3", "1", "4", "12", "24")),
    "Segmatte, plain": ("ours", "plain", "#14b8a6", ("0.3", "1", "4", "12", "24")),
}
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 470, 340, 62, 44, 16, 46


def measure(side: str, task: str, megapixels: str) -> tuple[float, float]:
    python, script = (Path(sys.executable), "ours_side.py") if side == "ours" else (rembg_python(), "rembg_side.py")
    worker = Side(python, script, threads=1)
    path = str(photo(megapixels))
    worker.run(task, photo=path)
    cost = worker.run(task, photo=path)
    worker.close()
    return cost["cpu"], cost["peak"]


def chart(title: str, unit: str, curves: dict[str, list[tuple[float, float]]], at: int) -> str:
    """A chart with logarithmic axes as SVG, its left edge at x = at."""
    highest = max(y for points in curves.values() for _, y in points)
    lowest = min(y for points in curves.values() for _, y in points)
    decades = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(megapixels: float) -> float:
        return at + LEFT + inner_width * math.log(megapixels / 0.28) / math.log(26 / 0.28)

    def y_of(value: float) -> float:
        span = decades[-1] - decades[0]
        return TOP + inner_height * (1 - (math.log10(value) - decades[0]) / span)

    parts = [f'<text x="{at + LEFT}" y="24" class="title">{html.escape(title)}</text>']
    for decade in decades:
        y = y_of(10.0**decade)
        parts.append(f'<line x1="{at + LEFT}" x2="{at + WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{at + LEFT - 8}" y="{y + 4:.1f}" class="end">{10.0**decade:g} {unit}</text>')
    for size, (width, height) in SIZES.items():
        parts.append(f'<text x="{x_of(width * height / 1e6):.1f}" y="{HEIGHT - 24}" class="middle">{size}</text>')
    parts.append(f'<text x="{at + LEFT + inner_width / 2}" y="{HEIGHT - 6}" class="middle">megapixels</text>')
    for label, points in curves.items():
        colour = SERIES[label][2]
        line = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    return "\n".join(parts)


def legend(labels: Sequence[str]) -> str:
    parts = []
    for i, label in enumerate(labels):
        x, y = LEFT + i * 220, HEIGHT + 16
        parts.append(f'<rect x="{x}" y="{y - 9}" width="18" height="4" fill="{SERIES[label][2]}"/>')
        parts.append(f'<text x="{x + 26}" y="{y}">{html.escape(label)}</text>')
    return "\n".join(parts)


def main() -> None:
    seconds: dict[str, list[tuple[float, float]]] = {}
    memory: dict[str, list[tuple[float, float]]] = {}
    for label, (side, task, _, sizes) in SERIES.items():
        for size in sizes:
            cpu, peak = measure(side, task, size)
            megapixels = SIZES[size][0] * SIZES[size][1] / 1e6
            seconds.setdefault(label, []).append((megapixels, cpu))
            memory.setdefault(label, []).append((megapixels, peak))
            print(f"{label:20} {size:>4} MP  {cpu:8.2f} CPU s  {peak:8.0f} MiB", flush=True)
    style = (
        "text{font:13px sans-serif;fill:#334155}.title{font-weight:700}.end{text-anchor:end}.middle{text-anchor:middle}"
    )
    drawing = "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT + 30}">',
        f"<style>{style}.grid{{stroke:#e2e8f0}}</style><rect width='100%' height='100%' fill='#fff'/>",
        chart("CPU time of one photo, u2netp", "s", seconds, 0),
        chart("Peak memory above idle", "MiB", memory, WIDTH),
        legend(list(SERIES)),
        "</svg>\n",
    ])  # fmt: skip
    (HERE / "cost.svg").write_text(drawing, encoding="utf-8")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
