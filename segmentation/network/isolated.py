"""A network in a process of its own: whatever an unregistered file does, the server goes on."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentation.arrays import Tensor
from segmentation.config import Device
from segmentation.errors import SessionError
from segmentation.messages import Message, from_json
from segmentation.models.onnx_file import data_files
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.probe import usable_providers
from segmentation.network.machine import available_cores, available_memory
from segmentation.network.providers import CPU, CUDA
from segmentation.network.recovery import Answer, LastInput
from segmentation.network.watchdog import POLL_SECONDS, Cancelled, RunCancelledError, TooSlowError
from segmentation.sandbox.limits import Limits
from segmentation.sandbox.process import Sandbox, SandboxError
from segmentation.sandbox.shared import Array

LOAD_SECONDS = 120.0

_TARGET = "segmentation.network.isolated_child:answer"
_SHARE = 0.6  # of this machine's memory, the most for unregistered models
_NODES, _AXES, _NAME = 1000, 16, 200  # the most that are taken from the process


@dataclass(frozen=True, slots=True)
class _Node:
    """An input or output, as the process describes it."""

    name: str
    shape: tuple[int | str | None, ...]
    type: str


class IsolatedEngine:
    """Loads and runs one network in a sandboxed process; see `RecoveringEngine`, which does so in this one.

    One picture at a time. A process that has ended, for whatever reason, is replaced for the next run.

    Attributes:
        provider: The execution provider of the latest load.
        note: Why that is not the GPU's, if `auto` could not use it; else "".
        inputs: The inputs.
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
        seconds: float | None,
        memory_mb: int,
    ) -> None:
        """Start the process and load the network.

        Args:
            path: Its file.
            title: Its name in sentences.
            device: Where to compute. `tensorrt` means CUDA, as TensorRT would share its cache with other networks.
            threads: Cores one run may use on the CPU; all by default.
            gpu: GPU limits.
            fixed_size: Whether its input has a fixed size.
            seconds: A run that takes longer is ended.
            memory_mb: Megabytes for all such networks together.

        Raises:
            SessionError: The device is unavailable, or the file cannot be loaded.
        """
        self._path, self._title, self._gpu, self._fixed_size = path.absolute(), title, gpu, fixed_size
        providers, self._cpu_note = usable_providers(device)
        on_gpu = providers[0] != CPU
        self._device = "cpu" if not on_gpu else "cuda" if device == "tensorrt" else device
        self._devices = sorted(Path("/dev").glob("nvidia*")) if on_gpu else []
        self._limits = Limits(
            memory_mb=min(memory_mb, int(_SHARE * available_memory()) >> 20),
            seconds=math.inf if seconds is None else seconds,
            threads=threads or available_cores(),
        )
        self._lock = threading.Lock()  # guards the process
        self._sandbox = self._load(None)

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the process holds; 0 if unknown or ended."""
        return self._sandbox.held_bytes

    def run(self, name: str, output: str, tensor: Tensor, cancelled: Cancelled | None = None) -> Answer:
        """See `RecoveringEngine.run`. A cancelled run ends at once, and the process with it."""
        with self._turn(cancelled):
            if not self._sandbox.is_alive:
                self._sandbox = self._load(cancelled)
            try:
                answer, arrays = self._sandbox.call({"name": name, "output": output}, [tensor], cancelled=cancelled)
                self._check(answer)
                (array,) = arrays
                provider, note = self._computed_by(answer)
            except SandboxError as error:
                raise self._run_error(error, tensor) from error
            except (ValueError, LookupError, TypeError) as error:
                raise self._run_error(self._nonsense(), tensor) from error
            return Answer(array, provider, note)

    def give_back(self, _output: str, _last: LastInput | None) -> bool:
        """End the process, unless it is computing; the next run starts another.

        Returns:
            Whether there was one.
        """
        return self._sandbox.close_if_idle()

    @contextmanager
    def _turn(self, cancelled: Cancelled | None) -> Iterator[None]:
        while not self._lock.acquire(timeout=POLL_SECONDS):
            if cancelled is not None and cancelled():
                raise RunCancelledError
        try:
            yield
        finally:
            self._lock.release()

    def _load(self, cancelled: Cancelled | None) -> Sandbox:
        request = {
            "path": str(self._path), "title": self._title, "device": self._device, "threads": self._limits.threads,
            "gpu_mb": self._gpu.memory_mb, "graphs": self._gpu.graphs, "fixed_size": self._fixed_size,
        }  # fmt: skip
        try:
            sandbox = Sandbox(_TARGET, self._files(), self._limits, devices=self._devices)
            answer, _ = sandbox.call(request, seconds=LOAD_SECONDS, cancelled=cancelled)
            self._check(answer)
            self.inputs, self.outputs = _nodes(answer["inputs"]), _nodes(answer["outputs"])
            self.provider, self.note = self._computed_by(answer)
        except SandboxError as error:
            if error.reason == "cancelled":
                raise RunCancelledError from error
            raise self._load_error(_why(error, LOAD_SECONDS)) from error
        except (ValueError, LookupError, TypeError) as error:
            raise self._load_error(_why(SandboxError("crashed"), 0)) from error
        return sandbox

    def _files(self) -> list[Path]:
        try:
            return [self._path, *data_files(self._path)]
        except OSError as error:
            problem = Message("it cannot be read ({reason}).", reason=error.strerror or "unknown")
            raise self._load_error(problem) from error
        except ValueError as error:
            raise self._load_error(Message("it refers to data outside its folder.")) from error

    def _computed_by(self, answer: dict[str, Any]) -> tuple[str, str]:
        """Execution provider, and why it is not the GPU's."""
        provider = answer["provider"]
        if provider == CUDA and self._devices:
            return CUDA, ""
        if provider != CPU:
            raise ValueError(provider)
        return CPU, from_json(answer["note"]) if self._devices else self._cpu_note

    def _check(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            raise SessionError(from_json(answer["error"]))

    def _nonsense(self) -> SandboxError:
        self._sandbox.close()
        return SandboxError("crashed")

    def _run_error(self, error: SandboxError, tensor: Array) -> Exception:
        if error.reason == "cancelled":
            return RunCancelledError()
        if error.reason == "time":
            return TooSlowError(
                Message(
                    "{title} took longer than {seconds:g} s for this picture and was stopped. Try a smaller size or "
                    "another model.",
                    title=self._title, seconds=self._limits.seconds,
                )
            )  # fmt: skip
        return SessionError(
            Message(
                "{title} could not be run at {shape}: {reason} If you set a size, try another or leave it empty.",
                title=self._title, shape=tensor.shape, reason=_why(error, self._limits.seconds),
            )
        )  # fmt: skip

    def _load_error(self, reason: Message) -> SessionError:
        return SessionError(
            Message(
                "{title}: {name} cannot be loaded: {reason}", title=self._title, name=self._path.name, reason=reason
            )
        )


def _why(error: SandboxError, seconds: float) -> Message:
    """Why a process ended or failed, as the end of a sentence."""
    if error.reason == "time":
        return Message("it took longer than {seconds:g} s.", seconds=seconds)
    if error.reason == "memory":
        return Message("it needs more memory than is allowed.")
    if error.reason == "crashed":
        return Message("it crashed.")
    return Message(str(error)[:_NAME])


def _nodes(described: Any) -> list[_Node]:
    return [
        _Node(str(name)[:_NAME], tuple(_edge(edge) for edge in shape[:_AXES]), str(kind)[:_NAME])
        for name, shape, kind in described[:_NODES]
    ]


def _edge(edge: Any) -> int | str | None:
    return edge if edge is None or type(edge) is int else str(edge)[:_NAME]
