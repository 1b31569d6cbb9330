"""What the operator decides about GPUs, and the options that ONNX Runtime gets for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from segmentation.config import Config

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

Provider: TypeAlias = tuple[str, dict[str, str]]
"""An execution provider and its options."""

_DEFAULTS = Config()


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """What whoever runs the app decides about GPUs."""

    memory_mb: int = _DEFAULTS.gpu_mb
    """Of the card, for one network: its weights and activations."""
    graphs: bool = _DEFAULTS.cuda_graphs
    """Replay the kernels of a network of one fixed size as a CUDA graph."""
    engines: Path = _DEFAULTS.engines_folder
    """Where TensorRT keeps the engines that it builds for minutes."""
    batch: int = _DEFAULTS.gpu_batch
    """Pictures that may go through a small network in one run."""

    @classmethod
    def of(cls, config: Config) -> "GpuOptions":
        """Those of the environment."""
        return cls(config.gpu_mb, config.cuda_graphs, config.engines_folder, config.gpu_batch)


def with_options(names: list[str], gpu: GpuOptions, graphs: bool) -> list[Provider]:
    """The providers with their options, as ONNX Runtime wants them.

    Args:
        names: The providers, best first.
        gpu: The limits.
        graphs: Capture CUDA graphs for this network.
    """
    options = {
        CUDA: {
            # The default, EXHAUSTIVE, tries every algorithm at the first run: seconds, and gigabytes of workspace that
            # the arena keeps, for the same speed after (onnxruntime#19838, #7612). DEFAULT can be 4 to 50 times slower
            # (#22705).
            "cudnn_conv_algo_search": "HEURISTIC",
            # the default doubles the arena at each step, and it gives nothing back by itself
            "arena_extend_strategy": "kSameAsRequested",
            "gpu_mem_limit": str(gpu.memory_mb << 20),
            "enable_cuda_graph": "1" if graphs else "0",
            # use_tf32 stays on: it moves a mask by a thousandth
        },
        TENSORRT: {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(gpu.engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(gpu.engines),
        },
    }
    return [(name, options.get(name, {})) for name in names]
