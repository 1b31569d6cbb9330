"""What a sandboxed process may use of the machine, and how much memory it holds."""

import contextlib
import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_STACK = 8 << 20  # bytes that a thread's stack counts as data
_ARENA = 128 << 20  # bytes of address space that the C library reserves for a thread's heap
_SLACK = 1 << 30  # bytes of address space for libraries loaded later
_CAP_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_CAP_READ_ANYTHING = 1 << 2  # CAP_DAC_READ_SEARCH
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandboxed process may use."""

    memory_mb: int
    """Megabytes on top of what its libraries take."""
    seconds: float
    """Seconds for one call, unless the call says otherwise."""
    threads: int
    """Threads that it is expected to start: each takes address space."""


def held_bytes(pid: int | None) -> int:
    """Bytes of memory that a process holds and that cannot be read again from a file; 0 if unknown (no /proc)."""
    try:
        status = Path(f"/proc/{pid or 'self'}/status").read_text()
    except OSError:
        return 0
    return sum(_kilobytes(status, name) << 10 for name in ("RssAnon", "RssShmem", "VmSwap"))


def _kilobytes(status: str, name: str) -> int:
    _, found, rest = status.partition(f"\n{name}:")
    return int(rest.split(maxsplit=1)[0]) if found else 0


def limit_this_process(limits: Limits, mapped: int, largest_file: int, *, address_space: bool) -> None:
    """Limit memory and files, volunteer for the out-of-memory killer, and give up privileges. Linux only.

    Args:
        limits: The limits.
        mapped: Bytes of files that it may map, which count as address space.
        largest_file: Bytes of the largest file it may write.
        address_space: Limit the address space too. CUDA reserves far more than it uses.
    """
    if sys.platform != "linux":
        return
    import resource

    with contextlib.suppress(OSError):  # it only matters when the machine's memory is used up
        Path("/proc/self/oom_score_adj").write_text("1000")
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 512, resource.RLIMIT_FSIZE: largest_file}
    if address_space:
        status = Path("/proc/self/status").read_text()
        memory, threads = limits.memory_mb << 20, limits.threads + 2
        wanted[resource.RLIMIT_DATA] = (_kilobytes(status, "VmData") << 10) + memory + threads * _STACK
        wanted[resource.RLIMIT_AS] = (
            (_kilobytes(status, "VmSize") << 10) + memory + mapped + threads * (_STACK + _ARENA) + _SLACK
        )
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    _drop_privileges()


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _drop_privileges() -> None:
    """Keep nothing of root's but reading files that others own, which Landlock limits further."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _CapHeader(_CAP_VERSION, 0), (_CapData * 2)()
    failed = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.capget(ctypes.byref(header), data)
    kept = data[0].permitted & _CAP_READ_ANYTHING
    data[0], data[1] = _CapData(kept, kept, 0), _CapData(0, 0, 0)
    if failed or libc.capset(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
