"""How many seconds a network takes for a picture on this machine: an estimate at first, then what was measured."""

import math
import statistics
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime

from segmentation.models.spec import ModelSpec
from segmentation.network.machine import available_cores
from segmentation.network.providers import CPU

GAUGE = Path(__file__).with_name("gauge.onnx")
"""Two convolutions of (1, 64, 128, 128) with 64 kernels of 3x3. tests/network/test_speed.py makes it."""
GAUGE_GMACS = 2 * 64 * 64 * 9 * 128 * 128 / 1e9  # billions of multiply-accumulates

# Fitted on two cores of an AVX2 CPU to u2netp (0.30 s estimated, 0.29 to 0.35 measured), IS-Net (2.4 s; 2.1 to 2.4) and
# MODNet at 512x512 (0.23 s; 0.26): whole networks reach 0.8 of the gauge's speed, and two cores 1.8 times that of one.
_OF_THE_GAUGE, _PER_CORE = 0.8, 0.85

GPU_GMACS = 2000.0  # a second; not measured. BiRefNet's authors report 20 times that for an RTX 4090 in half precision

_KEPT = 9  # runs of each network; their median is what a picture takes
_NETWORKS = 200  # the most that are remembered, as visitors name others than those on offer


@dataclass(frozen=True, slots=True)
class Seconds:
    """What the network takes for one picture."""

    value: float
    measured: bool
    """Otherwise estimated."""


class Speeds:
    """Seconds for each network and execution provider. Thread-safe."""

    def __init__(self, cpu_speed: Callable[[], float] | None = None) -> None:
        """Start without measurements.

        Args:
            cpu_speed: Returns billions of multiply-accumulates that the CPU does in a second; measured by default.
        """
        self._cpu_speed = cpu_speed or measured_cpu_speed
        self._lock = threading.Lock()
        self._runs: defaultdict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._estimates: dict[tuple[str, str], float] = {}  # of those that were measured
        self._warm: set[tuple[str, str]] = set()

    def record(self, spec: ModelSpec, provider: str, seconds: float) -> None:
        """Take note of a run on one picture, on all cores and at the model's own size.

        The first run on a GPU is left out, as it chooses and builds kernels.
        """
        key = spec.id, provider
        estimate = self._estimate(spec, provider)
        with self._lock:
            if provider != CPU and key not in self._warm:
                self._warm.add(key)
                return
            self._runs[key].append(seconds)
            self._estimates[key] = estimate
            if len(self._runs) > _NETWORKS:
                oldest = next(iter(self._runs))
                del self._runs[oldest], self._estimates[oldest]
                self._warm.discard(oldest)

    def of(self, spec: ModelSpec, provider: str) -> Seconds:
        """What a picture takes: the median of the last runs, or an estimate that the runs of other networks correct."""
        with self._lock:
            if runs := self._runs.get((spec.id, provider)):
                return Seconds(statistics.median(runs), measured=True)
            ratios = [
                statistics.median(runs) / self._estimates[key] for key, runs in self._runs.items() if key[1] == provider
            ]
        correction = statistics.geometric_mean(ratios) if ratios else 1.0
        return Seconds(correction * self._estimate(spec, provider), measured=False)

    def _estimate(self, spec: ModelSpec, provider: str) -> float:
        return gmacs(spec) / (self._cpu_speed() if provider == CPU else GPU_GMACS)


def gmacs(spec: ModelSpec) -> float:
    """Billions of multiply-accumulates of one run: those of the registry, or else a guess from megabytes and size.

    The guess is 100 x MB^0.3 for each megapixel: within a factor of five for u2netp (158 for 193), U²-Net (471, 572),
    IS-Net (473, 152), MODNet (265, 59) and BiRefNet (787, about 1140); networks made for phones are well below it.
    """
    if spec.gmacs is not None:
        return spec.gmacs
    megabytes = spec.weights.total / 1e6
    return 100.0 * math.pow(max(megabytes, 0.1), 0.3) * _megapixels(spec)


def _megapixels(spec: ModelSpec) -> float:
    """Of the network's input, for a picture of 4:3."""
    size = spec.input.size or 1024
    if isinstance(size, tuple):
        return math.prod(size) / 1e6
    return size**2 / 1e6 * {"fit_short": 4 / 3, "fit_long": 3 / 4}.get(spec.input.resize, 1.0)


@cache
def measured_cpu_speed() -> float:
    """Billions of multiply-accumulates a second of a network on all available cores. Takes some 50 ms, once.

    CPU time is what counts, so other work on the machine hardly matters; how several cores share the work is not
    measured.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # so that all of it is this thread's time
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(GAUGE), options, providers=[CPU])
    inputs = {
        "picture": np.ones((1, 64, 128, 128), np.float32),
        "kernels": np.full((64, 64, 3, 3), 0.01, np.float32),
    }
    session.run(None, inputs)
    runs, start = 5, time.thread_time()
    for _ in range(runs):
        session.run(None, inputs)
    seconds = max(time.thread_time() - start, 1e-3)  # clocks of 16 ms may not have moved
    return _OF_THE_GAUGE * runs * GAUGE_GMACS / seconds * math.pow(available_cores(), _PER_CORE)
