"""
Attaching programs to functions of programs and libraries: perf events of the kernel's uprobe source, with BPF links.

https://man7.org/linux/man-pages/man2/perf_event_open.2.html
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path
from typing import Final

from services.probe_manager import bpf

_PERF_EVENT_OPEN: Final = {"x86_64": 298, "aarch64": 241}.get(platform.machine(), 298)
_SOURCE: Final = Path("/sys/bus/event_source/devices/uprobe/type")
_ATTRIBUTES: Final = struct.Struct("<IIQQQQQIIQQ")
_CLOSE_ON_EXEC: Final = 8
_libc: Final = ctypes.CDLL(None, use_errno=True)


def attach(program: int, path: str, offset: int, *, at_return: bool, process: int = 0) -> int:
    """
    Return a link of *program* to the instruction at *offset* of the file at *path*.

    Args:
        program: its file descriptor.
        path: as this process sees it; what is behind it counts, not the name.
        offset: in the file, in bytes.
        at_return: run when the function that begins there returns.
        process: the only process, without those that it forks; 0 for every one that maps the file.

    Raises:
        OSError: the kernel refuses.
    """
    name = ctypes.create_string_buffer(os.fsencode(path) + b"\0")
    kind = int(_SOURCE.read_text(encoding="ascii"))
    # Not inherited by children: of an inherited event of this source the kernel looks for the path in the parent's
    # memory again, and the observed program's fork fails with EFAULT (seen on 6.18).
    attributes = ctypes.create_string_buffer(
        _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, int(at_return), 1, 0, 0, 0, 0, 0, ctypes.addressof(name), offset),
        _ATTRIBUTES.size,
    )
    where = (process, -1) if process else (-1, 0)
    event = _libc.syscall(_PERF_EVENT_OPEN, attributes, *where, -1, _CLOSE_ON_EXEC)
    if event < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        return bpf.attach_perf_event(program, event)
    finally:
        os.close(event)
