"""Runs on a GPU: input and output lie in buffers on the device, and each is copied once."""

import itertools
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
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
"""A run's output, and the index of one picture in it; None for all."""


class BoundEngine(Engine):
    """A network on a GPU.

    All calls that wait while the GPU computes are batched into its next run, if the network accepts several pictures
    and they have the same shape; no call ever waits for a batch to fill. A graph may claim to accept several and yet
    fail, or mix the pictures up. So the first batch is a trial: its pictures are also computed one by one, the callers
    get those outputs, and both must agree.
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
            threads: Cores for nodes without a GPU kernel; all by default.
            batch: The most pictures in one GPU run, if the network accepts several.
            seconds: A run that takes longer is ended.

        Raises:
            OutOfMemoryError: The GPU has too little memory for the weights.
            Exception: ONNX Runtime cannot load it there; its exceptions have no common base.
        """
        super().__init__(path, providers, threads, seconds=seconds)
        graphs = any(settings.get("enable_cuda_graph") == "1" for _, settings in providers)
        if graphs and not all(fixed_shape(node) for node in (*self.inputs, *self.outputs)):
            raise ValueError("CUDA graphs need a network whose inputs and outputs have a fixed size.")
        # a captured graph replays into memory that it does not own, so that memory must stay allocated
        self.gives_back = self.gives_back and not graphs
        # the GPU computes one run at a time, and batched calls share their options
        self._keeping, self._giving_back = self.options(False), self.options(True)
        self._title = path.name  # for the log
        # A dedicated thread: the CUDA provider keeps handles and captured graphs per thread, and the threads of a
        # batch are short-lived. It ends with this object.
        self._worker = ThreadPoolExecutor(1, "gpu")
        self._waiting: deque[_Call] = deque()
        self._lock = threading.Lock()  # guards `_waiting`
        self._limit = 1 if graphs else max(1, batch)
        self._proven = False
        nodes = (*self.inputs, *self.outputs)
        self._free = {node.name for node in nodes if node.shape and not isinstance(node.shape[0], int)}
        self._bindings: OrderedDict[tuple[Any, ...], _Binding] = OrderedDict()  # the least recently used first
        self._most_bindings = self._limit  # one for each batch size

    def run(
        self, name: str, output: str, tensor: Tensor, give_back: bool = False, cancelled: Cancelled | None = None
    ) -> npt.NDArray[Any]:
        """See `Engine.run`."""
        options = self._giving_back if give_back else self._keeping
        call = _Call(name, output, tensor, options, give_back, cancelled)
        waiting = call.answer
        with self._lock:
            self._waiting.append(call)
        self._worker.submit(self._serve)  # once for each call, so that none is left behind
        try:
            with out_of_memory_by_name():
                answer, at = waiting.result()
        finally:
            del call, waiting  # an error's reference cycle with them would keep this network alive
        return answer if at is None else answer[at : at + 1].copy()  # a view would keep the whole batch's output alive

    def run_many(
        self,
        feeds: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        give_back: bool = False,
        cancelled: Cancelled | None = None,
    ) -> list[npt.NDArray[Any]]:
        """See `Engine.run_many`. Buffers are bound for this run only."""
        waiting: Future[list[npt.NDArray[Any]]] = Future()
        self._worker.submit(self._answer_many, waiting, feeds, outputs, self.options(give_back), cancelled)
        try:
            with out_of_memory_by_name():
                return waiting.result()
        finally:
            del waiting  # as in `run`

    def _answer_many(self, waiting: "Future[list[npt.NDArray[Any]]]", *arguments: Any) -> None:
        try:
            answer = self._compute_many(*arguments)
        except Exception as error:
            waiting.set_exception(error.with_traceback(None))  # its frames would keep the network alive
        else:
            waiting.set_result(answer)

    def _compute_many(
        self,
        feeds: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        options: onnxruntime.RunOptions,
        cancelled: Cancelled | None,
    ) -> list[npt.NDArray[Any]]:
        io = self._session.io_binding()
        for name, array in feeds.items():
            value = self._session.create_ortvalue_from_shape_and_type(array.shape, array.dtype.type, "cuda")
            value.update_inplace(np.ascontiguousarray(array))
            io.bind_ortvalue_input(name, value)
        for name in outputs:
            io.bind_output(name, "cuda")
        io.synchronize_inputs()
        with watched(options, self._seconds, cancelled):
            self._session.run_with_iobinding(io, options)
        io.synchronize_outputs()
        return io.copy_outputs_to_cpu()  # type: ignore[no-any-return]

    def close(self) -> None:
        """See `Engine.close`."""
        self._worker.shutdown()

    def _serve(self) -> None:
        calls = self._take()
        if len(calls) == 1:
            self._answer(calls[0])
        elif calls:  # empty if an earlier batch took them
            self._answer_together(calls)

    def _take(self) -> list["_Call"]:
        """The call that has waited longest, and later ones that can share its batch."""
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
            # the traceback's frames would keep the network alive, whose memory may have to be freed
            call.answer.set_exception(error.with_traceback(None))
            return None
        call.answer.set_result((answer, None))
        return answer

    def _answer_together(self, calls: list["_Call"]) -> None:
        tensors = [call.tensor for call in calls]
        if not self._proven:  # filled up to the limit, so that TensorRT builds one engine rather than one for each size
            tensors = list(itertools.islice(itertools.cycle(tensors), self._limit))
        answer: npt.NDArray[Any] | None = None
        problem, memory = "", False
        try:
            joint = self._compute(calls[0], tensors)
            if joint.shape[:1] == (len(tensors),):
                answer = joint
            else:
                problem = f"a batch of {len(tensors)} gave an output of shape {joint.shape}"
        except Exception as error:
            problem, memory = str(error), is_out_of_memory(error)
        if answer is not None and self._proven:
            for at, call in enumerate(calls):
                call.answer.set_result((answer, at))
            return
        # outside that block, so that its error keeps nothing alive
        alone = [single for call in calls if (single := self._answer(call)) is not None]
        if memory:
            self._lower(len(tensors) // 2, problem)
        elif len(alone) < len(calls):
            pass  # they also fail one by one: the batch is not to blame
        elif answer is None:
            self._lower(1, problem)
        elif not all(_agree(answer[at : at + 1], single) for at, single in enumerate(alone)):
            self._lower(1, "the outputs of a batch differ from those computed one by one")
        else:  # proves nothing if all pictures are the same
            self._proven = any(not np.array_equal(alone[0], single) for single in alone[1:])

    def _lower(self, limit: int, problem: str) -> None:
        self._limit = max(1, limit)
        log.warning("%s: at most %d per run from now on: %s", self._title, self._limit, " ".join(problem.split())[:300])

    def _compute(self, call: "_Call", tensors: list[Tensor]) -> npt.NDArray[Any]:
        first = call.tensor
        shape = first.shape if len(tensors) == 1 else (len(tensors), *first.shape[1:])
        if call.give_back:  # release the buffers too
            self._bindings.clear()
        key = call.name, call.output, shape, first.dtype
        binding = self._bindings.pop(key, None) or self._bind(call.name, call.output, shape, first.dtype)
        if binding.together is None:
            binding.input.update_inplace(first)
        else:
            binding.input.update_inplace(np.concatenate(tensors, out=binding.together))
        binding.io.synchronize_inputs()
        # a batch is not cancelled, as other callers may still need it
        with watched(call.options, self._seconds, call.cancelled if len(tensors) == 1 else None):
            self._session.run_with_iobinding(binding.io, call.options)
        binding.io.synchronize_outputs()
        (answer,) = binding.io.copy_outputs_to_cpu()
        self._bindings[key] = binding  # only now, so that a failed run holds no memory
        return answer  # type: ignore[no-any-return]

    def _bind(self, name: str, output: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "_Binding":
        while len(self._bindings) >= self._most_bindings:
            self._bindings.popitem(last=False)
        io = self._session.io_binding()
        tensor = self._session.create_ortvalue_from_shape_and_type(shape, dtype.type, "cuda")
        io.bind_ortvalue_input(name, tensor)
        node = next(node for node in self.outputs if node.name == output)
        fixed = fixed_shape(node)
        if fixed and node.type in _NUMPY:  # a captured graph always writes to the same buffer
            answer = self._session.create_ortvalue_from_shape_and_type(fixed, _NUMPY[node.type], "cuda")
            io.bind_ortvalue_output(output, answer)
        else:  # allocated by the first run, and valid for this input shape
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
    """Buffers for tensors of one shape, from the session's own arena, so that its limit includes them."""

    io: Any
    input: Any
    together: Tensor | None  # in main memory, where several tensors are concatenated


def _agree(together: npt.NDArray[Any], alone: npt.NDArray[Any]) -> bool:
    """Whether they differ by no more than a GPU's rounding: 1/255 on average, of 1 or of the output's range."""
    if together.shape != alone.shape:
        return False
    mine, theirs = together.astype(np.float32), alone.astype(np.float32)
    return bool(np.abs(mine - theirs).mean() <= max(1.0, float(np.ptp(theirs))) / 255)
