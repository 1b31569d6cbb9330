"""A machine with an NVIDIA card, as far as that can be had without one: what stands behind the doors of ctypes and ONNX
Runtime says so, and computes on the CPU. Nothing of ours is replaced.
"""

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pynvml
import pytest

from segmentation.network.gpu import probe
from segmentation.network.providers import CPU, CUDA, TENSORRT

GB = 1 << 30


class _Cuda:
    def __init__(self, version: int) -> None:
        self._version = version

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802 (CUDA's name)
        version._obj.value = self._version
        return 0


def simulate_driver(
    patch: pytest.MonkeyPatch,
    *,
    cuda: int = 13000,
    cards: Sequence[tuple[str, int, int]] = (("NVIDIA T4", 16 * GB, 15 * GB),),
    nvml: int = 0,
    missing: str = "",
) -> None:
    """Let the loader of libraries find a driver and CUDA's libraries, but for the missing one.

    Args:
        patch: Undoes it.
        cuda: Version of CUDA that the driver supports.
        cards: Name, total bytes and free bytes of each GPU that NVML lists.
        nvml: What every call of NVML answers; 0 is success.
        missing: A library that is not found.
    """
    real = ctypes.CDLL
    there: dict[str, Any] = {probe._DRIVER: _Cuda(cuda)}
    there |= dict.fromkeys((*probe._CUDA_LIBRARIES, *probe._TENSORRT_LIBRARIES))

    def load(name: Any, *arguments: Any, **options: Any) -> Any:
        if name == missing:
            raise OSError(f"{name}: cannot open shared object file")
        return there[name] if name in there else real(name, *arguments, **options)

    def answered(value: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if nvml:
                raise pynvml.NVMLError(nvml)
            return value(*arguments)

        return call

    patch.setattr(ctypes, "CDLL", load)
    patch.setattr(pynvml, "nvmlInit", answered(lambda: None))
    patch.setattr(pynvml, "nvmlShutdown", lambda: None)
    patch.setattr(pynvml, "nvmlSystemGetDriverVersion", answered(lambda: "580.95.05"))
    patch.setattr(pynvml, "nvmlDeviceGetCount", answered(lambda: len(cards)))
    patch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", answered(lambda index: cards[index]))
    patch.setattr(pynvml, "nvmlDeviceGetName", answered(lambda card: card[0]))
    memory = answered(lambda card: SimpleNamespace(total=card[1], free=card[2]))
    patch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", memory)
    patch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    probe.gpu_problem.cache_clear()


class Runs:
    """What ONNX Runtime was asked for on the simulated card, and what it is to answer."""

    def __init__(self) -> None:
        self.loads: list[dict[str, dict[str, str]]] = []
        """Providers and their options, a dictionary for each network that was loaded."""
        self.load_errors: list[Exception] = []
        """Raised by the next loads, one each."""
        self.run_errors: list[Exception] = []
        """Raised by the next runs, one each."""
        self.refuse: Callable[[tuple[int, ...]], Exception | None] = lambda _: None
        """What a run of an input of this shape fails with."""
        self.before_run: Callable[[], None] = lambda: None
        """Called by each run, so that a test can keep the card busy."""
        self.shapes: list[tuple[int, ...]] = []
        """Of the input, for each run."""
        self.bindings = 0
        """How often buffers were bound."""
        self.threads: set[str] = set()
        self.shrunk: list[str] = []
        """The arenas that runs gave back."""
        self.most_alive = 0
        """Networks that were in the card's memory at the same time."""
        self._alive: weakref.WeakSet[Any] = weakref.WeakSet()

    def loaded(self, session: Any, providers: Sequence[tuple[str, dict[str, str]]]) -> None:
        self.loads.append(dict(providers))
        self._alive.add(session)
        self.most_alive = max(self.most_alive, len(self._alive))


def out_of_memory() -> Exception:
    """As onnxruntime#16307 and #22702 have it; the type is that of all that goes wrong while kernels run."""
    error: Exception = onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Status "
        "Message: bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 8589934592"
    )
    return error


def simulate_card(patch: pytest.MonkeyPatch) -> Runs:
    """Let ONNX Runtime say that it computes on CUDA where it is asked to."""
    simulate_driver(patch)
    runs, real = Runs(), onnxruntime.InferenceSession

    class Binding(onnxruntime.IOBinding):  # type: ignore[misc]  # ONNX Runtime has no types
        shape: tuple[int, ...] = ()

        def bind_ortvalue_input(self, name: str, value: Any) -> None:
            runs.bindings += 1
            self.shape = tuple(value.shape())
            super().bind_ortvalue_input(name, value)

        def bind_output(self, name: str, device_type: str = "cpu", *arguments: Any, **options: Any) -> None:
            assert device_type == "cuda"
            super().bind_output(name, "cpu", *arguments, **options)

    class OnTheCard(real):  # type: ignore[misc, valid-type]
        def __init__(self, path: str, options: Any, *, providers: Any, **others: Any) -> None:
            if runs.load_errors:
                raise runs.load_errors.pop(0)
            super().__init__(path, options, providers=[CPU], **others)
            self.asked = [name for name, _ in providers]
            runs.loaded(self, providers)

        def get_providers(self) -> list[str]:
            return getattr(self, "asked", [CPU])

        def io_binding(self) -> Any:
            return Binding(self)

        def create_ortvalue_from_shape_and_type(self, shape: Any, kind: Any, device_type: str) -> Any:
            assert device_type == "cuda"
            return super().create_ortvalue_from_shape_and_type(shape, kind, "cpu")

        def run(self, *_: Any) -> Any:
            raise AssertionError("a card is run with its buffers bound")

        def run_with_iobinding(self, binding: Any, options: Any) -> None:
            runs.threads.add(threading.current_thread().name)
            runs.shapes.append(binding.shape)
            runs.before_run()
            refused = runs.refuse(binding.shape)
            try:
                if refused:
                    raise refused
            finally:
                del refused  # an error that a frame of its own holds would hold the network
            try:
                runs.shrunk.append(options.get_run_config_entry("memory.enable_memory_arena_shrinkage"))
            except RuntimeError:  # no such entry
                super().run_with_iobinding(binding, options)
            else:
                super().run_with_iobinding(binding)  # the CPU has no gpu:0
            if runs.run_errors:
                raise runs.run_errors.pop(0)

    def load(path: str, options: Any, *, providers: Any, **others: Any) -> Any:
        kind = real if providers[0][0] == CPU else OnTheCard
        return kind(path, options, providers=providers, **others)

    patch.setattr(onnxruntime, "InferenceSession", load)
    return runs
