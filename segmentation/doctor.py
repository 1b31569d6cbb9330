"""A diagnosis of this installation: versions, GPU, what each model runs on, and what to fix."""

import importlib.metadata
import platform
from dataclasses import dataclass, field

from segmentation.config import Config, Device
from segmentation.errors import SegmentationError
from segmentation.models.registry import Registry
from segmentation.models.weights import where_available
from segmentation.network.gpu.devices import Gpu, gpus
from segmentation.network.gpu.probe import gpu_problem, runtime, usable_providers
from segmentation.network.machine import available_cores
from segmentation.network.providers import short_name
from segmentation.network.session import load_configured
from segmentation.sandbox.protections import missing_protections, protections

_PACKAGES = ("gradio", "numpy", "scipy", "pillow", "numba", "isal", "huggingface_hub")


@dataclass(slots=True)
class Diagnosis:
    """The findings."""

    lines: list[str] = field(default_factory=list)
    """The facts, in reading order."""
    advice: list[str] = field(default_factory=list)
    """What to do; empty if everything is fine."""


def examine(config: Config, registry: Registry) -> Diagnosis:
    """A diagnosis of versions, GPU and models. Models on this disk are loaded, one after the other; nothing is
    downloaded, except to replace a damaged file.

    With the device `auto`, a machine without a GPU is fine. A GPU that cannot be used, an unavailable device, or
    weights that cannot be loaded are not.

    Args:
        config: The device and the models folder.
        registry: The models to examine.
    """
    found = Diagnosis()
    found.lines += [
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {available_cores()} cores",
        runtime(),
        ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES),
    ]
    found.lines.append(_described_sandbox())
    best = _look_at_the_gpu(found, config.device)
    if best:
        _look_at_the_models(found, config, registry, best)
    return found


def _look_at_the_gpu(found: Diagnosis, device: Device) -> str | None:
    """The best execution provider for the requested device; None if the device is unavailable."""
    present = gpus()
    found.lines += [_described(gpu) for gpu in present or []]
    if not present:
        found.lines.append("The driver lists no GPU." if present == [] else "No NVIDIA driver that lists GPUs (NVML).")
    found.lines.append(f"GPU: {gpu_problem(tensorrt=device == 'tensorrt') or 'can be used.'}")
    found.lines.append(f"Requested device: {device}")
    try:
        providers, problem = usable_providers(device)
    except SegmentationError as error:
        found.advice.append(str(error))
        return None
    if problem and present:
        found.advice.append(problem)
    return providers[0]


def _described_sandbox() -> str:
    present = ", ".join(protection.name for protection in protections() if protection.available) or "no protection"
    return f"Models without a registry entry run in a process with {present}. {missing_protections()}".rstrip()


def _described(gpu: Gpu) -> str:
    return f"{gpu.name}, {gpu.total_mb} MB, {gpu.free_mb} MB of it free, driver {gpu.driver}"


def _look_at_the_models(found: Diagnosis, config: Config, registry: Registry, best: str) -> None:
    for spec in registry.values():
        if where_available(spec, config.models_folder) is None:
            found.lines.append(f"{spec.id:24} would run on {short_name(best)}; not downloaded yet")
            continue
        try:
            session = load_configured(spec, config)
        except SegmentationError as error:
            found.lines.append(f"{spec.id:24} cannot be used")
            found.advice.append(str(error))
            continue
        found.lines.append(f"{spec.id:24} runs on {short_name(session.provider)}")
        if session.provider_note and not gpu_problem():  # the GPU looks fine, but this model does not run on it
            found.advice.append(f"{spec.id}: {session.provider_note}")
