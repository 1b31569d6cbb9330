"""A network loaded in ONNX Runtime, checked against its contract, and shared by all who ask for it."""

import copy
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Tensor
from segmentation.engine import Engine, OutOfMemoryError
from segmentation.errors import SessionError
from segmentation.providers import (
    CPU,
    TENSORRT,
    Device,
    GpuOptions,
    available_cores,
    usable_providers,
    with_options,
)
from segmentation.registry import InputSpec, ModelSpec, Weights
from segmentation.tensor import DEFAULT_SIZE
from segmentation.weights import DEFAULT_FOLDER, Progress, fetch_weights

log = logging.getLogger(__name__)

Elsewhere: TypeAlias = Callable[[Tensor], tuple[npt.NDArray[Any], str, str]]
"""See `Session.computed_by`."""

DEFAULT_GPU = GpuOptions()

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


class Session:
    """One network, ready to run. Safe to use from several threads at once.

    Attributes:
        spec: The model.
        path: Its weights.
        input: Its input contract, completed by what the graph fixes.
        provider: The execution provider that really computes, now: see `run`.
        provider_note: Why not the GPU, where `auto` found none that can; else "".
        memory: Bytes of this process that loading it and its first run took, about: what else happened meanwhile counts
            too, and what lies on a GPU does not. 0 where the system does not tell.
    """

    def __init__(
        self,
        spec: ModelSpec,
        path: Path,
        device: Device = "auto",
        threads: int | None = None,
        gpu: GpuOptions = DEFAULT_GPU,
    ) -> None:
        """Load the network.

        Args:
            spec: The model.
            path: Its weights, verified.
            device: Where to compute. `auto` takes the GPU where there is one that works.
            threads: Cores one run may use on the CPU; all by default.
            gpu: Limits of the GPU, where it takes one.

        Raises:
            SessionError: The device cannot be had, or the file is not a network of that contract.
        """
        self.spec, self.path = spec, path
        self._device, self._threads, self._gpu = device, threads, gpu
        self._elsewhere: Elsewhere | None = None
        self._engine: Engine | None = None  # none where one that ran out of memory could not be loaded anew
        self._ran_out = False  # of the GPU's memory, and so computes on the CPU
        self._loads = 0  # of the network: which engine this is, for those whose run failed on an earlier one
        self._batch = gpu.batch  # pictures in one run of the GPU; one once its memory was short
        before = _resident_bytes()
        engine = self._begin()
        self.memory = max(0, _resident_bytes() - before)
        self.input = self._completed_input(engine)
        self._output_name = self._find_output(engine)
        # A run of a large network may need gigabytes: those take turns, so that no batch forms that needs a multiple.
        # Of a small one the next batch gathers while the GPU computes one; who waits takes nothing of its memory.
        many = available_cores() if engine.provider == CPU and not self._ran_out else 2 * gpu.batch
        self._callers = many if is_small(spec) else 1
        self._turns = threading.Semaphore(self._callers)
        self._changing, self._instead_of_the_gpu = threading.Lock(), threading.Lock()
        self._measuring, self._measured = threading.Lock(), False
        self._resting_since = 0.0
        self._last_input: tuple[tuple[int, ...], np.dtype[Any]] | None = None

    def _begin(self) -> Engine:
        """Load the network on the best provider that takes it."""
        providers, note = usable_providers(self._device)
        if providers[0] == CPU:
            if note:
                log.info("%s computes on the CPU: %s", self.spec.title, note)
            return self._begin_on_the_cpu(note)
        if TENSORRT in providers:
            self._make_engines_folder()
        graphs = self._gpu.graphs and not self.spec.input.dynamic
        problem, ran_out = "", False
        for wanted in (True, False) if graphs else (False,):
            try:
                engine = Engine(self.path, with_options(providers, self._gpu, wanted), self._threads, self._batch)
                if engine.provider != CPU:
                    return self._use(engine, "")
                problem = "its log says why"  # it came up on the CPU, and raised nothing
            except Exception as error:  # ONNX Runtime's exceptions have no common base
                problem, ran_out = self._reason(error), isinstance(error, OutOfMemoryError)
            log.warning("%s on %s%s: %s", self.spec.title, providers[0], " with CUDA graphs" * wanted, problem)
        if self._device != "auto":
            raise SessionError(f"{self.spec.title}: {self.path.name} cannot be loaded on {self._device}: {problem}.")
        return self._begin_on_the_cpu(f"ONNX Runtime could not start this model on the GPU: {problem}.", ran_out)

    def _begin_on_the_cpu(self, note: str, ran_out: bool = False) -> Engine:
        try:
            engine = Engine(self.path, with_options([CPU], self._gpu, graphs=False), self._threads)
        except Exception as error:  # as above
            raise SessionError(
                f"{self.spec.title}: {self.path.name} cannot be loaded: {self._reason(error)}"
            ) from error
        return self._use(engine, note, ran_out)

    def _use(self, engine: Engine, note: str, ran_out: bool = False) -> Engine:
        self._engine, self.provider, self.provider_note, self._ran_out = engine, engine.provider, note, ran_out
        self._loads += 1
        return engine

    def _make_engines_folder(self) -> None:
        try:
            self._gpu.engines.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SessionError(
                f"TensorRT has no place for its engines ({error.strerror or error}): set SEGMATTE_ENGINES_DIR."
            ) from error

    def _reason(self, error: Exception) -> str:
        text = " ".join(str(error).split()).rstrip(".")
        return text.replace(str(self.path), self.path.name)[:200]  # visitors need not know where it lies

    def _completed_input(self, engine: Engine) -> InputSpec:
        """The registry's contract, checked against the graph; a file of one's own takes layout and size from it."""
        promised = self.spec.input
        inputs = engine.inputs
        if len(inputs) != 1:
            names = ", ".join(node.name for node in inputs)
            raise SessionError(f"{self.spec.title} wants {len(inputs)} inputs ({names}); only pictures can be given.")
        node = inputs[0]
        shape, dtype = list(node.shape), _DTYPES.get(node.type)
        if dtype is None or len(shape) != 4:
            raise SessionError(f"{self.spec.title} does not take pictures: its input is {node.type} of shape {shape}.")
        layout = {shape[3]: "NHWC", shape[1]: "NCHW"}.get(3, promised.layout)
        fixed_axes = {
            axis: n
            for axis, n in (("batch", shape[0]), ("channels", shape[3 if layout == "NHWC" else 1]))
            if isinstance(n, int)
        }
        if fixed_axes.get("batch", 1) != 1 or fixed_axes.get("channels", 3) != 3:
            raise SessionError(f"{self.spec.title} does not take one RGB picture at a time: its input is {shape}.")
        height, width = shape[1:3] if layout == "NHWC" else shape[2:]
        fixed = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        if self.spec.is_local:
            raw = {"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3} if dtype == "uint8" else {}
            size = {"size": fixed, "dynamic": False} if fixed else {"size": DEFAULT_SIZE}
            return promised.model_copy(update={"name": node.name, "layout": layout, "dtype": dtype, **raw, **size})
        own = promised.size if isinstance(promised.size, tuple) else (promised.size, promised.size)
        problems = [
            f"{what} is {have} in the file and {want} in the registry"
            for what, have, want in (
                ("input.name", node.name, promised.name or node.name),
                ("input.layout", layout, promised.layout),
                ("input.dtype", dtype, promised.dtype),
                ("input.size", fixed or own, own if not promised.dynamic else fixed or own),
            )
            if have != want
        ]
        if problems:
            raise SessionError(f"{self.spec.title}: {'; '.join(problems)}.")
        update: dict[str, Any] = {"name": node.name}
        if fixed and promised.dynamic:  # the file takes one size after all
            update |= {"size": fixed, "dynamic": False, "resize": "stretch"}
        return promised.model_copy(update=update)

    def _find_output(self, engine: Engine) -> str:
        names = [node.name for node in engine.outputs]
        wanted = self.spec.output
        if wanted.name is not None and wanted.name not in names:
            raise SessionError(f"{self.spec.title} has no output {wanted.name}; it has {', '.join(names)}.")
        if wanted.index >= len(names):
            raise SessionError(f"{self.spec.title} has {len(names)} outputs, so there is none at index {wanted.index}.")
        return wanted.name or names[wanted.index]

    def run(self, tensor: Tensor) -> npt.NDArray[Any]:
        """The network's answer to a tensor of its input contract.

        Where the GPU has no memory for it, the network is loaded anew, which frees what it held, and asked once more;
        then, with the device `auto`, it computes on the CPU, which `provider` and `provider_note` say from then on,
        until it has rested (`give_memory_back`).

        Raises:
            SessionError: The network cannot compute it (a size it does not take, memory).
        """
        if self._elsewhere is not None:
            output, self.provider, self.provider_note = self._elsewhere(tensor)
            return output
        output = self._run(tensor) if self._measured else self._first_run(tensor)
        self._resting_since, self._last_input = time.monotonic(), (tensor.shape, tensor.dtype)
        return output

    def _first_run(self, tensor: Tensor) -> npt.NDArray[Any]:
        """The memory of its activations is kept, so what the process grew by is what one run takes at most."""
        with self._measuring:  # others wait: two at once would count each other's
            if not self._measured:
                before = _resident_bytes()
                output = self._run(tensor)
                self.memory += max(0, _resident_bytes() - before)
                self._measured = True
                return output
        return self._run(tensor)

    def computed_by(self, elsewhere: Elsewhere) -> "Session":
        """This network with its runs done by something else, such as a process that has a GPU for a moment.

        Args:
            elsewhere: Takes a tensor; gives the answer, the execution provider that computed it, and why not the GPU.
        """
        twin = copy.copy(self)
        twin._elsewhere = elsewhere  # noqa: SLF001 (one of us)
        return twin

    def give_memory_back(self, idle_seconds: float) -> bool:
        """Give the memory of the activations back if the network has had nothing to do for so long.

        Between runs it is kept: without, each run takes a fifth longer (u2netp: 300 MB kept; MODNet at 1024: 560,
        130 once given back). ONNX Runtime does it at the end of a run only, so this costs one. A network that went to
        the CPU because the GPU's memory was short tries the GPU again.

        Returns:
            Whether there was something to give back.
        """
        last = self._last_input
        if last is None or time.monotonic() - self._resting_since < idle_seconds:
            return False
        self._last_input = None
        if self._ran_out:
            with self._alone():
                if self._ran_out:  # still
                    self._batch = self._gpu.batch
                    self._begin()
        elif self._engine and self._engine.gives_back:
            self._run(np.zeros(*last), give_back=True)
        else:
            return False
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody runs the network, so that it may be replaced. Not to be asked for by who holds a turn."""
        with self._changing:  # two that each hold some of the turns would wait for each other for ever
            for _ in range(self._callers):
                self._turns.acquire()
            try:
                yield
            finally:
                self._turns.release(self._callers)

    def _run(self, tensor: Tensor, give_back: bool = False) -> npt.NDArray[Any]:
        with self._turns:
            failed = self._loads
            if self._engine is not None:
                try:
                    return self._compute(tensor, give_back)
                except OutOfMemoryError as error:
                    self._log(tensor, error)
        with self._alone():  # out of that block, so that no traceback holds the memory that is to go
            return self._run_anew(tensor, give_back, failed)

    def _run_anew(self, tensor: Tensor, give_back: bool, failed: int) -> npt.NDArray[Any]:
        if self._loads == failed:  # or someone of the same batch has seen to it
            self._drop()
        try:
            return self._compute(tensor, give_back)
        except OutOfMemoryError as error:
            self._log(tensor, error)
        self._drop()
        what = f"The GPU has too little free memory for this model at {tensor.shape}"
        if self._device != "auto":
            raise SessionError(f"{what}. Use a smaller size or model, or the device auto, which goes on on the CPU.")
        self._begin_on_the_cpu(f"{what}.", ran_out=True)
        return self._compute(tensor, give_back)

    def _log(self, tensor: Tensor, error: OutOfMemoryError) -> None:
        log.warning("%s at %s: %s", self.spec.title, tensor.shape, str(error))  # a kept record must not hold it

    def _drop(self) -> None:
        """Free what the network holds. Memory is short: once it is loaded anew, pictures go one by one."""
        if self._engine is not None:
            self._engine.close()
        self._engine, self._batch = None, 1

    def _compute(self, tensor: Tensor, give_back: bool) -> npt.NDArray[Any]:
        engine = self._engine or self._begin()
        assert self.input.name is not None, "completed when the network was loaded"
        try:
            with self._instead_of_the_gpu if self._ran_out else nullcontext():  # it is not to fill this memory as well
                return engine.run(self.input.name, self._output_name, tensor, give_back)
        except OutOfMemoryError:
            raise
        except Exception as error:  # as above
            raise SessionError(
                f"{self.spec.title} could not be run at {tensor.shape}: {self._reason(error)} "
                "If you set a size, try another or leave it empty."
            ) from error


def _resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not tell (no /proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return 0


def load_session(
    spec: ModelSpec,
    path: Path | None = None,
    *,
    folder: Path = DEFAULT_FOLDER,
    device: Device = "auto",
    threads: int | None = None,
    gpu: GpuOptions = DEFAULT_GPU,
    accepted_licences: Collection[str] = (),
    on_progress: Progress | None = None,
) -> Session:
    """Fetch a model's weights where needed and load them.

    Args:
        spec: The model.
        path: Weights of your own instead of those of the registry; they are not verified.
        folder: The models folder.
        device: "auto", "cpu", "cuda" or "tensorrt".
        threads: Cores one run may use on the CPU; all by default. See `threads_for`.
        gpu: Limits of the GPU, where it takes one.
        accepted_licences: Ids of the licences that need an acceptance and have it.
        on_progress: Called while bytes arrive.

    Raises:
        WeightsError: The weights cannot be had, or may not be used.
        SessionError: They cannot be loaded on that device.
    """
    file = path or fetch_weights(spec, folder, accepted_licences=accepted_licences, on_progress=on_progress)
    return Session(spec, file, device, threads, gpu)


def is_small(spec: ModelSpec) -> bool:
    """Whether several runs at once, or a second session, of this network fit into any memory."""
    return (spec.weights.size or 0) <= 100 << 20


def threads_for(spec: ModelSpec, pictures: int) -> int | None:
    """Cores to give one run, by how many pictures wait: all for one picture, one each for a batch.

    As many pictures at once as there are cores, each on one thread, are up to a third faster than one after the other
    on all (benchmarks/throughput.py). That takes a session of its own, so not for weights of hundreds of megabytes.
    """
    return 1 if is_small(spec) and pictures >= 2 * available_cores() else None


_Key = tuple[str, Weights, int | None]  # model id, its file (an own one may change), threads


class SessionPool:
    """Sessions shared by all requests: each built once, the least recently used dropped beyond a memory budget.

    A dropped session lives on for the requests that still hold it.
    """

    def __init__(self, load: Callable[[ModelSpec, int | None], Session], budget: int = 4 << 30) -> None:
        """Make an empty pool.

        Args:
            load: Builds a session of a model with so many threads.
            budget: Bytes that the loaded networks may take together; the newest one stays whatever it takes.
        """
        self._load = load
        self._budget = budget
        self._sessions: OrderedDict[_Key, Session] = OrderedDict()
        self._building: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, spec: ModelSpec, threads: int | None = None) -> Session:
        """The session of a model, built on the first request; those who ask meanwhile wait for that one.

        Raises:
            WeightsError: See `load_session`.
            SessionError: See `load_session`.
        """
        key = spec.id, spec.weights, threads
        with self._lock:
            building = self._building.setdefault(key, threading.Lock())
        with building:
            with self._lock:
                if key in self._sessions:
                    self._sessions.move_to_end(key)
                    return self._sessions[key]
            session = self._load(spec, threads)
            with self._lock:
                self._sessions[key] = session
                self._drop_beyond_budget()
            return session

    def rest(self, idle_seconds: float) -> None:
        """Let every session that has had nothing to do for so long give its memory back."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.give_memory_back(idle_seconds)

    def loaded(self) -> dict[str, Session]:
        """What is loaded now, by model id."""
        with self._lock:
            return {model_id: session for (model_id, *_), session in self._sessions.items()}

    def _drop_beyond_budget(self) -> None:
        while len(self._sessions) > 1 and sum(_bytes_held(s.spec) for s in self._sessions.values()) > self._budget:
            (dropped, *_), _ = self._sessions.popitem(last=False)
            log.info("dropped %s to stay within the memory budget", dropped)


def _bytes_held(spec: ModelSpec) -> int:
    """Weights, their packed copies and the runtime's own, roughly: u2netp (4.6 MB) holds 100 MB, ISNet (88 MB) 470."""
    return 4 * (spec.weights.size or 200 << 20) + (80 << 20)
