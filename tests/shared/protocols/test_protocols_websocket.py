"""
WebSocket: which bytes are frames, who sent them, and what of them stays.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.protocols.websocket import PROTOCOL

KEY = bytes([0x11, 0x9C, 0x53, 0xE0])


def sent(first: int, payload: bytes, key: bytes = KEY) -> bytes:
    """
    Return a client's frame.
    """
    hidden = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return bytes([first, 0x80 | len(payload)]) + key + hidden


def pushed(first: int, payload: bytes) -> bytes:
    """
    Return a server's frame.
    """
    return bytes([first, len(payload)]) + payload


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (sent(0x81, b"hello"), "send text"),
        (sent(0x01, b"hel"), "send text"),
        (sent(0x82, b"\0\1"), "send binary"),
        (sent(0x89, b""), "send ping"),
        (sent(0x8A, b""), "send pong"),
        (pushed(0x81, b"hello"), "push text"),
        (pushed(0xC1, b"\xaaV*"), "push text"),
        (pushed(0x88, b"\x03\xe8"), "push close"),
    ],
)
def test_messages_are_named_by_side_and_kind(frame: bytes, expected: str) -> None:
    """
    The masking key tells the client's frames from the server's.
    """
    assert expected == PROTOCOL.parse(frame, b"").name


@pytest.mark.parametrize(("code", "fails"), [(1000, False), (1001, False), (1011, True), (1002, True), (4401, True)])
def test_a_close_tells_its_code(code: int, fails: bool) -> None:
    """
    Whatever is not an ordinary end is an error, and the code stays when the reason is masked.
    """
    frame = sent(0x88, code.to_bytes(2, "big") + b"s3cr3t")
    parsed = PROTOCOL.parse(PROTOCOL.mask(frame, b"")[0], b"")

    assert (code, fails) == (parsed.status, "error.type" in parsed.attributes)


def test_payloads_become_stars_under_their_key() -> None:
    """
    A masked frame is still a frame with a text.
    """
    assert sent(0x81, b"*" * 6) == PROTOCOL.mask(sent(0x81, b"s3cr3t"), b"")[0]
    assert pushed(0x82, b"*" * 6) == PROTOCOL.mask(b"", pushed(0x82, b"s3cr3t"))[1]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x81",
        pushed(0x83, b"abc"),
        pushed(0xF1, b"abc"),
        pushed(0x09, b""),
        pushed(0x80, b"abcd"),
        b"\x81\x7e\x00\x05hello",
        b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffhello",
        b"\x88\x01\x00",
        pushed(0x88, b"\x00\x07"),
        sent(0x81, b"\xff\xfe\xfd\xfc"),
        sent(0x81, b"hello") + b"\x00",
        sent(0x81, b"hello") + pushed(0x81, b"hello"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x10\x1e\x00\x04MQTT\x04\x02\x00\x3c",
    ],
)
def test_other_bytes_are_not_claimed(head: bytes) -> None:
    """
    Reserved bits, long forms of short lengths, impossible codes, broken text and strange tails are no WebSocket.
    """
    assert PROTOCOL.confidence(head, b"") == 0.0


def test_both_sides_are_needed_for_what_has_no_text() -> None:
    """
    A frame alone that holds anything is not enough; with one of the other side it is.
    """
    asked, answered = sent(0x82, b"\x07" * 9), pushed(0x82, b"\x08" * 3)

    assert PROTOCOL.confidence(asked, b"") < 0.6 <= PROTOCOL.confidence(asked, answered)
    assert PROTOCOL.confidence(asked, asked) == 0.0


@pytest.mark.parametrize("head", [pushed(0x83, b"abc"), pushed(0x09, b""), b"\x81\x7e\x00\x05hello"])
def test_what_is_no_frame_is_refused(head: bytes) -> None:
    """
    A reader is told at once that waiting is in vain.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(head, response=False)
    with pytest.raises(Malformed):
        PROTOCOL.parse(head, b"")
