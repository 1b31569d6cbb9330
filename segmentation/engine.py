"""A network on one execution provider of ONNX Runtime, and how a tensor gets to it and its answer back."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from segmentation.arrays import Tensor
from segmentation.providers import CPU, CUDA, TENSORRT, Provider, available_cores

# ONNX Runtime has no error of its own for it: a RuntimeException (code 6) that names its arena, or CUDA's own words
_OUT_OF_MEMORY = ("bfc_arena", "failed to allocate memory", "out of memory", "cudnn_status_alloc_failed")

_ARENA = {CPU: "cpu:0", CUDA: "gpu:0", TENSORRT: "gpu:0"}
"""Whose free memory a run may give back at its end."""

_NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OutOfMemoryError(Exception):
    """The GPU has not the memory that a run takes."""


@contextmanager
def _out_of_memory_by_name() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            raise OutOfMemoryError(str(error)) from error
        raise


class Engine:
    """One loaded network.

    Attributes:
        provider: The execution provider that really computes; ONNX Runtime may have fallen back to the CPU.
        inputs: What goes in, as ONNX Runtime describes it.
        outputs: What comes out.
    """

    def __init__(self, path: Path, providers: Sequence[Provider], threads: int | None = None) -> None:
        """Load the network.

        Args:
            path: Its weights.
            providers: The execution providers to use, best first, each with its options.
            threads: Cores one run may use on the CPU; all by default.

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
        self._keeping, self._giving_back = onnxruntime.RunOptions(), onnxruntime.RunOptions()
        self._keeping.log_severity_level = self._giving_back.log_severity_level = 3
        if self.gives_back:
            self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", _ARENA[self.provider])
        # A card computes one thing at a time anyway. One thread of its own for that: the CUDA provider keeps handles
        # and captured graphs by thread, and the threads of a batch come and go.
        self._card = None if self.provider == CPU else _Card(self._session)
        if graphs and self._card and not all(_fixed_shape(node) for node in (*self.inputs, *self.outputs)):
            raise ValueError("CUDA graphs need a network whose inputs and outputs have one size.")

    def run(self, name: str, output: str, tensor: Tensor, give_back: bool = False) -> npt.NDArray[Any]:
        """The network's answer.

        Args:
            name: Of the input.
            output: Which output.
            tensor: What goes in.
            give_back: Give the memory of the activations back at the end, where `gives_back`.

        Raises:
            OutOfMemoryError: The GPU's memory does not suffice. Reports say that a session goes on failing then
                (Deep-Live-Cam#1738): use this one no more.
            Exception: Whatever else ONNX Runtime says.
        """
        options = self._giving_back if give_back else self._keeping
        if self._card is None:
            (answer,) = self._session.run([output], {name: tensor}, options)
            return answer  # type: ignore[no-any-return]
        with _out_of_memory_by_name():
            return self._card.run(name, output, tensor, options)


class _Card:
    """Runs on a GPU: tensor and answer are in buffers of the device and each is copied once."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._worker = ThreadPoolExecutor(1, "gpu")  # its thread ends with this object
        self._bound: tuple[Any, ...] | None = None  # what the buffers were made for
        self._binding: Any = None
        self._input: Any = None

    def run(self, name: str, output: str, tensor: Tensor, options: onnxruntime.RunOptions) -> npt.NDArray[Any]:
        return self._worker.submit(self._run, name, output, tensor, options).result()

    def _run(self, name: str, output: str, tensor: Tensor, options: onnxruntime.RunOptions) -> npt.NDArray[Any]:
        wanted = name, output, tensor.shape, tensor.dtype
        if self._bound != wanted:
            self._bind(name, output, tensor)
            self._bound = wanted
        self._input.update_inplace(tensor)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding, options)
        self._binding.synchronize_outputs()
        (answer,) = self._binding.copy_outputs_to_cpu()
        return answer  # type: ignore[no-any-return]

    def _bind(self, name: str, output: str, tensor: Tensor) -> None:
        """Buffers for tensors of this shape, from the session's own arena, so that its limit holds for them as well."""
        self._bound = self._binding = self._input = None
        binding = self._session.io_binding()
        self._input = self._session.create_ortvalue_from_shape_and_type(tensor.shape, tensor.dtype.type, "cuda")
        binding.bind_ortvalue_input(name, self._input)
        node = next(node for node in self._session.get_outputs() if node.name == output)
        shape = _fixed_shape(node)
        if shape and node.type in _NUMPY:  # a captured graph writes to this place for good
            answer = self._session.create_ortvalue_from_shape_and_type(shape, _NUMPY[node.type], "cuda")
            binding.bind_ortvalue_output(output, answer)
        else:  # allocated by the first run, and right as long as the input's shape is
            binding.bind_output(output, "cuda")
        self._binding = binding


def _fixed_shape(node: Any) -> tuple[int, ...] | None:
    return tuple(node.shape) if all(isinstance(edge, int) for edge in node.shape) else None
