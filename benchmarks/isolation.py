"""What a process of its own costs: the same network inside the server's process and apart, in turns.

`python -m benchmarks.isolation [runs]`. The weights of ISNet need not be there: a stack of convolutions does about its
work at 1024 x 1024.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from benchmarks.sides import machine, table
from segmentation.models.registry import load_registry
from segmentation.models.spec import ModelSpec
from segmentation.models.weights import fetch_weights
from segmentation.network.session import Session
from tests.graphs import make_spec, write_graph

LAYERS, CHANNELS = 8, 64  # 3 x 3 at half the size: 9.7 GMAC each at 1024 x 1024


def convolutions(path: Path) -> Path:
    """(1, 3, 1024, 1024) -> (1, 1, 1024, 1024)."""
    rng = np.random.default_rng(0)

    def kernels(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)

    constants = {"first": kernels(CHANNELS, 3, 3, 3), "last": kernels(1, CHANNELS, 1, 1)}
    nodes = [helper.make_node("Conv", ["image", "first"], ["x0"], strides=[2, 2], pads=[1] * 4)]
    for layer in range(LAYERS):
        constants[f"w{layer}"] = kernels(CHANNELS, CHANNELS, 3, 3)
        nodes.append(helper.make_node("Conv", [f"x{layer}", f"w{layer}"], [f"y{layer}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"y{layer}"], [f"x{layer + 1}"]))
    nodes.append(helper.make_node("Conv", [f"x{LAYERS}", "last"], ["small"]))
    nodes.append(helper.make_node("Sigmoid", ["small"], ["mask"]))
    nodes.append(helper.make_node("Resize", ["mask", "", "scales"], ["matte"], mode="linear"))
    return write_graph(
        path,
        nodes,
        {"image": (TensorProto.FLOAT, (1, 3, 1024, 1024))},
        {"matte": (TensorProto.FLOAT, (1, 1, 1024, 1024))},
        {**constants, "scales": np.array([1, 1, 2, 2], np.float32)},
    )


def timed_load(spec: ModelSpec, path: Path) -> tuple[Session, float]:
    begun = time.perf_counter()
    session = Session(spec, path, "cpu")
    return session, time.perf_counter() - begun


def timed_run(session: Session, shape: tuple[int, ...]) -> float:
    tensor = np.random.default_rng(1).random(shape, np.float32)
    begun = time.perf_counter()
    session.run(tensor)
    return time.perf_counter() - begun


def compare(spec: ModelSpec, path: Path, shape: tuple[int, ...], runs: int) -> list[str]:
    """One row. Each ratio is of two runs in a row, so that what else the machine does meets both."""
    apart_spec = spec.model_copy(update={"registered": False})
    loads = [(timed_load(spec, path)[1], timed_load(apart_spec, path)[1]) for _ in range(5)]
    inside, apart = Session(spec, path, "cpu"), Session(apart_spec, path, "cpu")
    timed_run(inside, shape), timed_run(apart, shape)
    pairs = []
    for number in range(runs):
        first, second = (inside, apart) if number % 2 else (apart, inside)
        times = {first: timed_run(first, shape), second: timed_run(second, shape)}
        pairs.append((times[inside], times[apart]))
    ratios = sorted(apart / inside for inside, apart in pairs)
    middle = [statistics.median(pair[side] for pair in pairs) for side in (0, 1)]
    load = [statistics.median(pair[side] for pair in loads) for side in (0, 1)]
    quartiles = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
    return [
        spec.id, "x".join(map(str, shape[2:])), f"{middle[0]:.3f} s", f"{middle[1]:.3f} s",
        f"{statistics.median(ratios):.3f} ({quartiles[0]:.2f} to {quartiles[1]:.2f})",
        f"{load[0]:.2f} s", f"{load[1]:.2f} s",
    ]  # fmt: skip


def main() -> None:
    runs = int(sys.argv[1]) if sys.argv[1:] else 20
    registry = load_registry()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = convolutions(Path(folder) / "convolutions.onnx")
        rows.append(compare(make_spec(path, size=1024), path, (1, 3, 1024, 1024), runs))
        for name, edge in (("u2netp", 320), ("modnet", 512)):
            rows.append(compare(registry[name], fetch_weights(registry[name]), (1, 3, edge, edge), 3 * runs))
    print(machine())
    print(table(["network", "size", "inside", "apart", "apart / inside (quartiles)", "load", "load apart"], rows))


if __name__ == "__main__":
    main()
