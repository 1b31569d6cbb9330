"""One side of a comparison: a process that runs tasks on request and says what each cost. Standard library only.

Requests and answers are JSON lines on stdin and stdout. CPU seconds are those of the whole process with all its
threads; the peak is what the process held at most during the task (Linux: VmHWM) above what it held before its first,
the rise above what it held just before this one.
"""

import ctypes
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

network_seconds = 0.0


def time_the_network() -> None:
    """Count what ONNX Runtime takes apart from the rest."""
    import onnxruntime

    inner = onnxruntime.InferenceSession.run

    def run(*args: Any, **kwargs: Any) -> Any:
        global network_seconds
        start = time.process_time()
        try:
            return inner(*args, **kwargs)
        finally:
            network_seconds += time.process_time() - start

    onnxruntime.InferenceSession.run = run


def memory(field: str) -> float:
    """MiB of a line of /proc/self/status; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def settle() -> None:
    """Give back what memory can be, so that the next peak is that of what comes next."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    except OSError:
        pass


def serve(tasks: dict[str, Callable[..., Callable[[], Any]]]) -> None:
    """Answer requests until stdin closes. A task prepares itself, unmeasured, and returns what is to be measured."""
    global network_seconds
    idle = memory("VmRSS")  # libraries and networks loaded, nothing run yet
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries print
    for line in sys.stdin:
        request = json.loads(line)
        work = tasks[request.pop("task")](**request)
        settle()
        before, network_seconds = memory("VmRSS"), 0.0
        cpu, wall = time.process_time(), time.perf_counter()
        said = work()
        cost = {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "network": network_seconds,
            "peak": memory("VmHWM") - idle,
            "rise": memory("VmHWM") - before,
            "said": said if isinstance(said, int | float | str | list | dict) else None,
        }
        print(json.dumps(cost), file=answers, flush=True)
