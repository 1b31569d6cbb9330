"""A network on the best execution provider that can run it, recovering when the GPU runs out of memory."""

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Tensor
from segmentation.config import Device
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.network.engine import Engine, OutOfMemoryError, reason
from segmentation.network.gpu.bound import BoundEngine
from segmentation.network.gpu.options import GpuOptions, with_options
from segmentation.network.gpu.probe import usable_providers
from segmentation.network.machine import available_cores, resident_bytes
from segmentation.network.providers import CPU, TENSORRT
from segmentation.network.watchdog import Cancelled, RunCancelledError, RunTimeoutError, TooSlowError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A network's output, and where it was computed."""

    output: npt.NDArray[Any]
    provider: str
    """The execution provider that computed it."""
    provider_note: str
    """Why that is not the GPU's, if `auto` could not use it; else ""."""
    memory: int = 0
    """Approximate memory of the loaded network in bytes; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Several outputs of a network, and where they were computed; see `Answer`."""

    outputs: Mapping[str, npt.NDArray[Any]]
    provider: str
    provider_note: str
    memory: int = 0


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One load of the network."""

    engine: Engine
    note: str
    """Why it is not on the GPU, if `auto` could not use it; else ""."""
    ran_out: bool = False
    """It is on the CPU because the GPU ran out of memory."""


LastInput: TypeAlias = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""Shape and dtype of each input of the latest run, by name."""

Computed = TypeVar("Computed")


def shapes_of(feeds: Mapping[str, npt.NDArray[Any]]) -> LastInput:
    """What to remember of a run's inputs."""
    return {name: (array.shape, array.dtype) for name, array in feeds.items()}


class RecoveringEngine:
    """Loads and runs one network.

    If the GPU runs out of memory, the network is reloaded, which frees its memory, and the run is retried once. If
    that fails too and the device is `auto`, it continues on the CPU until it has been idle (`give_back`).

    Attributes:
        provider: The execution provider of the latest load. Each answer has the one that computed it.
        note: Why that is not the GPU's, if `auto` could not use it; else "".
        inputs: The inputs, as ONNX Runtime describes them.
        outputs: The outputs.
    """

    def __init__(
        self,
        path: Path,
        title: str,
        device: Device,
        threads: int | None,
        gpu: GpuOptions,
        *,
        fixed_size: bool,
        small: bool,
        seconds: float | None,
    ) -> None:
        """Load the network.

        Args:
            path: Its weights.
            title: Its name in sentences.
            device: Where to compute. `auto` uses the GPU if one works.
            threads: Cores one run may use on the CPU; all by default.
            gpu: GPU limits.
            fixed_size: Whether its input has a fixed size, so that CUDA graphs can be captured.
            small: Whether concurrent runs fit into any machine's memory.
            seconds: A run that takes longer is ended.

        Raises:
            SessionError: The device is unavailable, or the file is not a network.
        """
        self._path, self._title, self._device, self._threads, self._gpu = path, title, device, threads, gpu
        self._graphs = gpu.graphs and fixed_size
        self._seconds = seconds
        self._batch = gpu.batch  # pictures per GPU run; 1 after running out of memory
        self._loads = 0  # number of loads, to recognise a run that failed on an earlier one
        self._loaded: _Loaded | None = None  # None after running out of memory, until the next run
        loaded = self._load()
        # A run of a large network may need gigabytes: these take turns, so that no batch needs a multiple of that.
        # For a small one, the next batch gathers while the GPU computes; waiting runs use none of its memory.
        many = available_cores() if loaded.engine.provider == CPU and not loaded.ran_out else 2 * gpu.batch
        self._callers = many if small else 1
        self._turns = threading.Semaphore(self._callers)
        self._changing, self._instead_of_the_gpu = threading.Lock(), threading.Lock()
        self.inputs, self.outputs = loaded.engine.inputs, loaded.engine.outputs

    @property
    def engine(self) -> Engine | None:
        """The engine in use; None after running out of memory, until the next run."""
        return self._loaded.engine if self._loaded else None

    def run(self, name: str, output: str, tensor: Tensor, cancelled: Cancelled | None = None) -> Answer:
        """Compute one output.

        Args:
            name: Name of the input.
            output: Name of the output.
            tensor: The input.
            cancelled: Polled during the run; returns True to cancel.

        Raises:
            SessionError: The run failed (unsupported size, memory, time).
            RunCancelledError: It was cancelled.
        """
        computed, loaded = self._run(
            lambda engine: engine.run(name, output, tensor, False, cancelled), tensor.shape
        )  # fmt: skip
        return Answer(computed, loaded.engine.provider, loaded.note)

    def run_many(
        self, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], cancelled: Cancelled | None = None
    ) -> Answers:
        """Compute several outputs of several inputs.

        Args:
            feeds: The inputs by name.
            outputs: Names of the outputs.
            cancelled: Polled during the run; returns True to cancel.

        Raises:
            SessionError: As `run`.
            RunCancelledError: It was cancelled.
        """
        shape = max((array.shape for array in feeds.values()), key=math.prod)
        computed, loaded = self._run(lambda engine: engine.run_many(feeds, outputs, False, cancelled), shape)
        return Answers(dict(zip(outputs, computed, strict=True)), loaded.engine.provider, loaded.note)

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that this process holds; 0 if unknown."""
        return resident_bytes()

    def give_back(self, output: str, last: LastInput | None) -> bool:
        """Release the memory of the activations, which takes a run; or retry the GPU after it ran out of memory.

        Args:
            output: Name of an output.
            last: The inputs of the latest run; None if there was none since this was called.

        Returns:
            Whether there was anything to release.
        """
        loaded = self._loaded
        if last is None:
            return False
        if loaded and loaded.ran_out:
            with self._alone():
                if self._loaded and self._loaded.ran_out:  # still
                    self._batch = self._gpu.batch
                    self._load()
            return True
        if loaded is None or not loaded.engine.gives_back:
            return False
        ones = {name: np.ones(*shape) for name, shape in last.items()}  # an input may be a size, which must not be 0
        if len(ones) == 1:
            ((name, tensor),) = ones.items()
            self._run(lambda engine: engine.run(name, output, tensor, True), tensor.shape)
        else:
            self._run(lambda engine: engine.run_many(ones, [output], True), ())
        return True

    # ----------------------------------------------------------------------------------------------------- loading

    def _load(self) -> _Loaded:
        """Load the network on the best provider that can run it."""
        providers, note = usable_providers(self._device)
        if providers[0] == CPU:
            if note:
                log.info("%s runs on the CPU: %s", self._title, note)
            return self._load_on_the_cpu(note)
        if TENSORRT in providers:
            self._make_engines_folder()
        problem, ran_out = "", False
        for graphs in (True, False) if self._graphs else (False,):
            try:
                options = with_options(providers, self._gpu, graphs)
                engine = BoundEngine(self._path, options, self._threads, self._batch, seconds=self._seconds)
                if engine.provider != CPU:
                    return self._use(_Loaded(engine, ""))
                problem = "see its log"  # it fell back to the CPU without raising
            except Exception as error:  # ONNX Runtime's exceptions have no common base
                problem, ran_out = reason(error), isinstance(error, OutOfMemoryError)
            log.warning("%s on %s%s: %s", self._title, providers[0], " with CUDA graphs" * graphs, problem)
        if self._device != "auto":
            raise SessionError(
                Message(
                    "{title}: {name} cannot be loaded on {device}: {problem}.",
                    title=self._title, name=self._path.name, device=self._device, problem=problem.rstrip("."),
                )
            )  # fmt: skip
        return self._load_on_the_cpu(
            f"ONNX Runtime could not start this model on the GPU: {problem.rstrip('.')}.", ran_out
        )

    def _load_on_the_cpu(self, note: str, ran_out: bool = False) -> _Loaded:
        options = with_options([CPU], self._gpu, graphs=False)
        try:
            engine = Engine(self._path, options, self._threads, seconds=self._seconds)
        except Exception as error:  # as above
            raise SessionError(
                Message(
                    "{title}: {name} cannot be loaded: {reason}",
                    title=self._title, name=self._path.name, reason=reason(error),
                )
            ) from error  # fmt: skip
        return self._use(_Loaded(engine, note, ran_out))

    def _use(self, loaded: _Loaded) -> _Loaded:
        self._loaded, self.provider, self.note = loaded, loaded.engine.provider, loaded.note
        self._loads += 1
        return loaded

    def _make_engines_folder(self) -> None:
        try:
            self._gpu.engines.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SessionError(
                Message(
                    "TensorRT cannot store its engines ({strerror}): set SEGMATTE_ENGINES_DIR.",
                    strerror=error.strerror or error,
                )
            ) from error

    def _drop(self) -> None:
        """Free the network's memory. As memory is short, pictures run one by one after the reload."""
        if self._loaded is not None:
            self._loaded.engine.close()
        self._loaded, self._batch = None, 1

    # ----------------------------------------------------------------------------------------------------- running

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude all runs of the network, so that it may be replaced. Never enter this while holding a turn."""
        with self._changing:  # two threads that each hold some of the turns would deadlock
            for _ in range(self._callers):
                self._turns.acquire()
            try:
                yield
            finally:
                self._turns.release(self._callers)

    def _run(self, compute: Callable[[Engine], Computed], shape: tuple[int, ...]) -> tuple[Computed, _Loaded]:
        with self._turns:
            failed = self._loads
            if self._loaded is not None:
                try:
                    return self._compute(compute, shape)
                except OutOfMemoryError as error:
                    self._log(shape, error)
        with self._alone():  # outside that block, so that no traceback holds the memory to be freed
            if self._loads == failed:  # else another run of the same batch has dropped it already
                self._drop()
            try:
                return self._compute(compute, shape)
            except OutOfMemoryError as error:
                self._log(shape, error)
            self._drop()
            what = Message("The GPU has too little free memory for this model at {shape}", shape=shape)
            if self._device != "auto":
                raise SessionError(
                    Message(
                        "{what}. Use a smaller size or model, or the device auto, which falls back to the CPU.",
                        what=what,
                    )
                )
            self._load_on_the_cpu(f"{what}.", ran_out=True)
            return self._compute(compute, shape)

    def _log(self, shape: tuple[int, ...], error: OutOfMemoryError) -> None:
        log.warning("%s at %s: %s", self._title, shape, str(error))  # a stored log record must not hold the error

    def _compute(self, compute: Callable[[Engine], Computed], shape: tuple[int, ...]) -> tuple[Computed, _Loaded]:
        loaded = self._loaded or self._load()
        try:
            with self._instead_of_the_gpu if loaded.ran_out else nullcontext():  # one at a time, to save memory
                return compute(loaded.engine), loaded
        except (OutOfMemoryError, RunCancelledError):
            raise
        except RunTimeoutError as error:
            raise TooSlowError(
                Message(
                    "{title} took longer than {seconds:g} s for this picture and was stopped. Try a smaller size or "
                    "another model.",
                    title=self._title, seconds=self._seconds,
                )
            ) from error  # fmt: skip
        except Exception as error:  # as above
            raise SessionError(
                Message(
                    "{title} could not be run at {shape}: {reason} If you set a size, try another or leave it empty.",
                    title=self._title, shape=shape, reason=reason(error),
                )
            ) from error  # fmt: skip
