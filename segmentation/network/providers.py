"""The execution providers of ONNX Runtime used here."""

from typing import TypeAlias

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

Provider: TypeAlias = tuple[str, dict[str, str]]
"""An execution provider and its options."""


def short_name(provider: str) -> str:
    """Such as "CUDA" for "CUDAExecutionProvider"."""
    return provider.removesuffix("ExecutionProvider")
