"""Loading and running real tiny networks: what fits runs, what does not says how it differs from the registry."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from segmentation import ModelSpec, Registry, Session, SessionError, SessionPool, Settings, load_session
from segmentation.models.spec import own_file_spec
from segmentation.network.gpu.probe import gpu_problem, usable_providers
from segmentation.network.machine import available_cores
from segmentation.network.providers import CPU
from segmentation.picture.picture import Picture
from segmentation.prediction import predict
from tests import graphs

HALF_BRIGHT = np.zeros((100, 140, 3), np.uint8)
HALF_BRIGHT[:, 70:] = 255


def left_and_right(session: Session, settings: Settings | None = None) -> tuple[float, float]:
    """The answer far inside either half of a picture that is black on the left and white on the right."""
    (probability,) = predict(Picture(HALF_BRIGHT), session, settings).maps.values()
    height, width = probability.shape
    return float(probability[height // 2, width // 8]), float(probability[height // 2, -width // 8])


# ------------------------------------------------------------------------------------------------- what runs


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (graphs.brightness, {}),
        (lambda path: graphs.brightness(path, kind=TensorProto.FLOAT16), {"input_": {"dtype": "float16"}}),
        (lambda path: graphs.brightness(path, ("h", "w")), {"input_": {"dynamic": True, "multiple_of": 32}}),
        (
            lambda path: graphs.brightness(path, ("h", "w")),
            {"input_": {"dynamic": True, "multiple_of": 32, "size": 64, "resize": "fit_short"}},
        ),
        (graphs.brightness_bytes, {"input_": {"dtype": "uint8", "scale": 1, "layout": "NHWC"}}),
        (graphs.brightness_logits, {"output": {"kind": "logits", "activation": "sigmoid"}}),
        (graphs.brightness, {"input_": {"name": "image"}, "output": {"name": "matte"}}),
        (graphs.brightest_channel, {"output": {"name": "scores", "channel": 1}}),
        (graphs.brightest_channel, {"output": {"index": 0, "channel": 2}}),
    ],
    ids=["plain", "half", "dynamic", "fit_short", "bytes", "logits", "names", "output by name", "output by index"],
)
def test_a_network_of_any_kind_answers(tmp_path: Path, make: Callable[[Path], Path], options: dict[str, Any]) -> None:
    path = make(tmp_path / "net.onnx")
    spec = graphs.make_spec(path, output=options.get("output"), **options.get("input_", {}))
    dark, bright = left_and_right(Session(spec, path, "cpu"))
    assert dark < 0.01
    assert bright > 0.99


def test_a_dynamic_network_takes_another_size(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx", ("h", "w"))
    session = Session(graphs.make_spec(path, dynamic=True, multiple_of=32), path, "cpu")
    prediction = predict(Picture(HALF_BRIGHT), session, Settings(size=(96, 160)))
    assert prediction.network_size == (96, 160)
    assert prediction.maps[""].shape == (96, 160)


def test_a_network_said_to_be_dynamic_takes_the_one_size_it_has(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx", (64, 96))
    session = Session(graphs.make_spec(path, dynamic=True, size=64, resize="fit_short"), path, "cpu")
    assert (session.input.size, session.input.dynamic, session.input.resize) == ((64, 96), False, "stretch")
    assert left_and_right(session)[1] > 0.99


def test_a_session_knows_its_model_and_where_it_computes(tiny: Session) -> None:
    assert tiny.spec.id == "tiny"
    assert tiny.provider == CPU
    assert tiny.provider_note == ""
    assert tiny.input.name == "image"


def test_a_session_may_be_used_by_many_threads(tiny: Session) -> None:
    tensors = [np.full((1, 3, 64, 64), n / 100, np.float32) for n in range(100)]
    with ThreadPoolExecutor(8) as executor:
        for n, answer in enumerate(executor.map(tiny.run, tensors)):
            np.testing.assert_allclose(answer.output, n / 100, atol=1e-6)


# ------------------------------------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (
            graphs.brightness,
            {"size": (32, 32)},
            r"input\.size is \(64, 64\) in the file and \(32, 32\) in the registry",
        ),
        (graphs.brightness, {"name": "pixels"}, "input.name is image in the file and pixels in the registry"),
        (graphs.brightness, {"dtype": "float16"}, "input.dtype is float32 in the file and float16 in the registry"),
        (graphs.brightness, {"layout": "NHWC"}, "input.layout is NCHW in the file and NHWC in the registry"),
        (graphs.brightness_bytes, {}, "input.layout is NHWC.*input.dtype is uint8"),
        (graphs.two_inputs, {}, r"needs 2 inputs \(image, points\), but only a picture can be given"),
        (graphs.not_for_pictures, {}, r"does not take pictures: its input is tensor\(int64\) of shape \[1, 16\]"),
    ],
)
def test_a_network_of_another_contract_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], options: dict[str, Any], sentence: str
) -> None:
    path = make(tmp_path / "net.onnx")
    with pytest.raises(SessionError, match=f"Net.*{sentence}"):
        Session(graphs.make_spec(path, **options), path, "cpu")


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ({"name": "nothing"}, "Net has no output nothing; it has matte"),
        ({"index": 3}, "Net has 1 outputs, so index 3 does not exist"),
    ],
)
def test_an_output_that_is_not_there_is_named(tmp_path: Path, output: dict[str, Any], sentence: str) -> None:
    path = graphs.brightness(tmp_path / "net.onnx")
    with pytest.raises(SessionError, match=sentence):
        Session(graphs.make_spec(path, output=output), path, "cpu")


@pytest.mark.parametrize("content", [b"", b"not a network", bytes(1000)])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(SessionError, match=r"Net: net\.onnx cannot be loaded: ") as caught:
        Session(own_file_spec(path).model_copy(update={"title": "Net"}), path, "cpu")
    assert len(str(caught.value)) < 400


def test_a_truncated_network_is_refused(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx")
    spec = graphs.make_spec(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SessionError, match=r"net\.onnx cannot be loaded: "):
        Session(spec, path, "cpu")


def test_axes_without_numbers_take_the_layout_of_the_registry(tmp_path: Path) -> None:
    path = graphs.write_graph(
        tmp_path / "net.onnx",
        [helper.make_node("ReduceMean", ["image"], ["matte"], axes=[3], keepdims=1)],
        {"image": (TensorProto.FLOAT, ("n", "h", "w", "c"))},
        {"matte": (TensorProto.FLOAT, ("n", "h", "w", 1))},
    )
    session = Session(graphs.make_spec(path, layout="NHWC", dynamic=True), path, "cpu")
    assert left_and_right(session)[1] > 0.99


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (1, 4, 64, 64), (2, 3, 64, 64)])
def test_a_network_for_other_pictures_is_refused_when_loaded(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = graphs.write_graph(
        tmp_path / "net.onnx",
        [helper.make_node("Identity", ["image"], ["matte"])],
        {"image": (TensorProto.FLOAT, shape)},
        {"matte": (TensorProto.FLOAT, shape)},
    )
    with pytest.raises(SessionError, match="Net does not take"):
        Session(graphs.make_spec(path), path, "cpu")


def test_a_run_that_fails_says_at_which_size(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx")
    session = Session(graphs.make_spec(path), path, "cpu")
    with pytest.raises(SessionError, match=r"Net could not be run at \(1, 3, 32, 32\): .*If you set a size"):
        session.run(np.zeros((1, 3, 32, 32), np.float32))


def test_an_answer_of_no_numbers_is_refused(tmp_path: Path) -> None:
    path = graphs.not_a_number(tmp_path / "net.onnx")
    session = Session(graphs.make_spec(path), path, "cpu")
    with pytest.raises(SessionError, match="values that are not numbers"):
        predict(Picture(HALF_BRIGHT), session)


# ------------------------------------------------------------------------------------------------- files of one's own


def test_ones_own_file_takes_size_and_layout_from_the_graph(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "mine.onnx", (96, 64))
    session = Session(own_file_spec(path), path, "cpu")
    assert (session.input.size, session.input.dynamic, session.input.layout) == ((96, 64), False, "NCHW")
    assert left_and_right(session) == (0.0, 1.0)  # stretched to 0..1


def test_ones_own_file_of_any_size_works_at_1024(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "mine.onnx", ("h", "w"))
    session = Session(own_file_spec(path), path, "cpu")
    prediction = predict(Picture(HALF_BRIGHT), session)
    assert prediction.network_size == (1024, 1024)
    assert predict(Picture(HALF_BRIGHT), session, Settings(size=256)).network_size == (256, 256)


def test_ones_own_file_of_raw_bytes_gets_raw_bytes(tmp_path: Path) -> None:
    path = graphs.brightness_bytes(tmp_path / "mine.onnx")
    session = Session(own_file_spec(path), path, "cpu")
    assert (session.input.layout, session.input.dtype, session.input.scale) == ("NHWC", "uint8", 1.0)
    assert left_and_right(session) == (0.0, 1.0)


def test_ones_own_file_in_half_precision_works(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "mine.onnx", kind=TensorProto.FLOAT16)
    assert left_and_right(Session(own_file_spec(path), path, "cpu")) == (0.0, 1.0)


def test_weights_of_ones_own_may_be_loaded_under_a_registered_model(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx")
    other = graphs.brightness(tmp_path / "retrained.onnx")
    session = load_session(graphs.make_spec(path), other, device="cpu")
    assert session.spec.id == "net"
    assert left_and_right(session)[1] > 0.99


# ------------------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize("device", ["gpu", "", "CPU", "cuda:0", None, "x" * 1000])
def test_a_device_that_does_not_exist_is_refused(device: Any) -> None:
    with pytest.raises(SessionError, match=r"There is no device .*Choose one of: auto, cpu, cuda, tensorrt") as caught:
        usable_providers(device)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_asked_for_that_is_not_there_is_an_error_naming_the_library(tiny_path: Path, device: Any) -> None:
    problem = gpu_problem(tensorrt=device == "tensorrt")
    if not problem:
        pytest.skip("this machine has that GPU")
    with pytest.raises(SessionError, match=rf"{device} cannot be used: .*(\.so|\.dll|onnxruntime).*auto or cpu"):
        Session(graphs.make_spec(tiny_path), tiny_path, device)


def test_auto_takes_the_cpu_where_there_is_no_gpu_and_says_why(tiny_path: Path) -> None:
    problem = gpu_problem()
    if not problem:
        pytest.skip("this machine has a GPU")
    session = Session(graphs.make_spec(tiny_path), tiny_path)
    assert session.provider == CPU
    assert session.provider_note == problem
    assert problem.endswith(".")


def test_the_cpu_asked_for_needs_no_excuse() -> None:
    assert usable_providers("cpu") == ([CPU], "")


def test_there_is_at_least_one_core() -> None:
    assert available_cores() >= 1


def resident() -> float:
    """MB of this process in memory."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
def test_an_idle_network_gives_its_memory_back_once(registry: Registry, fetched: Callable[[str], Path]) -> None:
    session = Session(registry["modnet"], fetched("modnet"), "cpu")
    tensor = np.zeros((1, 3, 768, 768), np.float32)
    answer = session.run(tensor).output
    busy = resident()
    assert not session.give_memory_back(60)  # not idle yet
    assert session.give_memory_back(0)
    assert resident() < busy - 100
    assert not session.give_memory_back(0)  # nothing left to give
    assert np.array_equal(session.run(tensor).output, answer)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
def test_a_session_tells_the_memory_that_it_and_its_first_run_took(
    registry: Registry, fetched: Callable[[str], Path]
) -> None:
    start = resident()
    session = Session(registry["modnet"], fetched("modnet"), "cpu")
    loaded = session.memory
    assert loaded / 2**20 == pytest.approx(resident() - start, abs=10)
    tensor = np.zeros((1, 3, 768, 768), np.float32)
    session.run(tensor).output
    assert session.memory > loaded + 50 * 2**20
    assert session.memory / 2**20 == pytest.approx(resident() - start, abs=20)
    before = session.memory
    session.run(tensor).output
    assert session.memory == before


# ------------------------------------------------------------------------------------------------- pool


@pytest.fixture
def three_specs(tmp_path: Path) -> list[ModelSpec]:
    return [graphs.make_spec(graphs.brightness(tmp_path / f"{name}.onnx")) for name in "abc"]


class Loader:
    """Loads from a folder and keeps count."""

    def __init__(self, folder: Path, failures: int = 0) -> None:
        self.folder, self.failures, self.loaded = folder, failures, list[str]()

    def __call__(self, spec: ModelSpec, threads: int | None) -> Session:
        self.loaded.append(spec.id)
        time.sleep(0.05)  # long enough for every thread to ask meanwhile
        if self.failures:
            self.failures -= 1
            raise SessionError("not this time")
        return Session(spec, self.folder / spec.weights.file, "cpu", threads)


def test_a_session_asked_for_by_many_at_once_is_built_once(tmp_path: Path, three_specs: list[ModelSpec]) -> None:
    load = Loader(tmp_path)
    pool = SessionPool(load)
    start = threading.Barrier(8)

    def ask(_: int) -> Session:
        start.wait()
        return pool.get(three_specs[0])

    with ThreadPoolExecutor(8) as executor:
        sessions = set(executor.map(ask, range(8)))
    assert len(sessions) == 1
    assert load.loaded == ["a"]
    assert {model: session.provider for model, session in pool.loaded().items()} == {"a": CPU}


def test_the_least_recently_used_session_is_dropped_beyond_the_budget(
    tmp_path: Path, three_specs: list[ModelSpec]
) -> None:
    load = Loader(tmp_path)
    pool = SessionPool(load, budget=200 << 20)  # each tiny one counts as some 80 MB
    a, b, c = three_specs
    for spec in (a, b, a, c):
        pool.get(spec)
    assert list(pool.loaded()) == ["a", "c"]
    kept = pool.get(a)
    pool.get(b)
    assert list(pool.loaded()) == ["a", "b"]
    assert pool.get(a) is kept
    assert load.loaded == ["a", "b", "c", "b"]


def test_a_session_over_the_budget_is_kept_while_it_is_the_newest(tmp_path: Path, three_specs: list[ModelSpec]) -> None:
    pool = SessionPool(Loader(tmp_path), budget=1)
    first = pool.get(three_specs[0])
    assert list(pool.loaded()) == ["a"]
    pool.get(three_specs[1])
    assert list(pool.loaded()) == ["b"]
    assert left_and_right(first)[1] > 0.99  # whoever holds it may go on


def test_a_failed_load_is_tried_again(tmp_path: Path, three_specs: list[ModelSpec]) -> None:
    load = Loader(tmp_path, failures=1)
    pool = SessionPool(load)
    with pytest.raises(SessionError, match="not this time"):
        pool.get(three_specs[0])
    assert pool.loaded() == {}
    assert pool.get(three_specs[0]).spec.id == "a"
    assert load.loaded == ["a", "a"]


def test_different_models_are_built_side_by_side(tmp_path: Path, three_specs: list[ModelSpec]) -> None:
    together = threading.Barrier(2, timeout=10)

    def load(spec: ModelSpec, threads: int | None) -> Session:
        together.wait()  # raises unless the other one is being built at the same time
        return Session(spec, tmp_path / spec.weights.file, "cpu", threads)

    pool = SessionPool(load)
    with ThreadPoolExecutor(2) as executor:
        sessions = list(executor.map(pool.get, three_specs[:2]))
    assert [session.spec.id for session in sessions] == ["a", "b"]
