"""How a network is run on a GPU: real networks on a simulated card (tests/simulated_gpu.py)."""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from segmentation import Session, SessionError
from segmentation.config import Config
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.probe import gpu_problem
from segmentation.network.providers import CPU, CUDA, TENSORRT
from segmentation.network.reading import to_probability
from segmentation.picture.picture import Picture
from segmentation.prediction import predict
from segmentation.settings import with_values
from tests import graphs
from tests.network.simulated_gpu import Runs, out_of_memory, simulate_card

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the simulated driver has Linux's names")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    yield simulate_card(monkeypatch)
    monkeypatch.undo()
    gpu_problem.cache_clear()


def loaded(path: Path, device: Any = "auto", *, graphs_: bool = False, **input_: Any) -> Session:
    gpu = GpuOptions(memory_mb=1000, graphs=graphs_, engines=path.parent / "engines")
    return Session(graphs.make_spec(path, **input_), path, device, gpu=gpu)


def grey(level: float, height: int = 64, width: int = 64) -> Any:
    return np.full((1, 3, height, width), level, np.float32)


# ------------------------------------------------------------------------------------------------- how it is run


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_the_card_answers_as_the_cpu_does(card: Runs, tmp_path: Path, kind: int) -> None:
    path = graphs.brightness(tmp_path / "net.onnx", kind=kind)
    dtypes: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}
    dtype = dtypes[kind]
    on_card, on_cpu = loaded(path, dtype=dtype), loaded(path, "cpu", dtype=dtype)
    assert (on_card.provider, on_card.provider_note) == (CUDA, "")
    answers = []
    for seed in range(3):  # through the same buffers each time
        tensor = np.random.default_rng(seed).random((1, 3, 64, 64)).astype(dtype)
        answers.append((on_card.run(tensor).output, on_cpu.run(tensor).output))
    for ours, theirs in answers:  # and none was overwritten by a later one
        assert np.array_equal(ours, theirs)
    assert len(card.loads) == 1


def test_a_network_of_any_size_may_change_it(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx", ("h", "w"))
    session = loaded(path, dynamic=True)
    for height, width, level in ((64, 64, 0.1), (96, 32, 0.2), (64, 64, 0.3), (64, 64, 0.4)):
        answer = session.run(grey(level, height, width)).output
        assert answer.shape == (1, 1, height, width)
        np.testing.assert_allclose(answer, level, atol=1e-6)


def test_many_callers_share_one_thread_of_the_card(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    with ThreadPoolExecutor(8) as executor:
        for n, answer in enumerate(executor.map(session.run, [grey(n / 100) for n in range(50)])):
            np.testing.assert_allclose(answer.output, n / 100, atol=1e-6)
    assert len(card.threads) == 1


def test_a_tensor_that_lies_crooked_in_memory_is_taken(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    tensor = np.random.default_rng(0).random((1, 64, 64, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(session.run(tensor).output, tensor.mean(1, keepdims=True), atol=1e-6)


def test_what_cuda_may_take_is_limited(card: Runs, tmp_path: Path) -> None:
    loaded(graphs.brightness(tmp_path / "net.onnx"))
    (providers,) = card.loads
    assert list(providers) == [CUDA, CPU]
    assert providers[CUDA]["gpu_mem_limit"] == str(1000 << 20)
    assert providers[CUDA]["arena_extend_strategy"] == "kSameAsRequested"
    assert providers[CUDA]["cudnn_conv_algo_search"] == "HEURISTIC"
    assert providers[CUDA]["enable_cuda_graph"] == "0"


def test_tensorrt_keeps_its_engines_in_a_folder_that_is_there(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"), "tensorrt")
    assert session.provider == TENSORRT
    (providers,) = card.loads
    assert list(providers) == [TENSORRT, CUDA, CPU]
    assert providers[TENSORRT]["trt_engine_cache_enable"] == "1"
    assert Path(providers[TENSORRT]["trt_engine_cache_path"]).is_dir()
    np.testing.assert_allclose(session.run(grey(0.5)).output, 0.5)


def test_tensorrt_without_a_place_for_its_engines_is_told(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx")
    (tmp_path / "engines").write_text("a file is in the way")
    with pytest.raises(SessionError, match=r"TensorRT cannot store its engines .*SEGMATTE_ENGINES_DIR"):
        loaded(path, "tensorrt")


def test_graphs_are_captured_for_networks_of_one_size_alone(card: Runs, tmp_path: Path) -> None:
    loaded(graphs.brightness(tmp_path / "fixed.onnx"), graphs_=True)
    loaded(graphs.brightness(tmp_path / "free.onnx", ("h", "w")), graphs_=True, dynamic=True)
    assert [providers[CUDA]["enable_cuda_graph"] for providers in card.loads] == ["1", "0"]


def test_a_network_that_cannot_be_captured_runs_on_the_card_without(card: Runs, tmp_path: Path) -> None:
    card.load_errors = [RuntimeError("This session cannot use the graph capture feature")]
    session = loaded(graphs.brightness(tmp_path / "net.onnx"), graphs_=True)
    assert (session.provider, session.provider_note) == (CUDA, "")
    assert [providers[CUDA]["enable_cuda_graph"] for providers in card.loads] == ["0"]


# ------------------------------------------------------------------------------------------------- its memory


def test_an_idle_network_gives_the_cards_memory_back(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    session.run(grey(0.5)).output
    assert session.give_memory_back(0)
    assert card.shrunk == ["gpu:0"]
    np.testing.assert_allclose(session.run(grey(0.25)).output, 0.25)


def test_a_captured_graph_keeps_the_memory_that_it_replays_into(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"), graphs_=True)
    session.run(grey(0.5)).output
    assert not session.give_memory_back(0)
    assert card.shrunk == []


def test_a_network_that_ran_out_of_memory_is_loaded_anew_and_asked_again(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    card.run_errors = [out_of_memory()]
    np.testing.assert_allclose(session.run(grey(0.5)).output, 0.5)
    assert (session.provider, session.provider_note) == (CUDA, "")
    assert len(card.loads) == 2
    assert card.most_alive == 1  # the first one's memory was free before the second one was loaded
    np.testing.assert_allclose(session.run(grey(0.25)).output, 0.25)
    assert len(card.loads) == 2


def test_one_that_runs_out_again_goes_on_on_the_cpu_says_so_and_comes_back(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    card.run_errors = [out_of_memory(), out_of_memory()]
    prediction = predict(Picture(np.full((64, 64, 3), 255, np.uint8)), session)
    assert prediction.provider == session.provider == CPU
    assert session.provider_note == "The GPU has too little free memory for this model at (1, 3, 64, 64)."
    np.testing.assert_allclose(session.run(grey(0.25)).output, 0.25)
    assert session.provider == CPU  # it is not tried at every picture
    assert session.give_memory_back(0)
    assert (session.provider, session.provider_note) == (CUDA, "")
    np.testing.assert_allclose(session.run(grey(0.75)).output, 0.75)


def test_a_picture_is_reported_with_the_provider_that_computed_it(
    card: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))

    def read_late(*arguments: Any) -> Any:
        """Between the first picture's run and its report, the second one sends the network to the CPU."""
        if not card.run_errors and session.provider == CUDA:
            card.run_errors = [out_of_memory(), out_of_memory()]
            session.run(grey(0.5))
        return to_probability(*arguments)

    monkeypatch.setattr("segmentation.prediction.to_probability", read_late)
    white = Picture(np.full((64, 64, 3), 255, np.uint8))
    first, second = predict(white, session), predict(white, session)
    assert (first.provider, first.provider_note) == (CUDA, "")
    assert second.provider == CPU
    assert "too little free memory" in second.provider_note


def test_one_that_cannot_be_loaded_anew_goes_on_on_the_cpu(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    card.run_errors, card.load_errors = [out_of_memory()], [out_of_memory()]
    np.testing.assert_allclose(session.run(grey(0.5)).output, 0.5)
    assert session.provider == CPU
    assert "could not start this model on the GPU" in session.provider_note
    assert session.give_memory_back(0)
    assert session.provider == CUDA


def test_a_device_asked_for_by_name_is_not_replaced_and_the_next_picture_works(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"), "cuda")
    card.run_errors = [out_of_memory(), out_of_memory()]
    with pytest.raises(SessionError, match=r"too little free memory .* smaller size or model, or the device auto"):
        session.run(grey(0.5)).output
    np.testing.assert_allclose(session.run(grey(0.25)).output, 0.25)
    assert session.provider == CUDA


def test_onnx_runtimes_own_words_for_it_are_known(card: Runs, tmp_path: Path) -> None:
    path = graphs.write_graph(  # 4 TB
        tmp_path / "net.onnx",
        [
            helper.make_node("Expand", ["image", "huge"], ["all"]),
            helper.make_node("ReduceMean", ["all"], ["matte"], axes=[1], keepdims=1),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 1, 1))},
        {"matte": (TensorProto.FLOAT, (1, 1, "h", "w"))},
        {"huge": np.array([1, 3, 1 << 19, 1 << 19], np.int64)},
    )
    session = loaded(path, "cuda", size=(1, 1))
    with pytest.raises(SessionError, match="The GPU has too little free memory"):
        session.run(grey(0.5, 1, 1)).output
    assert len(card.loads) == 2


@pytest.mark.parametrize(
    "words",
    [
        "bfc_arena.cc:360 onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Available memory of 49 is less",
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=vm ; file=cuda_allocator.cc ; line=50 ; expr=cudaMalloc",
        "CUBLAS failure 3: the resource allocation failed ; GPU=0 ; hostname=vm ; expr=cublasCreate(&cublas_handle_); ",
        "CUDNN failure 4003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0 ; hostname=vm",
    ],
)
def test_a_full_card_is_a_lack_of_memory(card: Runs, tmp_path: Path, words: str) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    card.run_errors = [RuntimeError(words), RuntimeError(words)]
    np.testing.assert_allclose(session.run(grey(0.5)).output, 0.5)
    assert session.provider_note == "The GPU has too little free memory for this model at (1, 3, 64, 64)."
    card.load_errors = [RuntimeError(words)]
    session = loaded(graphs.brightness(tmp_path / "other.onnx"))
    assert session.provider_note.endswith("on the GPU: it needs more memory than is allowed.")


def test_what_else_fails_on_the_card_is_no_lack_of_memory(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"))
    card.run_errors = [RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")]
    with pytest.raises(SessionError, match=r"could not be run at .*CUDNN_STATUS_EXECUTION_FAILED"):
        session.run(grey(0.5)).output
    assert len(card.loads) == 1


# ------------------------------------------------------------------------------------------------- no start


def test_a_card_on_which_it_does_not_start_is_told(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx")
    card.load_errors = [RuntimeError(f"CUDA failure 100: no CUDA-capable device is detected; {path}")]
    session = loaded(path)
    assert session.provider == CPU
    assert re.search(
        r"could not start this model on the GPU: .*no CUDA-capable device.*; net.onnx", session.provider_note
    )
    np.testing.assert_allclose(session.run(grey(0.5)).output, 0.5)
    long = "cuda_call.cc:154 onnxruntime::CudaCall(ERRTYPE, const char*) [with ERRTYPE = cudaError; bool THRW = true] "
    card.load_errors = [RuntimeError(f"{long * 2}CUDA failure 304: OS call failed ; GPU=-1 ; hostname=vm ; line=1")]
    assert loaded(path).provider_note.endswith("on the GPU: CUDA failure 304: OS call failed.")
    card.load_errors = [RuntimeError("CUDA failure 100")]
    with pytest.raises(SessionError, match=r"net\.onnx cannot be loaded on cuda: CUDA failure 100"):
        loaded(path, "cuda")


def test_a_file_that_is_no_network_is_told_as_on_the_cpu(card: Runs, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(SessionError, match=r"Net: net\.onnx cannot be loaded: "):
        loaded(path)


def test_the_limits_default_to_those_of_the_environment() -> None:
    assert GpuOptions() == GpuOptions.of(Config())
    assert GpuOptions.of(with_values(Config(), gpu_mb=5, cuda_graphs=True, gpu_batch=2)) == replace(
        GpuOptions(), memory_mb=5, graphs=True, batch=2
    )
