"""
Thrift's binary and compact encodings: heads of messages, and where a struct ends.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-rpc.md
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shared.errors import Malformed

BINARY: Final = 0x80
COMPACT: Final = 0x82
FRAME_BYTES: Final = 4
FRAME_LIMIT: Final = 256 * 1024 * 1024
NAME_LIMIT: Final = 200
DEPTH_LIMIT: Final = 64

CALL: Final = 1
REPLY: Final = 2
EXCEPTION: Final = 3
ONE_WAY: Final = 4

STOP: Final = 0
BINARY_SIZES: Final = {2: 1, 3: 1, 4: 8, 6: 2, 8: 4, 10: 8}
BINARY_TYPES: Final = frozenset((*BINARY_SIZES, 11, 12, 13, 14, 15))
COMPACT_TYPES: Final = frozenset(range(1, 13))

_NAME: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.$]{0,99}(?::[A-Za-z_][A-Za-z0-9_.$]{0,99})?\Z")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """
    The head of a message: it lies between *start* and *body*, and the name between *name* and *name_end*.
    """

    compact: bool
    kind: int
    start: int
    """Behind the frame's length, if there is one."""
    name: int
    name_end: int
    id_start: int
    id_end: int
    body: int
    end: int
    """Where the frame ends; -1 without one."""


def message_at(head: bytes, at: int) -> Message | None:
    """
    Return the message that begins at *at*, None when none does or its head is not all there.
    """
    lead = head[at] if at < len(head) else -1
    if lead in (BINARY, COMPACT):
        return _message(head, at, -1)
    if len(head) - at < FRAME_BYTES + 1 or head[at + FRAME_BYTES] not in (BINARY, COMPACT):
        return None
    size = int.from_bytes(head[at : at + FRAME_BYTES], "big")
    found = _message(head, at + FRAME_BYTES, at + FRAME_BYTES + size) if size <= FRAME_LIMIT else None
    return found if found is not None and found.body < found.end else None


def _message(head: bytes, at: int, end: int) -> Message | None:
    compact = head[at] == COMPACT
    if compact:
        if len(head) - at < 4 or head[at + 1] & 0x1F != 1:
            return None
        kind, id_start = head[at + 1] >> 5, at + 2
        id_end = varint_end(head, id_start)
        counted = varint_end(head, id_end) if id_end > 0 else 0
        if counted <= 0:
            return None
        size, name = varint(head, id_end, counted), counted
        body = name + size
    else:
        if len(head) - at < 8 or head[at + 1] != 1 or head[at + 2]:
            return None
        kind, size, name = head[at + 3], int.from_bytes(head[at + 4 : at + 8], "big"), at + 8
        id_start, id_end = name + size, name + size + 4
        body = id_end
    if not CALL <= kind <= ONE_WAY or size > NAME_LIMIT or body > len(head):
        return None
    if not _NAME.match(head[name : name + size]):
        return None
    return Message(
        compact=compact, kind=kind, start=at, name=name, name_end=name + size, id_start=id_start, id_end=id_end,
        body=body, end=end,
    )  # fmt: skip


def varint_end(head: bytes, at: int) -> int:
    """
    Return where the variable-length number at *at* ends, 0 when its end is not there, -1 when it is too long.
    """
    for place in range(at, min(at + 10, len(head))):
        if head[place] < 0x80:
            return place + 1
    return 0 if len(head) < at + 10 else -1


def varint(head: bytes, at: int, end: int) -> int:
    """
    Return the number from *at* to *end*.
    """
    number = 0
    for place in range(end - 1, at - 1, -1):
        number = number << 7 | head[place] & 0x7F
    return number


class _More(Exception):
    """
    The end of the struct is not there yet.
    """


def struct_end(buffer: bytes, at: int, *, compact: bool) -> int | None:
    """
    Return where the struct at *at* ends, None when its end is not there yet.

    Raises:
        Malformed: no struct begins like this.
    """
    try:
        return _compact_end(buffer, at) if compact else _binary_end(buffer, at)
    except _More:
        return None


def _need(buffer: bytes, at: int, size: int) -> int:
    if size < 0 or size > FRAME_LIMIT:
        raise Malformed(f"thrift: a length of {size}")
    if at + size > len(buffer):
        raise _More
    return at + size


def _int(buffer: bytes, at: int) -> int:
    _need(buffer, at, 4)
    return int.from_bytes(buffer[at : at + 4], "big", signed=True)


def _binary_end(buffer: bytes, at: int) -> int:
    """
    Walk with a list of what is open: a struct, or so many elements of some types in turn.
    """
    open_: list[tuple[int, list[int]]] = [(-1, [])]
    while open_:
        left, types = open_.pop()
        if left == 0:
            continue
        if left < 0:
            kind = buffer[_need(buffer, at, 1) - 1]
            at += 1
            if kind == STOP:
                continue
            at = _need(buffer, at, 2)
            open_.append((-1, []))
        else:
            kind = types[left % len(types)]
            open_.append((left - 1, types))
        if kind not in BINARY_TYPES or len(open_) > DEPTH_LIMIT:
            raise Malformed(f"thrift: a value of type {kind}")
        if kind in BINARY_SIZES:
            at = _need(buffer, at, BINARY_SIZES[kind])
        elif kind == 11:
            at = _need(buffer, at + 4, _int(buffer, at))
        elif kind == 12:
            open_.append((-1, []))
        elif kind == 13:
            at = _need(buffer, at, 2)
            count = _int(buffer, at)
            open_.append((2 * _count(count), [buffer[at - 2], buffer[at - 1]]))
            at += 4
        else:
            at = _need(buffer, at, 1)
            open_.append((_count(_int(buffer, at)), [buffer[at - 1]]))
            at += 4
    return at


def _count(count: int) -> int:
    if not 0 <= count <= FRAME_LIMIT:
        raise Malformed(f"thrift: {count} elements")
    return count


def _number(buffer: bytes, at: int) -> tuple[int, int]:
    end = varint_end(buffer, at)
    if end < 0:
        raise Malformed("thrift: an endless number")
    if end == 0:
        raise _More
    return varint(buffer, at, end), end


def _compact_end(buffer: bytes, at: int) -> int:
    open_: list[tuple[int, list[int]]] = [(-1, [])]
    while open_:
        left, types = open_.pop()
        if left == 0:
            continue
        if left < 0:
            lead = buffer[_need(buffer, at, 1) - 1]
            at += 1
            if lead == STOP:
                continue
            if lead < 0x10:
                at = _number(buffer, at)[1]
            open_.append((-1, []))
            kind = lead & 0x0F
            if kind in (1, 2):
                continue
        else:
            kind = types[left % len(types)]
            open_.append((left - 1, types))
        if kind not in COMPACT_TYPES or len(open_) > DEPTH_LIMIT:
            raise Malformed(f"thrift: a value of type {kind}")
        at = _compact_value(buffer, at, kind, open_)
    return at


def _compact_value(buffer: bytes, at: int, kind: int, open_: list[tuple[int, list[int]]]) -> int:
    """
    Return where the value's own bytes end; what is inside it is added to *open_*.
    """
    if kind in (1, 2, 3):
        return _need(buffer, at, 1)
    if kind in (4, 5, 6):
        return _number(buffer, at)[1]
    if kind == 7:
        return _need(buffer, at, 8)
    if kind == 8:
        size, at = _number(buffer, at)
        return _need(buffer, at, size)
    if kind == 12:
        open_.append((-1, []))
        return at
    if kind == 11:
        count, at = _number(buffer, at)
        if count:
            at = _need(buffer, at, 1)
            open_.append((2 * _count(count), [buffer[at - 1] >> 4, buffer[at - 1] & 0x0F]))
        return at
    at = _need(buffer, at, 1)
    kinds, count = buffer[at - 1] & 0x0F, buffer[at - 1] >> 4
    if count == 0x0F:
        count, at = _number(buffer, at)
    open_.append((_count(count), [kinds]))
    return at
