"""Unregistered models run apart: whatever their files do, it ends as a sentence, and the next model works."""

import ctypes
import gc
import math
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from segmentation import Session, SessionError, SessionPool
from segmentation.models.spec import own_file_spec
from segmentation.network.isolated import IsolatedEngine
from segmentation.network.providers import CPU
from segmentation.network.watchdog import RunCancelledError
from segmentation.sandbox.process import Sandbox
from segmentation.sandbox.protections import missing_protections
from tests import graphs
from tests.waiting import until

linux = pytest.mark.skipif(bool(missing_protections()), reason=f"this system protects less: {missing_protections()}")

TENSOR = np.full((1, 3, 64, 64), 0.25, np.float32)


def own(path: Path, **options: Any) -> Session:
    return Session(own_file_spec(path), path, "cpu", **options)


def sandbox(session: Session) -> Sandbox:
    assert isinstance(session._engine, IsolatedEngine)
    return session._engine._sandbox


def works(session: Session) -> bool:
    answer = session.run(TENSOR)
    return answer.provider == CPU and np.allclose(answer.output, 0.25)


# ------------------------------------------------------------------------------------------------- what works


def test_an_unregistered_model_runs_apart_and_a_registered_one_does_not(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "own.onnx")
    session = own(path)
    assert works(session)
    assert sandbox(session)._process.pid != os.getpid()
    assert session.provider_note == ""
    assert not isinstance(Session(graphs.make_spec(path), path, "cpu")._engine, IsolatedEngine)


def test_a_session_tells_the_memory_of_its_process(tmp_path: Path) -> None:
    session = own(graphs.brightness(tmp_path / "own.onnx", ("h", "w")))
    loaded = session.memory
    assert loaded > 5 << 20 or missing_protections()
    session.run(np.zeros((1, 3, 1024, 1024), np.float32))
    assert session.memory > loaded or missing_protections()


def test_a_real_model_gives_identical_values_apart(u2netp: Session) -> None:
    apart = Session(u2netp.spec.model_copy(update={"registered": False}), u2netp.path, "cpu")
    tensor = np.random.default_rng(0).random((1, 3, 320, 320), np.float32)
    assert np.array_equal(apart.run(tensor).output, u2netp.run(tensor).output)


def test_threads_take_turns(tmp_path: Path) -> None:
    session = own(graphs.brightness(tmp_path / "own.onnx"))
    found = []

    def run(level: float) -> None:
        found.append((level, float(session.run(np.full((1, 3, 64, 64), level, np.float32)).output.mean())))

    threads = [threading.Thread(target=run, args=(level / 8,)) for level in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(math.isclose(level, answer) for level, answer in found)


def test_an_idle_process_ends_and_the_next_run_starts_another(tmp_path: Path) -> None:
    session = own(graphs.brightness(tmp_path / "own.onnx"))
    assert works(session)
    assert not session.give_memory_back(60)
    assert session.give_memory_back(0)
    assert session._engine.held_bytes == 0
    assert not session.give_memory_back(0)
    assert works(session)


def test_a_process_that_never_ran_ends_when_idle(tmp_path: Path) -> None:
    session = own(graphs.brightness(tmp_path / "own.onnx"))
    assert session.give_memory_back(0)
    assert not sandbox(session).is_alive


def test_a_session_dropped_from_the_pool_ends_its_process(tmp_path: Path) -> None:
    specs = [own_file_spec(graphs.brightness(tmp_path / f"{name}.onnx")) for name in "ab"]
    pool = SessionPool(lambda spec, threads: Session(spec, tmp_path / spec.weights.file, "cpu", threads), budget=1)
    process = sandbox(pool.get(specs[0]))._process
    assert process.poll() is None
    assert works(pool.get(specs[1]))
    gc.collect()
    assert process.poll() is not None


# ------------------------------------------------------------------------------------------------- what hurts


def test_a_crash_during_a_run_is_a_sentence_and_the_next_run_works(tmp_path: Path) -> None:
    session = own(graphs.endless(tmp_path / "own.onnx"))
    process, engine = sandbox(session)._process, session._engine
    assert isinstance(engine, IsolatedEngine)

    def kill() -> None:
        until(engine._lock.locked)
        time.sleep(0.2)  # until it computes
        ctypes.CDLL(None).kill(process.pid, 11)

    threading.Thread(target=kill).start()
    with pytest.raises(SessionError, match=r"^own could not be run at \(1, 3, 64, 64\): it crashed\. If you set"):
        session.run(TENSOR)
    graphs.brightness(tmp_path / "own.onnx")
    assert works(session)


def test_an_endless_model_is_ended_and_others_do_not_wait_for_it(tmp_path: Path) -> None:
    endless, other = (
        own(graphs.endless(tmp_path / "endless.onnx"), seconds=3),
        own(graphs.brightness(tmp_path / "b.onnx")),
    )
    said: list[Exception] = []

    def run() -> None:
        with pytest.raises(
            SessionError, match=r"^endless took longer than 3 s for this picture and was stopped"
        ) as caught:
            endless.run(TENSOR)
        said.append(caught.value)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(20):
        assert works(other)
    assert not said  # they were all answered meanwhile
    thread.join()
    assert len(said) == 1


def test_a_single_operation_is_interrupted(tmp_path: Path) -> None:
    """Inside the server, ONNX Runtime only stops between operations."""
    path = graphs.write_graph(
        tmp_path / "own.onnx",
        [
            helper.make_node("ReduceMean", ["image"], ["level"], axes=[0, 1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["matrix", "level"], ["left"]),
            helper.make_node("Expand", ["left", "large"], ["many"]),
            helper.make_node("MatMul", ["many", "many"], ["product"]),
            helper.make_node("ReduceMean", ["product"], ["one"], keepdims=0),
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Add", ["mean", "one"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
        {"matrix": np.ones((1, 1), np.float32), "large": np.array([8000, 8000], np.int64)},
    )
    session = own(path)
    begun = time.monotonic()
    with pytest.raises(RunCancelledError):
        session.run(TENSOR, cancelled=lambda: time.monotonic() - begun > 0.5)
    assert time.monotonic() - begun < 5
    assert not sandbox(session).is_alive


def test_a_cancelled_run_that_waits_for_its_turn_ends(tmp_path: Path) -> None:
    session = own(graphs.endless(tmp_path / "own.onnx"))
    over = threading.Event()
    errors = []

    def run() -> None:
        with pytest.raises(RunCancelledError) as caught:
            session.run(TENSOR, cancelled=over.is_set)
        errors.append(caught)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    over.set()
    for thread in threads:
        thread.join(10)
    assert len(errors) == 2


@linux
@pytest.mark.parametrize("edge", [16_000, 164_000], ids=["1 GB", "100 GB"])
def test_a_model_that_wants_too_much_memory_is_refused(tmp_path: Path, edge: int) -> None:
    session = own(graphs.greedy(tmp_path / "own.onnx", edge), own_models_mb=200)
    with pytest.raises(SessionError, match=r"^own could not be run at .*: it needs more memory than is allowed\. "):
        session.run(TENSOR)


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "own.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SessionError, match=r"^own: own\.onnx cannot be loaded: it is truncated"):
        own(path)


def test_a_file_of_noise_in_the_shape_of_a_network_is_refused(tmp_path: Path) -> None:
    path = graphs.noise(tmp_path / "own.onnx")
    with pytest.raises(SessionError, match=r"^own: own\.onnx cannot be loaded: "):
        own(path)


def test_operators_of_ones_own_are_refused(tmp_path: Path) -> None:
    path = graphs.own_operators(tmp_path / "own.onnx")
    with pytest.raises(SessionError, match=r"^own: own\.onnx cannot be loaded: .*com\.example.*Steal"):
        own(path)


# ------------------------------------------------------------------------------------------------- data beside it


def pointing_to(folder: Path, location: str) -> Path:
    """A network in that folder whose data lies at this location."""
    source = graphs.with_external_data(folder.parent / "source.onnx")
    model = onnx.load(source, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    folder.mkdir()
    path = folder / "own.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["{parent}/source.onnx.data", "../source.onnx.data", "x/../../source.onnx.data"])
def test_data_outside_its_folder_is_refused(tmp_path: Path, location: str) -> None:
    path = pointing_to(tmp_path / "model", location.format(parent=tmp_path))
    with pytest.raises(
        SessionError, match=r"^own: own\.onnx cannot be loaded: it refers to data outside its folder\.$"
    ):
        own(path)


@pytest.mark.parametrize("target", ["/etc/passwd", "../source.onnx.data"])
def test_a_link_out_of_its_folder_is_refused(tmp_path: Path, target: str) -> None:
    path = pointing_to(tmp_path / "model", "data")
    (path.parent / "data").symlink_to(target)
    with pytest.raises(SessionError, match=r"cannot be loaded: it refers to data outside its folder\.$"):
        own(path)


@linux
def test_data_that_we_overlook_is_out_of_reach_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pointing_to(tmp_path / "model", "data")
    (path.parent / "data").write_bytes((tmp_path / "source.onnx.data").read_bytes())
    assert works(own(path))
    monkeypatch.setattr("segmentation.network.isolated.data_files", lambda _: [])
    with pytest.raises(SessionError, match="cannot be loaded: "):
        own(path)


def test_data_in_a_folder_below_works(tmp_path: Path) -> None:
    path = pointing_to(tmp_path / "model", "deep/data")
    (path.parent / "deep").mkdir()
    shutil.copy(tmp_path / "source.onnx.data", path.parent / "deep" / "data")
    assert works(own(path))


@pytest.mark.parametrize("place", ["", "onnx/"])
def test_the_links_of_the_hubs_cache_work(tmp_path: Path, place: str) -> None:
    source = pointing_to(tmp_path / "model", "own.onnx_data")
    snapshot = tmp_path / "snapshots" / ("0" * 40) / place
    (tmp_path / "blobs").mkdir()
    snapshot.mkdir(parents=True)
    for name, file, blob in (
        ("own.onnx", source, "a" * 64),
        ("own.onnx_data", tmp_path / "source.onnx.data", "b" * 64),
    ):
        shutil.copy(file, tmp_path / "blobs" / blob)
        (snapshot / name).symlink_to(os.path.relpath(tmp_path / "blobs" / blob, snapshot))
    assert works(own(snapshot / "own.onnx"))


# ------------------------------------------------------------------------------------------------- lies


@pytest.mark.parametrize(
    ("answer", "arrays"),
    [
        ({}, [TENSOR]),
        ({"provider": "CUDAExecutionProvider", "note": ["", {}]}, [TENSOR]),
        ({"provider": CPU, "note": ["", {}]}, []),
        ({"error": ["{x:>99999999999}", {"x": 1}]}, [TENSOR]),
        ({"error": 5}, [TENSOR]),
    ],
)
def test_lies_of_the_process_are_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], arrays: list[Any]
) -> None:
    session = own(graphs.brightness(tmp_path / "own.onnx"))
    lie: Callable[..., Any] = lambda *_, **__: (answer, arrays)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "call", lie)
        with pytest.raises(SessionError, match=r"could not be run at .*: it crashed\."):
            session.run(TENSOR)
    assert works(session)
