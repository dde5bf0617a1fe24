"""
What MySQL's packets look like: commands, the log-in, and where in them the text is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_BYTES: Final = 4
LAST_FIRST: Final = 10
"""No response begins with so high a number: they follow a request, or a step of the log-in."""
PREPARED_BYTES: Final = 12
"""The least length of an answer to PREPARE."""
COMPRESSED_HEADER_BYTES: Final = 7
FULL: Final = 0xFFFFFF
"""The length of a packet that the next one goes on with."""

INIT_DB, QUERY, PREPARE, EXECUTE, LONG_DATA, CLOSE = 0x02, 0x03, 0x16, 0x17, 0x18, 0x19
COMMANDS: Final = {
    0x01: "QUIT", INIT_DB: "INIT_DB", QUERY: "QUERY", 0x04: "FIELD_LIST", 0x05: "CREATE_DB",
    0x06: "DROP_DB", 0x07: "REFRESH", 0x08: "SHUTDOWN", 0x09: "STATISTICS", 0x0A: "PROCESS_INFO",
    0x0C: "PROCESS_KILL", 0x0D: "DEBUG", 0x0E: "PING", 0x11: "CHANGE_USER", 0x12: "BINLOG_DUMP",
    0x13: "TABLE_DUMP", 0x14: "CONNECT_OUT", 0x15: "REGISTER_SLAVE", PREPARE: "PREPARE", EXECUTE: "EXECUTE",
    LONG_DATA: "LONG_DATA", CLOSE: "CLOSE", 0x1A: "RESET", 0x1B: "SET_OPTION", 0x1C: "FETCH",
    0x1E: "BINLOG_DUMP_GTID", 0x1F: "RESET_CONNECTION", 0xFA: "BULK_EXECUTE",
}  # fmt: skip
LENGTHS: Final = {
    0x01: 1, 0x09: 1, 0x0A: 1, 0x0C: 5, 0x0D: 1, 0x0E: 1, CLOSE: 5, 0x1A: 5, 0x1B: 3, 0x1C: 9, 0x1F: 1,
}  # fmt: skip
"""Commands that are always equally long."""
TEXT: Final = frozenset((QUERY, PREPARE))

PROTOCOL_41: Final = 0x200
COMPRESS: Final = 0x20
TLS: Final = 0x800
WITH_DATABASE: Final = 0x8
LENGTH_ENCODED_SECRET: Final = 0x200000
EVENT_BYTES: Final = 20
"""The least length of an event for a replica, with the mark before it."""
EVENT_HEAD: Final = 14
"""Mark, time, type, server and length of an event."""
LOGIN_BYTES: Final = 32
"""Capabilities, packet limit, character set and filler, before the user's name."""

NO_GOOD_INDEX, NO_INDEX, SLOW = 0x10, 0x20, 0x800

NAME: Final = re.compile(rb"[A-Za-z0-9_.$-]{0,64}\Z")
STATE: Final = re.compile(rb"#[0-9A-Z]{5}")
SQL_BEGINS: Final = re.compile(rb"[ \t\r\n]*+(?:[A-Za-z]{2}|[(;]|/\*|--|#|\Z)")
VERSION: Final = re.compile(rb"[0-9]{1,2}\.[0-9]{1,2}[0-9A-Za-z.+~:-]{0,60}(?:\0|\Z)")


class Packet(msgspec.Struct, frozen=True):
    """
    One packet in a head: its payload lies from *start* to *end*, and may be cut off there.
    """

    length: int
    sequence: int
    start: int
    end: int

    @property
    def whole(self) -> bool:
        """
        Whether all of it is there.
        """
        return self.end - self.start == self.length


def packets(head: bytes) -> Iterator[Packet]:
    """
    Yield the packets in *head*, the last one perhaps cut off; what a full one goes on with is not told apart from it.
    """
    at = 0
    while at + HEADER_BYTES <= len(head):
        length = int.from_bytes(head[at : at + 3], "little")
        start = at + HEADER_BYTES
        at = start + length
        yield Packet(length, head[start - 1], start, min(at, len(head)))
        if length == FULL:
            return


def sql_at(request: bytes, packet: Packet) -> tuple[int, bool]:
    """
    Return where the statement begins, and whether it does: attributes with values before it are not read.
    """
    at = packet.start + 1
    if request[packet.start] == QUERY and request[at : at + 1] == b"\0" and packet.end - at > 1:
        return at + 2, request[at + 1] == 1
    return at, request[at : at + 1] >= b"\t" or at >= packet.end


def is_execution(request: bytes, packet: Packet) -> bool:
    """
    Return whether an EXECUTE goes on with id, flags and a one, or with the statement that the kernel put there.
    """
    body = request[packet.start + 1 : packet.end]
    return told_statement(body) or (
        packet.length >= 10 and len(body) >= 9 and body[4] < 16 and body[5:9] == b"\1\0\0\0"
    )


def told_statement(body: bytes) -> bool:
    """
    Return whether *body* is the statement that the kernel puts in an EXECUTE, and not what a client sends.
    """
    return len(body) > 4 and body[:9].find(b"\0") < 0 and SQL_BEGINS.match(body) is not None and body[0] < 0x80


def is_plain_ok(head: bytes, packet: Packet) -> bool:
    """
    Return whether both numbers of an OK packet take one byte: then its flags lie at a known place.
    """
    return packet.end - packet.start >= 7 and head[packet.start + 1] < 0xFB and head[packet.start + 2] < 0xFB


def text_end(head: bytes, start: int, end: int) -> int:
    """
    Return where the text that begins at *start* ends: at its NUL, or at *end* when that is cut off.
    """
    found = head.find(b"\0", start, end)
    return min(start, end) if start > end else end if found < 0 else found


def pushed(head: bytes, packet: Packet) -> str:
    """
    Return what a message of the server is that nobody asked for: an event for a replica, a refusal for a greeting.
    """
    start = packet.start
    if packet.length >= EVENT_BYTES and head[start : start + 1] == b"\0" and packet.end - start >= EVENT_HEAD:
        return "BINLOG_EVENT" if int.from_bytes(head[start + 10 : start + 14], "little") == packet.length - 1 else ""
    refused = not packet.sequence and head[start : start + 1] == b"\xff" and packet.end - start > 3
    return "CONNECT" if refused and 1000 <= int.from_bytes(head[start + 1 : start + 3], "little") < 2000 else ""


def is_compressed(head: bytes) -> bool:
    """
    Return whether a compressed packet begins an exchange: packed by zlib or zstd, or too short for that.
    """
    if len(head) < COMPRESSED_HEADER_BYTES + 2 or head[3]:
        return False
    length, unpacked = (int.from_bytes(head[at : at + 3], "little") for at in (0, 4))
    body = head[COMPRESSED_HEADER_BYTES:]
    if unpacked:
        return length < unpacked and (body[:1] == b"\x78" or body[:4] == b"\x28\xb5\x2f\xfd"[: len(body)])
    inner = int.from_bytes(body[:3], "little")
    return len(body) > HEADER_BYTES and inner + HEADER_BYTES == length and not body[3] and body[4] in COMMANDS


def begins(head: bytes, packet: Packet) -> bool:
    """
    Return whether a command or a log-in begins with *packet*.
    """
    if packet.sequence or packet.start == packet.end:
        return packet.sequence < 3 and sure_of_login(head, packet) > 0
    command = head[packet.start]
    return command in COMMANDS and packet.length > 0 and LENGTHS.get(command, packet.length) == packet.length


def sure_of_login(request: bytes, first: Packet) -> float:
    """
    Return how sure it is that *first* is a log-in: capabilities, then a row of zeros.
    """
    body = request[first.start : first.end]
    flags = int.from_bytes(body[:4], "little")
    if first.sequence > 2 or len(body) < LOGIN_BYTES or not flags & PROTOCOL_41:
        return 0.0
    if any(body[9:28]):
        return 0.0
    if first.length == LOGIN_BYTES:
        return 0.9 if flags & TLS else 0.0
    return 0.9


def database_at(head: bytes, start: int, secret: int, end: int) -> int:
    """
    Return where the name of the database begins, *end* when there is none within reach.
    """
    flags = int.from_bytes(head[start : start + 4], "little")
    if secret >= end or not flags & WITH_DATABASE or head[secret] >= 0xFB:
        return end
    return min(secret + 1 + head[secret], end)


def answers(head: bytes) -> Iterator[Packet]:
    """
    Yield the packets of a response; nothing when it begins as none can.
    """
    for index, packet in enumerate(packets(head)):
        if index == 0:
            greets = head[packet.start : packet.start + 1] in (b"\x0a", b"\xff", b"")
            if not packet.length or packet.sequence >= LAST_FIRST or (packet.sequence == 0 and not greets):
                return
        yield packet
