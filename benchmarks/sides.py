"""Starts both sides, feeds them the same photos in turns, and prints ratios. What the benchmarks have in common."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import skimage
from PIL import Image

from segmentation.models.registry import load_registry
from segmentation.models.weights import fetch_weights

HERE = Path(__file__).resolve().parent
REMBG = "rembg[cpu,cli]==2.0.86"
SIZES = {
    "0.3": (640, 480),
    "1": (1152, 864),
    "4": (2304, 1728),
    "12": (4000, 3000),
    "24": (6000, 4000),
}  # (width, height)


def rembg_python() -> Path:
    """The Python of an environment of its own with rembg in it, made on first use."""
    folder = HERE.parent / ".venv-rembg"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists() or ready.read_text() != REMBG:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", REMBG], check=True)
        subprocess.run([python, "-c", "import rembg"], check=True)  # compiles its matting kernels, for minutes
        ready.write_text(REMBG)
    return python


class Side:
    """A worker process."""

    def __init__(self, python: Path, script: str, threads: int | None = None) -> None:
        """Start it.

        Args:
            python: The interpreter.
            script: Which side.
            threads: Threads of the numeric libraries; theirs to choose by default.
        """
        self._home = tempfile.TemporaryDirectory()
        weights = fetch_weights(load_registry()["u2netp"])
        shutil.copy(weights, Path(self._home.name) / "u2netp.onnx")
        limits = {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)} if threads else {}
        self._process = subprocess.Popen(
            [python, HERE / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), "U2NET_HOME": self._home.name, **limits},
        )

    def run(self, task: str, **arguments: Any) -> dict[str, Any]:
        """One task and its cost."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"task": task, **arguments}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{task} {arguments} killed its worker")
        cost: dict[str, Any] = json.loads(answer)
        return cost

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        self._home.cleanup()


def both() -> dict[str, Side]:
    """Ours and rembg's."""
    return {"ours": Side(Path(sys.executable), "ours_side.py"), "rembg": Side(rembg_python(), "rembg_side.py")}


def compare(
    sides: dict[str, Side], tasks: dict[str, tuple[str, dict[str, Any]]], repeats: int
) -> dict[str, dict[str, float]]:
    """Run a task of each side in turns; medians of its costs, after one run that is not counted."""
    costs: dict[str, list[dict[str, Any]]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, (task, arguments) in tasks.items():
            cost = sides[name.partition(" ")[0]].run(task, **arguments)
            if turn or repeats == 0:
                costs[name].append(cost)
    return {
        name: {key: statistics.median(cost[key] for cost in runs) for key in ("cpu", "wall", "network", "peak", "rise")}
        for name, runs in costs.items()
    }


def photo(megapixels: str, name: str = "astronaut.png") -> Path:
    """A photograph scaled to about so many megapixels, with grain where it was scaled up: a JPEG of quality 92."""
    target = Path(tempfile.gettempdir()) / "segmatte-benchmarks" / f"{Path(name).stem}-{megapixels}.jpg"
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        with Image.open(Path(skimage.__file__).parent / "data" / name) as source:
            image = source.convert("RGB").resize(SIZES[megapixels], Image.Resampling.LANCZOS)
        rng = np.random.default_rng(0)  # without grain the file would be unnaturally smooth, and its PNG small
        pixels = np.asarray(image).astype(np.float32)
        pixels += rng.normal(0, 2, (*pixels.shape[:2], 1)).astype(np.float32)
        pixels += rng.normal(0, 1, pixels.shape).astype(np.float32)
        Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8)).save(target, quality=92)
    return target


def machine() -> str:
    """Date and machine, to stand above results."""
    today = datetime.now(tz=UTC).date()
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{today}, {where}, onnxruntime {onnxruntime.__version__}, against {REMBG}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
