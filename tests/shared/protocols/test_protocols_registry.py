"""
All protocols together: who is surest, and what leaves the node of the rest.
"""

from __future__ import annotations

import pytest

import shared.protocols
from shared.messages.kernel import Protocol
from shared.protocols import mask, protocol_name, protocols, recognise

REDIS = b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"


def test_the_surest_wins() -> None:
    """
    Bytes of a protocol are its own, with the confidence that it claims.
    """
    expected = (Protocol.REDIS, protocols()[Protocol.REDIS].confidence(REDIS, b"+OK\r\n"))

    assert expected == recognise(REDIS, b"+OK\r\n")


def test_nobody_is_forced() -> None:
    """
    Where none is sure, it stays unknown.
    """
    assert recognise(b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x03")[0] is Protocol.UNKNOWN
    assert recognise(b"", b"")[0] is Protocol.UNKNOWN


@pytest.mark.parametrize(
    ("request_head", "response", "spoken"),
    [
        (b"\0\0\0\x16\0\3\0\0\0\0\0\1\0\4demo\0\0\0\0", b"\0\0\0\x10\0\0\0\1\0\0", Protocol.KAFKA),
        (b"Q\0\0\0\3select 1 from t", b"\1\0\0\1\1", Protocol.MYSQL),
        (b"PING\r\n", b"PONG\r\n", Protocol.NATS),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\1\0\0\0\0", Protocol.HTTP2),
        (b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0", b"\x20\2\0\0", Protocol.MQTT),
        (b"OPTIONS sip:bob SIP/2.0\r\n", b"SIP/2.0 200 OK\r\n", Protocol.UNKNOWN),
        (b"QUIT\r\n", b"221 bye\r\n", Protocol.UNKNOWN),
    ],
    ids=["Kafka", "MySQL", "NATS", "HTTP/2", "MQTT", "SIP", "SMTP"],
)
def test_nobody_takes_what_is_not_theirs(request_head: bytes, response: bytes, spoken: Protocol) -> None:
    """
    What looks alike at first sight is taken for what it is, or for nothing.
    """
    assert recognise(request_head, response)[0] in (Protocol.UNKNOWN, spoken)


def test_unknown_bytes_are_masked_by_who_recognises_them() -> None:
    """
    What the kernel could not name is masked as what it is.
    """
    assert mask(Protocol.UNKNOWN, REDIS, b"")[0] == REDIS.replace(b"secret", b"******")


def test_of_strange_bytes_only_the_length_is_left() -> None:
    """
    Nobody can tell where their secrets are.
    """
    assert mask(Protocol.UNKNOWN, b"\x16secret", b"\x15secret") == (bytes(7), bytes(7))


def test_names_are_opentelemetrys() -> None:
    """
    A protocol's word is the same on spans and on the map.
    """
    expected = {
        Protocol.UNKNOWN: "tcp",
        Protocol.HTTP1: "http",
        Protocol.POSTGRESQL: "postgresql",
        Protocol.REDIS: "redis",
        Protocol.DNS: "dns",
    }

    assert expected == {number: protocol_name(number) for number in expected}
    assert set(shared.protocols.__all__) >= {"protocols", "mask", "recognise"}
