"""The operator's GPU configuration, and the ONNX Runtime options it leads to."""

from dataclasses import dataclass
from pathlib import Path

from segmentation.config import Config
from segmentation.network.providers import CUDA, TENSORRT, Provider

_DEFAULTS = Config()


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """The operator's GPU configuration."""

    memory_mb: int = _DEFAULTS.gpu_mb
    """Megabytes of GPU memory for one network: its weights and activations."""
    graphs: bool = _DEFAULTS.cuda_graphs
    """Replay the kernels of a fixed-size network as a CUDA graph."""
    engines: Path = _DEFAULTS.engines_folder
    """Where TensorRT caches its engines, which take minutes to build."""
    batch: int = _DEFAULTS.gpu_batch
    """Pictures that a small network may process in one run."""

    @classmethod
    def of(cls, config: Config) -> "GpuOptions":
        """The GPU part of a configuration."""
        return cls(config.gpu_mb, config.cuda_graphs, config.engines_folder, config.gpu_batch)


def with_options(names: list[str], gpu: GpuOptions, graphs: bool) -> list[Provider]:
    """The providers with their options, as ONNX Runtime expects them.

    Args:
        names: The providers, best first.
        gpu: The configuration.
        graphs: Capture CUDA graphs for this network.
    """
    options = {
        CUDA: {
            # The default, EXHAUSTIVE, tries every algorithm on the first run: it takes seconds, and gigabytes of
            # workspace that the arena keeps, and is no faster afterwards (onnxruntime#19838, #7612). DEFAULT can be 4
            # to 50 times slower (#22705).
            "cudnn_conv_algo_search": "HEURISTIC",
            # the default doubles the arena at each step, and releases nothing by itself
            "arena_extend_strategy": "kSameAsRequested",
            "gpu_mem_limit": str(gpu.memory_mb << 20),
            "enable_cuda_graph": "1" if graphs else "0",
            # use_tf32 stays on: it changes masks by 0.7/255 on average (22/255 at most), and large networks take 2.5
            # times as long without (benchmarks/README.md). fuse_conv_bias and prefer_nhwc stay off: with the former,
            # ONNX Runtime 1.31.1 computes nonsense (u2netp, MODNet).
        },
        TENSORRT: {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(gpu.engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(gpu.engines),
        },
    }
    return [(name, options.get(name, {})) for name in names]
