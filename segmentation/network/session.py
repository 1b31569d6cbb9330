"""A network loaded in ONNX Runtime and checked against its contract, safe to share."""

import copy
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy.typing as npt

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
from segmentation.network.prompt.contract import PromptContract, prompt_contract
from segmentation.network.recovery import Answer, Answers, LastInput, RecoveringEngine, shapes_of
from segmentation.network.watchdog import Cancelled
from segmentation.settings import MAX_SIZE

DEFAULT_GPU = GpuOptions()
OWN_MODELS_MB = 4096  # default memory limit for all unregistered models together

_MOST_VALUES = 4 * MAX_SIZE**2  # of an output


Computed = TypeVar("Computed")

Runner: TypeAlias = Callable[[Tensor, Cancelled | None], Answer]
"""Computes a network's output for a tensor of its input contract: `Session.run`, or a GPU lent for one picture."""


@dataclass(slots=True)
class _Use:
    """The use of a network, under whichever contract."""

    memory: int
    measured: bool = False  # by a run
    ended: float = field(default_factory=time.monotonic)
    last: LastInput | None = None  # None if there was no run since the memory was released
    last_prompt: LastInput | None = None  # the same of a decoder


class Session:
    """One network, ready to run. Safe to use from several threads at once.

    An unregistered one runs in a process of its own, which ends with this object.

    Attributes:
        spec: The model.
        path: Its weights.
        input: Its input contract, completed from the graph.
        output: How to read its output, completed from the graph.
        notes: Sentences about guesses in these, to show with the result.
        prompt: How to ask a promptable network, which is run by `encode` and `decode`; None for others.
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
        decoder = path.parent / spec.weights.decoder.file if spec.weights.decoder else None
        for file in filter(None, (path, decoder)):
            if problem := file_problem(file):
                raise SessionError(
                    Message(
                        "{title}: {file} cannot be loaded: {problem}",
                        title=spec.title, file=file.name, problem=problem,
                    )
                )  # fmt: skip
        self._own_spec, self._contract, self.path = spec, "", path
        before = resident_bytes() if spec.registered else 0
        fixed_size = not spec.input.dynamic and spec.prompt is None
        self._engine: RecoveringEngine | IsolatedEngine
        self._decoder: RecoveringEngine | None = None
        if spec.registered:
            self._engine, *others = (
                RecoveringEngine(
                    file, spec.title, device, threads, gpu, fixed_size=fixed_size, small=spec.is_small, seconds=seconds
                )
                for file in filter(None, (path, decoder))
            )
            self._decoder = others[0] if others else None
        else:
            self._engine = IsolatedEngine(
                path, spec.title, device, threads, gpu, fixed_size=fixed_size, seconds=seconds, memory_mb=own_models_mb
            )
        self._use = _Use(memory=max(0, self._engine.held_bytes - before))
        self._measuring = threading.Lock()
        self._take_contract(spec)

    def _take_contract(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.prompt: PromptContract | None = None
        if spec.prompt:
            self._take_prompt_contract(spec)
            return
        self.input = input_contract(spec, self._engine.inputs)
        contract = output_contract(spec, self._engine.outputs, self.input.layout)
        self.output, self.notes = contract.spec, (*spec.notes, *contract.notes)
        assert self.input.name is not None, "completed by the contract"
        self._names = self.input.name, contract.name

    def _take_prompt_contract(self, spec: ModelSpec) -> None:
        own = [node for node in self._engine.inputs if node.name == spec.input.name]
        self.input, self.output, self.notes = input_contract(spec, own or self._engine.inputs), spec.output, spec.notes
        assert self.input.name is not None, "the registry checks it"
        answering = self._decoder or self._engine
        self._embeddings = [node.name for node in self._engine.outputs] if self._decoder else [self.input.name]
        self.prompt = prompt_contract(spec, self._embeddings, answering.inputs, answering.outputs)
        self._embeddings = [name for name in self._embeddings if name in self.prompt.carried]
        self._names = self.input.name, self._embeddings[0] if self._decoder else self.prompt.logits

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
        answer = self._used(lambda: self._engine.run(*names, tensor, cancelled), {names[0]: tensor})
        self._check_size(answer.output)
        return replace(answer, memory=self._use.memory)

    def encode(self, tensor: Tensor, cancelled: Cancelled | None = None) -> Answers:
        """What a promptable network keeps of a picture, by the names under which `decode` takes it.

        Args:
            tensor: A tensor of its input contract.
            cancelled: Polled during the run; returns True to cancel.

        Raises:
            SessionError: The run failed (memory, time).
            RunCancelledError: It was cancelled.
        """
        feeds = {self._names[0]: tensor}
        if self._decoder is None:  # one graph: it runs with each prompt
            return Answers(feeds, self.provider, self.provider_note, self._use.memory)
        engine = self._engine
        assert isinstance(engine, RecoveringEngine), "it is registered"
        answers = self._used(lambda: engine.run_many(feeds, self._embeddings, cancelled), feeds)
        return self._checked(answers)

    def decode(self, feeds: Mapping[str, npt.NDArray[Any]], cancelled: Cancelled | None = None) -> Answers:
        """The answer of a promptable network to a prompt: its logits and scores.

        Args:
            feeds: What `encode` returned, and the prompt.
            cancelled: Polled during the run; returns True to cancel.

        Raises:
            SessionError: The run failed (memory, time).
            RunCancelledError: It was cancelled.
        """
        assert self.prompt is not None, "it is promptable"
        outputs = [self.prompt.logits, self.prompt.spec.scores]
        engine = self._decoder or self._engine
        assert isinstance(engine, RecoveringEngine), "it is registered"
        if engine is self._decoder:
            answers = engine.run_many(feeds, outputs, cancelled)
            self._use.ended, self._use.last_prompt = time.monotonic(), shapes_of(feeds)
        else:
            answers = self._used(lambda: engine.run_many(feeds, outputs, cancelled), feeds)
        return self._checked(answers)

    def _checked(self, answers: Answers) -> Answers:
        for array in answers.outputs.values():
            self._check_size(array)
        return replace(answers, memory=self._use.memory)

    def _check_size(self, output: npt.NDArray[Any]) -> None:
        if output.size > _MOST_VALUES:
            raise SessionError(
                Message(
                    "{title} returns {values} values, too many for a mask.",
                    title=self.spec.title, values=output.size,
                )
            )  # fmt: skip

    def _used(self, run: Callable[[], Computed], feeds: Mapping[str, npt.NDArray[Any]]) -> Computed:
        """Run, and take note of memory and time."""
        measure = self.spec.registered and not self._use.measured
        answer = self._first_run(run) if measure else None
        answer = run() if answer is None else answer
        if not self.spec.registered:  # nothing else is in its process
            self._use.memory = max(self._use.memory, self._engine.held_bytes)
        self._use.ended, self._use.last = time.monotonic(), shapes_of(feeds)
        return answer

    def _first_run(self, run: Callable[[], Computed]) -> Computed | None:
        """Run and measure: the activations stay allocated, so the process's growth is the most that one run needs.

        Returns:
            None if another run was first.
        """
        with self._measuring:  # others wait: concurrent runs would count each other's memory
            if self._use.measured:
                return None
            before = self._engine.held_bytes
            answer = run()
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
        use, given = self._use, False
        last, use.last, last_prompt, use.last_prompt = use.last, None, use.last_prompt, None
        if self._decoder is not None and self.prompt is not None:
            given = self._decoder.give_back(self.prompt.logits, last_prompt)
        return self._engine.give_back(self._names[1], last) or given


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
