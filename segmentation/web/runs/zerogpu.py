"""Hugging Face's ZeroGPU: a GPU is lent for the seconds of one call, in a process forked off this one.

Only the network's run is such a call. Pictures are decoded, matted and encoded here meanwhile, and nothing here touches
CUDA: a process that did could not be forked into one that uses the GPU. Elsewhere this module changes nothing.
"""

import contextvars
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import gradio as gr

from segmentation.arrays import Tensor
from segmentation.config import Config
from segmentation.models.spec import ModelSpec, Weights
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.session import Answer, Runner, Session
from segmentation.network.watchdog import Cancelled
from segmentation.settings import with_values

log = logging.getLogger(__name__)

ON_ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in {"1", "t", "true"}  # as the spaces package reads it

_kept: dict[tuple[str, Weights], Session] = {}  # in the forked process, which lives as long as it is not idle


def seconds(spec: ModelSpec, _path: Path, _gpu: GpuOptions, tensor: Tensor) -> int:
    """Seconds to ask for: a visitor's quota and place in the queue depend on it. Not measured on that hardware.

    Most of it is for the first call, which starts CUDA and loads the weights; later ones end early.
    """
    megabytes, megapixels = (spec.weights.size or 200_000_000) / 1e6, tensor.size / 3e6
    return min(120, round(8 + megabytes / 50 + 2 * megapixels))


def _compute(spec: ModelSpec, path: Path, gpu: GpuOptions, tensor: Tensor) -> Answer:
    session = _kept.get((spec.id, spec.weights))
    if session is None:
        session = _kept[spec.id, spec.weights] = Session(spec, path, "auto", gpu=gpu)
        log.info("%s was loaded on %s %s", spec.title, session.provider, session.provider_note)
    return session.run(tensor)


if ON_ZERO_GPU:
    import spaces

    _compute = spaces.GPU(duration=seconds)(_compute)  # at import: a Space without such a function does not start


def for_this_process(config: Config) -> Config:
    """The settings of the process that serves the page: on ZeroGPU it leaves the GPU alone."""
    return with_values(config, device="cpu") if ON_ZERO_GPU else config


def runner_for_visitor(session: Session, config: Config) -> Runner:
    """What runs this network for the current visitor, on ZeroGPU in a borrowed process; call it in Gradio's handler.

    If no GPU is available, the picture is computed on the CPU, and its report says why.
    """
    if not ON_ZERO_GPU:
        return session.run
    context = contextvars.copy_context()  # in it is the visitor's request, whose token says whose quota it is
    one_at_a_time = threading.Lock()  # further calls would fork further processes, each with the network loaded
    gpu = GpuOptions.of(config)

    def run(tensor: Tensor, cancelled: Cancelled | None = None) -> Answer:
        try:
            with one_at_a_time:
                answer = context.copy().run(_compute, session.spec, session.path, gpu, tensor)
            return replace(answer, memory=session.memory)
        except gr.Error as error:  # no quota, no GPU, or the process failed: the package says each this way
            note = f"The Space's GPU was not to be had: {' '.join(str(error.message).split())[:200]}"
        except RuntimeError as error:  # its interface answered something unexpected
            log.warning("ZeroGPU: %s", error)
            note = "The Space's GPU was not to be had (the log says why)."
        return replace(session.run(tensor, cancelled), provider_note=note)

    return run
