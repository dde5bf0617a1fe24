"""
MQTT: packets of both versions, topics, reason codes, and who is not MQTT.
"""

from __future__ import annotations

import pytest

from shared.messages.kernel import Outcome
from shared.protocols.mqtt import PROTOCOL


def packet(first: int, body: bytes) -> bytes:
    """
    Return a short packet.
    """
    return bytes([first, len(body)]) + body


def text(value: bytes) -> bytes:
    """
    Return *value* with its length before it.
    """
    return len(value).to_bytes(2, "big") + value


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (packet(0x30, text(b"sensors/12345/temp") + b"21"), "PUBLISH sensors/{id}/temp"),
        (packet(0x00, text(b"sensors/12345/temp") + b"21"), "DELIVER sensors/{id}/temp"),
        (packet(0x32, text(b"alerts") + b"\0\1x"), "PUBLISH alerts"),
        (packet(0x82, b"\0\1" + text(b"a/+/b") + b"\1"), "SUBSCRIBE a/+/b"),
        (packet(0x82, b"\0\1\0" + text(b"a/#") + b"\1"), "SUBSCRIBE a/#"),
        (packet(0x82, b"\0\1\2\x0b\1" + text(b"a/#") + b"\1"), "SUBSCRIBE a/#"),
        (packet(0xA2, b"\0\1" + text(b"a/b")), "UNSUBSCRIBE a/b"),
        (packet(0xE0, b""), "DISCONNECT"),
        (packet(0xC0, b""), "PINGREQ"),
    ],
)
def test_names(request_: bytes, name: str) -> None:
    """
    The packet's type with its topic's pattern is the name, before and after masking.
    """
    assert name == PROTOCOL.parse(request_, b"").name
    assert name == PROTOCOL.parse(PROTOCOL.mask(request_, b"")[0], b"").name


@pytest.mark.parametrize(
    ("response", "outcome", "status"),
    [
        (packet(0x20, b"\0\0"), Outcome.OK, 0),
        (packet(0x20, b"\0\3"), Outcome.SERVER_ERROR, 3),
        (packet(0x20, b"\0\5"), Outcome.CLIENT_ERROR, 5),
        (packet(0x20, b"\0\x89\0"), Outcome.SERVER_ERROR, 0x89),
        (packet(0x40, b"\0\1\x97"), Outcome.SERVER_ERROR, 0x97),
        (packet(0x40, b"\0\1\x10"), Outcome.OK, 0x10),
        (packet(0x90, b"\0\1\1\x80"), Outcome.SERVER_ERROR, 0x80),
        (packet(0x90, b"\0\1\0\1\x87"), Outcome.CLIENT_ERROR, 0x87),
        (packet(0xB0, b"\0\1\0\x11"), Outcome.OK, 0),
    ],
)
def test_codes_tell_who_is_at_fault(response: bytes, outcome: Outcome, status: int) -> None:
    """
    Codes of both versions are the status, and decide the outcome.
    """
    request = packet(0x32, text(b"a") + b"\0\1x")

    for answer in (response, PROTOCOL.mask(request, response)[1]):
        parsed = PROTOCOL.parse(request, answer)
        assert (outcome, status) == (parsed.outcome, parsed.status)


def test_a_broker_that_disconnects_says_why() -> None:
    """
    The broker's own DISCONNECT is a failure with its reason.
    """
    parsed = PROTOCOL.parse(packet(0xE0, b"\x8b\0"), b"")

    assert (Outcome.SERVER_ERROR, 0x8B) == (parsed.outcome, parsed.status)


@pytest.mark.parametrize("first", [0x14, 0x15, 0x16, 0x17])
def test_tls_is_never_mqtt(first: int) -> None:
    """
    Records of TLS have flags that MQTT forbids.
    """
    for length in range(256):
        record = bytes([first, 3, 3, 0, length]) + bytes(range(60))

        assert 0.0 == PROTOCOL.confidence(record, record)
