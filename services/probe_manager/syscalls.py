"""
The system calls that Python has no function for: bpf(2), membarrier(2), sched_setattr(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Final

_NUMBERS: Final = {"x86_64": (321, 324, 314), "aarch64": (280, 283, 274)}
_BPF, _MEMBARRIER, _SCHED_SETATTR = _NUMBERS.get(platform.machine(), (321, 324, 314))
_GLOBAL: Final = 1
_ATTRIBUTES: Final = struct.Struct("<IIQiIQQQ")

_libc: Final = ctypes.CDLL(None, use_errno=True)


def buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """
    Return a place that holds *data*.
    """
    return ctypes.create_string_buffer(data, len(data))


def ask(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    """
    Return what the kernel answers; it writes its other answers into *attributes*.

    Raises:
        OSError: it refuses.
    """
    result: int = _libc.syscall(_BPF, command, attributes, len(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(command: int, attributes: bytes) -> int:
    """
    Return what the kernel answers.

    Raises:
        OSError: it refuses.
    """
    return ask(command, buffer(attributes))


def wait_for_programs() -> None:
    """
    Return when no program that was running at the call still runs.
    """
    if _libc.syscall(_MEMBARRIER, _GLOBAL, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "membarrier(MEMBARRIER_CMD_GLOBAL) failed")


def let_others_first(turn_ns: int) -> None:
    """
    Let whoever else wakes up have the processor before this thread and those that it starts: its turns are *turn_ns*.

    Its share remains the same. The scheduler takes whose turn ends first, so a long turn waits for shorter ones and is
    interrupted by them, from Linux 6.12 on; before, and beside that, `SCHED_BATCH` interrupts nobody when it wakes up.
    https://docs.kernel.org/scheduler/sched-eevdf.html, sched(7)

    Raises:
        OSError: the kernel refuses.
    """
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return  # somebody has decided otherwise
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = buffer(_ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_BATCH, 0, nice, 0, turn_ns, 0, 0))
    if _libc.syscall(_SCHED_SETATTR, 0, attributes, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
