"""
Where the running kernel keeps the fields of its structs: a reader for BTF, the kernel's own type information.

Probes name a field as `OFF_<struct>__<field>` and a size as `SIZEOF_<struct>`; this module finds the figures, so that
no kernel header is needed and the offsets are right on every kernel.

https://docs.kernel.org/bpf/btf.html
"""

from __future__ import annotations

import re
import struct
from functools import cached_property
from typing import TYPE_CHECKING, Final

from shared.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC: Final = 0xEB9F
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FUNC_PROTO = 1, 2, 3, 4, 5, 6, 13
_VAR, _DATASEC, _DECL_TAG, _ENUM64 = 14, 15, 17, 19
_NAMED: Final = re.compile(r"\b(?:OFF_)?([A-Za-z]\w*?)__(\w+)|\bSIZEOF_(\w+)")
_HELPER: Final = re.compile(r"\bHAS_(\w+)")
_KIND_NAMES: Final = {"typedef": 8, "func": 12, "struct": _STRUCT}


class Btf:
    """
    The types of one BTF blob.
    """

    def __init__(self, blob: bytes) -> None:
        if len(blob) < 24 or struct.unpack_from("<H", blob)[0] != _MAGIC:
            raise Malformed("not BTF: the first two bytes must be 9f eb")
        header_length, types_at, types_length, strings_at, strings_length = struct.unpack_from("<5I", blob, 4)
        self._blob: Final = blob
        self._strings: Final = blob[header_length + strings_at : header_length + strings_at + strings_length]
        start = header_length + types_at
        self._at: Final = [0, *_positions(blob, start, start + types_length)]
        """Position of each type's record, by type id; id 0 is void."""
        self._ids: Final[dict[tuple[str, str], int | None]] = {}

    def type_id(self, kind: str, name: str) -> int | None:
        """
        Return the id of the type *name* of *kind* (`typedef`, `func` or `struct`), or None when there is none.
        """
        wanted, key = _KIND_NAMES[kind], (kind, name)
        if key not in self._ids:
            self._ids[key] = self._find(wanted, name)
        return self._ids[key]

    def size(self, name: str) -> int | None:
        """
        Return the size of struct *name* in bytes, or None when there is none.
        """
        type_id = self.type_id("struct", name)
        return None if type_id is None else int(struct.unpack_from("<I", self._blob, self._at[type_id] + 8)[0])

    def offset(self, structure: str, field: str) -> int | None:
        """
        Return the offset of *field* in *structure* in bytes, also through unnamed members; None when there is none.
        """
        bits = self.bit_offset(structure, field)
        return None if bits is None else bits // 8

    def bit_offset(self, structure: str, field: str) -> int | None:
        """
        Return the offset of *field* in bits: a field that fills a part of its byte begins within one.
        """
        type_id = self.type_id("struct", structure)
        return None if type_id is None else self._offset_bits(type_id, field)

    def defines(self, source: str) -> dict[str, int]:
        """
        Return a figure for each `OFF_<struct>__<field>` and `SIZEOF_<struct>` that *source* names and this kernel has.

        The prefix may be missing, where a macro of *source* puts it there. A field that begins within a byte also has
        a `BIT_<struct>__<field>`, its first bit. `HAS_<function>` is 1 where the kernel has the function.
        """
        helpers = set(_HELPER.findall(source))
        found = {f"HAS_{name}": 1 for name in helpers if self.type_id("func", name) is not None}
        for structure, field, sized in set(_NAMED.findall(source)):
            value = self.size(sized) if sized else self.offset(structure, field)
            if value is not None:
                found[f"SIZEOF_{sized}" if sized else f"OFF_{structure}__{field}"] = value
            bit = (self.bit_offset(structure, field) or 0) % 8 if field else 0
            if bit:
                found[f"BIT_{structure}__{field}"] = bit
        return found

    def enumerators(self, name: str) -> dict[str, int]:
        """
        Return the enumerators of enum *name*; empty when there is none.
        """
        type_id = self._find(_ENUM, name)
        if type_id is None:
            return {}
        at = self._at[type_id]
        count = struct.unpack_from("<I", self._blob, at + 4)[0] & 0xFFFF
        pairs = struct.iter_unpack("<Ii", self._blob[at + 12 : at + 12 + 8 * count])
        return {self._string(name_at): value for name_at, value in pairs}

    def _find(self, kind: int, name: str) -> int | None:
        name_at = self._strings.find(b"\0" + name.encode() + b"\0") + 1
        if not name_at:
            return None
        return self._by_name.get((kind, name_at))

    @cached_property
    def _by_name(self) -> dict[tuple[int, int], int]:
        blob, kinds = self._blob, {*_KIND_NAMES.values(), _ENUM}
        found: dict[tuple[int, int], int] = {}
        for type_id, at in enumerate(self._at):
            if type_id and (kind := blob[at + 7] & 0x1F) in kinds:
                found.setdefault((kind, int.from_bytes(blob[at : at + 4], "little")), type_id)
        return found

    def _string(self, at: int) -> str:
        return self._strings[at : self._strings.index(b"\0", at)].decode()

    def _members(self, type_id: int) -> Iterator[tuple[str, int, int]]:
        at = self._at[type_id]
        info = struct.unpack_from("<I", self._blob, at + 4)[0]
        mask = 0xFFFFFF if info >> 31 else 0xFFFFFFFF
        for index in range(info & 0xFFFF):
            name_at, member_type, bits = struct.unpack_from("<3I", self._blob, at + 12 + 12 * index)
            yield self._string(name_at), member_type, bits & mask

    def _offset_bits(self, type_id: int, field: str) -> int | None:
        for name, member_type, bits in self._members(type_id):
            if name == field:
                return bits
            if not name and self._blob[self._at[member_type] + 7] & 0x1F in (_STRUCT, _UNION):
                inner = self._offset_bits(member_type, field)
                if inner is not None:
                    return bits + inner
        return None


def _positions(blob: bytes, start: int, end: int) -> Iterator[int]:
    fixed = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
    each = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}
    at = start
    while at < end:
        yield at
        info = int.from_bytes(blob[at + 4 : at + 8], "little")
        kind = info >> 24 & 0x1F
        at += 12 + fixed.get(kind, 0) + each.get(kind, 0) * (info & 0xFFFF)
