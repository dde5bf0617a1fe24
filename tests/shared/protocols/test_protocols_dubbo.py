"""
Dubbo: services and methods in three serialisations, exceptions, and what stays on the node.
"""

from __future__ import annotations

import struct

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import recognise
from shared.protocols._registry import SURE
from shared.protocols.dubbo import PROTOCOL, STATUSES


def call(*words: bytes, flags: int = 0xC2) -> bytes:
    """
    Return a call whose body begins with these strings.
    """
    body = b"".join(bytes([len(word)]) + word for word in words) + b"\x01I\x97HZ"
    return b"\xda\xbb" + bytes([flags, 0]) + struct.pack(">QI", 7, len(body)) + body


def answer(status: int = 20, body: bytes = b"\x94\x91", flags: int = 2) -> bytes:
    """
    Return a response.
    """
    return b"\xda\xbb" + bytes([flags, status]) + struct.pack(">QI", 7, len(body)) + body


PAY = call(b"2.0.2", b"com.example.Order", b"0.0.0", b"create")


def test_a_call_is_named_by_service_and_method() -> None:
    """
    The endpoint is service and method, and a version that was given is told.
    """
    parsed = PROTOCOL.parse(call(b"2.0.2", b"com.example.Order", b"1.2.0", b"create"), answer())

    assert ("com.example.Order/create", "create", Outcome.OK, 20) == (
        parsed.name,
        parsed.operation,
        parsed.outcome,
        parsed.status,
    )
    assert "1.2.0" == parsed.attributes["dubbo.service.version"]


@pytest.mark.parametrize("status", [status for status in STATUSES if status != 20])
def test_every_other_status_is_a_failure(status: int) -> None:
    """
    A bad request, an unknown service and a client error are the caller's fault, all else is the callee's.
    """
    parsed = PROTOCOL.parse(PAY, answer(status, b"\x03bad"))

    assert (status, STATUSES[status]) == (parsed.status, parsed.attributes["error.type"])
    assert (Outcome.CLIENT_ERROR if status in (40, 60, 90) else Outcome.SERVER_ERROR) is parsed.outcome


def test_an_exception_is_a_failure_with_its_class() -> None:
    """
    Status 20 is no success when the body holds an exception; its class is told, its message is not.
    """
    thrown = answer(body=b"\x93C\x16com.example.NoSuchItem\x91\x07message`\x06secret")
    parsed = PROTOCOL.parse(*PROTOCOL.mask(PAY, thrown))

    assert (Outcome.SERVER_ERROR, 20) == (parsed.outcome, parsed.status)
    assert "com.example.NoSuchItem" == parsed.attributes["error.type"]
    assert b"secret" not in PROTOCOL.mask(PAY, thrown)[1]


def test_what_cannot_be_read_is_a_call() -> None:
    """
    Another serialisation, and a head that ends before the method, name no endpoint of their own.
    """
    for head in (call(b"2.0.2", b"com.example.Order", flags=0xC8), PAY[:30]):
        parsed = PROTOCOL.parse(head, b"")

        assert ("call", True) == (parsed.name, parsed.stand_in)


def test_nobody_waits_for_a_one_way_call() -> None:
    """
    A call without the two-way flag went well when it was sent.
    """
    assert Outcome.OK is PROTOCOL.parse(call(b"2.0.2", b"a.B", b"0.0.0", b"c", flags=0x82), b"").outcome
    assert Outcome.NO_RESPONSE is PROTOCOL.parse(PAY, b"").outcome


def test_arguments_and_ids_stay() -> None:
    """
    Nothing behind the method leaves the node, nor does the request's id.
    """
    masked = PROTOCOL.mask(call(b"2.0.2", b"a.B", b"0.0.0", b"c", b"secret"), b"")[0]

    assert b"secret" not in masked
    assert bytes(8) == masked[4:12]
    assert masked.endswith(b"\x01c" + b"*" * 12)


@pytest.mark.parametrize(
    "head", [b"\xda\xbb\xc0\0" + PAY[4:], b"\xda\xbb\xc2\x14" + PAY[4:], b"\xda\xbb\xc2\0" + b"\xff" * 30, b"\xda\xbb"]
)
def test_the_magic_number_is_not_enough(head: bytes) -> None:
    """
    An unknown serialisation, a request with a status and a length beyond all bounds are no Dubbo.
    """
    assert PROTOCOL.confidence(head, b"") < SURE
    assert Protocol.UNKNOWN is recognise(head, b"")[0]


def test_a_contradiction_is_malformed() -> None:
    """
    A frame that announces more than a quarter of a gigabyte, or begins otherwise, never ends.
    """
    for buffer in (PAY[:12] + b"\xff\xff\xff\xff", b"\xda\xbc"):
        with pytest.raises(Malformed):
            PROTOCOL.frame(buffer, response=False)
