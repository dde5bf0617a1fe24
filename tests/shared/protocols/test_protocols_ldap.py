"""
LDAP: operations, result codes, and what must not leave the node.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.ldap import PROTOCOL


def element(tag: int, content: bytes) -> bytes:
    """
    Return a BER element; long ones tell their length in four bytes.
    """
    size = len(content)
    return bytes([tag]) + (bytes([size]) if size < 128 else b"\x84" + size.to_bytes(4, "big")) + content


def message(tag: int, content: bytes, number: int = 7) -> bytes:
    """
    Return a message.
    """
    return element(0x30, element(2, bytes([number])) + element(tag, content))


def result(code: int, tag: int = 0x65) -> bytes:
    """
    Return the end of an operation.
    """
    return message(tag, element(10, bytes([code])) + element(4, b"dc=s3cr3t") + element(4, b"s3cr3t"))


NAME = element(4, b"uid=s3cr3t,dc=shop")
SEARCH = message(0x63, NAME + element(10, b"\2") + element(10, b"\0") + element(0xA3, element(4, b"alice@example.org")))


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (SEARCH, "search subtree"),
        (message(0x63, NAME + element(10, b"\0") + bytes(9)), "search base"),
        (message(0x60, element(2, b"\3") + NAME + element(0x80, b"s3cr3t")), "bind simple"),
        (message(0x60, element(2, b"\3") + NAME + element(0xA3, b"s3cr3t")), "bind sasl"),
        (message(0x4A, b"uid=s3cr3t"), "delete"),
        (message(0x42, b""), "unbind"),
        (message(0x50, b"\7"), "abandon"),
        (message(0x6E, NAME + bytes(9)), "compare"),
        (message(0x77, element(0x80, b"1.3.6.1.4.1.1466.20037")), "extended StartTLS"),
        (message(0x77, element(0x80, b"1.3.6.1.4.1.4203.1.11.1") + element(0x81, b"s3cr3t")), "extended"),
        (message(0x66, NAME + element(0x30, b"s3cr3t" * 40)), "modify"),
    ],
)
def test_operations_have_names(request_: bytes, name: str) -> None:
    """
    An operation is named; of whom it speaks, and with which proof, stays on the node.
    """
    masked = PROTOCOL.mask(request_, b"")[0]

    assert name == PROTOCOL.parse(masked, b"").name
    assert b"s3cr3t" not in masked
    assert b"alice" not in masked
    assert PROTOCOL.confidence(request_, b"") >= 0.6


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, Outcome.OK),
        (5, Outcome.OK),
        (14, Outcome.OK),
        (32, Outcome.CLIENT_ERROR),
        (49, Outcome.CLIENT_ERROR),
        (51, Outcome.SERVER_ERROR),
        (80, Outcome.SERVER_ERROR),
    ],
)
def test_results_have_their_class(code: int, outcome: Outcome) -> None:
    """
    Busy servers fail, callers that ask for what is not there err, and a comparison's answer is none of both.
    """
    masked = PROTOCOL.mask(SEARCH, result(code))[1]
    parsed = PROTOCOL.parse(SEARCH, masked)

    assert (outcome, code) == (parsed.outcome, parsed.status)
    assert b"s3cr3t" not in masked


def test_an_entry_is_no_failure() -> None:
    """
    What comes before the result says nothing about the end.
    """
    assert Outcome.OK is PROTOCOL.parse(SEARCH, message(0x64, NAME)).outcome


@pytest.mark.parametrize(
    "head",
    [
        b"\x31" + SEARCH[1:],
        message(0x4C, b""),
        element(0x30, element(4, b"7") + element(0x42, b"")),
        element(0x30, element(2, b"\7") + b"\x63\x7fxx"),
        b"\x30\x85" + bytes(9),
        b"\x30\x84\xff\xff\xff\xff" + SEARCH[2:],
    ],
)
def test_what_is_no_message(head: bytes) -> None:
    """
    Other tags, numbers that are none, and lengths that do not nest are refused.
    """
    with pytest.raises(Malformed):
        PROTOCOL.parse(head, b"")

    assert 0.0 == PROTOCOL.confidence(head, b"")
