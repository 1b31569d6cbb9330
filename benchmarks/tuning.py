"""A changed threshold against the whole run: to the new full-size files, and to the preview, on the page's own way.

`python -m benchmarks.tuning [megapixels ...]`. No peer to name: none lets a visitor tune without running the network.
"""

import os
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="segmatte-benchmark-")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from benchmarks.sides import machine, photo, table
from segmentation.config import Config
from segmentation.recipe import Recipe
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.runs.tuning import Target

REPEATS = 5

Given = ParamSpec("Given")
Made = TypeVar("Made")
MODELS: dict[str, dict[str, Any]] = {
    "u2netp": {},
    "modnet": {"size": 1024},
}  # about what ISNet costs


def upload(path: Path) -> Path:
    """A photo as if a visitor had uploaded it."""
    target = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(32) / path.name
    target.parent.mkdir(parents=True)
    shutil.copy(path, target)
    return target


def finish(service: Service, run: Run) -> Run:
    for _ in service.work.process(run, for_page=True):
        pass
    (report,) = run.outcomes.reports
    assert not report.error, report.error
    return run


def cost(work: Callable[Given, Made], *given: Given.args, **named: Given.kwargs) -> tuple[float, float, Made]:
    """CPU seconds of this process, wall seconds, and what came of it."""
    cpu, wall = time.process_time(), time.perf_counter()
    said = work(*given, **named)
    return time.process_time() - cpu, time.perf_counter() - wall, said


def measure(service: Service, file: Path, model: str, asked: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Costs of whole runs, tuned runs and previews in turns; each tuned run and preview has another threshold."""
    costs: dict[str, list[tuple[float, float]]] = {"whole": [], "tuned": [], "first": [], "preview": []}

    def start(recipe: Recipe) -> Run:
        return finish(service, service.new_run([str(file)], recipe))

    def tune(run: Run, recipe: Recipe) -> Run:
        return finish(service, service.refinement(run.predictions, recipe))

    for turn in range(REPEATS + 1):
        recipe = Recipe.of(model, asked)
        *whole, run = cost(start, recipe)
        other = Recipe.of(model, asked | {"alpha_matting_foreground_threshold": 200 + turn})
        # the first preview of a picture also makes it small, once
        *first, _ = cost(service.preview, run, 0, Target("", recipe, None))
        *preview, _ = cost(service.preview, run, 0, Target("", other, None))
        *tuned, again = cost(tune, run, other)
        if turn:  # the first is not counted
            for kind, measured in (("whole", whole), ("tuned", tuned), ("first", first), ("preview", preview)):
                costs[kind].append((measured[0], measured[1]))
        again.files.delete()
        service.shown.drop(run)
    return costs


def main() -> None:
    service = Service(Config(device="cpu"))
    rows = []
    for size in sys.argv[1:] or ["1", "12"]:
        for name in ("astronaut.png", "chelsea.png"):
            for model, asked in MODELS.items():
                costs = measure(service, upload(photo(size, name)), model, asked)
                cpu, wall = (
                    {kind: statistics.median(pair[clock] for pair in pairs) for kind, pairs in costs.items()}
                    for clock in (0, 1)
                )
                rows.append([
                    size, Path(name).stem, " at ".join([model, *map(str, asked.values())]),
                    f"{cpu['whole']:.2f} / {cpu['tuned']:.2f}", f"**{cpu['whole'] / cpu['tuned']:.1f}**",
                    f"{wall['whole']:.2f} / {wall['tuned']:.2f}", f"{wall['whole'] / wall['tuned']:.1f}",
                    f"{cpu['first']:.2f}", f"**{cpu['preview']:.2f}**", f"{wall['preview']:.2f}",
                ])  # fmt: skip
                print(rows[-1], flush=True)
    print(f"\n{machine().partition(', against')[0]}\n")
    head = [
        "MP",
        "photo",
        "model",
        "CPU s, whole / tuned",
        "ratio",
        "wall s",
        "ratio",
        "first preview, CPU s",
        "further ones, CPU s",
        "wall s",
    ]
    print(table(head, rows))
    shutil.rmtree(os.environ["GRADIO_TEMP_DIR"])


if __name__ == "__main__":
    main()
