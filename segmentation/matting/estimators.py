"""PyMatting's other estimators of alpha, for a trimap alone. Only this module imports PyMatting, once one is chosen.

PyMatting compiles all its kernels when it is imported first after installation: about a minute of CPU time. `warm_up`
has that done by a process of its own, because compiling here would hold up the other threads.
"""

import importlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from segmentation.arrays import RGB, AlphaMatte, Trimap
from segmentation.errors import MattingError
from segmentation.messages import Message
from segmentation.settings import Method, Settings

log = logging.getLogger(__name__)

MAX_PIXELS = 250_000  # at which each of them takes seconds
FILL = 140  # coefficients per pixel that lbdm's preconditioner may have; the widest bands need 130
RADIUS = 10  # of lkm's windows, in pixels; the picture must be four times as large
LEAST = 5  # pixels of a side, for a window of three around each in the window of another
SLOW = 5.0  # seconds of preparing after which that is announced: loading what is compiled takes one or two
PREPARING = Message("Preparing this matting method (once after installation, about a minute)")


class NoSolutionError(MattingError):
    """An estimator found no alpha."""

    def __init__(self) -> None:
        super().__init__(Message("The matting equations have no solution here; change matting_method."))


@dataclass(frozen=True, slots=True)
class Estimator:
    """One of PyMatting's estimators, and what it costs."""

    nbytes: int
    """Bytes per pixel at its peak, measured from 50,000 to 500,000 pixels."""
    max_iterations: int
    """Steps of conjugate gradients after which it is given up: half a minute at `MAX_PIXELS`."""
    reach: int | None
    """Pixels from one pixel to the farthest that its equation names; None if that may lie anywhere."""
    options: Callable[[RGB], dict[str, Any]] = lambda _: {}
    """Further arguments for a picture."""

    def scale(self, pixels: int, max_bytes: int) -> float:
        """How much smaller, in each direction, a picture must be to be solved in this memory and in seconds."""
        return sqrt(min(1.0, MAX_PIXELS / pixels, max(max_bytes, 0) / (self.nbytes * pixels)))


def _large_windows(image: RGB) -> dict[str, Any]:
    return {"laplacian_kwargs": {"radius": min(RADIUS, (min(image.shape[:2]) - 1) // 4)}}


def _bounded_factor(_: RGB) -> dict[str, Any]:
    """By default it reserves 4 GB."""
    import pymatting

    return {"preconditioner": lambda matrix: pymatting.ichol(matrix, max_nnz=FILL * matrix.shape[0])}


ESTIMATORS: Mapping[Method, Estimator] = {
    "knn": Estimator(nbytes=3900, max_iterations=1000, reach=None),
    "lbdm": Estimator(nbytes=2750, max_iterations=500, reach=2, options=_bounded_factor),
    "rw": Estimator(nbytes=600, max_iterations=5000, reach=2),
    "lkm": Estimator(nbytes=470, max_iterations=1000, reach=2 * RADIUS, options=_large_windows),
}
"""By the ending of the name of PyMatting's function, `estimate_alpha_...`."""

# PyMatting has parallel loops, which abort the process when two threads meet in them without OpenMP; and two at once
# would need twice the memory.
_one_at_a_time = threading.Lock()
_warming, _ready = threading.Lock(), threading.Event()


def estimate(image: RGB, trimap: Trimap, method: Method) -> tuple[AlphaMatte, int]:
    """The alpha of a small picture, as PyMatting's `estimate_alpha_...` computes it.

    Chen, Li, Tang: KNN Matting, 2013; Zheng, Kambhamettu: Learning Based Digital Matting, 2009; Grady, Schiwietz,
    Aharon, Westermann: Random Walks for Interactive Alpha-Matting, 2005; He, Sun, Tang: Fast Matting Using Large
    Kernel Matting Laplacian Matrices, 2010.

    Args:
        image: RGB, uint8 (h, w, 3); see `Estimator.scale` for how large.
        trimap: uint8 (h, w).
        method: One of `ESTIMATORS`.

    Returns:
        Alpha, float32 (h, w) 0..1, in which what the trimap is certain of need not be exact; and the number of steps.

    Raises:
        NoSolutionError: The equations have no solution, or it was not found in `Estimator.max_iterations` steps.
        MattingError: PyMatting cannot be used here.
    """
    from segmentation.matting.kernels import compiled  # imports numba

    estimator, pymatting = ESTIMATORS[method], _imported()
    height, width = trimap.shape
    frame = (0, max(0, LEAST - height)), (0, max(0, LEAST - width))
    image = np.pad(image, (*frame, (0, 0)), "edge")
    trimap = np.pad(trimap, frame, "edge")
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    with _one_at_a_time, np.errstate(all="ignore"):
        compiled.use_one_thread()
        try:
            alpha = getattr(pymatting, f"estimate_alpha_{method}")(
                image / 255.0,
                trimap / 255.0,
                cg_kwargs={"maxiter": estimator.max_iterations, "callback": count},
                **estimator.options(image),
            )
        except (ValueError, np.linalg.LinAlgError) as error:
            log.info("%s: %s", method, error)
            raise NoSolutionError from error
    if not np.isfinite(alpha).all():
        raise NoSolutionError
    return alpha[:height, :width].astype(np.float32), steps


def warm_up(announce: Callable[[Message], None] = lambda _: None) -> None:
    """Compile PyMatting if need be, without keeping other threads waiting, and import it.

    Args:
        announce: Called with a sentence if it takes more than a moment.

    Raises:
        MattingError: PyMatting cannot be used here.
    """
    with _warming:
        if _ready.is_set():
            return
        if sys.executable:  # empty where Python is part of another program
            # -P: import nothing from the current folder; if it fails, so does the import below, which says why
            compiler = [sys.executable, "-P", "-c", "import pymatting"]
            with subprocess.Popen(compiler, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    process.wait(SLOW)
                except subprocess.TimeoutExpired:
                    announce(PREPARING)
        _imported()
        _ready.set()


def prepare(settings: Settings, announce: Callable[[Message], None] = lambda _: None) -> None:
    """`warm_up`, if these settings need it."""
    if settings.alpha_matting and settings.matting_method in ESTIMATORS:
        warm_up(announce)


def _imported() -> Any:
    """PyMatting, silent."""
    try:
        pymatting = importlib.import_module("pymatting")
        # a preconditioner that needs a second attempt prints a warning, which is none; redirecting the standard output
        # would swallow what other threads print
        vars(importlib.import_module("pymatting.preconditioner.ichol"))["print"] = lambda *_: None
    except (ImportError, RuntimeError) as error:  # not installed; numba has no folder to store compiled code in
        log.exception("PyMatting cannot be imported; NUMBA_CACHE_DIR must name a writable folder")
        raise MattingError(_UNAVAILABLE) from error
    return pymatting


_UNAVAILABLE = Message("This matting method is unavailable on this server; change matting_method.")
