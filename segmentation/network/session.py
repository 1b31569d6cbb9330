"""A network loaded in ONNX Runtime and checked against its contract, safe to share."""

import copy
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
from segmentation.models.local_models import inspect_local
from segmentation.models.onnx_file import file_problem
from segmentation.models.patch import patched
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
    """The use of a network, under whichever contract."""

    memory: int
    measured: bool = False  # by a run
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
        self._own_spec, self._contract, self.path = spec, "", path
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
        self._use = _Use(memory=max(0, self._engine.held_bytes - before))
        self._measuring = threading.Lock()
        self._take_contract(spec)

    def _take_contract(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.input = input_contract(spec, self._engine.inputs)
        contract = output_contract(spec, self._engine.outputs, self.input.layout)
        self.output, self.notes = contract.spec, (*spec.notes, *contract.notes)
        assert self.input.name is not None, "completed by the contract"
        self._names = self.input.name, contract.name

    @property
    def memory(self) -> int:
        """Approximate bytes by which loading it and its first run grew its process; 0 if unknown.

        Other allocations at that time are counted too, GPU memory is not.
        """
        return self._use.memory

    @property
    def provider(self) -> str:
        """The current execution provider; each answer has the one that computed it."""
        return self._engine.provider

    @property
    def provider_note(self) -> str:
        """Why `provider` is not the GPU's, if `auto` could not use it; else ""."""
        return self._engine.note

    def run(self, tensor: Tensor, cancelled: Cancelled | None = None, *, output: str | None = None) -> Answer:
        """The network's output for a tensor of its input contract.

        If the GPU runs out of memory, the network is reloaded and the run retried once; after that, with the device
        `auto`, it continues on the CPU until it has been idle (`give_memory_back`).

        Args:
            tensor: The input.
            cancelled: Polled during the run; returns True to cancel.
            output: Name of another output of the graph, instead of the contract's.

        Raises:
            SessionError: The run failed (unsupported size, memory, time).
            RunCancelledError: It was cancelled.
        """
        names = self._names[0], output or self._names[1]
        measure = self.spec.registered and not self._use.measured
        answer = self._first_run(names, tensor, cancelled) if measure else None
        answer = answer or self._engine.run(*names, tensor, cancelled)
        if not self.spec.registered:  # nothing else is in its process
            self._use.memory = max(self._use.memory, self._engine.held_bytes)
        if answer.output.size > _MOST_VALUES:
            raise SessionError(
                Message(
                    "{title} returns {values} values, too many for a mask.",
                    title=self.spec.title, values=answer.output.size,
                )
            )  # fmt: skip
        self._use.ended, self._use.last = time.monotonic(), (tensor.shape, tensor.dtype)
        return replace(answer, memory=self._use.memory)

    def _first_run(self, names: tuple[str, str], tensor: Tensor, cancelled: Cancelled | None) -> Answer | None:
        """Run and measure: the activations stay allocated, so the process's growth is the most that one run needs.

        Returns:
            None if another run was first.
        """
        with self._measuring:  # others wait: concurrent runs would count each other's memory
            if self._use.measured:
                return None
            before = self._engine.held_bytes
            answer = self._engine.run(*names, tensor, cancelled)
            self._use.memory += max(0, self._engine.held_bytes - before)
            self._use.measured = True
            return answer

    def under(self, contract: str) -> "Session":
        """This network, not loaded again, with a contract changed as `Settings.contract` says.

        Raises:
            SettingsError: A key or value is wrong, or the model has a registry entry.
            SessionError: The contract does not fit the graph.
        """
        if contract == self._contract:
            return self
        other = copy.copy(self)
        other._contract = contract  # noqa: SLF001 (another of this class)
        other._take_contract(patched(self._own_spec, contract))  # noqa: SLF001
        return other

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
        SessionError: They cannot be loaded on that device, or are no segmentation model.
    """
    file = path or fetch_weights(spec, folder, accepted_licences=accepted_licences, on_progress=on_progress)
    if spec.is_local:
        spec = inspect_local(spec, file, folder).usable_spec
    return Session(spec, file, device, threads, gpu, seconds=seconds, own_models_mb=own_models_mb)


def load_configured(
    spec: ModelSpec,
    config: Config,
    *,
    path: Path | None = None,
    device: Device | None = None,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> Session:
    """`load_session` with the operator's device, limits and accepted licences.

    Args:
        spec: The model.
        config: The operator's configuration.
        path: Its file, if that is neither in the models folder nor to be fetched.
        device: Instead of the operator's.
        threads: Cores one run may use on the CPU; all by default.
        on_progress: Called as bytes arrive.

    Raises:
        WeightsError: See `load_session`.
        SessionError: See `load_session`.
    """
    return load_session(
        spec,
        path,
        folder=config.models_folder,
        device=device or config.device,
        threads=threads,
        gpu=GpuOptions.of(config),
        accepted_licences=config.accepted,
        on_progress=on_progress,
        seconds=config.run_seconds,
        own_models_mb=config.own_models_mb,
    )
