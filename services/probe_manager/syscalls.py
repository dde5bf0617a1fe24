"""
The two system calls that Python has no function for: bpf(2) and membarrier(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Final

_NUMBERS: Final = {"x86_64": (321, 324), "aarch64": (280, 283)}
_BPF, _MEMBARRIER = _NUMBERS.get(platform.machine(), (321, 324))
_GLOBAL: Final = 1

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
