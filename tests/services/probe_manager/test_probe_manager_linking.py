"""
The bodies of loops are put behind the programs that name them, and the kernel is told where they begin.
"""

from __future__ import annotations

import struct
from typing import Final

from services.probe_manager.linking import MARK, function_types, linked, opaque_types

LEAVE: Final = bytes((0x95, 0, 0, 0, 0, 0, 0, 0))
NOTHING: Final = bytes((0xB7, 0, 0, 0, 0, 0, 0, 0))


def constant(register: int, low: int, high: int) -> bytes:
    """
    Return an instruction that loads a wide constant.
    """
    return struct.pack("<BBhiBBhi", 0x18, register, 0, low, 0, 0, 0, high)


def test_a_body_lies_behind_its_program() -> None:
    """
    The mark becomes the distance to the body, which is there once, with the number of the turn passed over.
    """
    code = NOTHING + constant(2, 4, MARK) + constant(2, 4, MARK) + LEAVE
    found = linked({"tail__x__4": code, "loop__4": NOTHING + LEAVE, "loop__5": LEAVE})

    (program, starts) = found.pop("tail__x__4")
    assert {} == found
    assert [0, 6] == starts
    assert (2 | 4 << 4, 4) == (program[9], struct.unpack_from("<i", program, 12)[0])
    assert (2 | 4 << 4, 2) == (program[25], struct.unpack_from("<i", program, 28)[0])
    assert bytes((0xBF, 0x21, 0, 0, 0, 0, 0, 0)) + NOTHING + LEAVE == program[48:]


def test_other_constants_stay() -> None:
    """
    A program without a mark is as it was compiled, and is one function.
    """
    code = constant(1, 4, MARK + 1) + LEAVE

    assert {"tp_btf__x": (code, [0])} == linked({"tp_btf__x": code, "loop__4": LEAVE})


def test_types_have_their_lengths() -> None:
    """
    The header of types says where they end, and each function has a place.
    """
    types, places = function_types([0, 7])
    for blob in (types, opaque_types(100)):
        header, _, types_bytes, strings_at, strings_bytes = struct.unpack_from("<5I", blob, 4)
        assert (24, types_bytes) == (header, strings_at)
        assert len(blob) == header + types_bytes + strings_bytes
    assert struct.pack("<4I", 0, 3, 7, 3) == places
