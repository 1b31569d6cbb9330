"""Hugging Face's ZeroGPU: a GPU is lent for the seconds of one call, in a process forked from this one.

Only the network's run is such a call. Pictures are decoded, matted and encoded here, and nothing here touches CUDA:
a process that did could not be forked into one that uses the GPU. Outside ZeroGPU this module changes nothing.
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
from segmentation.network.recovery import Answer
from segmentation.network.session import Runner, Session
from segmentation.network.watchdog import Cancelled
from segmentation.settings import with_values

log = logging.getLogger(__name__)

ON_ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in {"1", "t", "true"}  # parsed as the spaces package does

_sessions: dict[tuple[str, Weights, str], Session] = {}  # in the forked process, which ends when idle


def seconds(spec: ModelSpec, _path: Path, _gpu: GpuOptions, tensor: Tensor) -> int:
    """Seconds to request: a visitor's quota and place in the queue depend on it. Not measured on that hardware.

    Most of it is for the first call, which starts CUDA and loads the weights; later calls finish early.
    """
    megabytes, megapixels = (spec.weights.total or 200_000_000) / 1e6, tensor.size / 3e6
    return min(120, round(8 + megabytes / 50 + 2 * megapixels))


def _compute(spec: ModelSpec, path: Path, gpu: GpuOptions, tensor: Tensor) -> Answer:
    key = spec.id, spec.weights, spec.contract.model_dump_json()
    session = _sessions.get(key)
    if session is None:
        session = _sessions[key] = Session(spec, path, "auto", gpu=gpu)
        log.info("loaded %s on %s %s", spec.title, session.provider, session.provider_note)
    return session.run(tensor)


if ON_ZERO_GPU:
    import spaces

    _compute = spaces.GPU(duration=seconds)(_compute)  # at import: a Space without a GPU function does not start


def for_this_process(config: Config) -> Config:
    """The configuration of the process that serves the page: on ZeroGPU it must not use the GPU."""
    return with_values(config, device="cpu") if ON_ZERO_GPU else config


def runner_for_visitor(session: Session, config: Config) -> Runner:
    """Returns what runs the network for the current visitor, on ZeroGPU in a forked process. Call it in the handler.

    If no GPU is available, the picture is computed on the CPU, and its report says why.
    """
    if not ON_ZERO_GPU:
        return session.run
    context = contextvars.copy_context()  # holds the visitor's request, whose token identifies the quota
    one_at_a_time = threading.Lock()  # concurrent calls would fork more processes, each loading the network
    gpu = GpuOptions.of(config)

    def run(tensor: Tensor, cancelled: Cancelled | None = None) -> Answer:
        try:
            with one_at_a_time:
                answer = context.copy().run(_compute, session.spec, session.path, gpu, tensor)
            return replace(answer, memory=session.memory)
        except gr.Error as error:  # no quota, no GPU, or the process failed: the package raises this for each
            note = f"The Space's GPU was unavailable: {' '.join(str(error.message).split())[:200]}"
        except RuntimeError as error:  # an unexpected answer from its interface
            log.warning("ZeroGPU: %s", error)
            note = "The Space's GPU was unavailable (see the log)."
        return replace(session.run(tensor, cancelled), provider_note=note)

    return run
