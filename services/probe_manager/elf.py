"""
Where a function begins in an ELF file: a small reader that takes nothing for granted and reads no more than it needs.

The answer is the place in the file, which is what a uprobe is attached by.

https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_LOAD, _SYMBOLS, _DYNAMIC_SYMBOLS, _FUNCTION, _INDIRECT = 1, 2, 11, 2, 10
_MOST_SEGMENTS: Final = 128
_MOST_SECTIONS: Final = 4096
_MOST_BYTES: Final = 256 << 20
"""Of one table; the largest binaries have symbol tables of some 50 MB."""


class Segment(msgspec.Struct, frozen=True):
    """
    A part of the file that is mapped.
    """

    offset: int
    address: int
    file_bytes: int


class Section(msgspec.Struct, frozen=True):
    """
    A named part of the file.
    """

    name: str
    kind: int
    address: int
    offset: int
    size: int
    link: int


class Function(msgspec.Struct, frozen=True):
    """
    A function: its place in the file and its length, 0 when the file does not tell.
    """

    offset: int
    size: int


class Elf:
    """
    One open ELF file; the descriptor stays the caller's.
    """

    def __init__(self, descriptor: int) -> None:
        """
        Read the tables of segments and sections.

        Raises:
            Malformed: it is no 64-bit little-endian ELF file, or its tables contradict themselves.
        """
        self._descriptor: Final = descriptor
        head = self.read(0, _HEADER.size)
        if len(head) < _HEADER.size or head[:6] != b"\x7fELF\2\1":
            raise Malformed("not a 64-bit little-endian ELF file")
        fields = _HEADER.unpack(head)
        segments_at, sections_at = fields[5], fields[6]
        segment_bytes, segment_count, section_bytes, section_count, names_index = fields[9:14]
        if segment_count > _MOST_SEGMENTS or section_count > _MOST_SECTIONS:
            raise Malformed(f"{segment_count} segments and {section_count} sections")
        self.machine: Final = fields[2]
        self.segments: Final = list(self._segments(segments_at, segment_bytes, segment_count))
        self.sections: Final = self._sections(sections_at, section_bytes, section_count, names_index)

    def read(self, offset: int, size: int) -> bytes:
        """
        Return up to *size* bytes of the file from *offset*.

        Raises:
            Malformed: nobody needs so many.
        """
        if not 0 <= size <= _MOST_BYTES or not 0 <= offset < 1 << 62:
            raise Malformed(f"{size} bytes at {offset}")
        return os.pread(self._descriptor, size, offset)

    def section(self, name: str) -> Section | None:
        """
        Return the section *name*, or None.
        """
        return next((section for section in self.sections if section.name == name), None)

    def offset_of(self, address: int) -> int | None:
        """
        Return where in the file lies what is mapped at *address*, None when it is not in the file.
        """
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_bytes:
                return address - segment.address + segment.offset
        return None

    def functions(self, names: Sequence[str]) -> dict[str, Function]:
        """
        Return those functions of *names* that the symbol tables hold.
        """
        found: dict[str, Function] = {}
        for section in self.sections:
            if section.kind not in (_SYMBOLS, _DYNAMIC_SYMBOLS) or section.link >= len(self.sections):
                continue
            strings_in = self.sections[section.link]
            strings = self.read(strings_in.offset, strings_in.size)
            wanted = [name for name in names if name not in found]
            places = {name: list(_occurrences(strings, name.encode() + b"\0")) for name in wanted}
            if not any(places.values()):
                continue
            symbols = self.read(section.offset, section.size)
            for name, candidates in places.items():
                function = self._defined(symbols, candidates)
                if function is not None:
                    found[name] = function
        return found

    def _defined(self, symbols: bytes, names_at: list[int]) -> Function | None:
        for name_at in names_at:
            for at in _occurrences(symbols, name_at.to_bytes(4, "little")):
                if at % _SYMBOL.size or at + _SYMBOL.size > len(symbols):
                    continue
                _, info, _, defined_in, address, size = _SYMBOL.unpack_from(symbols, at)
                offset = self.offset_of(address)
                if info & 15 in (_FUNCTION, _INDIRECT) and defined_in and offset is not None:
                    return Function(offset, size)
        return None

    def _segments(self, at: int, each: int, count: int) -> Iterator[Segment]:
        table = self.read(at, each * count)
        if each < _SEGMENT.size or len(table) < each * count:
            raise Malformed("the table of segments is cut short")
        for index in range(count):
            kind, _, offset, address, _, file_bytes, _, _ = _SEGMENT.unpack_from(table, index * each)
            if kind == _LOAD:
                yield Segment(offset, address, file_bytes)

    def _sections(self, at: int, each: int, count: int, names_index: int) -> list[Section]:
        table = self.read(at, each * count)
        if not count:
            return []
        if each < _SECTION.size or len(table) < each * count or names_index >= count:
            raise Malformed("the table of sections is cut short")
        rows = [_SECTION.unpack_from(table, index * each) for index in range(count)]
        names = self.read(rows[names_index][4], rows[names_index][5])
        return [
            Section(_name(names, row[0]), row[1], row[3], row[4], 0 if row[1] == 8 else row[5], row[6]) for row in rows
        ]


def _name(names: bytes, at: int) -> str:
    return names[at : names.find(b"\0", at)].decode(errors="replace")


def _occurrences(text: bytes, wanted: bytes) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)
