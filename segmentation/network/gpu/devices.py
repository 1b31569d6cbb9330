"""This machine's GPUs as NVIDIA's driver lists them (NVML), without a CUDA library or context."""

from dataclasses import dataclass

import pynvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    name: str
    total_mb: int
    free_mb: int
    driver: str
    """Version of the driver, such as 580.95.05."""


def gpus() -> list[Gpu] | None:
    """All GPUs in the driver's order; None if there is no driver, or it does not respond.

    `CUDA_VISIBLE_DEVICES` only affects CUDA and hides nothing here.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        return [_gpu(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _gpu(index: int, driver: str) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(pynvml.nvmlDeviceGetName(handle), memory.total >> 20, memory.free >> 20, driver)
