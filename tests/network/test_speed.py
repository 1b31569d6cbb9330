"""What a picture takes: estimated from the registry and this machine, then measured."""

import math
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from segmentation import Registry
from segmentation.models.spec import InputSpec, ModelSpec
from segmentation.network.providers import CPU, CUDA
from segmentation.network.speed import GAUGE, GAUGE_GMACS, GPU_GMACS, Speeds, gmacs, measured_cpu_speed
from tests import graphs


def write_gauge(path: Path) -> Path:
    """Two convolutions whose kernels are an input, so that the file holds no weights."""
    picture, kernels = (1, 64, 128, 128), (64, 64, 3, 3)
    same: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    return graphs.write_graph(
        path,
        [
            helper.make_node("Conv", ["picture", "kernels"], ["first"], **same),
            helper.make_node("Relu", ["first"], ["rectified"]),
            helper.make_node("Conv", ["rectified", "kernels"], ["answer"], **same),
        ],
        {"picture": (TensorProto.FLOAT, picture), "kernels": (TensorProto.FLOAT, kernels)},
        {"answer": (TensorProto.FLOAT, picture)},
    )


def spec(name: str = "some", *, gmacs: float | None = None, weights: int = 1_000_000, **given: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "id": name, "title": name, "tasks": ["general"], "gmacs": gmacs,
            "licence": {"id": "free", "name": "Free", "commercial": "yes"},
            "weights": {"file": f"{name}.onnx", "size": weights},
            "input": InputSpec.model_validate({"size": [1000, 1000]} | given),
        }
    )  # fmt: skip


def test_the_gauge_is_the_graph_that_its_count_is_of(tmp_path: Path) -> None:
    again = write_gauge(tmp_path / "gauge.onnx")
    assert onnx.load(GAUGE) == onnx.load(again)
    assert pytest.approx(2 * 64 * 64 * 9 * 128 * 128 / 1e9) == GAUGE_GMACS


def test_this_machine_computes() -> None:
    assert 0.1 < measured_cpu_speed() < 1e5  # a Raspberry Pi does 10, a server 2000
    assert measured_cpu_speed() == measured_cpu_speed()


def test_an_estimate_is_the_count_over_the_speed() -> None:
    speeds = Speeds(lambda: 50.0)
    assert speeds.of(spec(gmacs=100.0), CPU).value == pytest.approx(2.0)
    assert speeds.of(spec(gmacs=100.0), CUDA).value == pytest.approx(100.0 / GPU_GMACS)
    assert not speeds.of(spec(gmacs=100.0), CPU).measured


@pytest.mark.parametrize(
    ("model_id", "counted"), [("u2netp", 19.8), ("u2net", 58.6), ("isnet-general-use", 160), ("modnet", 21.3)]
)
def test_without_a_count_megabytes_and_size_give_one_within_a_factor_of_five(
    registry: Registry, model_id: str, counted: float
) -> None:
    guessed = gmacs(registry[model_id].model_copy(update={"gmacs": None}))
    assert counted / 5 < guessed < counted * 5


@pytest.mark.parametrize(
    ("given", "megapixels"),
    [
        ({"size": [500, 1000]}, 0.5),
        ({"size": 1000, "dynamic": True}, 1.0),
        ({"size": 300, "dynamic": True, "resize": "fit_short"}, 0.12),
        ({"size": 400, "dynamic": True, "resize": "fit_long"}, 0.12),
        ({"size": None, "dynamic": True}, 1.048576),
    ],
)
def test_a_guess_follows_the_pixels(given: dict[str, Any], megapixels: float) -> None:
    assert gmacs(spec(**given)) == pytest.approx(100 * megapixels)


def test_measured_seconds_replace_the_estimate() -> None:
    speeds, model = Speeds(lambda: 50.0), spec(gmacs=100.0)
    for seconds in (9.0, 3.0, 3.2):
        speeds.record(model, CPU, seconds)
    assert (speeds.of(model, CPU).value, speeds.of(model, CPU).measured) == (3.2, True)
    assert not speeds.of(model, CUDA).measured


def test_old_runs_are_forgotten() -> None:
    speeds, model = Speeds(lambda: 50.0), spec(gmacs=100.0)
    for seconds in [1.0] * 20 + [4.0] * 9:
        speeds.record(model, CPU, seconds)
    assert speeds.of(model, CPU).value == 4.0


def test_networks_beyond_a_number_are_forgotten() -> None:
    speeds = Speeds(lambda: 50.0)
    models = [spec(f"m{number}", gmacs=100.0) for number in range(201)]
    for model in models:
        speeds.record(model, CPU, 1.0)
    assert [speeds.of(model, CPU).measured for model in models] == [False] + [True] * 200


def test_runs_of_other_networks_correct_an_estimate() -> None:
    speeds, small, large = Speeds(lambda: 50.0), spec("small", gmacs=10.0), spec("large", gmacs=100.0)
    speeds.record(small, CPU, 0.4)  # twice its estimate
    assert speeds.of(large, CPU).value == pytest.approx(4.0)
    speeds.record(spec("other", gmacs=50.0), CPU, 0.5)  # half of its estimate
    assert speeds.of(large, CPU).value == pytest.approx(2.0)
    assert speeds.of(large, CUDA).value == pytest.approx(100.0 / GPU_GMACS)


def test_the_first_run_on_a_gpu_is_not_what_a_picture_takes() -> None:
    speeds, model = Speeds(lambda: 50.0), spec(gmacs=100.0)
    speeds.record(model, CUDA, 30.0)
    assert not speeds.of(model, CUDA).measured
    speeds.record(model, CUDA, 0.1)
    assert math.isclose(speeds.of(model, CUDA).value, 0.1)
