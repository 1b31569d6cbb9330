"""Which execution provider ONNX Runtime can really use here, and if not the GPU, why not."""

import ctypes
import importlib.metadata
import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import onnxruntime

from segmentation.cards import cards
from segmentation.config import Config
from segmentation.errors import SessionError

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda", "tensorrt")

Provider: TypeAlias = tuple[str, dict[str, str]]
"""An execution provider and its options."""

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

# What the CUDA provider of onnxruntime-gpu 1.31 (a CUDA 13 build) links or loads. get_available_providers() lists it
# on every machine and a session falls back to the CPU with no more than a log line, so we look before we ask.
_WINDOWS = sys.platform == "win32"
_CUDA = 13
_DRIVER = "nvcuda.dll" if _WINDOWS else "libcuda.so.1"
_CUDA_LIBRARIES = (
    ("cudart64_13.dll", "cublasLt64_13.dll", "cublas64_13.dll", "cufft64_12.dll", "cudnn64_9.dll")
    if _WINDOWS
    else (
        "libcudart.so.13",
        "libcublasLt.so.13",
        "libcublas.so.13",
        "libcurand.so.10",
        "libcufft.so.12",
        "libcudnn.so.9",
    )
)
_TENSORRT_LIBRARIES = ("nvinfer_10.dll",) if _WINDOWS else ("libnvinfer.so.10", "libnvonnxparser.so.10")


def usable_providers(device: Device) -> tuple[list[str], str]:
    """The providers to ask for, best first, and why the GPU is not among them ("" where it is, or was not asked for).

    Raises:
        SessionError: The device was named and cannot be had; the text says what is missing.
    """
    if device not in DEVICES:
        raise SessionError(f"There is no device {str(device)[:40]!r}. Choose one of: {', '.join(DEVICES)}.")
    if device == "cpu":
        return [CPU], ""
    problem = gpu_problem(tensorrt=device == "tensorrt")
    if not problem:
        return ([TENSORRT] if device == "tensorrt" else []) + [CUDA, CPU], ""
    if device == "auto":
        return [CPU], problem
    raise SessionError(f"The device {device} cannot be used: {problem} Use the device auto or cpu to go on without it.")


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


@cache
def gpu_problem(tensorrt: bool = False) -> str:
    """Why ONNX Runtime cannot compute on an NVIDIA GPU here, as a sentence; "" if nothing stands in its way.

    Nothing here starts CUDA (cuInit): a process that did could not be forked into one that uses the GPU, as Spaces do.
    """
    if CUDA not in onnxruntime.get_available_providers():
        return _problem_of_the_build()
    problem = _problem_of_the_driver()
    if problem:
        return problem
    if importlib.util.find_spec("nvidia") is not None:
        onnxruntime.preload_dlls()  # finds the libraries of the nvidia-* packages beside it
    missing = [name for name in _CUDA_LIBRARIES if not _loads(name)]
    if missing:
        return f"{', '.join(missing)} not found: pip install 'onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}'."
    missing = [name for name in _TENSORRT_LIBRARIES if not _loads(name)] if tensorrt else []
    if missing:
        return f"{', '.join(missing)} not found: pip install 'tensorrt-cu13<11'."
    return ""


def _problem_of_the_build() -> str:
    installed = {name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)}
    if len(installed) == 2:  # both write into the same folder, and the last one wins
        return (
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu."
        )
    return "This ONNX Runtime was built without CUDA; on a machine with an NVIDIA GPU install onnxruntime-gpu."


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _problem_of_the_driver() -> str:
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return f"There is no NVIDIA driver ({_DRIVER} not found)."
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value < _CUDA * 1000:
        has = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return f"The NVIDIA driver is for CUDA {has}, and this ONNX Runtime needs {_CUDA}: install driver 580 or newer."
    if cards() == []:
        return "The NVIDIA driver finds no GPU on this machine."
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return f"CUDA_VISIBLE_DEVICES={visible} hides the GPU from this process."
    return ""


def runtime() -> str:
    """Which ONNX Runtime this is and what it was built with, for people."""
    built = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return f"ONNX Runtime {onnxruntime.__version__}, built with {built}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


CGROUPS = Path("/sys/fs/cgroup")


def available_cores(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Cores this process may use: its affinity, and the quotas of the cgroups (v2) that it is in, at least one."""
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for text in _limits("cpu.max", cgroups, own):
        quota, _, period = text.partition(" ")
        if quota.isdecimal() and period.isdecimal():
            cores = min(cores, int(quota) / int(period))
    return max(1, round(cores))


def available_memory(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes of memory this process may use: the machine's, and the limits of the cgroups (v2) that it is in."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # Windows
        memory = 8 << 30
    return min([memory, *(int(text) for text in _limits("memory.max", cgroups, own) if text.isdecimal())])


def _limits(name: str, cgroups: Path, own: Path) -> list[str]:
    """A limit of this process's own cgroup and of each above it; where the root has none, one below it may."""
    try:
        path = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        path = "/"
    folder = cgroups / path.strip("/")
    places = [folder, *folder.parents]
    found = []
    for place in places[: places.index(cgroups) + 1]:
        try:
            found.append((place / name).read_text().strip())
        except OSError:  # the root has none, or it lies outside of what this process may see
            continue
    return found
