"""A network loaded in ONNX Runtime and checked against its contract, safe to share."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from segmentation.arrays import Tensor
from segmentation.config import Config, Device
from segmentation.errors import SessionError
from segmentation.messages import Message
from segmentation.models.onnx_file import file_problem
from segmentation.models.spec import ModelSpec, Progress
from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights
from segmentation.network.contract import input_contract, output_contract
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.isolated import IsolatedEngine
from segmentation.network.machine import resident_bytes
from segmentation.network.recovery import Answer, LastInput, RecoveringEngine
from segmentation.network.watchdog import Cancelled
from segmentation.settings import MAX_SIZE

DEFAULT_GPU = GpuOptions()
OWN_MODELS_MB = 4096  # default memory limit for all unregistered models together

_MOST_VALUES = 4 * MAX_SIZE**2  # of an output


Runner: TypeAlias = Callable[[Tensor, Cancelled | None], Answer]
"""Computes a network's output for a tensor of its input contract: `Session.run`, or a GPU lent for one picture."""


@dataclass(slots=True)
class _Use:
    """The latest use of a network, under whichever contract."""

    ended: float = field(default_factory=time.monotonic)
    last: LastInput | None = None  # None if there was no run since the memory was released


class Session:
    """One network, ready to run. Safe to use from several threads at once.

    An unregistered one runs in a process of its own, which ends with this object.

    Attributes:
        spec: The model.
        path: Its weights.
        input: Its input contract, completed from the graph.
        output: How to read its output, completed from the graph.
        notes: Sentences about guesses in these, to show with the result.
        memory: Approximate bytes by which loading it and its first run grew its process: other allocations at that
            time are counted too, GPU memory is not. 0 if unknown.
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
            device: Where to compute. `auto` uses the GPU if one works.
            threads: Cores one run may use on the CPU; all by default.
            gpu: GPU limits, if it uses one.
            seconds: A run that takes longer is ended.
            own_models_mb: Megabytes of memory for all unregistered models together.

        Raises:
            SessionError: The device is unavailable, or the file does not fit the contract.
        """
        if problem := file_problem(path):
            raise SessionError(
                Message(
                    "{title}: {file} cannot be loaded: {problem}", title=spec.title, file=path.name, problem=problem
                )
            )
        self.spec, self.path = spec, path
        before = resident_bytes() if spec.registered else 0
        fixed_size = not spec.input.dynamic
        self._engine: RecoveringEngine | IsolatedEngine
        if spec.registered:
            self._engine = RecoveringEngine(
                path, spec.title, device, threads, gpu, fixed_size=fixed_size, small=spec.is_small, seconds=seconds
            )
        else:
            self._engine = IsolatedEngine(
                path, spec.title, device, threads, gpu, fixed_size=fixed_size, seconds=seconds, memory_mb=own_models_mb
            )
        self.memory = max(0, self._engine.held_bytes - before)
        self.input = input_contract(spec, self._engine.inputs)
        contract = output_contract(spec, self._engine.outputs, self.input.layout)
        self.output, self.notes = contract.spec, contract.notes
        assert self.input.name is not None, "completed by the contract"
        self._names = self.input.name, contract.name
        self._measuring, self._measured = threading.Lock(), False
        self._use = _Use()

    @property
    def provider(self) -> str:
        """The current execution provider; each answer has the one that computed it."""
        return self._engine.provider

    @property
    def provider_note(self) -> str:
        """Why `provider` is not the GPU's, if `auto` could not use it; else ""."""
        return self._engine.note

    def run(self, tensor: Tensor, cancelled: Cancelled | None = None) -> Answer:
        """The network's output for a tensor of its input contract.

        If the GPU runs out of memory, the network is reloaded and the run retried once; after that, with the device
        `auto`, it continues on the CPU until it has been idle (`give_memory_back`).

        Args:
            tensor: The input.
            cancelled: Polled during the run; returns True to cancel.

        Raises:
            SessionError: The run failed (unsupported size, memory, time).
            RunCancelledError: It was cancelled.
        """
        answer = self._first_run(tensor, cancelled) if self.spec.registered and not self._measured else None
        answer = answer or self._engine.run(*self._names, tensor, cancelled)
        if not self.spec.registered:  # nothing else is in its process
            self.memory = max(self.memory, self._engine.held_bytes)
        if answer.output.size > _MOST_VALUES:
            raise SessionError(
                Message(
                    "{title} returns {values} values, too many for a mask.",
                    title=self.spec.title, values=answer.output.size,
                )
            )  # fmt: skip
        self._use.ended, self._use.last = time.monotonic(), (tensor.shape, tensor.dtype)
        return replace(answer, memory=self.memory)

    def _first_run(self, tensor: Tensor, cancelled: Cancelled | None) -> Answer | None:
        """Run and measure: the activations stay allocated, so the process's growth is the most that one run needs.

        Returns:
            None if another run was first.
        """
        with self._measuring:  # others wait: concurrent runs would count each other's memory
            if self._measured:
                return None
            before = self._engine.held_bytes
            answer = self._engine.run(*self._names, tensor, cancelled)
            self.memory += max(0, self._engine.held_bytes - before)
            self._measured = True
            return answer

    def give_memory_back(self, idle_seconds: float) -> bool:
        """Release the memory of the activations if the network has been idle for this long.

        Between runs it stays allocated: otherwise each run takes a fifth longer (u2netp: 300 MB held; MODNet at 1024:
        560 MB, 130 MB after release). ONNX Runtime only releases it at the end of a run, so this costs one run. A
        network that moved to the CPU because the GPU ran out of memory tries the GPU again. The process of an
        unregistered one ends; its next run starts it again.

        Returns:
            Whether there was anything to release.
        """
        if time.monotonic() - self._use.ended < idle_seconds:
            return False
        last, self._use.last = self._use.last, None
        return self._engine.give_back(*self._names, last)


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
    """A session of a model, whose weights are downloaded if needed.

    Args:
        spec: The model.
        path: Your own weights instead of the registry's; they are not verified.
        folder: The models folder.
        device: "auto", "cpu", "cuda" or "tensorrt".
        threads: Cores one run may use on the CPU; all by default. See `threads_for`.
        gpu: GPU limits, if it uses one.
        accepted_licences: Ids of the licences that were accepted.
        on_progress: Called while bytes arrive.
        seconds: A run that takes longer is ended.
        own_models_mb: Megabytes of memory for all unregistered models together.

    Raises:
        WeightsError: The weights cannot be downloaded, or may not be used.
        SessionError: They cannot be loaded on that device.
    """
    file = path or fetch_weights(spec, folder, accepted_licences=accepted_licences, on_progress=on_progress)
    return Session(spec, file, device, threads, gpu, seconds=seconds, own_models_mb=own_models_mb)


def load_configured(
    spec: ModelSpec,
    config: Config,
    *,
    device: Device | None = None,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> Session:
    """`load_session` with the operator's device, limits and accepted licences.

    Args:
        spec: The model.
        config: The operator's configuration.
        device: Instead of the operator's.
        threads: Cores one run may use on the CPU; all by default.
        on_progress: Called as bytes arrive.

    Raises:
        WeightsError: See `load_session`.
        SessionError: See `load_session`.
    """
    return load_session(
        spec,
        folder=config.models_folder,
        device=device or config.device,
        threads=threads,
        gpu=GpuOptions.of(config),
        accepted_licences=config.accepted,
        on_progress=on_progress,
        seconds=config.run_seconds,
        own_models_mb=config.own_models_mb,
    )
