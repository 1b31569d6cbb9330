"""A process of its own for code on data that nobody vouches for: it may crash, hang or be taken over.

It starts as a fresh interpreter without the server's environment, imports its code, and then locks itself in: no other
files, no network, no other processes, little memory. It is called with JSON and arrays, and killed if it does not
answer in time.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, Literal, TypeAlias

from segmentation.sandbox.limits import Limits, held_bytes
from segmentation.sandbox.protections import missing_protections
from segmentation.sandbox.shared import Area, Array

log = logging.getLogger(__name__)

Reason: TypeAlias = Literal["crashed", "time", "memory", "cancelled", "failed"]

START_SECONDS = 60.0  # for the interpreter and the imports
POLL_SECONDS = 0.05  # between looks at the time, the memory and `cancelled`

_LINE_BYTES = 1 << 20
_TEXT = 500  # characters of an error
_KILLED = -9  # by a signal that we did not send: the kernel ran out of memory
_PACKAGE = Path(__file__).resolve().parents[1]
_PROGRAM = """
import sys, types
sys.path[:] = {path!r}
package = types.ModuleType("segmentation")  # bypasses its __init__, which loads more than is needed
package.__path__ = [{package!r}]
sys.modules["segmentation"] = package
from segmentation.sandbox.child import serve
serve()
"""
_ENVIRONMENT = (
    "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE",
    "ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_PATH",
    "NVIDIA_VISIBLE_DEVICES", "SYSTEMROOT", "PATH", "TEMP", "TMP",
)  # fmt: skip
"""Passed on; everything else may be a secret."""


_lock = threading.Lock()
_running: "weakref.WeakSet[Sandbox]" = weakref.WeakSet()  # guarded by `_lock`


class SandboxError(Exception):
    """A call failed.

    Attributes:
        reason: Why. Except for "failed", which is an error that the code itself raised, the process has ended.
    """

    def __init__(self, reason: Reason, text: str = "") -> None:
        """Take the reason and, for "failed", the error's text, which nobody vouches for either."""
        super().__init__(text or reason)
        self.reason: Reason = reason


class Sandbox:
    """A running process. It ends with this object, and with the server. It answers one call at a time.

    All of them share the largest of their memory limits: if they exceed it together, the one that holds most ends.

    Attributes:
        limits: Its limits.
    """

    def __init__(self, target: str, readable: Sequence[Path], limits: Limits, *, devices: Sequence[Path] = ()) -> None:
        """Start it.

        Args:
            target: The code, as "package.module:function": from a request and arrays to an answer and arrays.
            readable: The files and folders it may read, besides libraries.
            limits: Its limits.
            devices: Device files it may use. With any, the address space is not limited.

        Raises:
            SandboxError: It does not start.
        """
        _warn_once()
        self.limits = limits
        self._areas = Area.create(), Area.create()
        handles = [area.handle for area in self._areas]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM.format(path=_import_path(), package=str(_PACKAGE))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # no thread may start before it is locked in
                pass_fds=[handle for handle in handles if isinstance(handle, int)],
                start_new_session=True,  # Ctrl-C in a terminal is for the server
            )  # fmt: skip
        except OSError as error:
            _end(None, self._areas)
            raise SandboxError("crashed", str(error)) from error
        self._end = weakref.finalize(self, _end, self._process, self._areas)  # also at the interpreter's exit
        order = {
            "target": target, "areas": handles, "readable": [str(path) for path in readable],
            "limits": {"memory_mb": limits.memory_mb, "seconds": limits.seconds, "threads": limits.threads},
            "devices": [str(path) for path in devices],
        }  # fmt: skip
        self._turn = threading.Lock()
        self._base = 0  # bytes that the libraries take
        problem = self._exchange(order, START_SECONDS, None).get("text")
        if problem:
            log.error("no sandbox for %s: %s", target, problem)
            raise self._ended("crashed")
        self._base = held_bytes(self._process.pid)
        with _lock:
            _running.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether it can be called."""
        return self._end.alive and self._process.poll() is None

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that it holds; 0 if unknown or ended."""
        if not self.is_alive:
            return 0
        return held_bytes(self._process.pid) + sum(area.held_bytes for area in self._areas)

    def call(
        self,
        request: dict[str, Any],
        arrays: Sequence[Array] = (),
        *,
        seconds: float | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[dict[str, Any], list[Array]]:
        """The target's answer. Check it: the process may have been taken over.

        Args:
            request: What to do, as JSON.
            arrays: Arrays of numbers that go with it.
            seconds: Time limit instead of the usual one.
            cancelled: Polled meanwhile; returns True to end the process.

        Raises:
            SandboxError: The code raised an error, or the process has been ended or has ended itself.
        """
        with self._turn:
            if not self.is_alive:
                raise SandboxError("crashed")
            call = {"request": request, "arrays": self._areas[0].write(arrays)}
            answer = self._exchange(call, self.limits.seconds if seconds is None else seconds, cancelled)
            if failed := answer.get("failed"):
                raise SandboxError("memory" if failed == "memory" else "failed", str(answer.get("text"))[:_TEXT])
            try:
                found = answer["answer"]
                if not isinstance(found, dict):
                    raise TypeError
                return found, self._areas[1].read(answer["arrays"])
            except (KeyError, TypeError, ValueError) as error:
                raise self._ended("crashed") from error

    def close(self) -> None:
        """End it, even during a call."""
        self._end()

    def close_if_idle(self) -> bool:
        """End it unless it is answering a call.

        Returns:
            Whether it was ended by this.
        """
        if not self._turn.acquire(blocking=False):
            return False
        try:
            was_alive = self.is_alive
            self._end()
            return was_alive
        finally:
            self._turn.release()

    def _exchange(
        self, message: dict[str, Any], seconds: float, cancelled: Callable[[], bool] | None
    ) -> dict[str, Any]:
        """Send a line of JSON and wait for one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        lines: SimpleQueue[bytes] = SimpleQueue()
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
            threading.Thread(target=_read_line, args=(self._process.stdout, lines), daemon=True).start()
            while True:
                try:
                    line = lines.get(timeout=max(0.0, min(POLL_SECONDS, deadline - time.monotonic())))
                    break
                except Empty:
                    if problem := self._problem(deadline, cancelled):
                        raise self._ended(problem) from None
            if not line:
                raise EOFError
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise TypeError
        except (OSError, EOFError) as error:
            raise self._ended(None) from error
        except (ValueError, TypeError, RecursionError) as error:  # nonsense
            raise self._ended("crashed") from error
        except BaseException:
            self._end()
            raise
        return answer

    def _problem(self, deadline: float, cancelled: Callable[[], bool] | None) -> Reason | None:
        if cancelled is not None and cancelled():
            return "cancelled"
        if time.monotonic() > deadline:
            return "time"
        # the kernel's limit does not count everything, and each process has its own
        if self._base and self.grown_bytes > (self.limits.memory_mb << 20):
            return "memory"
        return "memory" if self._base and self._must_yield() else None

    @property
    def grown_bytes(self) -> int:
        """Bytes of memory that it holds on top of its libraries."""
        return self.held_bytes - self._base

    def _must_yield(self) -> bool:
        """Whether all processes together hold too much, and this one the most. Ends an idle one that does."""
        with _lock:
            grown = {sandbox: sandbox.grown_bytes for sandbox in _running if sandbox.is_alive}
        most = max((sandbox.limits.memory_mb << 20 for sandbox in grown), default=0)
        if sum(grown.values()) <= most:
            return False
        largest = max(grown, key=lambda sandbox: grown[sandbox])
        if largest is not self:
            largest.close_if_idle()
        return largest is self

    def _ended(self, reason: Reason | None) -> SandboxError:
        """End the process; without a reason, find out why it ended by itself."""
        if reason is None:
            try:
                code = self._process.wait(1)
            except subprocess.TimeoutExpired:
                code = None  # it only closed its pipe
            reason = "memory" if code == _KILLED else "crashed"
            log.warning("a sandboxed process ended with %s", code)
        self._end()
        return SandboxError(reason)


def _read_line(pipe: IO[bytes], lines: "SimpleQueue[bytes]") -> None:
    try:
        lines.put(pipe.readline(_LINE_BYTES))
    except (OSError, ValueError):  # closed meanwhile
        lines.put(b"")


def _end(process: "subprocess.Popen[bytes] | None", areas: Sequence[Area]) -> None:
    if process is not None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # unsent data is lost with the process
                pipe.close()
    for area in areas:
        area.close()


def _import_path() -> list[str]:
    """The server's import path, without the current folder."""
    return [path for path in sys.path if path]


@cache
def _warn_once() -> None:
    if problem := missing_protections():
        log.warning("%s", problem)
