"""
AMQP 0-9-1: what is pushed by the server, and what is sent without an answer.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.amqp import PROTOCOL


def method(kind: tuple[int, int], arguments: bytes = b"") -> bytes:
    """
    Return a method's frame on channel 1.
    """
    body = kind[0].to_bytes(2, "big") + kind[1].to_bytes(2, "big") + arguments
    return b"\1\0\1" + len(body).to_bytes(4, "big") + body + b"\xce"


def short(text: bytes) -> bytes:
    """
    Return a short text.
    """
    return bytes([len(text)]) + text


@pytest.mark.parametrize(
    ("frame", "name", "outcome", "status"),
    [
        (method((60, 60), short(b"tag") + bytes(9) + short(b"shop") + short(b"order.77")), "Deliver shop/order.{id}",
         Outcome.OK, 0),
        (method((60, 60), short(b"tag") + bytes(8) + b"\1" + short(b"shop") + short(b"order.77")),
         "Redeliver shop/order.{id}", Outcome.OK, 0),
        (method((60, 50), b"\x01\x38" + short(b"NO_ROUTE") + short(b"shop") + short(b"a.b")), "Return shop/a.b",
         Outcome.CLIENT_ERROR, 312),
        (method((10, 60), short(b"low on memory")), "Connection.Blocked", Outcome.SERVER_ERROR, 0),
        (method((10, 61)), "Connection.Unblocked", Outcome.OK, 0),
        (method((10, 50), b"\x01\x40" + short(b"CONNECTION_FORCED") + bytes(4)), "Connection.Close",
         Outcome.SERVER_ERROR, 320),
        (method((60, 40), b"\0\0" + short(b"") + short(b"orders") + b"\0"), "Publish /orders", Outcome.NO_RESPONSE, 0),
    ],
)  # fmt: skip
def test_messages_of_one_side(frame: bytes, name: str, outcome: Outcome, status: int) -> None:
    """
    Their names, codes and outcomes are read from them alone, before and after masking.
    """
    for head in (frame, PROTOCOL.mask(frame, b"")[0]):
        parsed = PROTOCOL.parse(head, b"")
        assert (name, outcome, status) == (parsed.name, parsed.outcome, parsed.status)


@pytest.mark.parametrize("again", [0, 1])
def test_what_was_delivered_before_is_told_apart(again: int) -> None:
    """
    Whether a message that was asked for came before is in the answer, and stays when that is masked.
    """
    asked = method((60, 70), b"\0\0" + short(b"orders") + b"\0")
    answer = method((60, 71), bytes(8) + bytes([again]) + short(b"") + short(b"orders") + bytes(4))
    name = "Basic.GetAgain orders" if again else "Basic.Get orders"

    for parsed in (PROTOCOL.parse(asked, answer), PROTOCOL.parse(*PROTOCOL.mask(asked, answer))):
        assert (name, again or None) == (
            parsed.name,
            parsed.attributes.get("messaging.rabbitmq.message.redelivered"),
        )
    assert "Basic.Get orders" == PROTOCOL.parse(asked, method((60, 72), short(b""))).name
    assert "Basic.Get orders" == PROTOCOL.parse(asked, answer[:19]).name


def test_a_frame_without_its_end_is_malformed() -> None:
    """
    The end mark is where the length says, or these are no frames.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(method((10, 61))[:-1] + b"\0", response=True)


@pytest.mark.parametrize(
    ("answer", "outcome", "status", "error"),
    [
        (method((60, 80), bytes(7) + b"\7\1"), Outcome.OK, 0, None),
        (method((60, 120), bytes(7) + b"\7\0"), Outcome.SERVER_ERROR, 0, "nack"),
        (method((20, 40), b"\x01\x94" + short(b"NOT_FOUND") + b"\0\x3c\0\x28"), Outcome.CLIENT_ERROR, 404, "404"),
    ],
)
def test_publications_that_are_confirmed(answer: bytes, outcome: Outcome, status: int, error: str | None) -> None:
    """
    The broker's Ack, Nack or Close answers a publication; a consumer's own Nack is no failure.
    """
    request = method((60, 40), b"\0\0" + short(b"shop") + short(b"order.7") + b"\0")
    for heads in ((request, answer), PROTOCOL.mask(request, answer)):
        parsed = PROTOCOL.parse(*heads)
        assert ("Publish shop/order.{id}", outcome, status) == (parsed.name, parsed.outcome, parsed.status)
        assert error == parsed.attributes.get("error.type")
    assert Outcome.OK is PROTOCOL.parse(method((60, 120), bytes(9)), b"").outcome


@pytest.mark.parametrize("word", [b"*", b"#", b"\xb7", b"@", b"7"])
def test_words_of_one_letter(word: bytes) -> None:
    """
    They are called the same before and after masking, whatever the letter.
    """
    request = method((50, 10), b"\0\0" + short(b"orders." + word) + bytes(5))
    masked, _ = PROTOCOL.mask(request, b"")

    assert PROTOCOL.parse(request, b"").name == PROTOCOL.parse(masked, b"").name
    assert masked == PROTOCOL.mask(masked, b"")[0]
