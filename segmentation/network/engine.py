"""A network on one execution provider of ONNX Runtime, and how a tensor gets to it and its answer back."""

import itertools
import logging
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

from segmentation.arrays import Tensor
from segmentation.network.gpu.options import CPU, CUDA, TENSORRT, Provider
from segmentation.network.machine import available_cores, available_memory
from segmentation.network.watchdog import Cancelled, watched

log = logging.getLogger(__name__)

if os.environ.get("ORT_DISABLE_TELEMETRY") == "1" and hasattr(onnxruntime, "disable_telemetry_events"):
    onnxruntime.disable_telemetry_events()  # on Windows, which does not ask the variable

# ONNX Runtime has no error of its own for it: a RuntimeException (code 6) that names its arena, or CUDA's own words
_OUT_OF_MEMORY = ("bfc_arena", "failed to allocate memory", "out of memory", "cudnn_status_alloc_failed")

_ARENA = {CPU: "cpu:0", CUDA: "gpu:0", TENSORRT: "gpu:0"}
"""Whose free memory a run may give back at its end."""

_NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


_SHARE = 0.6  # of this machine's memory that files nobody vouches for may take at the most


class OutOfMemoryError(Exception):
    """The GPU has not the memory that a run takes."""


@cache
def _limited_arena(megabytes: int) -> None:
    """One arena with an end, shared by all sessions that ask for it: what goes beyond fails, the process lives on."""
    most = min(megabytes << 20, int(_SHARE * available_memory()))
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg({"max_mem": most}))


@contextmanager
def _out_of_memory_by_name() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if _is_out_of_memory(error):
            raise OutOfMemoryError(str(error)) from error
        raise


def _is_out_of_memory(error: Exception) -> bool:
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


class Engine:
    """One loaded network.

    Attributes:
        provider: The execution provider that really computes; ONNX Runtime may have fallen back to the CPU.
        inputs: What goes in, as ONNX Runtime describes it.
        outputs: What comes out.
    """

    def __init__(
        self,
        path: Path,
        providers: Sequence[Provider],
        threads: int | None = None,
        batch: int = 1,
        *,
        seconds: float | None = None,
        limit_mb: int | None = None,
    ) -> None:
        """Load the network.

        Args:
            path: Its weights.
            providers: The execution providers to use, best first, each with its options.
            threads: Cores one run may use on the CPU; all by default.
            batch: Tensors that may go through a GPU in one run, where the network takes several.
            seconds: A run that takes longer is ended.
            limit_mb: Megabytes that this and all other networks with a limit may take together on the CPU; the first
                limit holds for the whole process.

        Raises:
            OutOfMemoryError: The GPU's memory does not suffice for the weights.
            Exception: ONNX Runtime cannot load it there; its exceptions have no common base.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only; which provider runs is checked instead
        options.intra_op_num_threads = threads or available_cores()
        # planning all activations ahead keeps 1.6 times the memory for no speed
        options.enable_mem_pattern = False
        # idle workers of a server must not burn the cores that decode and encode other pictures
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if limit_mb is not None:
            _limited_arena(limit_mb)
            options.add_session_config_entry("session.use_env_allocators", "1")
        self._seconds, self._limited = seconds, limit_mb is not None
        # without enable_fallback=0, Python's wrapper starts anew on the CPU, when it loads and when it runs, and prints
        with _out_of_memory_by_name():
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=list(providers), enable_fallback=0
            )
        self.provider: str = self._session.get_providers()[0]
        self.inputs: list[Any] = self._session.get_inputs()
        self.outputs: list[Any] = self._session.get_outputs()
        graphs = any(settings.get("enable_cuda_graph") == "1" for _, settings in providers)
        # a captured graph replays into memory that it does not hold, so that must not go
        self.gives_back = self.provider in _ARENA and not graphs
        # a card computes one run at a time, those that go together share their options
        self._keeping, self._giving_back = self._options(False), self._options(True)
        # A card computes one thing at a time anyway. One thread of its own for that: the CUDA provider keeps handles
        # and captured graphs by thread, and the threads of a batch come and go.
        self._card = None if self.provider == CPU else _Card(self._session, 1 if graphs else batch, path.name, seconds)
        if graphs and self._card and not all(_fixed_shape(node) for node in (*self.inputs, *self.outputs)):
            raise ValueError("CUDA graphs need a network whose inputs and outputs have one size.")

    def _options(self, give_back: bool) -> onnxruntime.RunOptions:
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4  # fatal only: an error comes as an exception, and its text may hold anything
        if give_back and self.gives_back:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", _ARENA[self.provider])
        return options

    def run(
        self, name: str, output: str, tensor: Tensor, give_back: bool = False, cancelled: Cancelled | None = None
    ) -> npt.NDArray[Any]:
        """The network's answer.

        Args:
            name: Of the input.
            output: Which output.
            tensor: What goes in.
            give_back: Give the memory of the activations back at the end, where `gives_back`.
            cancelled: Asked now and then whether nobody waits for the answer any longer.

        Raises:
            RunTimeoutError: It took longer than it may.
            RunCancelledError: Nobody waits for it.
            OutOfMemoryError: The GPU's memory does not suffice. Reports say that a session goes on failing then
                (Deep-Live-Cam#1738): use this one no more.
            Exception: Whatever else ONNX Runtime says.
        """
        if self._card is None:
            own = self._options(give_back or self._limited)  # files nobody vouches for keep nothing between their runs
            with watched(own, self._seconds, cancelled):
                (answer,) = self._session.run([output], {name: tensor}, own)
            return answer  # type: ignore[no-any-return]
        options = self._giving_back if give_back else self._keeping
        with _out_of_memory_by_name():
            return self._card.run(name, output, tensor, options, give_back, cancelled)

    def close(self) -> None:
        """Let go of the network's memory with the last reference to this, where nobody runs it any more."""
        if self._card is not None:
            self._card.close()


_Answer: TypeAlias = tuple[npt.NDArray[Any], int | None]
"""What the network said, and which of it is meant; None for all."""


@dataclass(slots=True, eq=False)
class _Call:
    """A tensor that waits for the card."""

    name: str
    output: str
    tensor: Tensor
    options: onnxruntime.RunOptions
    give_back: bool
    cancelled: Cancelled | None = None
    answer: Future[_Answer] = field(default_factory=Future)

    def goes_with(self, other: "_Call") -> bool:
        mine, theirs = ((c.name, c.output, c.tensor.shape, c.tensor.dtype, c.options) for c in (self, other))
        return mine == theirs


@dataclass(slots=True)
class _Binding:
    """Buffers for tensors of one shape, from the session's own arena, so that its limit holds for them as well."""

    io: Any
    input: Any
    together: Tensor | None  # where several tensors become one, here in this machine's memory


class _Card:
    """Runs on a GPU: tensor and answer are in buffers of the device and each is copied once.

    What waits while the card computes goes through it in one run, where the network takes several and they have one
    shape; nothing ever waits for company. A graph may say that it does and yet fail, or mix its pictures up. So the
    first batch is a trial: all are computed one by one as well, that is what their callers get, and the two must agree.
    """

    def __init__(self, session: onnxruntime.InferenceSession, batch: int, title: str, seconds: float | None) -> None:
        self._session = session
        self._seconds = seconds
        self._title = title  # for the log
        self._worker = ThreadPoolExecutor(1, "gpu")  # its thread ends with this object
        self._waiting: deque[_Call] = deque()
        self._lock = threading.Lock()  # of those who wait
        self._limit = max(1, batch)
        self._proven = False
        nodes = (*session.get_inputs(), *session.get_outputs())
        self._free = {node.name for node in nodes if node.shape and not isinstance(node.shape[0], int)}
        self._bindings: OrderedDict[tuple[Any, ...], _Binding] = OrderedDict()  # the least recently used one first
        self._most_bindings = self._limit  # a batch may be of any size up to it

    def run(
        self,
        name: str,
        output: str,
        tensor: Tensor,
        options: onnxruntime.RunOptions,
        give_back: bool,
        cancelled: Cancelled | None = None,
    ) -> npt.NDArray[Any]:
        call = _Call(name, output, tensor, options, give_back, cancelled)
        waiting = call.answer
        with self._lock:
            self._waiting.append(call)
        self._worker.submit(self._serve)  # as often as there are calls, so none is left behind
        try:
            answer, at = waiting.result()
        finally:
            del call, waiting  # an error would hold them, and they it, and so this card
        return answer if at is None else answer[at : at + 1].copy()  # a picture must not keep its neighbours' answers

    def close(self) -> None:
        self._worker.shutdown()

    def _serve(self) -> None:
        calls = self._take()
        if len(calls) == 1:
            self._answer(calls[0])
        elif calls:  # none where they went along with an earlier one
            self._answer_together(calls)

    def _take(self) -> list[_Call]:
        """Who has waited longest, and those behind who may go along."""
        with self._lock:
            if not self._waiting:
                return []
            first = self._waiting.popleft()
            takes_many = {first.name, first.output} <= self._free and first.tensor.shape[0] == 1
            if not takes_many:
                return [first]
            company = itertools.islice((call for call in self._waiting if call.goes_with(first)), self._limit - 1)
            calls = [first, *company]
            for call in calls[1:]:
                self._waiting.remove(call)
            return calls

    def _answer(self, call: _Call) -> npt.NDArray[Any] | None:
        try:
            answer = self._compute(call, [call.tensor])
        except Exception as error:
            # its frames hold the card, whose memory may have to go, and its caller adds those of another thread
            call.answer.set_exception(error.with_traceback(None))
            return None
        call.answer.set_result((answer, None))
        return answer

    def _answer_together(self, calls: list[_Call]) -> None:
        tensors = [call.tensor for call in calls]
        if not self._proven:  # filled up, so that TensorRT builds one more engine and not one for each size
            tensors = list(itertools.islice(itertools.cycle(tensors), self._limit))
        answer: npt.NDArray[Any] | None = None
        problem, memory = "", False
        try:
            said = self._compute(calls[0], tensors)
            if said.shape[:1] == (len(tensors),):
                answer = said
            else:
                problem = f"{len(tensors)} of them gave an answer of shape {said.shape}"
        except Exception as error:
            problem, memory = str(error), _is_out_of_memory(error)
        if answer is not None and self._proven:
            for at, call in enumerate(calls):
                call.answer.set_result((answer, at))
            return
        # out of that block: its error must not hold on to anything
        alone = [single for call in calls if (single := self._answer(call)) is not None]
        if memory:
            self._lower(len(tensors) // 2, problem)
        elif len(alone) < len(calls):
            pass  # it was not for being several
        elif answer is None:
            self._lower(1, problem)
        elif not all(_agree(answer[at : at + 1], single) for at, single in enumerate(alone)):
            self._lower(1, "together they gave other answers than one by one")
        else:  # the same picture several times would agree even so
            self._proven = any(not np.array_equal(alone[0], single) for single in alone[1:])

    def _lower(self, limit: int, problem: str) -> None:
        self._limit = max(1, limit)
        log.warning("%s: at most %d at once from now on: %s", self._title, self._limit, " ".join(problem.split())[:300])

    def _compute(self, call: _Call, tensors: list[Tensor]) -> npt.NDArray[Any]:
        first = call.tensor
        shape = first.shape if len(tensors) == 1 else (len(tensors), *first.shape[1:])
        if call.give_back:  # buffers as well
            self._bindings.clear()
        key = call.name, call.output, shape, first.dtype
        binding = self._bindings.pop(key, None) or self._bind(call.name, call.output, shape, first.dtype)
        if binding.together is None:
            binding.input.update_inplace(first)
        else:
            binding.input.update_inplace(np.concatenate(tensors, out=binding.together))
        binding.io.synchronize_inputs()
        # what goes together goes on while anybody waits for it
        with watched(call.options, self._seconds, call.cancelled if len(tensors) == 1 else None):
            self._session.run_with_iobinding(binding.io, call.options)
        binding.io.synchronize_outputs()
        (answer,) = binding.io.copy_outputs_to_cpu()
        self._bindings[key] = binding  # only now: one that failed holds no memory
        return answer  # type: ignore[no-any-return]

    def _bind(self, name: str, output: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Binding:
        while len(self._bindings) >= self._most_bindings:
            self._bindings.popitem(last=False)
        io = self._session.io_binding()
        tensor = self._session.create_ortvalue_from_shape_and_type(shape, dtype.type, "cuda")
        io.bind_ortvalue_input(name, tensor)
        node = next(node for node in self._session.get_outputs() if node.name == output)
        fixed = _fixed_shape(node)
        if fixed and node.type in _NUMPY:  # a captured graph writes to this place for good
            answer = self._session.create_ortvalue_from_shape_and_type(fixed, _NUMPY[node.type], "cuda")
            io.bind_ortvalue_output(output, answer)
        else:  # allocated by the first run, and right as long as the input's shape is
            io.bind_output(output, "cuda")
        return _Binding(io, tensor, np.empty(shape, dtype) if shape[0] > 1 else None)


def _agree(together: npt.NDArray[Any], alone: npt.NDArray[Any]) -> bool:
    """Whether they differ by how a card rounds at most: by 1/255 on average, of 1 or of what the answer spans."""
    if together.shape != alone.shape:
        return False
    mine, theirs = together.astype(np.float32), alone.astype(np.float32)
    return bool(np.abs(mine - theirs).mean() <= max(1.0, float(np.ptp(theirs))) / 255)


def _fixed_shape(node: Any) -> tuple[int, ...] | None:
    return tuple(node.shape) if all(isinstance(edge, int) for edge in node.shape) else None
