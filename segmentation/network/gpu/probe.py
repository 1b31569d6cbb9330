"""The execution providers that ONNX Runtime can actually use here, and why the GPU's is not among them."""

import ctypes
import importlib.metadata
import importlib.util
import os
import sys
from functools import cache

import onnxruntime

from segmentation.config import DEVICES, Device
from segmentation.errors import SessionError
from segmentation.network.gpu.devices import gpus
from segmentation.network.providers import CPU, CUDA, TENSORRT, short_name

# What the CUDA provider of onnxruntime-gpu 1.31 (a CUDA 13 build) links or loads. get_available_providers() lists it
# on every machine, and a session falls back to the CPU with only a log line, so we check first.
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
    """The providers to request, best first, and why the GPU is not among them ("" if it is, or was not requested).

    Raises:
        SessionError: The requested device is unavailable; the text says what is missing.
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
    raise SessionError(f"The device {device} cannot be used: {problem} Use the device auto or cpu to work without it.")


@cache
def gpu_problem(tensorrt: bool = False) -> str:
    """Why ONNX Runtime cannot compute on an NVIDIA GPU here, as a sentence; "" if it can.

    Nothing here initialises CUDA (cuInit): a process that has done so cannot fork one that uses the GPU, as Spaces do.
    """
    if CUDA not in onnxruntime.get_available_providers():
        return _problem_of_the_build()
    problem = _problem_of_the_driver()
    if problem:
        return problem
    if importlib.util.find_spec("nvidia") is not None:
        onnxruntime.preload_dlls()  # finds the libraries in the installed nvidia-* packages
    missing = [name for name in _CUDA_LIBRARIES if not _loads(name)]
    if missing:
        return f"{', '.join(missing)} not found: pip install 'onnxruntime-gpu[cuda,cudnn]=={onnxruntime.__version__}'."
    missing = [name for name in _TENSORRT_LIBRARIES if not _loads(name)] if tensorrt else []
    if missing:
        return f"{', '.join(missing)} not found: pip install 'tensorrt-cu13<11'."
    return ""


def _problem_of_the_build() -> str:
    installed = {name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)}
    if len(installed) == 2:  # both write into the same folder; the last one installed wins
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
        return f"No NVIDIA driver is installed ({_DRIVER} not found)."
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value < _CUDA * 1000:
        has = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return f"The NVIDIA driver supports CUDA {has}; this ONNX Runtime needs {_CUDA}: install driver 580 or newer."
    if gpus() == []:
        return "The NVIDIA driver finds no GPU on this machine."
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return f"CUDA_VISIBLE_DEVICES={visible} hides the GPU from this process."
    return ""


def runtime() -> str:
    """ONNX Runtime's version and the providers it was built with, as text."""
    built = ", ".join(short_name(name) for name in onnxruntime.get_available_providers())
    return f"ONNX Runtime {onnxruntime.__version__}, built with {built}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
