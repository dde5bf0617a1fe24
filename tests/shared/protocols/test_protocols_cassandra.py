"""
Cassandra: frames, segments, what the flags put before a body, and events.
"""

from __future__ import annotations

import struct

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols._cql import crc24
from shared.protocols.cassandra import PROTOCOL


def frame(opcode: int, body: bytes, *, version: int = 4, flags: int = 0, stream: int = 7) -> bytes:
    """
    Return a frame.
    """
    return struct.pack(">BBhBi", version, flags, stream, opcode, len(body)) + body


def query(statement: bytes) -> bytes:
    """
    Return what QUERY holds.
    """
    return struct.pack(">i", len(statement)) + statement + b"\0\1\0"


def segment(payload: bytes) -> bytes:
    """
    Return a segment of version 5.
    """
    head = (len(payload) | 1 << 17).to_bytes(3, "little")
    return head + crc24(head).to_bytes(3, "little") + payload + bytes(4)


SELECT = frame(7, query(b"select a from shop.orders where card = 4111111111111111 and m = 'alice@example.org'"))


@pytest.mark.parametrize("version", [3, 4, 5])
def test_statements_name_the_endpoint(version: int) -> None:
    """
    Every version's statement is named by what it does to which table, in a segment or not.
    """
    request = bytes([version]) + SELECT[1:]
    for head in (request, segment(request)):
        masked = PROTOCOL.mask(head, b"")[0]

        assert "SELECT shop.orders" == PROTOCOL.parse(masked, b"").name
        assert b"4111" not in masked
        assert b"alice" not in masked
        assert PROTOCOL.confidence(head, b"") >= 0.6


def test_of_compressed_frames_only_the_outside_is_seen() -> None:
    """
    The name stands in, and nothing of the body leaves the node.
    """
    request = frame(7, b"s3cr3t" * 4, flags=1)
    parsed = PROTOCOL.parse(*PROTOCOL.mask(request, b""))

    assert ("QUERY (compressed)", True) == (parsed.name, parsed.stand_in)
    assert b"s3cr3t" not in PROTOCOL.mask(request, b"")[0]


@pytest.mark.parametrize(
    ("flags", "front"),
    [
        (0, b""),
        (2, bytes(16)),
        (8, b"\0\1\0\x06s3cr3t"),
        (4, b"\0\1\0\1k" + struct.pack(">i", 6) + b"s3cr3t"),
        (14, bytes(16) + b"\0\1\0\x06s3cr3t" + b"\0\1\0\1k" + struct.pack(">i", 6) + b"s3cr3t"),
    ],
)
def test_the_code_is_found_behind_what_the_flags_say(flags: int, front: bytes) -> None:
    """
    Tracing ids, warnings and payloads stand before the body of an error.
    """
    response = frame(0, front + struct.pack(">iH", 0x1100, 6) + b"s3cr3t", version=0x84, flags=flags)
    masked = PROTOCOL.mask(SELECT, response)[1]
    parsed = PROTOCOL.parse(SELECT, masked)

    assert (Outcome.SERVER_ERROR, 0x1100) == (parsed.outcome, parsed.status)
    assert b"s3cr3t" not in masked


def test_events_are_named() -> None:
    """
    What the server says unasked stands where a request should be, and is named by its kind.
    """
    event = frame(12, b"\0\x0dSCHEMA_CHANGE\0\7CREATED\0\6s3cr3t", version=0x85, stream=-1)
    for head in (event, segment(event)):
        masked = PROTOCOL.mask(head, b"")[0]

        assert "EVENT SCHEMA_CHANGE" == PROTOCOL.parse(masked, b"").name
        assert b"s3cr3t" not in masked


@pytest.mark.parametrize(
    "head",
    [
        b"\x06" + SELECT[1:],
        frame(8, bytes(8)),
        frame(7, query(b"select"), stream=-1),
        frame(7, query(b"select"), flags=0x40),
        frame(7, b"")[:5] + b"\x7f\xff\xff\xff",
    ],
)
def test_what_is_no_frame(head: bytes) -> None:
    """
    Other versions, responses, streams, flags and lengths are refused.
    """
    with pytest.raises(Malformed):
        PROTOCOL.parse(head, b"")

    assert 0.0 == PROTOCOL.confidence(head, b"")
