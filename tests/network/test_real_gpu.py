"""The same on a real GPU, on machines that have one: nothing is simulated here."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from segmentation import Registry, Session, load_image, predict
from segmentation.corrections import Point, Prompt
from segmentation.models.spec import own_file_spec
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.probe import gpu_problem
from segmentation.network.prompt.ask import ask, embed
from segmentation.network.providers import CPU, CUDA
from segmentation.network.watchdog import RunCancelledError
from tests import graphs
from tests.graphs_prompt import INTERFACES, promptable

pytestmark = pytest.mark.skipif(bool(gpu_problem()), reason=f"no GPU: {gpu_problem()}")

MEAN, MOST = 1 / 255, 0.2  # differences from the CPU, of all pixels and of one: TF32 has 10 bits


def picture(seed: int, size: int = 512) -> Any:
    return np.random.default_rng(seed).random((1, 3, size, size), np.float32)


def convolutions(path: Path, layers: int = 6, channels: int = 64) -> Path:
    """(n, 3, h, w) -> (n, 1, h, w): as deep as to need hundreds of megabytes at 1024."""
    rng = np.random.default_rng(0)
    widths = [3, *[channels] * layers, 1]
    kernels = [rng.normal(0, (2 / (9 * a)) ** 0.5, (b, a, 3, 3)).astype(np.float32) for a, b in pairwise(widths)]
    nodes, last = [], "image"
    for number in range(len(kernels)):
        nodes.append(helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        last = f"r{number}"
    nodes.append(helper.make_node("Sigmoid", [last], ["matte"]))
    free = ("n", 3, "h", "w"), ("n", 1, "h", "w")
    constants = {f"w{number}": kernel for number, kernel in enumerate(kernels)}
    return graphs.write_graph(path, nodes, {"image": (1, free[0])}, {"matte": (1, free[1])}, constants)


def loaded(path: Path, device: Any = "auto", **options: Any) -> Session:
    return Session(graphs.make_spec(path, dynamic=True), path, device, gpu=GpuOptions(**options))


def test_masks_are_those_of_the_cpu(registry: Registry, weights: dict[str, Path], photos: dict[str, Path]) -> None:
    for name, path in weights.items():
        on_gpu, on_cpu = (Session(registry[name], path, device) for device in ("auto", "cpu"))
        for photo in ("astronaut", "chelsea"):
            image = load_image(photos[photo])
            ours, theirs = predict(image, on_gpu), predict(image, on_cpu)
            assert (ours.provider, ours.provider_note) == (CUDA, "")
            difference = np.abs(ours.maps[""] - theirs.maps[""])
            assert difference.mean() <= MEAN
            assert difference.max() <= MOST


def test_an_unregistered_model_runs_on_it_in_its_sandbox(tmp_path: Path) -> None:
    path = convolutions(tmp_path / "own.onnx")
    session = Session(own_file_spec(path), path)
    answer = session.run(picture(0))
    assert (session.provider, answer.provider, answer.provider_note) == (CUDA, CUDA, "")
    assert np.abs(answer.output - loaded(path, "cpu").run(picture(0)).output).max() <= MOST


def test_many_callers_each_get_their_own(tmp_path: Path) -> None:
    session = loaded(convolutions(tmp_path / "net.onnx"))
    alone = [session.run(picture(seed)).output for seed in range(6)]
    with ThreadPoolExecutor(6) as executor:
        for mine, answer in zip(alone * 4, executor.map(session.run, [picture(n) for n in range(6)] * 4), strict=True):
            assert np.array_equal(mine, answer.output)


def test_pictures_that_wait_go_together(tmp_path: Path) -> None:
    path = convolutions(tmp_path / "net.onnx")
    session, alone = loaded(path, batch=4), loaded(path)
    tensors = [picture(seed) for seed in range(24)]
    with ThreadPoolExecutor(12) as executor:
        answers = list(executor.map(session.run, tensors))
    for tensor, answer in zip(tensors, answers, strict=True):
        assert np.abs(answer.output - alone.run(tensor).output).mean() <= MEAN


def test_a_captured_graph_replays_with_other_pictures(registry: Registry, weights: dict[str, Path]) -> None:
    spec, path = registry["u2netp"], weights["u2netp"]
    captured, plain = Session(spec, path, gpu=GpuOptions(graphs=True)), Session(spec, path)
    for seed in range(4):
        tensor = picture(seed, 320)
        assert np.array_equal(captured.run(tensor).output, plain.run(tensor).output)


def test_too_little_memory_ends_on_the_cpu_and_comes_back(tmp_path: Path) -> None:
    path = convolutions(tmp_path / "net.onnx")
    session = loaded(path, memory_mb=300)
    large = picture(0, 1024)
    assert session.provider == CUDA
    with ThreadPoolExecutor(2) as executor:
        for answer in executor.map(session.run, [large, large]):
            assert answer.provider == CPU
            assert answer.provider_note == "The GPU has too little free memory for this model at (1, 3, 1024, 1024)."
    assert session.give_memory_back(0)
    assert session.run(picture(0, 256)).provider == CUDA
    none = loaded(convolutions(tmp_path / "wide.onnx", channels=256), memory_mb=1)  # 12 MB of weights
    assert none.provider == CPU
    assert none.provider_note.endswith("on the GPU: it needs more memory than is allowed.")


def test_a_cancelled_run_ends_and_the_next_one_works(tmp_path: Path) -> None:
    session = loaded(convolutions(tmp_path / "net.onnx"))
    with pytest.raises(RunCancelledError):
        session.run(np.concatenate([picture(0, 1024)] * 8), lambda: True)
    assert session.run(picture(0)).provider == CUDA
    assert session.give_memory_back(0)
    assert session.run(picture(0)).provider == CUDA


@pytest.mark.parametrize("model_id", INTERFACES)
def test_promptable_networks_answer_as_on_the_cpu(tmp_path: Path, model_id: str) -> None:
    rgb = np.full((48, 96, 3), 30, np.uint8)
    rgb[10:30, 10:30] = (200, 40, 40)
    maps = {}
    for device, provider in (("auto", CUDA), ("cpu", CPU)):
        session = Session(*promptable(tmp_path, model_id), device)  # type: ignore[arg-type]
        found = ask(session, embed(rgb, session, session.input).embedding, Prompt((Point(15, 15),)))
        assert found is not None
        assert found.provider == provider
        assert session.give_memory_back(0)
        maps[device] = found.map
    np.testing.assert_allclose(maps["auto"], maps["cpu"], atol=1e-3)
