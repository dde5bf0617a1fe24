"""
Offsets from BTF: a small blob written by hand, and mangled ones.
"""

from __future__ import annotations

import struct
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.probe_manager.btf import Btf
from shared.errors import Malformed

STRINGS: Final = b"\0int\0outer\0first\0inner_field\0btf_trace_done\0colour\0RED\0GREEN\0"


def at(text: str) -> int:
    """
    Return where *text* stands among the strings.
    """
    return STRINGS.index(b"\0" + text.encode() + b"\0") + 1


def record(name: int, kind: int, count: int, size: int) -> bytes:
    """
    Return the head that every type has.
    """
    return struct.pack("<III", name, kind << 24 | count, size)


TYPES: Final = b"".join(
    [
        record(at("int"), 1, 0, 4) + struct.pack("<I", 1 << 24 | 32),  # 1: int
        record(0, 5, 1, 8) + struct.pack("<III", at("inner_field"), 1, 32),  # 2: an unnamed union
        record(at("outer"), 4, 2, 24)  # 3: a struct that holds both
        + struct.pack("<III", at("first"), 1, 64)
        + struct.pack("<III", 0, 2, 128),
        record(at("btf_trace_done"), 8, 0, 1),  # 4: a typedef
        record(at("colour"), 6, 2, 4) + struct.pack("<IiIi", at("RED"), 0, at("GREEN"), 7),  # 5: an enum
    ]
)
BLOB: Final = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(TYPES), len(TYPES), len(STRINGS)) + TYPES + STRINGS


def test_fields_are_found_also_inside_unnamed_members() -> None:
    """
    A field's offset is in bytes from the start of the struct that has a name.
    """
    btf = Btf(BLOB)

    assert (8, 20, None) == tuple(btf.offset("outer", field) for field in ("first", "inner_field", "no_such"))
    assert (24, None) == (btf.size("outer"), btf.size("no_such"))


def test_defines_are_made_for_what_a_source_names() -> None:
    """
    Each name that the kernel has becomes a figure; what it has not is left out.
    """
    source = "OFF_outer__first + SIZEOF_outer + OFF_outer__no_such + OFF_nothing__first"

    assert {"OFF_outer__first": 8, "SIZEOF_outer": 24} == Btf(BLOB).defines(source)


def test_types_and_enumerators_are_found_by_name() -> None:
    """
    A typedef has the id of its place; an enum gives its words and numbers.
    """
    btf = Btf(BLOB)

    assert (4, None) == (btf.type_id("typedef", "btf_trace_done"), btf.type_id("typedef", "outer"))
    assert {"RED": 0, "GREEN": 7} == btf.enumerators("colour")
    assert {} == btf.enumerators("outer")


@given(st.binary(max_size=64))
def test_what_is_no_btf_is_refused(blob: bytes) -> None:
    """
    Bytes that do not begin as BTF does are malformed, whatever they are.
    """
    if blob[:2] != b"\x9f\xeb":
        with pytest.raises(Malformed):
            Btf(blob)
