"""A network loaded in ONNX Runtime, checked against its contract, and shared by all who ask for it."""

import copy
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Tensor
from segmentation.config import Device
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.onnx_file import file_problem
from segmentation.models.spec import InputSpec, ModelSpec, OutputSpec, Progress
from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights
from segmentation.network.engine import Engine, OutOfMemoryError
from segmentation.network.gpu.options import CPU, TENSORRT, GpuOptions, with_options
from segmentation.network.gpu.probe import usable_providers
from segmentation.network.machine import available_cores
from segmentation.network.tensor import DEFAULT_SIZE
from segmentation.network.watchdog import Cancelled, RunCancelledError, RunTimeoutError
from segmentation.settings import MAX_SIZE

log = logging.getLogger(__name__)

Elsewhere: TypeAlias = Callable[[Tensor], tuple[npt.NDArray[Any], str, str]]
"""See `Session.computed_by`."""

DEFAULT_GPU = GpuOptions()

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
_ANSWERS = ("tensor(float)", "tensor(float16)", "tensor(double)", "tensor(uint8)", "tensor(bool)")
_NUMBERS = ("tensor(int64)", "tensor(int32)", "tensor(uint16)", "tensor(int16)", "tensor(int8)")  # of classes
_MOST_VALUES = 4 * MAX_SIZE**2  # of an answer
_SMALLEST = 8  # pixels a side of a picture; what is smaller is a score of the whole

OWN_MODELS_MB = 4096  # that files nobody vouches for may take together on the CPU, unless the caller says otherwise


class Session:
    """One network, ready to run. Safe to use from several threads at once.

    Attributes:
        spec: The model.
        path: Its weights.
        input: Its input contract, completed by what the graph fixes.
        output: How its output is read, completed by what the graph tells.
        notes: Sentences about what was guessed of that, for whoever looks at the result.
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
        *,
        seconds: float | None = None,
        own_models_mb: int = OWN_MODELS_MB,
    ) -> None:
        """Load the network.

        Args:
            spec: The model.
            path: Its weights, verified.
            device: Where to compute. `auto` takes the GPU where there is one that works.
            threads: Cores one run may use on the CPU; all by default.
            gpu: Limits of the GPU, where it takes one.
            seconds: A run that takes longer is ended.
            own_models_mb: Megabytes that files without an entry in the registry may take together on the CPU.

        Raises:
            SessionError: The device cannot be had, or the file is not a network of that contract.
        """
        if problem := file_problem(path):
            raise SessionError(
                Message(
                    "{title}: {file} cannot be loaded: {problem}", title=spec.title, file=path.name, problem=problem
                )
            )
        self._seconds = seconds
        self._limit_mb = own_models_mb if spec.is_local else None
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
        self.output, self._output_name, self.notes = self._completed_output(engine)
        # A run of a large network may need gigabytes: those take turns, so that no batch forms that needs a multiple.
        # Of a small one the next batch gathers while the GPU computes one; who waits takes nothing of its memory.
        many = available_cores() if engine.provider == CPU and not self._ran_out else 2 * gpu.batch
        self._callers = many if spec.is_small else 1
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
                engine = Engine(
                    self.path,
                    with_options(providers, self._gpu, wanted),
                    self._threads,
                    self._batch,
                    seconds=self._seconds,
                )
                if engine.provider != CPU:
                    return self._use(engine, "")
                problem = "its log says why"  # it came up on the CPU, and raised nothing
            except Exception as error:  # ONNX Runtime's exceptions have no common base
                problem, ran_out = self._reason(error), isinstance(error, OutOfMemoryError)
            log.warning("%s on %s%s: %s", self.spec.title, providers[0], " with CUDA graphs" * wanted, problem)
        if self._device != "auto":
            raise SessionError(
                Message(
                    "{title}: {name} cannot be loaded on {device}: {problem}.",
                    title=self.spec.title,
                    name=self.path.name,
                    device=self._device,
                    problem=problem,
                )
            )
        return self._begin_on_the_cpu(f"ONNX Runtime could not start this model on the GPU: {problem}.", ran_out)

    def _begin_on_the_cpu(self, note: str, ran_out: bool = False) -> Engine:
        try:
            engine = Engine(
                self.path,
                with_options([CPU], self._gpu, graphs=False),
                self._threads,
                seconds=self._seconds,
                limit_mb=self._limit_mb,
            )
        except Exception as error:  # as above
            raise SessionError(
                Message(
                    "{title}: {name} cannot be loaded: {reason}",
                    title=self.spec.title,
                    name=self.path.name,
                    reason=self._reason(error),
                )
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
                Message(
                    "TensorRT has no place for its engines ({strerror}): set SEGMATTE_ENGINES_DIR.",
                    strerror=error.strerror or error,
                )
            ) from error

    def _reason(self, error: Exception) -> str:
        text = " ".join(str(error).split()).rstrip(".")
        if _NO_MEMORY.search(text):
            return Message("it needs more memory than it may take.")
        text = _NOISE.sub("", text)
        return _PATH.sub(r"\1", text)[:200]  # visitors need not know where anything lies

    def _completed_input(self, engine: Engine) -> InputSpec:
        """The registry's contract, checked against the graph; a file of one's own takes layout and size from it."""
        promised = self.spec.input
        inputs = engine.inputs
        if len(inputs) != 1:
            names = ", ".join(node.name for node in inputs)
            raise SessionError(
                Message(
                    "{title} wants {inputs} inputs ({names}); only pictures can be given.",
                    title=self.spec.title,
                    inputs=len(inputs),
                    names=names,
                )
            )
        node = inputs[0]
        shape, dtype = list(node.shape), _DTYPES.get(node.type)
        if dtype is None or len(shape) != 4:
            raise SessionError(
                Message(
                    "{title} does not take pictures: its input is {type} of shape {shape}.",
                    title=self.spec.title,
                    type=node.type,
                    shape=shape,
                )
            )
        layout = {shape[3]: "NHWC", shape[1]: "NCHW"}.get(3, promised.layout)
        fixed_axes = {
            axis: n
            for axis, n in (("batch", shape[0]), ("channels", shape[3 if layout == "NHWC" else 1]))
            if isinstance(n, int)
        }
        if fixed_axes.get("batch", 1) != 1 or fixed_axes.get("channels", 3) != 3:
            raise SessionError(
                Message(
                    "{title} does not take one RGB picture at a time: its input is {shape}.",
                    title=self.spec.title,
                    shape=shape,
                )
            )
        height, width = shape[1:3] if layout == "NHWC" else shape[2:]
        fixed = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        if fixed and not (min(fixed) > 0 and max(fixed) <= MAX_SIZE):
            raise SessionError(
                Message(
                    "{title} works at {height} x {width} pixels only; 1 to {most} a side can be given.",
                    title=self.spec.title, height=height, width=width, most=MAX_SIZE,
                )
            )  # fmt: skip
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
            raise SessionError(Message("{title}: {problems}.", title=self.spec.title, problems="; ".join(problems)))
        update: dict[str, Any] = {"name": node.name}
        if fixed and promised.dynamic:  # the file takes one size after all
            update |= {"size": fixed, "dynamic": False, "resize": "stretch"}
        return promised.model_copy(update=update)

    def _completed_output(self, engine: Engine) -> tuple[OutputSpec, str, tuple[str, ...]]:
        """The registry's contract, checked against the graph; a file of one's own is read as its shapes tell."""
        name = self._find_output(engine)
        nodes = {node.name: node for node in engine.outputs}
        spec, title = self.spec.output, self.spec.title
        if self.spec.is_local and not _looks_like_a_picture(nodes[name]):
            name = next((other for other, node in nodes.items() if _looks_like_a_picture(node)), name)
        node = nodes[name]
        if not _looks_like_a_picture(node):
            raise SessionError(
                Message(
                    "{title} answers with {kind} of shape {shape}, not with a picture: it is no segmentation network.",
                    title=title, kind=node.type.removeprefix("tensor(").removesuffix(")"), shape=list(node.shape),
                )
            )  # fmt: skip
        if not self.spec.is_local:
            return spec, name, ()
        if node.type in _NUMBERS:
            raise SessionError(
                Message(
                    "{title} answers with a class number for each pixel, and nothing says which class is the subject. "
                    "Describe it in a registry file (output: kind labels, classes).",
                    title=title,
                )
            )
        channels = _channels(node, self.input.layout)
        if channels in (1, None):
            return spec, name, ()
        if channels == 2:
            note = Message(
                "{title} answers with two planes; the second was taken for the subject, as is usual. If the cutout is "
                "inverted, describe the file in a registry file (output: channel 0).",
                title=title,
            )
            return OutputSpec(kind="logits", activation="softmax", channel=1), name, (note,)
        raise SessionError(
            Message(
                "{title} answers with {channels} planes, and nothing says which is the subject. Describe it in a "
                "registry file (output: channel, or kind labels with classes).",
                title=title, channels=channels,
            )
        )  # fmt: skip

    def _find_output(self, engine: Engine) -> str:
        names = [node.name for node in engine.outputs]
        wanted = self.spec.output
        if wanted.name is not None and wanted.name not in names:
            raise SessionError(
                Message(
                    "{title} has no output {name}; it has {names}.",
                    title=self.spec.title,
                    name=wanted.name,
                    names=", ".join(names),
                )
            )
        if wanted.index >= len(names):
            raise SessionError(
                Message(
                    "{title} has {names} outputs, so there is none at index {index}.",
                    title=self.spec.title,
                    names=len(names),
                    index=wanted.index,
                )
            )
        return wanted.name or names[wanted.index]

    def run(self, tensor: Tensor, cancelled: Cancelled | None = None) -> npt.NDArray[Any]:
        """The network's answer to a tensor of its input contract.

        Where the GPU has no memory for it, the network is loaded anew, which frees what it held, and asked once more;
        then, with the device `auto`, it computes on the CPU, which `provider` and `provider_note` say from then on,
        until it has rested (`give_memory_back`).

        Args:
            tensor: What goes in.
            cancelled: Asked now and then whether nobody waits for the answer any longer.

        Raises:
            SessionError: The network cannot compute it (a size it does not take, memory, time).
            RunCancelledError: Nobody waits for it.
        """
        if self._elsewhere is not None:
            output, self.provider, self.provider_note = self._elsewhere(tensor)
            return output
        output = (self._run if self._measured else self._first_run)(tensor, cancelled=cancelled)
        if output.size > _MOST_VALUES:
            raise SessionError(
                Message(
                    "{title} answers with {values} values, too many for a mask.",
                    title=self.spec.title,
                    values=output.size,
                )
            )
        self._resting_since, self._last_input = time.monotonic(), (tensor.shape, tensor.dtype)
        return output

    def _first_run(self, tensor: Tensor, cancelled: Cancelled | None = None) -> npt.NDArray[Any]:
        """The memory of its activations is kept, so what the process grew by is what one run takes at most."""
        with self._measuring:  # others wait: two at once would count each other's
            if not self._measured:
                before = _resident_bytes()
                output = self._run(tensor, cancelled=cancelled)
                self.memory += max(0, _resident_bytes() - before)
                self._measured = True
                return output
        return self._run(tensor, cancelled=cancelled)

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

    def _run(self, tensor: Tensor, give_back: bool = False, cancelled: Cancelled | None = None) -> npt.NDArray[Any]:
        with self._turns:
            failed = self._loads
            if self._engine is not None:
                try:
                    return self._compute(tensor, give_back, cancelled)
                except OutOfMemoryError as error:
                    self._log(tensor, error)
        with self._alone():  # out of that block, so that no traceback holds the memory that is to go
            return self._run_anew(tensor, give_back, failed, cancelled)

    def _run_anew(self, tensor: Tensor, give_back: bool, failed: int, cancelled: Cancelled | None) -> npt.NDArray[Any]:
        if self._loads == failed:  # or someone of the same batch has seen to it
            self._drop()
        try:
            return self._compute(tensor, give_back, cancelled)
        except OutOfMemoryError as error:
            self._log(tensor, error)
        self._drop()
        what = Message("The GPU has too little free memory for this model at {shape}", shape=tensor.shape)
        if self._device != "auto":
            raise SessionError(
                Message("{what}. Use a smaller size or model, or the device auto, which goes on on the CPU.", what=what)
            )
        self._begin_on_the_cpu(f"{what}.", ran_out=True)
        return self._compute(tensor, give_back, cancelled)

    def _log(self, tensor: Tensor, error: OutOfMemoryError) -> None:
        log.warning("%s at %s: %s", self.spec.title, tensor.shape, str(error))  # a kept record must not hold it

    def _drop(self) -> None:
        """Free what the network holds. Memory is short: once it is loaded anew, pictures go one by one."""
        if self._engine is not None:
            self._engine.close()
        self._engine, self._batch = None, 1

    def _compute(self, tensor: Tensor, give_back: bool, cancelled: Cancelled | None = None) -> npt.NDArray[Any]:
        engine = self._engine or self._begin()
        assert self.input.name is not None, "completed when the network was loaded"
        try:
            with self._instead_of_the_gpu if self._ran_out else nullcontext():  # it is not to fill this memory as well
                return engine.run(self.input.name, self._output_name, tensor, give_back, cancelled)
        except (OutOfMemoryError, RunCancelledError):
            raise
        except RunTimeoutError as error:
            raise SessionError(
                Message(
                    "{title} took longer than {seconds:g} s for this picture and was stopped. Try a smaller size or "
                    "another model.",
                    title=self.spec.title, seconds=self._seconds,
                )
            ) from error  # fmt: skip
        except Exception as error:  # as above
            raise SessionError(
                Message(
                    "{title} could not be run at {shape}: {reason} If you set a size, try another or leave it empty.",
                    title=self.spec.title,
                    shape=tensor.shape,
                    reason=self._reason(error),
                )
            ) from error


_NO_MEMORY = re.compile(r"bfc_?arena|failed to allocate|bad_alloc", re.IGNORECASE)
_NOISE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|h):\d+ .*?\) ")  # for its makers
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\"()]+)+[/\\]([^\s/\\:'\"()]+)")


def _looks_like_a_picture(node: Any) -> bool:
    """Whether an output has two edges that could be a picture's; what the graph leaves open may be one."""
    shape = list(node.shape)
    if node.type not in (*_ANSWERS, *_NUMBERS) or not 2 <= len(shape) <= 4:
        return False
    edges = [n for n in shape if not isinstance(n, int) or n >= _SMALLEST]
    return len(edges) >= 2


def _channels(node: Any, layout: str) -> int | None:
    """Planes of an output; None where the graph leaves it open."""
    shape = list(node.shape)
    if len(shape) < 3:
        return 1
    small = shape[1] if len(shape) == 4 else shape[0]
    last = shape[-1]
    if layout == "NHWC" or (
        isinstance(last, int) and last < _SMALLEST and not (isinstance(small, int) and small < _SMALLEST)
    ):
        small = last
    return small if isinstance(small, int) else None


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
    seconds: float | None = None,
    own_models_mb: int = OWN_MODELS_MB,
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
        seconds: A run that takes longer is ended.
        own_models_mb: Megabytes that files without an entry in the registry may take together on the CPU.

    Raises:
        WeightsError: The weights cannot be had, or may not be used.
        SessionError: They cannot be loaded on that device.
    """
    file = path or fetch_weights(spec, folder, accepted_licences=accepted_licences, on_progress=on_progress)
    return Session(spec, file, device, threads, gpu, seconds=seconds, own_models_mb=own_models_mb)
