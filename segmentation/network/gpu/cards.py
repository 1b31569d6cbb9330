"""The NVIDIA cards of this machine as its driver lists them, through NVML: no CUDA library and no context is needed."""

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

_NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"  # comes with the driver
_TEXT_BYTES = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE; the driver's version takes 80


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU."""

    name: str
    total_mb: int
    free_mb: int
    driver: str
    """Version of the driver, such as 580.95.05."""


class _Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _SaidNoError(Exception):
    """A call of NVML did not return 0."""


def cards() -> list[Card] | None:
    """What the driver lists, in its order; None where there is no NVML or it does not answer.

    `CUDA_VISIBLE_DEVICES` is CUDA's and hides nothing here.
    """
    try:
        nvml = ctypes.CDLL(_NVML)
        _call(nvml.nvmlInit_v2)
    except (OSError, AttributeError, _SaidNoError):
        return None
    try:
        return _listed(nvml)
    except (AttributeError, _SaidNoError):
        return None
    finally:
        nvml.nvmlShutdown()


def _listed(nvml: Any) -> list[Card]:
    count, driver = ctypes.c_uint(), ctypes.create_string_buffer(_TEXT_BYTES)
    _call(nvml.nvmlSystemGetDriverVersion, driver, ctypes.c_uint(_TEXT_BYTES))
    _call(nvml.nvmlDeviceGetCount_v2, ctypes.byref(count))
    found = []
    for index in range(count.value):
        handle, memory, name = ctypes.c_void_p(), _Memory(), ctypes.create_string_buffer(_TEXT_BYTES)
        _call(nvml.nvmlDeviceGetHandleByIndex_v2, ctypes.c_uint(index), ctypes.byref(handle))
        _call(nvml.nvmlDeviceGetName, handle, name, ctypes.c_uint(_TEXT_BYTES))
        _call(nvml.nvmlDeviceGetMemoryInfo, handle, ctypes.byref(memory))
        text = [buffer.value.decode("utf-8", "replace") for buffer in (name, driver)]
        found.append(Card(text[0], memory.total >> 20, memory.free >> 20, text[1]))
    return found


def _call(function: Any, *arguments: Any) -> None:
    if function(*arguments) != 0:
        raise _SaidNoError
