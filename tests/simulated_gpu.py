"""A machine with an NVIDIA card, as far as that can be had without one: what stands behind the doors of ctypes and ONNX
Runtime says so, and computes on the CPU. Nothing of ours is replaced.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import onnxruntime
import pytest

from segmentation import providers

GB = 1 << 30


class _Cuda:
    def __init__(self, version: int) -> None:
        self._version = version

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802 (CUDA's name)
        version._obj.value = self._version
        return 0


class _Nvml:
    """Cards of (name, total bytes, free bytes); every call answers `code`."""

    def __init__(self, cards: Sequence[tuple[str, int, int]], code: int) -> None:
        self._cards, self._code = cards, code

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self._code

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, text: Any, _: Any) -> int:  # noqa: N802
        text.value = b"580.95.05"
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self._cards)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802
        handle._obj.value = index.value + 1
        return 0

    def nvmlDeviceGetName(self, handle: Any, text: Any, _: Any) -> int:  # noqa: N802
        text.value = self._cards[handle.value - 1][0].encode()
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802
        _, memory._obj.total, memory._obj.free = self._cards[handle.value - 1]
        return 0


def simulate_driver(
    patch: pytest.MonkeyPatch,
    *,
    cuda: int = 13000,
    cards: Sequence[tuple[str, int, int]] = (("NVIDIA T4", 16 * GB, 15 * GB),),
    nvml: int = 0,
    missing: str = "",
) -> None:
    """Let the loader of libraries find a driver and CUDA's libraries, but for the missing one."""
    real = ctypes.CDLL
    there: dict[str, Any] = {providers._DRIVER: _Cuda(cuda), "libnvidia-ml.so.1": _Nvml(cards, nvml)}
    there |= dict.fromkeys((*providers._CUDA_LIBRARIES, *providers._TENSORRT_LIBRARIES))

    def load(name: Any, *arguments: Any, **options: Any) -> Any:
        if name == missing:
            raise OSError(f"{name}: cannot open shared object file")
        return there[name] if name in there else real(name, *arguments, **options)

    patch.setattr(ctypes, "CDLL", load)
    patch.setattr(onnxruntime, "get_available_providers", lambda: [providers.TENSORRT, providers.CUDA, providers.CPU])
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    providers.gpu_problem.cache_clear()
