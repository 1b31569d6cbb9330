"""Linux's seccomp: from now on this process may make only the system calls that computing needs.

No sockets, no other programs, no processes, no signals to others. A refused call fails as if the kernel lacked it, so
that libraries take their older way. https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import ctypes
import os
import platform
import socket
import sys
from functools import cache

from segmentation.sandbox.system_calls import CALLS, CALLS_FOR_DEVICES

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column in `CALLS`, AUDIT_ARCH_*
_X32 = 0x40000000  # x86_64: calls of the x32 interface

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 38  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | ENOSYS
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 21, 22, 2
_CLONE_THREAD = 0x00010000
_TERMINAL_IOCTLS = (0x5401, 0x5421, 0x5450, 0x5451, 0x541B)  # TCGETS, FIONBIO, FIONCLEX, FIOCLEX, FIONREAD

_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filters", ctypes.POINTER(_Filter)))


@cache
def has_seccomp() -> bool:
    """Whether this kernel can filter system calls, and we know their numbers on this architecture."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES or sys.maxsize < 2**32:
        return False
    return int(ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)) >= 0


def restrict_calls(*, devices: bool) -> None:
    """Refuse all system calls but the known harmless ones. It holds for this thread and those started later.

    Args:
        devices: Allow what drivers of GPUs need: every ioctl, memory files, and a local socket to listen at. It can
            neither be connected nor accept a connection.

    Raises:
        OSError: The kernel refuses.
    """
    code = _program(os.getpid(), devices)
    filters = (_Filter * len(code))(*(_Filter(*line) for line in code))
    program = _Program(len(code), filters)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _program(pid: int, devices: bool) -> list[_Instruction]:
    column, architecture = _ARCHITECTURES[platform.machine()]
    calls = CALLS | CALLS_FOR_DEVICES if devices else CALLS
    numbers = {name: both[column] for name, both in calls.items() if both[column] is not None}
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)
    own = [pid, 0]
    conditions = {  # name -> the argument that decides, and its allowed values
        "tgkill": (0, own),
        "prlimit64": (0, own),
        "ioctl": (1, list(_TERMINAL_IOCTLS)),
        "socket": (0, [int(socket.AF_UNIX)]),
    }
    if devices:
        del conditions["ioctl"]
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), refuse,
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), refuse,
    ]  # fmt: skip
    for name, number in numbers.items():
        assert number is not None
        if name == "clone":  # threads only
            block = [(_LOAD, 0, 0, _ARGUMENTS), (_ANY_BIT, 0, 1, _CLONE_THREAD), allow, refuse]
        elif name in conditions:
            argument, values = conditions[name]
            block = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]
            block += [line for value in values for line in ((_EQUAL, 0, 1, value), allow)]
            block.append(refuse)
        else:
            block = [allow]
        code += [(_EQUAL, 0, len(block), number), *block]
    return [*code, refuse]
