"""A network loaded in ONNX Runtime on one execution provider."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt
import onnxruntime

from segmentation.arrays import Tensor
from segmentation.messages import Message
from segmentation.network.machine import available_cores
from segmentation.network.providers import CPU, CUDA, TENSORRT, Provider
from segmentation.network.watchdog import Cancelled, watched

if os.environ.get("ORT_DISABLE_TELEMETRY") == "1" and hasattr(onnxruntime, "disable_telemetry_events"):
    onnxruntime.disable_telemetry_events()  # for Windows, where ONNX Runtime ignores the variable

# ONNX Runtime has no error class for this: a Fail or RuntimeException that names its arena, or the text of CUDA, cuBLAS
# ("CUBLAS failure 3: the resource allocation failed") or cuDNN
_OUT_OF_MEMORY = re.compile(
    r"bfc_?arena|failed to allocate|out of memory|resource allocation failed|cudnn_status_\w*alloc\w*_failed",
    re.IGNORECASE,
)
_NO_MEMORY = re.compile(rf"{_OUT_OF_MEMORY.pattern}|bad_alloc", re.IGNORECASE)
_FAILURE = re.compile(r"CU\w+ failure \d+: .*?(?= ; )")  # what a long text about C++ functions is about
_NOISE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|h):\d+ .*?\) ")  # for ONNX Runtime's developers
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\"()]+)+[/\\]([^\s/\\:'\"()]+)")

_ARENA = {CPU: "cpu:0", CUDA: "gpu:0", TENSORRT: "gpu:0"}
"""The arena whose free memory a run may release at its end."""


class OutOfMemoryError(Exception):
    """The GPU has too little memory for a run."""


class Engine:
    """One loaded network. Safe to run from several threads at once.

    Attributes:
        provider: The execution provider in use; ONNX Runtime may have fallen back to the CPU.
        inputs: The inputs, as ONNX Runtime describes them.
        outputs: The outputs.
        gives_back: Whether a run can release the memory of its activations.
    """

    def __init__(
        self,
        path: Path,
        providers: Sequence[Provider],
        threads: int | None = None,
        *,
        seconds: float | None = None,
    ) -> None:
        """Load the network.

        Args:
            path: Its weights.
            providers: The execution providers to use, best first, each with its options.
            threads: Cores one run may use on the CPU; all by default.
            seconds: A run that takes longer is ended.

        Raises:
            OutOfMemoryError: The GPU has too little memory for the weights.
            Exception: ONNX Runtime cannot load it there; its exceptions have no common base.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only; we check the provider ourselves
        options.intra_op_num_threads = threads or available_cores()
        # planning all activations ahead holds 1.6 times the memory and is no faster
        options.enable_mem_pattern = False
        # idle workers of a server must not burn the cores that decode and encode other pictures
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._seconds = seconds
        # without enable_fallback=0, the Python wrapper falls back to the CPU on load and run, and prints
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
            give_back: Release the memory of the activations at its end, if `gives_back`.
        """
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4  # fatal only: errors are raised, and their text may contain anything
        if give_back and self.gives_back:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", _ARENA[self.provider])
        return options

    def run(
        self, name: str, output: str, tensor: Tensor, give_back: bool = False, cancelled: Cancelled | None = None
    ) -> npt.NDArray[Any]:
        """Compute one output.

        Args:
            name: Name of the input.
            output: Name of the output.
            tensor: The input.
            give_back: Release the memory of the activations at the end, if `gives_back`.
            cancelled: Polled during the run; returns True to cancel.

        Raises:
            RunTimeoutError: It took too long.
            RunCancelledError: It was cancelled.
            OutOfMemoryError: The GPU has too little memory. According to reports, the session keeps failing after that
                (Deep-Live-Cam#1738): do not use it again.
            Exception: Anything else that ONNX Runtime raises.
        """
        return self.run_many({name: tensor}, [output], give_back, cancelled)[0]

    def run_many(
        self,
        feeds: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str],
        give_back: bool = False,
        cancelled: Cancelled | None = None,
    ) -> list[npt.NDArray[Any]]:
        """Compute several outputs of several inputs.

        Args:
            feeds: The inputs by name.
            outputs: Names of the outputs.
            give_back: As in `run`.
            cancelled: As in `run`.

        Raises:
            Exception: As `run`.
        """
        options = self.options(give_back)
        with watched(options, self._seconds, cancelled):
            return self._session.run(list(outputs), dict(feeds), options)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Allow the network's memory to be freed with the last reference to this, once no run is in progress."""


class out_of_memory_by_name:  # noqa: N801 (reads as a function)
    """Turns ONNX Runtime's generic out-of-memory exceptions into `OutOfMemoryError`.

    Not a generator: from Python 3.12 on, the error would hold the frames, and with them the network, until the garbage
    collector runs; its memory must be free before it is loaded again.
    """

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None, /) -> None:
        """Raise what the error is."""
        if isinstance(error, Exception) and is_out_of_memory(error):
            raise OutOfMemoryError(str(error)) from None


def is_out_of_memory(error: Exception) -> bool:
    """Whether ONNX Runtime ran out of memory."""
    return bool(_OUT_OF_MEMORY.search(str(error)))


def reason(error: Exception) -> str:
    """Why ONNX Runtime failed, as the end of a sentence, without its source lines and paths."""
    text = " ".join(str(error).split()).rstrip(".")
    if _NO_MEMORY.search(text):
        return Message("it needs more memory than is allowed.")
    if failure := _FAILURE.search(text):
        return failure[0]
    return _PATH.sub(r"\1", _NOISE.sub("", text))[:200]


def fixed_shape(node: Any) -> tuple[int, ...] | None:
    """The shape of an input or output; None if the graph leaves a dimension open."""
    return tuple(node.shape) if all(isinstance(edge, int) for edge in node.shape) else None
