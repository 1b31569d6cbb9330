"""A network loaded in ONNX Runtime on one execution provider."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime

from segmentation.arrays import Tensor
from segmentation.messages import Message
from segmentation.network.machine import available_cores, available_memory
from segmentation.network.providers import CPU, CUDA, TENSORRT, Provider
from segmentation.network.watchdog import Cancelled, watched

if os.environ.get("ORT_DISABLE_TELEMETRY") == "1" and hasattr(onnxruntime, "disable_telemetry_events"):
    onnxruntime.disable_telemetry_events()  # on Windows, which does not read the variable

# ONNX Runtime has no error class for it: a RuntimeException (code 6) that names its arena, or CUDA's own words
_OUT_OF_MEMORY = ("bfc_arena", "failed to allocate memory", "out of memory", "cudnn_status_alloc_failed")
_NO_MEMORY = re.compile(r"bfc_?arena|failed to allocate|bad_alloc", re.IGNORECASE)
_NOISE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|h):\d+ .*?\) ")  # for ONNX Runtime's developers
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\"()]+)+[/\\]([^\s/\\:'\"()]+)")

_ARENA = {CPU: "cpu:0", CUDA: "gpu:0", TENSORRT: "gpu:0"}
"""Whose free memory a run may give back at its end."""

_SHARE = 0.6  # of this machine's memory, at most, for unregistered files


class OutOfMemoryError(Exception):
    """The GPU does not have the memory that a run takes."""


class Engine:
    """One loaded network. Safe to run from several threads at once.

    Attributes:
        provider: The execution provider that really computes; ONNX Runtime may have fallen back to the CPU.
        inputs: What goes in, as ONNX Runtime describes it.
        outputs: What comes out.
        gives_back: Whether a run can return the memory of its activations.
    """

    def __init__(
        self,
        path: Path,
        providers: Sequence[Provider],
        threads: int | None = None,
        *,
        seconds: float | None = None,
        limit_mb: int | None = None,
    ) -> None:
        """Load the network.

        Args:
            path: Its weights.
            providers: The execution providers to use, best first, each with its options.
            threads: Cores one run may use on the CPU; all by default.
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
        # without enable_fallback=0, Python's wrapper restarts on the CPU, at load and at run time, and prints
        with out_of_memory_by_name():
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=list(providers), enable_fallback=0
            )
        self.provider: str = self._session.get_providers()[0]
        self.inputs: list[Any] = self._session.get_inputs()
        self.outputs: list[Any] = self._session.get_outputs()
        self.gives_back = self.provider in _ARENA

    def options(self, give_back: bool) -> onnxruntime.RunOptions:
        """Options of one run.

        Args:
            give_back: Return the memory of the activations at its end, where `gives_back`.
        """
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4  # fatal only: an error comes as an exception, and its text may hold anything
        if give_back and self.gives_back:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", _ARENA[self.provider])
        return options

    def run(
        self, name: str, output: str, tensor: Tensor, give_back: bool = False, cancelled: Cancelled | None = None
    ) -> npt.NDArray[Any]:
        """Compute one output.

        Args:
            name: Of the input.
            output: Of the output.
            tensor: What goes in.
            give_back: Return the memory of the activations at the end, where `gives_back`.
            cancelled: Asked now and then whether the answer is no longer wanted.

        Raises:
            RunTimeoutError: It took too long.
            RunCancelledError: It was cancelled.
            OutOfMemoryError: The GPU's memory does not suffice. Reports say that a session goes on failing then
                (Deep-Live-Cam#1738): do not use this one again.
            Exception: Anything else that ONNX Runtime raises.
        """
        options = self.options(give_back or self._limited)  # unregistered files keep nothing between their runs
        with watched(options, self._seconds, cancelled):
            (answer,) = self._session.run([output], {name: tensor}, options)
        return answer  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let the network's memory go with the last reference to this, once nobody runs it any longer."""


@cache
def _limited_arena(megabytes: int) -> None:
    """One arena with a limit, shared by all sessions that ask for it: what exceeds it fails, the process lives on."""
    most = min(megabytes << 20, int(_SHARE * available_memory()))
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg({"max_mem": most}))


@contextmanager
def out_of_memory_by_name() -> Iterator[None]:
    """Turn ONNX Runtime's unnamed lack of memory into `OutOfMemoryError`."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError(str(error)) from error
        raise


def is_out_of_memory(error: Exception) -> bool:
    """Whether ONNX Runtime failed for lack of memory."""
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def reason(error: Exception) -> str:
    """Why ONNX Runtime failed, as the end of a sentence: without its source lines, and without paths."""
    text = " ".join(str(error).split()).rstrip(".")
    if _NO_MEMORY.search(text):
        return Message("it needs more memory than it may take.")
    return _PATH.sub(r"\1", _NOISE.sub("", text))[:200]


def fixed_shape(node: Any) -> tuple[int, ...] | None:
    """The shape of an input or output; None where the graph leaves an edge open."""
    return tuple(node.shape) if all(isinstance(edge, int) for edge in node.shape) else None
