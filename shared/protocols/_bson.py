"""
BSON as far as an observer needs it: which elements a document has, and how to cover their values.

https://bsonspec.org/spec.html

Documents are cut off anywhere. An element whose end is not there is the last one, and it is not whole.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.protocols._base import MASK
from shared.protocols._collapse import cover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOUBLE: Final = 0x01
STRING: Final = 0x02
DOCUMENT: Final = 0x03
ARRAY: Final = 0x04
BOOLEAN: Final = 0x08
INT32: Final = 0x10
INT64: Final = 0x12

NUMBERS: Final = frozenset((DOUBLE, BOOLEAN, INT32, INT64))

KEY_LIMIT: Final = 64
"""The longest key, in bytes, that is looked at; a longer one ends what is understood."""

_FIXED: Final = {
    DOUBLE: 8, 0x06: 0, 0x07: 12, BOOLEAN: 1, 0x09: 8, 0x0A: 0, INT32: 4, 0x11: 8, INT64: 8, 0x13: 16, 0x7F: 0,
    0xFF: 0,
}  # fmt: skip
_COUNTED: Final = {STRING: 4, 0x0D: 4, 0x0E: 4, 0x05: 5, 0x0C: 16}
"""Their length is told by the first four bytes, which leave out so many bytes."""
_WHOLE: Final = frozenset({DOCUMENT, ARRAY, 0x0F})
"""Their length is told by the first four bytes, themselves included."""

I32: Final = struct.Struct("<i")
_I64: Final = struct.Struct("<q")
_F64: Final = struct.Struct("<d")

TYPES: Final = frozenset({*_FIXED, *_COUNTED, *_WHOLE, 0x0B})


class Element(NamedTuple):
    """
    One element of a document: its type byte at *at*, its key from *key* to *key_end*, its value from *start* to *end*.
    """

    type: int
    at: int
    name: bytes
    start: int
    end: int
    whole: bool


def elements(head: bytes, at: int, stop: int) -> Iterator[Element]:
    """
    Yield the elements of the document at *at*, which lies before *stop*; end where it ends or is not understood.
    """
    if at + 5 > stop:
        return
    stop = min(stop, at + max(I32.unpack_from(head, at)[0], 0))
    at += 4
    while at < stop and head[at]:
        kind = head[at]
        key_end = head.find(b"\0", at + 1, min(stop, at + 2 + KEY_LIMIT))
        if key_end < 0:
            return
        start = key_end + 1
        size = _size(head, kind, start, stop)
        if size is None:
            return
        end = start + size
        yield Element(kind, at, head[at + 1 : key_end], start, min(end, stop), end <= stop)
        at = end


def _size(head: bytes, kind: int, start: int, stop: int) -> int | None:
    """
    Return how long a value is; None when nobody can tell.
    """
    if kind in _FIXED:
        return _FIXED[kind]
    if kind not in _COUNTED and kind not in _WHOLE:
        return None
    if start + 4 > stop:
        return stop - start + 1  # it is cut off before its length
    length = int(I32.unpack_from(head, start)[0])
    least = 5 if kind in _WHOLE else 0 if kind == 0x05 else 1
    return None if length < least else length + _COUNTED.get(kind, 0)


def whole_number(head: bytes, element: Element) -> int | None:
    """
    Return the value as a whole number, None when it is none or is not there.
    """
    if not element.whole:
        return None
    if element.type == INT32:
        return int(I32.unpack_from(head, element.start)[0])
    if element.type == INT64:
        return int(_I64.unpack_from(head, element.start)[0])
    if element.type == BOOLEAN:
        return int(head[element.start] != 0)
    if element.type == DOUBLE:
        value = _F64.unpack_from(head, element.start)[0]
        return int(value) if -(2.0**31) <= value <= 2.0**31 else None
    return None


def string(head: bytes, element: Element) -> bytes | None:
    """
    Return the value as text, None when it is none or is not there.
    """
    if element.type != STRING or not element.whole:
        return None
    return head[element.start + 4 : element.end - 1]


def copy(
    out: bytearray, head: bytes, at: int, stop: int, value: Callable[[int, Element], None], known: frozenset[bytes]
) -> None:
    """
    Copy the document at *at* to *out*: its types, its lengths, keys that are *known*; *value* may add to each element.
    """
    out[at : min(at + 4, stop)] = head[at : min(at + 4, stop)]
    for number, element in enumerate(elements(head, at, stop)):
        out[element.at : element.start] = head[element.at : element.start]
        if element.name not in known:
            cover(out, element.at + 1, element.start - 1)
        if element.type in _COUNTED or element.type in _WHOLE:
            out[element.start : min(element.start + 4, element.end)] = head[
                element.start : min(element.start + 4, element.end)
            ]
        if element.type == STRING and element.whole:
            out[element.start + 4 : element.end - 1] = bytes([MASK]) * (element.end - element.start - 5)
        value(number, element)
