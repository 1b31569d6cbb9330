"""What a hostile model's code might do; each of these runs in a sandbox."""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segmentation.sandbox.shared import Array

Answer = tuple[dict[str, Any], Sequence[Array]]


def echo(request: dict[str, Any], arrays: list[Array]) -> Answer:
    return request, arrays


def environment(request: dict[str, Any], arrays: list[Array]) -> Answer:
    return dict(os.environ), ()


def sleep(request: dict[str, Any], arrays: list[Array]) -> Answer:
    time.sleep(request["seconds"])
    return {}, ()


def spin(request: dict[str, Any], arrays: list[Array]) -> Answer:
    while True:
        pass


def crash(request: dict[str, Any], arrays: list[Array]) -> Answer:
    ctypes.string_at(0)
    return {}, ()


def end(request: dict[str, Any], arrays: list[Array]) -> Answer:
    os._exit(0)


def fail(request: dict[str, Any], arrays: list[Array]) -> Answer:
    raise ValueError("no such thing" * 1000)


def allocate(request: dict[str, Any], arrays: list[Array]) -> Answer:
    np.ones(request["mb"] << 17)
    return {}, ()


def hold(request: dict[str, Any], arrays: list[Array]) -> Answer:
    _held.append(np.ones(request["mb"] << 17))
    time.sleep(request["seconds"])
    return {}, ()


_held: list[Array] = []


def allocate_shared(request: dict[str, Any], arrays: list[Array]) -> Answer:
    """Memory that RLIMIT_DATA does not count, slowly."""
    memory = mmap.mmap(-1, request["mb"] << 20)
    for _ in range(request["mb"]):
        memory.write(bytes([1]) * (1 << 20))
        time.sleep(0.002)
    time.sleep(5)
    return {}, ()


def lie(request: dict[str, Any], arrays: list[Array]) -> Answer:
    """Write to the parent itself."""
    for fd in range(3, 30):
        try:
            if Path(f"/proc/self/fd/{fd}").readlink().name.startswith("pipe:"):
                os.write(fd, request["line"].encode() + b"\n")
        except OSError:
            continue
    time.sleep(10)
    return {}, ()


def attempt(request: dict[str, Any], arrays: list[Array]) -> Answer:
    """What became of an attempt: its error's name, or "done"."""
    try:
        _ATTEMPTS[request["what"]](request)
    except (OSError, RuntimeError, ValueError) as error:
        return {"result": type(error).__name__}, ()
    return {"result": "done"}, ()


def _with_libc(number: int, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _fork(_: dict[str, Any]) -> None:
    if os.fork() == 0:
        os._exit(0)


def _signal(request: dict[str, Any]) -> None:
    os.kill(request["pid"], signal.SIGURG)  # which does nothing, should it arrive


def _thread(_: dict[str, Any]) -> None:
    thread = threading.Thread(target=list)
    thread.start()
    thread.join()


def _control(_: dict[str, Any]) -> None:
    """An ioctl that the device does not know, but gets."""
    device = os.open("/dev/zero", os.O_RDWR)
    try:
        fcntl.ioctl(device, 0x1234)
    except OSError as error:
        if error.errno != errno.ENOTTY:
            raise


def _listen(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()


_ATTEMPTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing": lambda _: None,
    "thread": _thread,
    "read": lambda request: Path(request["path"]).read_bytes(),
    "list": lambda request: list(Path(request["path"]).iterdir()),
    "write": lambda request: Path(request["path"]).write_bytes(b"x"),
    "tcp": lambda request: socket.create_connection(("127.0.0.1", request["port"]), 2),
    "unix": lambda _: socket.socket(socket.AF_UNIX),
    "udp": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "pair": lambda _: socket.socketpair(),
    "exec": lambda _: os.execv(sys.executable, [sys.executable, "-c", ""]),
    "subprocess": lambda _: subprocess.run([sys.executable, "-c", ""], check=True),
    "fork": _fork,
    "kill": _signal,
    "ptrace": lambda request: _with_libc(101, 0x4206, request["pid"], 0, 0),  # PTRACE_SEIZE on x86_64
    "parent's memory": lambda request: os.open(f"/proc/{request['pid']}/mem", os.O_RDONLY),
    "parent's environment": lambda request: Path(f"/proc/{request['pid']}/environ").read_bytes(),
    "parent's limits": lambda request: _with_libc(302, request["pid"], 7, 0, 0),  # prlimit64 on x86_64
    "control": _control,
    "memory file": lambda _: os.memfd_create("x"),
    "name a thread": lambda _: Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("x"),
    "listen": lambda _: _listen(f"\0segmatte-{os.getpid()}"),
    "listen at a path": lambda request: _listen(request["path"] + ".socket"),
    "connect": lambda _: socket.socket(socket.AF_UNIX).connect("/run/docker.sock"),
    "delete": lambda request: Path(request["path"]).unlink(),
    "grow": lambda _: os.truncate(3, 1 << 40),
}
