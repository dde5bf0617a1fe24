"""
What a request tells before anybody has answered it, and what it does not.
"""

from __future__ import annotations

import struct

import pytest

from shared.messages.kernel import Protocol
from shared.protocols import recognise
from shared.protocols.zookeeper import PROTOCOL

TEXT = bytes([0x81, 0x12]) + b'{"user":"somebody"'
CLOSED = b"\x88\x0f\x03\xf3going away no"
SUBSCRIBE = b"\x82\x0e\0\1\0\x09a/+/state\1"
BIND = b"B\0\0\0\x10\0s1\0\0\0\0\0\0\0\0\0"
CONNECT = struct.pack(">iiqiqi", 44, 0, 0, 10_000, 0, 16) + bytes(16)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (SUBSCRIBE, Protocol.MQTT),
        (b"\xa2\x07\0\4\0\3a/#", Protocol.MQTT),
        (b"\x32\x0a\0\6alerts\0\1", Protocol.MQTT),
        (b"UNSUB 17\r\n", Protocol.NATS),
        (BIND + b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\4", Protocol.POSTGRESQL),
        (b"p\0\0\0\x36SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=fyko+d2lbbFgONRv9qkxdawL", Protocol.POSTGRESQL),
        (b"p\0\0\0\x1cc=biws,r=fyko+d2lbb,p=v0X8", Protocol.POSTGRESQL),
        (TEXT, Protocol.WEBSOCKET),
        (CLOSED, Protocol.WEBSOCKET),
    ],
)
def test_a_request_is_enough(head: bytes, expected: Protocol) -> None:
    """
    Lengths that fit to the last byte, and what must lie between them, say whose it is.
    """
    assert expected is recognise(head, b"")[0]


@pytest.mark.parametrize(
    ("head", "wrong"),
    [
        (SUBSCRIBE[:-1] + b"\3", Protocol.MQTT),
        (SUBSCRIBE + b"x", Protocol.MQTT),
        (SUBSCRIBE.replace(b"\0\1\0\x09", b"\0\0\0\x09"), Protocol.MQTT),
        (SUBSCRIBE.replace(b"+", b"\1"), Protocol.MQTT),
        (b"\x32\x0a\0\6ale+ts\0\1", Protocol.MQTT),
        (b"UNSUB 17", Protocol.NATS),
        (BIND, Protocol.POSTGRESQL),
        (b"P/Js/qqrgtEDsmostvrfoXrYz9m3mYnWKzTBmXc3gG/zmRu2H1IGs7BlO4jm", Protocol.POSTGRESQL),
        (b"p\0\0\0\x1cd=biws,r=fyko+d2lbb,p=v0X8", Protocol.POSTGRESQL),
        (b"\x81\x03abc", Protocol.WEBSOCKET),
        (TEXT[:-1] + b"\xff", Protocol.WEBSOCKET),
        (TEXT[:-1], Protocol.WEBSOCKET),
        (CLOSED.replace(b"\x03\xf3", b"\x00\xf3"), Protocol.WEBSOCKET),
        (b"\1\0\1\1\1\0\0\0\1\4\x10\0\x10" + bytes(80), Protocol.HTTP2),
    ],
)
def test_what_may_be_anybody_s_is_nobody_s(head: bytes, wrong: Protocol) -> None:
    """
    One byte that does not fit, or bytes that many send, are no recognition.
    """
    assert recognise(head, b"")[0] is not wrong


@pytest.mark.parametrize("cut", range(0, 37, 3))
def test_an_answer_that_is_cut_off_does_not_hide_the_question(cut: int) -> None:
    """
    However little there is of ZooKeeper's answer, its request is still ZooKeeper's; another's answer is not.
    """
    connected = struct.pack(">iiiqi", 36, 0, 10_000, 0x1234, 16) + bytes(16)
    ping, pong = struct.pack(">iii", 8, -2, 11), struct.pack(">iiqi", 16, -2, 99, 0)

    assert Protocol.ZOOKEEPER is recognise(CONNECT, connected[:cut])[0]
    assert Protocol.ZOOKEEPER is recognise(ping, pong[:cut])[0]
    assert Protocol.ZOOKEEPER is recognise(*PROTOCOL.mask(ping, pong[:cut]))[0]
    assert Protocol.ZOOKEEPER is not recognise(ping, b"HTTP/1.1 200 OK\r\n")[0]
