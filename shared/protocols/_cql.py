"""
Frames and segments of Cassandra's native protocol: what is outside of the statements.

https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

import msgspec

from shared.errors import Malformed

HEADER: Final = struct.Struct(">BBhBi")
HEADER_BYTES: Final = 9
BODY_LIMIT: Final = 256 * 1024 * 1024
VERSIONS: Final = range(3, 6)
RESPONSE_BIT: Final = 0x80

COMPRESSED: Final = 0x01
TRACING: Final = 0x02
PAYLOAD: Final = 0x04
WARNING: Final = 0x08
BETA: Final = 0x10

SEGMENT_HEADER_BYTES: Final = 6
PACKED_HEADER_BYTES: Final = 8
"""Of a segment on a connection that compresses."""
CHECKSUM_BYTES: Final = 4
SELF_CONTAINED: Final = 1 << 17
LENGTH_MASK: Final = (1 << 17) - 1


class Opcode(IntEnum):
    """
    What a frame is.
    """

    ERROR = 0
    STARTUP = 1
    READY = 2
    AUTHENTICATE = 3
    OPTIONS = 5
    SUPPORTED = 6
    QUERY = 7
    RESULT = 8
    PREPARE = 9
    EXECUTE = 10
    REGISTER = 11
    EVENT = 12
    BATCH = 13
    AUTH_CHALLENGE = 14
    AUTH_RESPONSE = 15
    AUTH_SUCCESS = 16


REQUESTS: Final = frozenset(
    (Opcode.STARTUP, Opcode.OPTIONS, Opcode.QUERY, Opcode.PREPARE, Opcode.EXECUTE, Opcode.REGISTER, Opcode.BATCH,
     Opcode.AUTH_RESPONSE)
)  # fmt: skip
RESPONSES: Final = frozenset(Opcode) - REQUESTS


class Frame(msgspec.Struct, frozen=True):
    """
    The outside of a frame whose header lies at *at*.
    """

    at: int
    version: int
    flags: int
    stream: int
    opcode: Opcode
    length: int
    """Of the body."""
    body: int
    """Where what the opcode says begins, behind what the flags put before it; 0 when that cannot be read."""

    @property
    def end(self) -> int:
        """
        Return where the frame ends.
        """
        return self.at + HEADER_BYTES + self.length


def crc24(head: bytes) -> int:
    """
    Return the checksum of a segment's header.
    """
    crc = 0x875060
    for byte in head:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            crc ^= 0x1974F0B if crc & 0x1000000 else 0
    return crc


def segment(head: bytes) -> tuple[int, int]:
    """
    Return how long the header of the segment at the start is, and its payload; zeros when there is none.
    """
    for size in (SEGMENT_HEADER_BYTES, PACKED_HEADER_BYTES):
        if len(head) >= size and crc24(head[: size - 3]) == int.from_bytes(head[size - 3 : size], "little"):
            return size, int.from_bytes(head[:3], "little") & LENGTH_MASK
    return 0, 0


def header_at(head: bytes, at: int, *, response: bool) -> Frame:
    """
    Return the frame whose header is at *at*.

    Raises:
        Malformed: there is no such header.
    """
    if len(head) < at + HEADER_BYTES:
        raise Malformed("cassandra: shorter than a header")
    version, flags, stream, number, length = HEADER.unpack_from(head, at)
    if version & ~RESPONSE_BIT not in VERSIONS or (version >= RESPONSE_BIT) != response:
        raise Malformed(f"cassandra: version {version:#x}")
    opcode = Opcode(number) if number in (RESPONSES if response else REQUESTS) else None
    allowed = COMPRESSED | TRACING | PAYLOAD | BETA | WARNING * response
    if opcode is None or flags & ~allowed or not 0 <= length <= BODY_LIMIT:
        raise Malformed(f"cassandra: opcode {number} with flags {flags:#x} and {length} bytes")
    if (stream < 0) != (opcode is Opcode.EVENT):
        raise Malformed(f"cassandra: stream {stream}")
    return Frame(at, version & ~RESPONSE_BIT, flags, stream, opcode, length, 0)


def frame_at(head: bytes, *, response: bool) -> Frame:
    """
    Return the first frame of *head*, in a segment or not, checked as far as it is there.
    """
    at, _ = segment(head)
    if at == PACKED_HEADER_BYTES and int.from_bytes(head[2:5], "little") >> 1 & LENGTH_MASK:
        return Frame(0, 5, COMPRESSED, 0, Opcode.RESULT if response else Opcode.QUERY, 0, 0)
    frame = header_at(head, at, response=response)
    if frame.flags & COMPRESSED:
        return frame
    body = at + HEADER_BYTES
    if frame.flags & TRACING and response:
        body += 16
    if frame.flags & WARNING:
        body = skip(head, body, values=False)
    if frame.flags & PAYLOAD and body:
        body = skip(head, body, values=True)
    return msgspec.structs.replace(frame, body=body if body <= frame.end else 0)


def skip(head: bytes, at: int, *, values: bool, out: bytearray | None = None) -> int:
    """
    Return what lies behind a list of strings, or behind a map of strings to *values*; 0 when that is not there.

    The count and the lengths are copied to *out*.
    """
    left = u16(head, at) or 0
    at = keep(head, at, 2, out)
    for _ in range(left):
        size = u16(head, at)
        if size is None:
            return 0
        at = keep(head, at, 2, out) + size
        if values:
            size = i32(head, at) or 0
            at = keep(head, at, 4, out) + max(size, 0)
    return at if at <= len(head) else 0


def keep(head: bytes, at: int, size: int, out: bytearray | None) -> int:
    """
    Copy *size* bytes, as far as they are there, and return where they end.
    """
    if out is not None:
        out[at : at + size] = head[at : at + size]
    return at + size


def u16(head: bytes, at: int) -> int | None:
    """
    Return the [short] at *at*, None when it is not there yet.
    """
    return int.from_bytes(head[at : at + 2], "big") if at + 2 <= len(head) else None


def i32(head: bytes, at: int) -> int | None:
    """
    Return the [int] at *at*, None when it is not there yet.
    """
    return int.from_bytes(head[at : at + 4], "big", signed=True) if at + 4 <= len(head) else None


def pushed(head: bytes) -> bool:
    """
    Return whether *head* begins with a frame that the server sends unasked.
    """
    at, _ = segment(head)
    return len(head) > at + 4 and head[at] >= RESPONSE_BIT and head[at + 4] == Opcode.EVENT
