"""A network loaded in ONNX Runtime, checked against its contract, and shared by all who ask for it."""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from segmentation.arrays import Tensor
from segmentation.errors import SessionError
from segmentation.providers import CPU, Device, available_cores, usable_providers
from segmentation.registry import InputSpec, ModelSpec, Weights
from segmentation.tensor import DEFAULT_SIZE
from segmentation.weights import DEFAULT_FOLDER, Progress, fetch_weights

log = logging.getLogger(__name__)

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


class Session:
    """One network, ready to run. Safe to use from several threads at once.

    Attributes:
        spec: The model.
        input: Its input contract, completed by what the graph fixes.
        provider: The execution provider that really computes.
        provider_note: Why not the GPU, where `auto` found none; else "".
        memory: Bytes of this process that loading it and its first run took, about: what else happened meanwhile counts
            too. 0 where the system does not tell.
    """

    def __init__(self, spec: ModelSpec, path: Path, device: Device = "auto", threads: int | None = None) -> None:
        """Load the network.

        Args:
            spec: The model.
            path: Its weights, verified.
            device: Where to compute. `auto` takes the GPU where there is one that works.
            threads: Cores one run may use on the CPU; all by default.

        Raises:
            SessionError: The device cannot be had, or the file is not a network of that contract.
        """
        providers, self.provider_note = usable_providers(device)
        before = _resident_bytes()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only; which provider runs is checked below instead
        options.intra_op_num_threads = threads or available_cores()
        # planning all activations ahead keeps 1.6 times the memory for no speed
        options.enable_mem_pattern = False
        # idle workers of a server must not burn the cores that decode and encode other pictures
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            reason = _reason(error).replace(str(path), path.name)  # visitors need not know where it lies
            raise SessionError(f"{spec.title}: {path.name} cannot be loaded: {reason}") from error
        self.spec = spec
        self.provider: str = self._session.get_providers()[0]
        if self.provider == CPU and providers[0] != CPU:
            note = "ONNX Runtime could not start on the GPU and fell back to the CPU (its log says why)."
            if device != "auto":
                raise SessionError(f"{spec.title}: {note}")
            self.provider_note = note
        self.input = self._completed_input()
        self._output_name = self._find_output()
        # a run of a large network may need gigabytes, so those take turns
        self._turns = threading.Semaphore(available_cores() if is_small(spec) else 1)
        self._measuring, self._measured = threading.Lock(), False
        self._resting_since = 0.0
        self._last_input: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        self._keeping, self._giving_back = onnxruntime.RunOptions(), onnxruntime.RunOptions()
        self._keeping.log_severity_level = self._giving_back.log_severity_level = 3
        self.memory = max(0, _resident_bytes() - before)
        if self.provider == CPU:
            self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def _completed_input(self) -> InputSpec:
        """The registry's contract, checked against the graph; a file of one's own takes layout and size from it."""
        promised = self.spec.input
        inputs = self._session.get_inputs()
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

    def _find_output(self) -> str:
        names = [node.name for node in self._session.get_outputs()]
        wanted = self.spec.output
        if wanted.name is not None and wanted.name not in names:
            raise SessionError(f"{self.spec.title} has no output {wanted.name}; it has {', '.join(names)}.")
        if wanted.index >= len(names):
            raise SessionError(f"{self.spec.title} has {len(names)} outputs, so there is none at index {wanted.index}.")
        return wanted.name or names[wanted.index]

    def run(self, tensor: Tensor) -> npt.NDArray[Any]:
        """The network's answer to a tensor of its input contract.

        Raises:
            SessionError: The network cannot compute it (a size it does not take, memory).
        """
        output = self._run(tensor, self._keeping) if self._measured else self._first_run(tensor)
        self._resting_since, self._last_input = time.monotonic(), (tensor.shape, tensor.dtype)
        return output

    def _first_run(self, tensor: Tensor) -> npt.NDArray[Any]:
        """The memory of its activations is kept, so what the process grew by is what one run takes at most."""
        with self._measuring:  # others wait: two at once would count each other's
            if self._measured:
                return self._run(tensor, self._keeping)
            before = _resident_bytes()
            output = self._run(tensor, self._keeping)
            self.memory += max(0, _resident_bytes() - before)
            self._measured = True
            return output

    def give_memory_back(self, idle_seconds: float) -> bool:
        """Give the memory of the activations back if the network has had nothing to do for so long.

        Between runs it is kept: without, each run takes a fifth longer (u2netp: 300 MB kept; MODNet at 1024: 560,
        130 once given back). ONNX Runtime does it at the end of a run only, so this costs one.

        Returns:
            Whether there was something to give back.
        """
        last = self._last_input
        if last is None or time.monotonic() - self._resting_since < idle_seconds:
            return False
        self._last_input = None
        self._run(np.zeros(*last), self._giving_back)
        return True

    def _run(self, tensor: Tensor, options: onnxruntime.RunOptions) -> npt.NDArray[Any]:
        try:
            with self._turns:
                (output,) = self._session.run([self._output_name], {self.input.name: tensor}, options)
        except Exception as error:  # as above
            raise SessionError(
                f"{self.spec.title} could not be run at {tensor.shape}: {_reason(error)} "
                "If you set a size, try another or leave it empty."
            ) from error
        return output  # type: ignore[no-any-return]


def _resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not tell (no /proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return 0


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def load_session(
    spec: ModelSpec,
    path: Path | None = None,
    *,
    folder: Path = DEFAULT_FOLDER,
    device: Device = "auto",
    threads: int | None = None,
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
        accepted_licences: Ids of the licences that need an acceptance and have it.
        on_progress: Called while bytes arrive.

    Raises:
        WeightsError: The weights cannot be had, or may not be used.
        SessionError: They cannot be loaded on that device.
    """
    file = path or fetch_weights(spec, folder, accepted_licences=accepted_licences, on_progress=on_progress)
    return Session(spec, file, device, threads)


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

    def loaded(self) -> dict[str, str]:
        """Model id -> execution provider of what is loaded now."""
        with self._lock:
            return {model_id: session.provider for (model_id, *_), session in self._sessions.items()}

    def _drop_beyond_budget(self) -> None:
        while len(self._sessions) > 1 and sum(_bytes_held(s.spec) for s in self._sessions.values()) > self._budget:
            (dropped, *_), _ = self._sessions.popitem(last=False)
            log.info("dropped %s to stay within the memory budget", dropped)


def _bytes_held(spec: ModelSpec) -> int:
    """Weights, their packed copies and the runtime's own, roughly: u2netp (4.6 MB) holds 100 MB, ISNet (88 MB) 470."""
    return 4 * (spec.weights.size or 200 << 20) + (80 << 20)
