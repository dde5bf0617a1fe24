"""
Walks through a message of Kafka along its layout, as far as its head goes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.protocols._kafka_apis import APIS, Api, Field

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

SIZE_LIMIT: Final = 100 * 1024 * 1024
"""The longest request, in bytes, that a broker takes unless told otherwise."""
HEADER_BYTES: Final = 14
"""Size, key, version, correlation id, length of the client's id."""
API_VERSIONS: Final = 18
ELEMENTS_LIMIT: Final = 1024 * 1024
TAGS_LIMIT: Final = 1024

_NUMBERS: Final = {
    "i8": struct.Struct("!b"), "i16": struct.Struct("!h"), "i32": struct.Struct("!i"), "i64": struct.Struct("!q"),
    "uuid": struct.Struct("!16s"),
}  # fmt: skip
_LISTS: Final = frozenset({"i32s", "i64s", "names"})
_HEADER: Final = struct.Struct("!ihhih")


class Part(msgspec.Struct, frozen=True):
    """
    One field as it lies in a head, from *start* to *end*.
    """

    name: str
    kind: str
    start: int
    end: int
    value: int | bytes | None
    """What it holds; None for null, for what is covered, and for what is cut off."""
    whole: bool = True


class Header(msgspec.Struct, frozen=True):
    """
    What stands before the body of a request.
    """

    size: int
    key: int
    version: int
    correlation: int
    client: bytes | None
    body: int
    """Where the body begins; -1 when the head ends before."""
    api: Api
    tags: tuple[Part, ...] = ()
    """The header's own tagged fields."""

    @property
    def flexible(self) -> bool:
        """
        Return whether lengths are varints, and structs end in tagged fields.
        """
        return self.version >= self.api.flexible

    @property
    def known(self) -> bool:
        """
        Return whether the layouts hold for this version.
        """
        return self.version <= self.api.last


class _CutOffError(Exception):
    """
    The head ends here; with a place, in the varint that begins there.
    """

    def __init__(self, varint: int = -1) -> None:
        super().__init__()
        self.varint = varint

    def parts(self, head: bytes) -> list[Part]:
        """
        Return the varint as far as it is there.
        """
        return [Part("cut", "varint", self.varint, len(head), None, whole=False)] if self.varint >= 0 else []


def request_header(head: bytes) -> Header:
    """
    Return the header of the request that *head* begins with.

    Raises:
        Malformed: it is none, or not enough of it is there to tell.
    """
    if len(head) < HEADER_BYTES:
        raise Malformed("kafka: shorter than a header")
    size, key, version, correlation, length = _HEADER.unpack_from(head)
    api = APIS.get(key)
    if api is None or not 10 <= size <= SIZE_LIMIT or not 0 <= version <= api.last + 3:
        raise Malformed(f"kafka: no request of {size} bytes with key {key} and version {version}")
    if length < -1 or HEADER_BYTES - 4 + max(length, 0) > size:
        raise Malformed(f"kafka: a client's id of {length} bytes")
    end = HEADER_BYTES + max(length, 0)
    client = None if length < 0 else head[HEADER_BYTES:end]
    if client and not (client.isascii() and client.decode("ascii").isprintable()):
        raise Malformed("kafka: a client's id that is no text")
    header = Header(size, key, version, correlation, client, -1, api)
    if end > len(head):
        return header
    tags, body = tagged_fields(head, end, size + 4) if header.flexible else ((), end)
    return msgspec.structs.replace(header, body=body, tags=tags)


def tagged_fields(head: bytes, at: int, end: int) -> tuple[tuple[Part, ...], int]:
    """
    Return the tagged fields at *at* and the place behind them, -1 when the head ends before.

    Raises:
        Malformed: there are none.
    """
    found: list[Part] = []
    tags = _Walk(head, end, flexible=True, version=0).tags(at)
    try:
        while True:
            found.append(next(tags))
    except StopIteration as stop:
        return tuple(found), int(stop.value)
    except _CutOffError as cut:
        return (*found, *cut.parts(head)), -1


def request_parts(head: bytes, header: Header) -> Iterator[Part]:
    """
    Yield the fields of the request's body.

    Raises:
        Malformed: the body is not laid out like that.
    """
    if header.body < 0 or not header.known or not header.api.request:
        return
    walk = _Walk(head, header.size + 4, flexible=header.flexible, version=header.version)
    try:
        yield from walk.struct(header.api.request, header.body, tagged=header.api.whole)
    except _CutOffError as cut:
        yield from cut.parts(head)


def response_parts(head: bytes, header: Header) -> Iterator[Part]:
    """
    Yield the fields of the response's body to the request with *header*.

    Raises:
        Malformed: the body is not laid out like that.
    """
    if not header.known or not header.api.response:
        return
    walk = _Walk(head, int.from_bytes(head[:4], "big") + 4, flexible=header.flexible, version=header.version)
    try:
        at = (yield from walk.tags(8)) if header.flexible and header.key != API_VERSIONS else 8
        yield from walk.struct(header.api.response, at, tagged=False)
    except _CutOffError as cut:
        yield from cut.parts(head)


class _Walk:
    """
    One way through a head whose message goes up to *end*.
    """

    def __init__(self, head: bytes, end: int, *, flexible: bool, version: int) -> None:
        self._head: Final = head
        self._end: Final = end
        self._flexible: Final = flexible
        self._version: Final = version

    def struct(self, fields: tuple[Field, ...], at: int, *, tagged: bool = True) -> Generator[Part, None, int]:
        """
        Yield the parts of one struct, and return where it ends.
        """
        for field in fields:
            if not field.first <= self._version <= field.last:
                continue
            if field.kind in _NUMBERS:
                at = yield from self._number(field.name, field.kind, at)
            elif field.kind == "array" or field.kind in _LISTS:
                at = yield from self._array(field, at)
            else:
                at = yield from self._text(field.name, field.kind, at)
        return (yield from self.tags(at)) if tagged and self._flexible else at

    def tags(self, at: int) -> Generator[Part, None, int]:
        """
        Yield the tagged fields at *at*, and return where they end.
        """
        start = at
        count, at = self._varint(at)
        if count > TAGS_LIMIT:
            raise Malformed(f"kafka: {count} tagged fields")
        yield Part("tags", "count", start, at, count)
        for _ in range(count):
            start = at
            _, at = self._varint(at)
            length, at = self._varint(at)
            yield Part("tag", "count", start, at, length)
            start, at = at, self._reach(at, length)
            yield Part("tag", "bytes", start, at, None)
        return at

    def _number(self, name: str, kind: str, at: int) -> Generator[Part, None, int]:
        number = _NUMBERS[kind]
        end = self._reach(at, number.size)
        yield Part(name, kind, at, end, number.unpack_from(self._head, at)[0])
        return end

    def _array(self, field: Field, at: int) -> Generator[Part, None, int]:
        start = at
        count, at = self._length(at, 4)
        if count > ELEMENTS_LIMIT:
            raise Malformed(f"kafka: an array of {count}")
        yield Part(field.name, "count", start, at, count)
        for _ in range(count):
            if field.fields:
                at = yield from self.struct(field.fields, at)
            elif field.kind == "names":
                at = yield from self._text(field.name, "name", at)
            else:
                at = yield from self._number(field.name, field.kind[:-1], at)
        return at

    def _text(self, name: str, kind: str, at: int) -> Generator[Part, None, int]:
        prefix = at
        length, at = self._length(at, 2 if kind in ("name", "text") else 4)
        yield Part(name, "count", prefix, at, length)
        if at + max(length, 0) > self._end:
            raise Malformed(f"kafka: {name} of {length} bytes runs out of the message")
        if length < 0:
            return at
        end = min(at + length, len(self._head))
        whole = end == at + length
        yield Part(name, kind, at, end, self._head[at:end] if kind == "name" and whole else None, whole)
        if not whole:
            raise _CutOffError
        return end

    def _length(self, at: int, width: int) -> tuple[int, int]:
        if self._flexible:
            length, at = self._varint(at)
            return length - 1, at
        end = self._reach(at, width)
        length = int.from_bytes(self._head[at:end], "big", signed=True)
        if length < -1:
            raise Malformed(f"kafka: a length of {length}")
        return length, end

    def _varint(self, at: int) -> tuple[int, int]:
        value, start = 0, at
        for shift in range(0, 35, 7):
            if start < at == len(self._head) < self._end:
                raise _CutOffError(start)
            end = self._reach(at, 1)
            byte = self._head[at]
            value |= (byte & 0x7F) << shift
            at = end
            if byte < 0x80:
                return value, at
        raise Malformed("kafka: a varint of more than five bytes")

    def _reach(self, at: int, bytes_: int) -> int:
        if at + bytes_ > self._end:
            raise Malformed("kafka: a field runs out of the message")
        if at + bytes_ > len(self._head):
            raise _CutOffError
        return at + bytes_
