"""Runs on a GPU: tensor and answer lie in buffers on the device, and each is copied once."""

import itertools
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

from segmentation.arrays import Tensor
from segmentation.network.engine import Engine, fixed_shape, is_out_of_memory, out_of_memory_by_name
from segmentation.network.providers import Provider
from segmentation.network.watchdog import Cancelled, watched

log = logging.getLogger(__name__)

_NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}

_Answer: TypeAlias = tuple[npt.NDArray[Any], int | None]
"""A run's output, and which picture of it is meant; None for all."""


class BoundEngine(Engine):
    """A network on a GPU.

    Everything waiting while the GPU computes goes through it in one run, if the network takes several pictures and
    they have one shape; nothing ever waits for company. A graph may claim to take several and yet fail, or mix its
    pictures up. So the first batch is a trial: all are computed one by one as well, that is what their callers get,
    and the two must agree.
    """

    def __init__(
        self,
        path: Path,
        providers: Sequence[Provider],
        threads: int | None = None,
        batch: int = 1,
        *,
        seconds: float | None = None,
    ) -> None:
        """Load the network.

        Args:
            path: Its weights.
            providers: The execution providers to use, best first, each with its options.
            threads: Cores that its nodes without a GPU kernel may use; all by default.
            batch: Pictures that may go through the GPU in one run, where the network takes several.
            seconds: A run that takes longer is ended.

        Raises:
            OutOfMemoryError: The GPU's memory does not suffice for the weights.
            Exception: ONNX Runtime cannot load it there; its exceptions have no common base.
        """
        super().__init__(path, providers, threads, seconds=seconds)
        graphs = any(settings.get("enable_cuda_graph") == "1" for _, settings in providers)
        if graphs and not all(fixed_shape(node) for node in (*self.inputs, *self.outputs)):
            raise ValueError("CUDA graphs need a network whose inputs and outputs have one size.")
        # a captured graph replays into memory that it does not hold, so that memory must stay
        self.gives_back = self.gives_back and not graphs
        # the GPU computes one run at a time, and those that go together share their options
        self._keeping, self._giving_back = self.options(False), self.options(True)
        self._title = path.name  # for the log
        # One thread of its own: the CUDA provider keeps handles and captured graphs by thread, and the threads of a
        # batch come and go. It ends with this object.
        self._worker = ThreadPoolExecutor(1, "gpu")
        self._waiting: deque[_Call] = deque()
        self._lock = threading.Lock()  # of those who wait
        self._limit = 1 if graphs else max(1, batch)
        self._proven = False
        nodes = (*self.inputs, *self.outputs)
        self._free = {node.name for node in nodes if node.shape and not isinstance(node.shape[0], int)}
        self._bindings: OrderedDict[tuple[Any, ...], _Binding] = OrderedDict()  # the least recently used one first
        self._most_bindings = self._limit  # a batch may be of any size up to it

    def run(
        self, name: str, output: str, tensor: Tensor, give_back: bool = False, cancelled: Cancelled | None = None
    ) -> npt.NDArray[Any]:
        """See `Engine.run`."""
        options = self._giving_back if give_back else self._keeping
        call = _Call(name, output, tensor, options, give_back, cancelled)
        waiting = call.answer
        with self._lock:
            self._waiting.append(call)
        self._worker.submit(self._serve)  # as often as there are calls, so none is left behind
        try:
            with out_of_memory_by_name():
                answer, at = waiting.result()
        finally:
            del call, waiting  # an error would hold them, and they it, and so this network
        return answer if at is None else answer[at : at + 1].copy()  # a picture must not keep its neighbours' answers

    def close(self) -> None:
        """See `Engine.close`."""
        self._worker.shutdown()

    def _serve(self) -> None:
        calls = self._take()
        if len(calls) == 1:
            self._answer(calls[0])
        elif calls:  # none where they went along with an earlier one
            self._answer_together(calls)

    def _take(self) -> list["_Call"]:
        """The call that has waited longest, and those behind it that may go along."""
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

    def _answer(self, call: "_Call") -> npt.NDArray[Any] | None:
        try:
            answer = self._compute(call, [call.tensor])
        except Exception as error:
            # its frames hold the network, whose memory may have to go, and its caller adds those of another thread
            call.answer.set_exception(error.with_traceback(None))
            return None
        call.answer.set_result((answer, None))
        return answer

    def _answer_together(self, calls: list["_Call"]) -> None:
        tensors = [call.tensor for call in calls]
        if not self._proven:  # filled up, so that TensorRT builds one more engine and not one for each size
            tensors = list(itertools.islice(itertools.cycle(tensors), self._limit))
        answer: npt.NDArray[Any] | None = None
        problem, memory = "", False
        try:
            joint = self._compute(calls[0], tensors)
            if joint.shape[:1] == (len(tensors),):
                answer = joint
            else:
                problem = f"{len(tensors)} of them gave an answer of shape {joint.shape}"
        except Exception as error:
            problem, memory = str(error), is_out_of_memory(error)
        if answer is not None and self._proven:
            for at, call in enumerate(calls):
                call.answer.set_result((answer, at))
            return
        # out of that block: its error must not hold on to anything
        alone = [single for call in calls if (single := self._answer(call)) is not None]
        if memory:
            self._lower(len(tensors) // 2, problem)
        elif len(alone) < len(calls):
            pass  # they fail alone as well: the batch is not to blame
        elif answer is None:
            self._lower(1, problem)
        elif not all(_agree(answer[at : at + 1], single) for at, single in enumerate(alone)):
            self._lower(1, "together they gave other answers than one by one")
        else:  # the same picture several times would agree even so
            self._proven = any(not np.array_equal(alone[0], single) for single in alone[1:])

    def _lower(self, limit: int, problem: str) -> None:
        self._limit = max(1, limit)
        log.warning("%s: at most %d at once from now on: %s", self._title, self._limit, " ".join(problem.split())[:300])

    def _compute(self, call: "_Call", tensors: list[Tensor]) -> npt.NDArray[Any]:
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
        # a batch goes on while any of its callers waits for it
        with watched(call.options, self._seconds, call.cancelled if len(tensors) == 1 else None):
            self._session.run_with_iobinding(binding.io, call.options)
        binding.io.synchronize_outputs()
        (answer,) = binding.io.copy_outputs_to_cpu()
        self._bindings[key] = binding  # only now: one that failed holds no memory
        return answer  # type: ignore[no-any-return]

    def _bind(self, name: str, output: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "_Binding":
        while len(self._bindings) >= self._most_bindings:
            self._bindings.popitem(last=False)
        io = self._session.io_binding()
        tensor = self._session.create_ortvalue_from_shape_and_type(shape, dtype.type, "cuda")
        io.bind_ortvalue_input(name, tensor)
        node = next(node for node in self.outputs if node.name == output)
        fixed = fixed_shape(node)
        if fixed and node.type in _NUMPY:  # a captured graph writes to this place for good
            answer = self._session.create_ortvalue_from_shape_and_type(fixed, _NUMPY[node.type], "cuda")
            io.bind_ortvalue_output(output, answer)
        else:  # allocated by the first run, and right as long as the input's shape is
            io.bind_output(output, "cuda")
        return _Binding(io, tensor, np.empty(shape, dtype) if shape[0] > 1 else None)


@dataclass(slots=True, eq=False)
class _Call:
    """A tensor that waits for the GPU."""

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
    together: Tensor | None  # in this machine's memory, where several tensors become one


def _agree(together: npt.NDArray[Any], alone: npt.NDArray[Any]) -> bool:
    """Whether they differ by how a GPU rounds at most: by 1/255 on average, of 1 or of the answer's span."""
    if together.shape != alone.shape:
        return False
    mine, theirs = together.astype(np.float32), alone.astype(np.float32)
    return bool(np.abs(mine - theirs).mean() <= max(1.0, float(np.ptp(theirs))) / 255)
