"""The sandboxed side: limits itself, then answers calls until its parent closes the pipe."""

import importlib
import json
import os
import queue
import sys
import sysconfig
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from segmentation.sandbox.landlock import landlock_version, restrict_files
from segmentation.sandbox.limits import Limits, limit_this_process
from segmentation.sandbox.seccomp import has_seccomp, restrict_calls
from segmentation.sandbox.shared import AREA_BYTES, Area, Array

Target: TypeAlias = Callable[[dict[str, Any], list[Array]], tuple[dict[str, Any], Sequence[Array]]]

_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime", "/proc/self",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/dev/urandom",
)  # fmt: skip
_DRIVERS = (
    "/proc/driver",
    "/proc/modules",
    "/proc/devices",
    "/sys/devices",
    "/sys/bus/pci",
    "/usr/local/cuda",
    "/usr/share/nvidia",
    "/dev/zero",
)
_TEXT = 500  # characters of an error


def serve() -> None:
    """Answer calls from standard input."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # printed text must not mix with the answers
    order = json.loads(requests.readline())
    try:
        incoming, outgoing = (Area(handle) for handle in order["areas"])
        module, _, function = order["target"].partition(":")
        target: Target = getattr(importlib.import_module(module), function)
        _lock_down(Limits(**order["limits"]), [Path(path) for path in order["readable"]], order["devices"])
    except Exception as error:  # for the log: nothing has run yet
        answers.write(json.dumps({"failed": "failed", "text": repr(error)[:_TEXT]}).encode() + b"\n")
        return
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, lines), daemon=True).start()
    answers.write(b"{}\n")
    while True:
        call = json.loads(lines.get())
        answers.write(json.dumps(_answer(target, call, incoming, outgoing)).encode() + b"\n")


def _read(requests: Any, lines: "queue.SimpleQueue[bytes]") -> None:
    """Pass on the calls, and end the process with its parent even during one."""
    for line in requests:
        lines.put(line)
    os._exit(0)


def _answer(target: Target, call: dict[str, Any], incoming: Area, outgoing: Area) -> dict[str, Any]:
    try:
        answer, arrays = target(call["request"], incoming.read(call["arrays"]))
        return {"answer": answer, "arrays": outgoing.write(arrays)}
    except MemoryError:
        return {"failed": "memory", "text": ""}
    except Exception as error:  # whatever the target raises
        return {"failed": "failed", "text": str(error)[:_TEXT]}


def _lock_down(limits: Limits, readable: list[Path], devices: list[str]) -> None:
    if sys.platform == "linux" and len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError("threads started before the sandbox was closed would stay outside")
    mapped = sum(path.stat().st_size for path in readable if path.is_file())
    limit_this_process(limits, mapped, AREA_BYTES, address_space=not devices)
    if landlock_version():
        system = [Path(path) for path in (*_SYSTEM, *(_DRIVERS if devices else ()))]
        system += [Path(path) for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
        writable = [Path("/dev/null"), *(Path(path) for path in devices)]
        writable += [Path("/proc/self/task")] if devices else []  # cuInit fails if it cannot name its threads
        restrict_files([*readable, *_libraries(), *system], writable)
    if has_seccomp():
        restrict_calls(devices=bool(devices))


def _libraries() -> set[Path]:
    """Folders of the standard library and of installed packages, for what is imported or loaded later."""
    paths = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    packages = [m for name, m in sys.modules.items() if "." not in name and getattr(m, "__path__", None)]
    return paths | {Path(path) for package in packages for path in package.__path__}
