"""Pictures that wait for a network at the same time go through the GPU in one run: real networks on a simulated card.

The card is kept busy with one picture until as many wait as a test wants, so which batches form is no matter of time.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper

from segmentation import Session, SessionError
from segmentation.config import Config
from segmentation.models.spec import Weights
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.probe import gpu_problem
from segmentation.network.providers import CPU, CUDA, TENSORRT
from tests import graphs
from tests.network.simulated_gpu import Runs, out_of_memory, simulate_card
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the simulated driver has Linux's names")

PATIENCE = 30.0  # seconds until a test that hangs fails


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    yield simulate_card(monkeypatch)
    monkeypatch.undo()
    gpu_problem.cache_clear()


def loaded(path: Path, device: Any = "auto", *, batch: int = 4, graphs_: bool = False, **input_: Any) -> Session:
    gpu = GpuOptions(memory_mb=1000, graphs=graphs_, engines=path.parent / "engines", batch=batch)
    return Session(graphs.make_spec(path, **input_), path, device, gpu=gpu)


def picture(seed: int, height: int = 64, width: int = 64) -> Any:
    return np.random.default_rng(seed).random((1, 3, height, width), np.float32)


def grey(level: float) -> Any:
    return np.full((1, 3, 64, 64), level, np.float32)


def output(session: Session, tensor: Any) -> npt.NDArray[Any]:
    return session.run(tensor).output


def together(
    card: Runs, session: Session, tensors: Sequence[Any], waiting: int | None = None
) -> list[npt.NDArray[Any] | BaseException]:
    """Each tensor's answer or error. The first one keeps the card busy until the others wait for it, in this order.

    Those beyond `waiting` need not have come by then: not more are let in.
    """
    busy, free, before = threading.Event(), threading.Event(), card.before_run

    def hold() -> None:
        busy.set()
        assert free.wait(PATIENCE)

    queue = session._engine.engine._waiting  # type: ignore[union-attr]
    card.before_run = hold
    with ThreadPoolExecutor(len(tensors)) as executor:
        try:
            answers: list[Future[npt.NDArray[Any]]] = [executor.submit(output, session, tensors[0])]
            assert busy.wait(PATIENCE)
            for n, tensor in enumerate(tensors[1:], 1):
                answers.append(executor.submit(output, session, tensor))
                if waiting is None or n <= waiting:
                    until(lambda n=n: len(queue) == n)  # type: ignore[misc]
        finally:
            card.before_run = before
            free.set()
        return [answer.exception(PATIENCE) or answer.result() for answer in answers]


def in_turn(*errors: Callable[[], Exception] | None) -> Callable[[tuple[int, ...]], Exception | None]:
    """What the next runs fail with, one after the other; None is no failure, nor is what comes after."""
    left = iter(errors)

    def refuse(_: tuple[int, ...]) -> Exception | None:
        make = next(left, None)
        return make() if make else None

    return refuse


def cuda_failure() -> Exception:
    return RuntimeError("CUDA failure 700")


def ready(card: Runs, session: Session) -> Session:
    """After its first run and its trial, with the counters of the card at nothing."""
    session.run(picture(1000)).output
    together(card, session, [picture(seed) for seed in (1001, 1002, 1003)])
    card.shapes.clear()
    return session


def sizes(card: Runs) -> list[int]:
    """Of the batches that were run."""
    return [shape[0] for shape in card.shapes]


def assert_each_its_own(answers: Sequence[Any], tensors: Sequence[Any], path: Path, **input_: Any) -> None:
    alone = loaded(path, "cpu", **input_)
    for answer, tensor in zip(answers, tensors, strict=True):
        assert isinstance(answer, np.ndarray), answer
        assert np.array_equal(answer, alone.run(tensor).output)


# ------------------------------------------------------------------------------------------------- what forms


@pytest.mark.parametrize(("device", "provider"), [("auto", CUDA), ("tensorrt", TENSORRT)])
def test_those_who_wait_go_together_and_each_gets_its_own(
    card: Runs, tmp_path: Path, device: str, provider: str
) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path, device))
    assert session.provider == provider
    tensors = [picture(seed) for seed in range(5)]
    answers = together(card, session, tensors)
    assert sizes(card) == [1, 4]
    assert_each_its_own(answers, tensors, path)
    for answer in answers:  # none keeps the others' memory
        assert isinstance(answer, np.ndarray)
        assert answer.base is None or answer.base.nbytes == answer.nbytes


def test_no_more_go_together_than_the_limit_says(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path, batch=3))
    tensors = [picture(seed) for seed in range(6)]
    answers = together(card, session, tensors)
    assert sizes(card) == [1, 3, 2]
    assert_each_its_own(answers, tensors, path)


def test_more_callers_than_are_let_in_are_all_served(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path, batch=2))
    tensors = [picture(seed) for seed in range(20)]
    answers = together(card, session, tensors, waiting=3)
    assert sum(sizes(card)) == 20
    assert max(sizes(card)) == 2
    assert_each_its_own(answers, tensors, path)


def test_pictures_of_different_sizes_do_not_mix(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx", ("h", "w"))
    session = ready(card, loaded(path, dynamic=True))
    tensors = [picture(seed, *size) for seed, size in enumerate([(64, 64), (64, 64), (32, 96), (64, 64), (32, 96)])]
    answers = together(card, session, tensors)
    assert card.shapes == [(1, 3, 64, 64), (2, 3, 64, 64), (2, 3, 32, 96)]
    assert_each_its_own(answers, tensors, path, dynamic=True)


def test_who_comes_alone_is_not_kept_waiting(card: Runs, tmp_path: Path) -> None:
    session = ready(card, loaded(graphs.brightness_of_many(tmp_path / "net.onnx")))
    for seed in range(3):
        session.run(picture(seed)).output
    assert sizes(card) == [1, 1, 1]


def test_a_crowd_without_order_is_answered_each_its_own(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx", ("h", "w"))
    session = loaded(path, dynamic=True)  # first run and trial within the crowd
    tensors = [picture(seed, 64, 64 if seed % 3 else 96) for seed in range(120)]
    with ThreadPoolExecutor(12) as executor:
        assert_each_its_own(list(executor.map(partial(output, session), tensors)), tensors, path, dynamic=True)
    assert max(sizes(card)) <= 4
    assert len(card.threads) == 1


def test_buffers_of_each_size_of_batch_are_bound_once(card: Runs, tmp_path: Path) -> None:
    session = ready(card, loaded(graphs.brightness_of_many(tmp_path / "net.onnx")))
    for round_ in range(3):
        for count in (2, 3, 4, 5):  # batches of 1 to 4
            together(card, session, [picture(seed) for seed in range(count)])
        if not round_:
            bound = card.bindings
    assert card.bindings == bound
    assert sorted({*sizes(card)}) == [1, 2, 3, 4]


def test_no_more_buffers_are_kept_than_the_largest_batch(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness_of_many(tmp_path / "net.onnx", ("h", "w")), dynamic=True, batch=2)
    for edge in range(32, 96, 8):
        session.run(picture(edge, edge, edge)).output
    assert len(session._engine.engine._bindings) == 2  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------------- what does not


def test_a_network_of_one_picture_takes_one(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "net.onnx")
    session = loaded(path)
    session.run(picture(0)).output
    tensors = [picture(seed) for seed in range(5)]
    answers = together(card, session, tensors)
    assert sizes(card) == [1] * 6  # not even a trial
    assert_each_its_own(answers, tensors, path)


def test_an_output_of_one_picture_forbids_it_too(card: Runs, tmp_path: Path) -> None:
    path = graphs.write_graph(
        tmp_path / "net.onnx",
        [helper.make_node("ReduceMean", ["image"], ["matte"], axes=[1], keepdims=1)],
        {"image": (TensorProto.FLOAT, ("n", 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
    )
    session = loaded(path)
    session.run(picture(0)).output
    together(card, session, [picture(seed) for seed in range(5)])
    assert sizes(card) == [1] * 6


def test_a_batch_of_one_switches_it_off(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    off = GpuOptions.of(Config.from_environment({"SEGMATTE_GPU_BATCH": "1"})).batch
    session = loaded(path, batch=off)
    session.run(picture(0)).output
    tensors = [picture(seed) for seed in range(5)]
    answers = together(card, session, tensors, waiting=1)
    assert sizes(card) == [1] * 6
    assert_each_its_own(answers, tensors, path)


def test_a_captured_graph_takes_one(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness(tmp_path / "net.onnx"), graphs_=True)
    session.run(picture(0)).output
    assert card.loads[-1][CUDA]["enable_cuda_graph"] == "1"
    together(card, session, [picture(seed) for seed in range(5)])
    assert sizes(card) == [1] * 6


def test_a_large_network_computes_one_picture_at_a_time(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    spec = graphs.make_spec(path)
    large = spec.model_copy(update={"weights": Weights(file="net.onnx", size=200 << 20, sha256=spec.weights.sha256)})
    assert not large.is_small
    session = Session(large, path, gpu=GpuOptions(batch=4))
    session.run(picture(0)).output
    tensors = [picture(seed) for seed in range(4)]
    answers = together(card, session, tensors, waiting=0)
    assert sizes(card) == [1] * 5
    assert_each_its_own(answers, tensors, path)


def test_the_first_batch_is_a_trial_of_the_largest_one(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = loaded(path)
    tensors = [picture(seed) for seed in range(3)]
    session.run(tensors[0]).output
    answers = together(card, session, tensors)
    assert sizes(card) == [1, 1, 4, 1, 1]
    assert_each_its_own(answers, tensors, path)


def test_equal_pictures_prove_nothing(card: Runs, tmp_path: Path) -> None:
    session = loaded(graphs.brightness_under_the_brightest(tmp_path / "net.onnx"))
    session.run(grey(0.5)).output
    together(card, session, [grey(0.5)] * 3)
    together(card, session, [grey(0.5)] * 3)
    assert sizes(card) == [1] + [1, 4, 1, 1] * 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (graphs.brightness_of_one, "Reshape"),
        (graphs.brightness_under_the_brightest, "differ from those computed one by one"),
    ],
)
def test_a_network_that_only_says_that_it_takes_several_is_found_out(
    card: Runs, tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], Path], reason: str
) -> None:
    path = make(tmp_path / "net.onnx")
    session = loaded(path)
    tensors = [picture(seed) * np.float32(0.2 * seed + 0.1) for seed in range(5)]
    session.run(tensors[0]).output
    with caplog.at_level(logging.WARNING, "segmentation"):
        answers = together(card, session, tensors)
    assert sizes(card) == [1, 1, 4, 1, 1, 1, 1]
    assert_each_its_own(answers, tensors, path)
    until(lambda: bool(caplog.records))  # the callers have their answers before it is weighed
    (record,) = caplog.records
    assert record.message.startswith("net.onnx: at most 1 per run from now on: ")
    assert reason in record.message
    assert str(tmp_path) not in record.message
    card.shapes.clear()
    assert_each_its_own(together(card, session, tensors), tensors, path)
    assert sizes(card) == [1] * 5


# ------------------------------------------------------------------------------------------------- memory and failures


@pytest.mark.parametrize("tried", [True, False], ids=["after the trial", "the trial"])
def test_a_batch_that_does_not_fit_goes_one_by_one_and_later_ones_are_smaller(
    card: Runs, tmp_path: Path, tried: bool
) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = loaded(path)
    session.run(picture(0)).output
    if tried:
        ready(card, session)
    card.shapes.clear()
    card.refuse = lambda shape: out_of_memory() if shape[0] > 2 else None
    tensors = [picture(seed) for seed in range(5)]
    answers = together(card, session, tensors)
    assert sizes(card) == [1, 4, 1, 1, 1, 1]
    assert_each_its_own(answers, tensors, path)
    assert (session.provider, session.provider_note) == (CUDA, "")
    assert len(card.loads) == 1  # nothing was loaded anew
    card.shapes.clear()
    assert_each_its_own(together(card, session, tensors), tensors, path)
    assert sizes(card) == ([1, 2, 2] if tried else [1, 2, 1, 1, 2])


def test_a_single_failure_in_a_batch_fails_its_caller_alone(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path))
    card.refuse = in_turn(None, cuda_failure, None, cuda_failure)
    tensors = [picture(seed) for seed in range(4)]
    first, second, third, fourth = together(card, session, tensors)
    assert sizes(card) == [1, 3, 1, 1, 1]
    assert_each_its_own([first, second, fourth], [tensors[0], tensors[1], tensors[3]], path)
    assert isinstance(third, SessionError)
    assert "could not be run at (1, 3, 64, 64): CUDA failure 700" in str(third)
    assert len(card.loads) == 1
    card.shapes.clear()
    assert_each_its_own(together(card, session, tensors), tensors, path)
    assert sizes(card) == [1, 3]  # the next ones go together as before


def test_when_all_fail_each_caller_is_told(card: Runs, tmp_path: Path) -> None:
    session = ready(card, loaded(graphs.brightness_of_many(tmp_path / "net.onnx")))
    card.refuse = lambda _: cuda_failure()
    errors = together(card, session, [picture(seed) for seed in range(4)])
    assert all(isinstance(error, SessionError) and "CUDA failure 700" in str(error) for error in errors)
    assert len({id(error) for error in errors}) == 4
    assert len(card.loads) == 1


def test_when_not_even_one_fits_the_network_is_loaded_anew_once_for_all(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path))
    card.refuse = in_turn(None, *[out_of_memory] * 5)  # the batch and each alone; the first was in before
    tensors = [picture(seed) for seed in range(5)]
    answers = together(card, session, tensors)
    assert_each_its_own(answers, tensors, path)
    assert (session.provider, session.provider_note) == (CUDA, "")
    assert len(card.loads) == 2
    assert card.most_alive == 1  # nobody held the first one when the second one was loaded
    card.shapes.clear()
    assert_each_its_own(together(card, session, tensors), tensors, path)
    assert sizes(card) == [1] * 5  # memory is short


def test_a_first_run_without_memory_stops_nobody_who_came_meanwhile(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = loaded(path)
    card.refuse = in_turn(out_of_memory)
    tensors = [picture(seed) for seed in range(8)]
    answers = together(card, session, tensors, waiting=0)
    assert_each_its_own(answers, tensors, path)
    assert (session.provider, len(card.loads), card.most_alive) == (CUDA, 2, 1)


def test_when_that_does_not_help_all_go_on_on_the_cpu_and_come_back(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path))
    card.refuse = in_turn(None, *[out_of_memory] * 6)
    tensors = [picture(seed) for seed in range(5)]
    answers = together(card, session, tensors)
    assert_each_its_own(answers, tensors, path)
    assert session.provider == CPU
    assert session.provider_note == "The GPU has too little free memory for this model at (1, 3, 64, 64)."
    with ThreadPoolExecutor(5) as executor:
        assert_each_its_own(list(executor.map(partial(output, session), tensors)), tensors, path)
    assert len(card.loads) == 2
    assert session.give_memory_back(0)
    assert (session.provider, session.provider_note) == (CUDA, "")
    ready(card, session)
    assert_each_its_own(together(card, session, tensors), tensors, path)
    assert sizes(card) == [1, 4]


def test_those_who_went_to_the_cpu_compute_one_at_a_time(
    card: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ready(card, loaded(graphs.brightness_of_many(tmp_path / "net.onnx")))
    card.refuse = in_turn(out_of_memory, out_of_memory)
    session.run(picture(0)).output
    assert session.provider == CPU
    on_the_cpu = type(session._engine.engine._session)  # type: ignore[union-attr]
    real, inside, most = on_the_cpu.run, 0, 0

    def run(*arguments: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.005)  # the others may come in
        answer = real(*arguments)
        inside -= 1
        return answer

    monkeypatch.setattr(on_the_cpu, "run", run)
    with ThreadPoolExecutor(6) as executor:
        list(executor.map(partial(output, session), [picture(seed) for seed in range(12)]))
    assert most == 1


def test_a_device_asked_for_by_name_is_not_replaced_for_any_of_a_batch(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path, "cuda"))
    card.refuse = lambda _: out_of_memory()
    errors = together(card, session, [picture(seed) for seed in range(4)])
    assert all(isinstance(error, SessionError) and "too little free memory" in str(error) for error in errors)
    card.refuse = lambda _: None
    assert_each_its_own([session.run(picture(0)).output], [picture(0)], path)
    assert session.provider == CUDA
    assert card.most_alive == 1


def test_memory_is_given_back_by_a_run_of_its_own(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path))
    tensors = [picture(seed) for seed in range(5)]
    together(card, session, tensors)
    assert len(session._engine.engine._bindings) > 1  # type: ignore[union-attr]
    card.shapes.clear()
    assert session.give_memory_back(0)
    assert sizes(card) == [1]
    assert card.shrunk == ["gpu:0"]
    assert len(session._engine.engine._bindings) == 1  # type: ignore[union-attr]
    card.shapes.clear()
    assert_each_its_own(together(card, session, tensors), tensors, path)
    assert sizes(card) == [1, 4]
    assert card.shrunk == ["gpu:0"]


def test_memory_may_be_given_back_while_others_run(card: Runs, tmp_path: Path) -> None:
    path = graphs.brightness_of_many(tmp_path / "net.onnx")
    session = ready(card, loaded(path))
    card.refuse = in_turn(*[out_of_memory if n % 7 == 3 else None for n in range(60)])
    tensors = [picture(seed) for seed in range(60)]
    with ThreadPoolExecutor(8) as executor:
        running = [executor.submit(output, session, tensor) for tensor in tensors]
        for _ in range(5):
            session.give_memory_back(0)
        answers = [future.result(PATIENCE) for future in running]
    assert_each_its_own(answers, tensors, path)
