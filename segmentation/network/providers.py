"""The execution providers of ONNX Runtime that are used here, and the devices by which people ask for them."""

from typing import Literal, TypeAlias

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

Device = Literal["auto", "cpu", "cuda", "tensorrt"]

DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda", "tensorrt")

Provider: TypeAlias = tuple[str, dict[str, str]]
"""An execution provider and its options."""
