"""
ClickHouse's packets: where in them the statement is, and where an exception.

Between the head of a query and its text lie fields that differ from revision to revision, without a length over all.
The text is therefore found by what surrounds it: the stage of processing, the compression, its own length, and
what follows it. `bpf/l7/clickhouse.h` searches alike, and sends up heads that begin with the stage.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

HELLO, QUERY, DATA, CANCEL, PING, TABLES = range(6)
NAMES: Final = {HELLO: "HELLO", DATA: "DATA", CANCEL: "CANCEL", PING: "PING", TABLES: "TABLES_STATUS"}
BLOCKS, EXCEPTION, PROGRESS, PONG, END = range(1, 6)
LAST_KIND: Final = 18
"""Packets of a server have smaller numbers."""

_STAGE: Final = re.compile(rb"[\x01\x02][\x00\x01](?=[^\x00-\x03])")
_TEXT: Final = re.compile(rb"[A-Za-z_\x80-\xff \t-\r(/*#-]{3}")
_QUERY: Final = re.compile(rb"\x01([\x00-\x40])")
_EXCEPTION: Final = re.compile(rb"\x02(..[\x00\x01]\x00)([\x05-\x28])(?:DB::|std:)", re.DOTALL)
_CLIENT: Final = re.compile(rb"\x00([\x03-\x7f])[A-Za-z]")
SERVER: Final = re.compile(rb"\x00\x0aClickHouse")
BLOCK: Final = re.compile(rb"\x01\x00\x01[\x00\x01]\x02....\x00", re.DOTALL)
SHORTEST: Final = 5
"""The least length of a statement that is searched for."""


class Text(NamedTuple):
    """
    A statement: its stage lies at *stage*, its text from *start* to *end*, which may be beyond the head.
    """

    stage: int
    start: int
    end: int


class Failure(NamedTuple):
    """
    An exception that begins at *at*; its message begins at *behind*.
    """

    at: int
    code: int
    behind: int


def number(head: bytes, at: int) -> tuple[int, int]:
    """
    Return the number of variable length at *at* and where it ends, -1 when it is cut off or no length.
    """
    value = 0
    for index in range(at, min(at + 4, len(head))):
        value |= (head[index] & 0x7F) << 7 * (index - at)
        if head[index] < 0x80:
            return value, index + 1
    return -1, at


def text_at(head: bytes, at: int) -> Text | None:
    """
    Return the statement whose stage lies at *at*, None when there is none.
    """
    if not _STAGE.match(head, at):
        return None
    length, start = number(head, at + 2)
    end = start + length
    if length < SHORTEST or not _TEXT.match(head, start) or (end < len(head) and head[end] not in (0, DATA)):
        return None
    return Text(at, start, end)


def find_text(head: bytes) -> Text | None:
    """
    Return the first statement in *head*.
    """
    for found in _STAGE.finditer(head):
        text = text_at(head, found.start())
        if text:
            return text
    return None


def is_query(head: bytes) -> bool:
    """
    Return whether a query begins: its id, and whether it is the first or one that a server sends on.
    """
    found = _QUERY.match(head)
    return found is not None and head[2 + found[1][0] : 3 + found[1][0]] in (b"\1", b"\2")


def hello(head: bytes) -> list[tuple[int, int]]:
    """
    Return where the client's name, the database, the user and the password lie; fewer when they are cut off.
    """
    found = _CLIENT.match(head)
    if not found:
        return []
    places = [(2, 2 + found[1][0])]
    at = places[0][1]
    for _ in range(3):
        value, at = number(head, at)
        if value < 0:
            return places
    for _ in range(3):
        length, start = number(head, at)
        if length < 0:
            return places
        places.append((start, start + length))
        at = start + length
    return places


def failure(head: bytes) -> Failure | None:
    """
    Return the first exception in *head*, None when there is none.
    """
    found = _EXCEPTION.search(head)
    if not found:
        return None
    code = int.from_bytes(found[1], "little")
    return Failure(found.start(), code, found.start() + 6 + found[2][0])
