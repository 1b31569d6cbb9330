"""A network loaded in ONNX Runtime, checked against its contract, and shared by all who ask for it."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segmentation.arrays import Tensor
from segmentation.config import Device
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.onnx_file import file_problem
from segmentation.models.spec import ModelSpec, Progress
from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights
from segmentation.network.contract import input_contract, output_contract
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.gpu.recovery import Computed, RecoveringEngine
from segmentation.network.machine import resident_bytes
from segmentation.network.watchdog import Cancelled
from segmentation.settings import MAX_SIZE

DEFAULT_GPU = GpuOptions()
OWN_MODELS_MB = 4096  # that unregistered files may take together on the CPU, unless the caller says otherwise

_MOST_VALUES = 4 * MAX_SIZE**2  # of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network computed, and where."""

    output: npt.NDArray[Any]
    provider: str
    """The execution provider that computed it."""
    provider_note: str
    """Why that is not the GPU's, where `auto` found none that can; else ""."""
    memory: int
    """Bytes that the loaded network takes, about; 0 where that is not known."""


Runner: TypeAlias = Callable[[Tensor, Cancelled | None], Answer]
"""Computes a network's answer to a tensor of its input contract: `Session.run`, or a GPU lent for a moment."""


class Session:
    """One network, ready to run. Safe to use from several threads at once.

    Attributes:
        spec: The model.
        path: Its weights.
        input: Its input contract, completed by what the graph fixes.
        output: How its output is read, completed by what the graph tells.
        notes: Sentences about what was guessed of that, for whoever looks at the result.
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
            SessionError: The device is unavailable, or the file is not a network of that contract.
        """
        if problem := file_problem(path):
            raise SessionError(
                Message(
                    "{title}: {file} cannot be loaded: {problem}", title=spec.title, file=path.name, problem=problem
                )
            )
        self.spec, self.path = spec, path
        before = resident_bytes()
        self._engine = RecoveringEngine(
            path, spec.title, device, threads, gpu, fixed_size=not spec.input.dynamic, small=spec.is_small,
            seconds=seconds, limit_mb=own_models_mb if spec.is_local else None,
        )  # fmt: skip
        self.memory = max(0, resident_bytes() - before)
        self.input = input_contract(spec, self._engine.inputs)
        contract = output_contract(spec, self._engine.outputs, self.input.layout)
        self.output, self.notes = contract.spec, contract.notes
        assert self.input.name is not None, "completed by the contract"
        self._names = self.input.name, contract.name
        self._measuring, self._measured = threading.Lock(), False
        self._resting_since = 0.0
        self._last_input: tuple[tuple[int, ...], np.dtype[Any]] | None = None

    @property
    def provider(self) -> str:
        """The execution provider now; which one computed a picture, its answer says."""
        return self._engine.provider

    @property
    def provider_note(self) -> str:
        """Why `provider` is not the GPU's, where `auto` found none that can; else ""."""
        return self._engine.note

    def run(self, tensor: Tensor, cancelled: Cancelled | None = None) -> Answer:
        """The network's answer to a tensor of its input contract.

        If the GPU runs out of memory, the network is reloaded and the run retried once; then, with the device `auto`,
        it continues on the CPU until it has been idle (`give_memory_back`).

        Args:
            tensor: What goes in.
            cancelled: Asked now and then whether the answer is no longer wanted.

        Raises:
            SessionError: The network cannot compute it (a size it does not take, memory, time).
            RunCancelledError: It was cancelled.
        """
        computed = None if self._measured else self._first_run(tensor, cancelled)
        computed = computed or self._engine.run(*self._names, tensor, cancelled)
        output = computed.output
        if output.size > _MOST_VALUES:
            raise SessionError(
                Message(
                    "{title} answers with {values} values, too many for a mask.",
                    title=self.spec.title, values=output.size,
                )
            )  # fmt: skip
        self._resting_since, self._last_input = time.monotonic(), (tensor.shape, tensor.dtype)
        return Answer(output, computed.provider, computed.note, self.memory)

    def _first_run(self, tensor: Tensor, cancelled: Cancelled | None) -> Computed | None:
        """The memory of its activations is kept, so what the process grew by is what one run takes at most.

        Returns:
            None where another run was the first.
        """
        with self._measuring:  # others wait: two at once would count each other's
            if self._measured:
                return None
            before = resident_bytes()
            computed = self._engine.run(*self._names, tensor, cancelled)
            self.memory += max(0, resident_bytes() - before)
            self._measured = True
            return computed

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
        return self._engine.give_back(*self._names, *last)


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
