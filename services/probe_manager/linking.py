"""
What the compiler leaves open between functions: the bodies of loops, and the types that the kernel wants to be told.

A program repeats a function by `bpf_loop`, and its body has to lie behind it. A compiled function stands alone, so a
program names the body by a mark (`TAKE_TURNS` in `bpf/include/turns.h`), and here `loop__<place>` is put behind it.

https://docs.kernel.org/bpf/btf.html
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOOP: Final = "loop__"
MARK: Final = 0x6C6F6F70
"""The upper half of the constant whose lower half is a place."""
_LOAD_CONSTANT: Final = 0x18
_OF_FUNCTION: Final = 4
_WITHOUT_TURN: Final = bytes((0xBF, 0x21, 0, 0, 0, 0, 0, 0))
"""r1 = r2: the kernel hands over the number of the turn first; the body wants what comes second."""


def linked(functions: Mapping[str, bytes]) -> dict[str, tuple[bytes, list[int]]]:
    """
    Return each program among *functions* with the bodies of its loops, and where each of its functions begins.
    """
    loops = {int(name.removeprefix(LOOP)): code for name, code in functions.items() if name.startswith(LOOP)}
    return {name: _with_loops(code, loops) for name, code in functions.items() if not name.startswith(LOOP)}


def _with_loops(code: bytes, loops: Mapping[int, bytes]) -> tuple[bytes, list[int]]:
    linked, starts, at = bytearray(code), {-1: 0}, 0
    while at < len(code):
        wide = code[at] == _LOAD_CONSTANT
        low, high = struct.unpack_from("<i4xi", code, at + 4) if wide else (0, 0)
        if high == MARK:
            if low not in starts:
                starts[low] = len(linked) // 8
                linked += _WITHOUT_TURN + loops[low]
            linked[at + 1] = linked[at + 1] & 15 | _OF_FUNCTION << 4
            struct.pack_into("<i4xi", linked, at + 4, starts[low] - at // 8 - 1, 0)
        at += 16 if wide else 8
    return bytes(linked), list(starts.values())


def _types(records: bytes, strings: bytes) -> bytes:
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(records), len(records), len(strings))
    return header + records + strings


def opaque_types(value_bytes: int) -> bytes:
    """
    Return types for storage that wants them of its key and its value: 1 int, 2 u8, 3 u8[value_bytes].
    """
    integer = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32)
    byte = struct.pack("<IIII", 5, 1 << 24, 1, 8)
    array = struct.pack("<IIIIII", 0, 3 << 24, 0, 2, 1, value_bytes)
    return _types(integer + byte + array, b"\0int\0u8\0")


def function_types(starts: Sequence[int]) -> tuple[bytes, bytes]:
    """
    Return types for the functions of a program, and which of them begins where.
    """
    integer = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32)
    prototype = struct.pack("<III", 0, 13 << 24, 1)
    function = struct.pack("<III", 5, 12 << 24, 2)
    types = _types(integer + prototype + function, b"\0int\0run\0")
    return types, b"".join(struct.pack("<II", start, 3) for start in starts)
