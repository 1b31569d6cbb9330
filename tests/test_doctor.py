"""The doctor, and what it looks through: which GPU is there, and why it cannot be used."""

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import pytest

from segmentation.__main__ import main
from segmentation.config import Config
from segmentation.doctor import examine
from segmentation.models.registry import Registry
from segmentation.network.gpu.devices import Gpu, gpus
from segmentation.network.gpu.probe import gpu_problem, usable_providers
from segmentation.network.providers import CPU, CUDA
from tests import graphs
from tests.network.simulated_gpu import GB, simulate_driver

linux = pytest.mark.skipif(sys.platform == "win32", reason="the simulated driver has Linux's names")


@pytest.fixture(autouse=True)
def _each_test_looks_anew() -> Iterator[None]:
    gpu_problem.cache_clear()
    yield
    gpu_problem.cache_clear()


@pytest.fixture
def two_models(tmp_path: Path) -> Registry:
    """One on the disk, one that is not."""
    here = graphs.make_spec(graphs.brightness(tmp_path / "here.onnx"))
    gone = graphs.make_spec(graphs.brightness(tmp_path / "gone.onnx"))
    (tmp_path / "gone.onnx").unlink()
    return Registry([here, gone])


# ------------------------------------------------------------------------------------------------- cards


@linux
def test_the_cards_are_those_that_the_driver_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_driver(monkeypatch, cards=[("NVIDIA T4", 16 * GB, 15 * GB), ("NVIDIA L4", 24 * GB, 1 * GB)])
    assert gpus() == [Gpu("NVIDIA T4", 16384, 15360, "580.95.05"), Gpu("NVIDIA L4", 24576, 1024, "580.95.05")]


@linux
def test_a_driver_without_a_card_and_one_that_does_not_answer_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_driver(monkeypatch, cards=[])
    assert gpus() == []
    simulate_driver(monkeypatch, nvml=9)  # NVML_ERROR_DRIVER_NOT_LOADED
    assert gpus() is None
    simulate_driver(monkeypatch, nvml=12)  # NVML_ERROR_LIBRARY_NOT_FOUND
    assert gpus() is None


# ------------------------------------------------------------------------------------------------- why not the GPU


@linux
def test_a_card_with_all_its_libraries_is_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_driver(monkeypatch)
    assert usable_providers("auto") == ([CUDA, CPU], "")


@linux
@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        ({"missing": "libcuda.so.1"}, r"No NVIDIA driver is installed \(libcuda\.so\.1 not found\)"),
        ({"missing": "libcudnn.so.9"}, r"^libcudnn\.so\.9 not found: pip install 'onnxruntime-gpu\[cuda,cudnn\]==1"),
        ({"cuda": 12040}, "driver supports CUDA 12.4; this ONNX Runtime needs 13: install driver 580"),
        ({"cards": []}, "The NVIDIA driver finds no GPU"),
    ],
)
def test_what_stands_in_the_way_of_the_gpu_is_named(
    monkeypatch: pytest.MonkeyPatch, machine: dict[str, object], sentence: str
) -> None:
    simulate_driver(monkeypatch, **machine)  # type: ignore[arg-type]
    found, problem = usable_providers("auto")
    assert found == [CPU]
    assert re.search(sentence, problem), problem


@linux
def test_a_card_hidden_by_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_driver(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpu_problem() == "CUDA_VISIBLE_DEVICES=-1 hides the GPU from this process."


@linux
def test_tensorrt_names_its_own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate_driver(monkeypatch, missing="libnvinfer.so.10")
    assert gpu_problem() == ""
    assert gpu_problem(tensorrt=True) == "libnvinfer.so.10 not found: pip install 'tensorrt-cu13<11'."


def test_two_builds_of_onnx_runtime_on_top_of_each_other_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: name)
    assert "both installed and overwrite each other: pip uninstall -y onnxruntime onnxruntime-gpu" in gpu_problem()


def test_a_build_without_cuda_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> str:
        if name != "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return name

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    assert gpu_problem().startswith("This ONNX Runtime was built without CUDA")


# ------------------------------------------------------------------------------------------------- the whole


def test_each_model_is_said_to_run_where_it_runs(two_models: Registry, tmp_path: Path) -> None:
    found = examine(Config(models_folder=tmp_path, device="cpu"), two_models)
    assert any(line.startswith("here ") and line.endswith("runs on CPU") for line in found.lines)
    assert any(line.startswith("gone ") and "would run on CPU; not downloaded yet" in line for line in found.lines)
    assert f"ONNX Runtime {onnxruntime.__version__}" in "\n".join(found.lines)
    assert found.advice == []


@linux
def test_a_card_that_cannot_be_used_is_something_to_do(
    monkeypatch: pytest.MonkeyPatch, two_models: Registry, tmp_path: Path
) -> None:
    simulate_driver(monkeypatch, missing="libcudnn.so.9")
    found = examine(Config(models_folder=tmp_path), two_models)
    assert "NVIDIA T4, 16384 MB, 15360 MB of it free, driver 580.95.05" in found.lines
    (advice,) = found.advice
    assert advice.startswith("libcudnn.so.9 not found: pip install")


@linux
def test_a_card_that_looks_fine_and_is_not_used_is_something_to_do(
    monkeypatch: pytest.MonkeyPatch, two_models: Registry, tmp_path: Path
) -> None:
    if not gpu_problem():
        pytest.skip("this machine has a GPU")
    simulate_driver(monkeypatch)  # ONNX Runtime itself finds none of it
    found = examine(Config(models_folder=tmp_path), two_models)
    assert [
        line for line in found.advice if line.startswith("here: ONNX Runtime could not start this model on the GPU")
    ]


def test_a_damaged_model_is_something_to_do(two_models: Registry, tmp_path: Path) -> None:
    path = tmp_path / "here.onnx"
    path.write_bytes(bytes(path.stat().st_size))
    found = examine(Config(models_folder=tmp_path, device="cpu"), two_models)
    assert any("sha256" in advice for advice in found.advice)


def test_the_command_says_what_to_do_and_fails_where_there_is_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("SEGMATTE_DEVICE", "cpu")
    assert main(["doctor"]) == 0
    assert "Nothing to do." in capsys.readouterr().out
    monkeypatch.setenv("SEGMATTE_DEVICE", "quantum")
    assert main(["doctor"]) == 1
    assert "- There is no device 'quantum'" in capsys.readouterr().out
