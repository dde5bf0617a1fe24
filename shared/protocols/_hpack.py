"""
HPACK: the compressed headers of HTTP/2, read strictly and out of their context.

https://www.rfc-editor.org/rfc/rfc7541

A head begins anywhere on a connection, so the dynamic table is known only as far as the head itself fills it. Its
entries are addressed from the newest one backwards; a reference beyond what was seen is a field without name and value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE_LIMIT: Final = 128
"""Entries of 32 bytes at least, in a table of 4096 bytes."""
NUMBER_LIMIT: Final = 1 << 24

_LENGTHS: Final = bytes(
    c - 60
    for c in (
        b"ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABA"
        b"BABBBACCBBBABCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRSVVPORSRU"
        b"VVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWVZ"
    )
)
"""How many bits the code of each byte has, and at last that of the end; one character each."""

_NAMES: Final = (
    b":authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status :status "
    b"accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow "
    b"authorization cache-control content-disposition content-encoding content-language content-length "
    b"content-location content-range content-type cookie date etag expect expires from host if-match "
    b"if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards "
    b"proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie "
    b"strict-transport-security transfer-encoding user-agent vary via www-authenticate"
).split()
_VALUES: Final = {
    2: b"GET",
    3: b"POST",
    4: b"/",
    5: b"/index.html",
    6: b"http",
    7: b"https",
    8: b"200",
    9: b"204",
    10: b"206",
    11: b"304",
    12: b"400",
    13: b"404",
    14: b"500",
    16: b"gzip, deflate",
}
STATIC: Final = tuple((name, _VALUES.get(number, b"")) for number, name in enumerate(_NAMES, 1))
"""The fields that everybody knows, from number 1 on."""


class Text(msgspec.Struct, frozen=True):
    """
    A string of a field, and where it lies in the block.
    """

    start: int
    """Where its length begins."""
    at: int
    """Where its bytes begin."""
    end: int
    """Where they end, perhaps behind the end of the block."""
    huffman: bool
    text: bytes
    """As far as it is there."""
    whole: bool


class Field(msgspec.Struct, frozen=True):
    """
    A header field. Name and value are None where the block does not tell them.
    """

    name: bytes | None
    value: bytes | None
    end: int
    """Where it ends in the block."""
    name_text: Text | None = None
    """The name, where it is spelt out."""
    value_text: Text | None = None
    """The value, where it is spelt out."""


Table = list[tuple[bytes | None, bytes | None]]
"""The dynamic table as far as it is known, newest entry first."""


def _codes() -> dict[tuple[int, int], int]:
    code = length = 0
    codes = {}
    for symbol in sorted(range(257), key=lambda each: (_LENGTHS[each], each)):
        code <<= (_LENGTHS[symbol]) - length
        length = _LENGTHS[symbol]
        codes[length, code] = symbol
        code += 1
    return codes


_SYMBOLS: Final = _codes()
_CODES: Final = {symbol: code for code, symbol in _SYMBOLS.items()}
_END: Final = 256
LONGEST: Final = 30


def unpacked(raw: bytes, *, whole: bool) -> bytes:
    """
    Return the text behind the Huffman code *raw*; what is cut off is left out when it is not *whole*.

    Raises:
        Malformed: the code has an end inside, or is padded with anything but the first bits of one.
    """
    text = bytearray()
    code = length = 0
    for byte in raw:
        for shift in range(7, -1, -1):
            code, length = code << 1 | byte >> shift & 1, length + 1
            symbol = _SYMBOLS.get((length, code))
            if symbol is None:
                continue
            if symbol == _END:
                raise Malformed("hpack: the end of a text inside it")
            text.append(symbol)
            code = length = 0
    if whole and (length > 7 or code != (1 << length) - 1):
        raise Malformed("hpack: a padding that is none")
    return bytes(text)


def bits(text: bytes) -> int:
    """
    Return how many bits the Huffman code of *text* has.
    """
    return sum(_LENGTHS[c] for c in text)


def packed(text: bytes) -> bytes:
    """
    Return the Huffman code of *text*.
    """
    number, length = 0, bits(text)
    for c in text:
        size, code = _CODES[c]
        number = number << size | code
    spare = -length % 8
    return (number << spare | (1 << spare) - 1).to_bytes((length + spare) // 8, "big")


class _CutOffError(Exception):
    pass


def fields(block: bytes, table: Table, *, whole: bool) -> Iterator[Field]:
    """
    Give the fields of *block* as far as they are there, and enter what it enters into *table*.

    Raises:
        Malformed: it is no header block; that there is too little of it only when it should be *whole*.
    """
    at = 0
    while at < len(block):
        try:
            field, at, enters = _field(block, at, table)
        except _CutOffError:
            if whole:
                raise Malformed("hpack: a field without its end") from None
            return
        if enters:
            table.insert(0, (field.name, field.value))
            del table[TABLE_LIMIT:]
        if enters is not None:
            yield field
        if (field.value_text and not field.value_text.whole) or (field.name_text and not field.name_text.whole):
            if whole:
                raise Malformed("hpack: a text without its end")
            return


def _field(block: bytes, at: int, table: Table) -> tuple[Field, int, bool | None]:
    """
    Return a field, where the next one begins, and whether it enters the table; None for what is no field.
    """
    first = block[at]
    if first >= 0x80:
        index, at = _number(block, at, 7)
        if index == 0:
            raise Malformed("hpack: field number 0")
        name, value = _entry(index, table)
        return Field(name, value, at), at, False
    if first & 0xE0 == 0x20:
        _, at = _number(block, at, 5)
        return Field(None, None, at), at, None
    enters = first >= 0x40
    index, at = _number(block, at, 6 if enters else 4)
    name_text = None
    if index:
        name = _entry(index, table)[0]
    else:
        name_text = _text(block, at)
        if name_text.end == name_text.at:
            raise Malformed("hpack: a field without a name")
        name, at = name_text.text if name_text.whole else None, name_text.end
        if not name_text.whole:
            return Field(None, None, len(block), name_text), at, False
    try:
        value_text = _text(block, at)
    except _CutOffError:
        if name_text is None:
            raise
        end = len(block)
        return Field(name, None, end, name_text, Text(at, end, end + 1, False, b"", False)), end, False
    value, end = value_text.text if value_text.whole else None, min(value_text.end, len(block))
    return Field(name, value, end, name_text, value_text), end, enters


def _entry(index: int, table: Table) -> tuple[bytes | None, bytes | None]:
    if index <= len(STATIC):
        return STATIC[index - 1]
    index -= len(STATIC) + 1
    return table[index] if index < len(table) else (None, None)


def _number(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    if at >= len(block):
        raise _CutOffError
    mask = (1 << prefix) - 1
    number, at, shift = block[at] & mask, at + 1, 0
    if number < mask:
        return number, at
    while True:
        if at >= len(block):
            raise _CutOffError
        byte, at = block[at], at + 1
        number += (byte & 0x7F) << shift
        shift += 7
        if number > NUMBER_LIMIT or shift > 28:
            raise Malformed(f"hpack: a number of {number} or more")
        if byte < 0x80:
            return number, at


def _text(block: bytes, at: int) -> Text:
    if at >= len(block):
        raise _CutOffError
    start, huffman = at, block[at] >= 0x80
    length, at = _number(block, at, 7)
    end = at + length
    raw, whole = block[at:end], end <= len(block)
    return Text(start, at, end, huffman, unpacked(raw, whole=whole) if huffman else raw, whole)
