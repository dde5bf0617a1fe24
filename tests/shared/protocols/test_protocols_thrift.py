"""
Thrift: methods, exceptions and frames of both encodings, and what stays on the node.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import recognise
from shared.protocols._registry import SURE
from shared.protocols.thrift import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable

STRING = b"\x0b\0\1\0\0\0\6secret"


def binary(kind: int, name: bytes = b"pay", body: bytes = b"\0") -> bytes:
    """
    Return a message of the binary encoding.
    """
    return b"\x80\1\0" + bytes([kind]) + struct.pack(">I", len(name)) + name + b"\0\0\0\7" + body


def compact(kind: int, name: bytes = b"pay", body: bytes = b"\0") -> bytes:
    """
    Return a message of the compact encoding.
    """
    return b"\x82" + bytes([kind << 5 | 1, 0x87, 1, len(name)]) + name + body


def framed(message: bytes) -> bytes:
    """
    Return the message in its frame.
    """
    return struct.pack(">I", len(message)) + message


@pytest.mark.parametrize("wrap", [bytes, framed])
@pytest.mark.parametrize("message", [binary, compact])
def test_a_call_has_its_methods_name(message: Callable[..., bytes], wrap: Callable[[bytes], bytes]) -> None:
    """
    In both encodings, in a frame or not, the method names the endpoint; a shared port's service stands before it.
    """
    for name, called in ((b"pay", "pay"), (b"Shop:pay", "Shop/pay")):
        parsed = PROTOCOL.parse(wrap(message(1, name)), wrap(message(2)))

        assert (called, "pay", Outcome.OK, 0) == (parsed.name, parsed.operation, parsed.outcome, parsed.status)


@pytest.mark.parametrize(
    ("reply", "outcome", "status"),
    [
        (binary(2, body=b"\x0b\0\0\0\0\0\2ok\0"), Outcome.OK, 0),
        (binary(2, body=b"\x0c\0\1" + STRING + b"\0\0"), Outcome.SERVER_ERROR, 0),
        (binary(3, body=STRING + b"\x08\0\2\0\0\0\6\0"), Outcome.SERVER_ERROR, 6),
        (binary(3, body=b"\x08\0\2\0\0\0\1\0"), Outcome.CLIENT_ERROR, 1),
        (compact(2, body=b"\x08\0\2ok\0"), Outcome.OK, 0),
        (compact(2, body=b"\x1c\x18\6secret\0\0"), Outcome.SERVER_ERROR, 0),
        (compact(3, body=b"\x18\6secret\x15\x0c\0"), Outcome.SERVER_ERROR, 6),
        (compact(3, body=b"\x25\2\0"), Outcome.CLIENT_ERROR, 1),
    ],
)
def test_exceptions_are_failures(reply: bytes, outcome: Outcome, status: int) -> None:
    """
    A declared exception is a failure without a number, the library's own has its type.
    """
    request = binary(1) if reply[0] == 0x80 else compact(1)
    for parsed in (PROTOCOL.parse(request, reply), PROTOCOL.parse(*PROTOCOL.mask(request, reply))):
        assert (outcome, status) == (parsed.outcome, parsed.status)
    assert b"secret" not in PROTOCOL.mask(request, reply)[1]


def test_a_one_way_call_went_well() -> None:
    """
    Nobody answers it; a call that nobody answered is another matter.
    """
    assert Outcome.OK is PROTOCOL.parse(binary(4), b"").outcome
    assert Outcome.NO_RESPONSE is PROTOCOL.parse(binary(1), b"").outcome


def test_arguments_and_ids_stay() -> None:
    """
    Nothing behind the head leaves the node, nor does the id.
    """
    assert binary(1)[:11] + bytes(18) == PROTOCOL.mask(binary(1, body=STRING + b"\0"), b"")[0]
    assert b"\x82\x21\x80\0\3pay" + bytes(9) == PROTOCOL.mask(compact(1, body=b"\x18\6secret\0"), b"")[0]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b"\x0d\0\1\x0b\x08\0\0\0\2" + (b"\0\0\0\1a\0\0\0\1") * 2 + b"\0", b""),
        (b"\x0f\0\1\x0c\0\0\0\2" + b"\x02\0\1\1\0" * 2 + b"\0", b"more"),
        (b"\x0e\0\1\x0a\0\0\0\1" + bytes(8) + b"\0", b"\x80"),
    ],
    ids=["map", "list of structs", "set"],
)
def test_without_a_frame_the_struct_ends_the_message(body: bytes, left: bytes) -> None:
    """
    Containers are walked to their end, however deep.
    """
    message = binary(1, body=body)

    assert len(message) == PROTOCOL.frame(message + left, response=False)
    assert PROTOCOL.frame(message[:-1], response=False) is None


def test_compact_containers_are_walked() -> None:
    """
    Lists, maps and nested structs of the compact encoding end where they end.
    """
    message = compact(1, body=b"\x19\x25\2\4\x1b\1\x88\1a\1b\x1c\x11\0\0")

    assert len(message) == PROTOCOL.frame(message + b"\x82", response=False)


@pytest.mark.parametrize(
    "head",
    [
        b"\x80\1\0\1\0\0\0\3p y\0\0\0\0\0",
        b"\x80\1\0\5\0\0\0\3pay\0\0\0\0\0",
        b"\x80\2\0\1\0\0\0\3pay\0\0\0\0\0",
        b"\x82\x22\0\3pay\0",
        framed(binary(1))[:4] + b"\x81" + binary(1)[1:],
    ],
    ids=["no name", "no kind", "another version", "another compact version", "another lead"],
)
def test_strangers_are_not_claimed(head: bytes) -> None:
    """
    A head that is wrong in one place is not Thrift's.
    """
    assert PROTOCOL.confidence(head, b"") < SURE
    assert Protocol.UNKNOWN is recognise(head, b"")[0]


@pytest.mark.parametrize(
    "buffer",
    [b"\x80\1\0\1\0\1\0\0" + b"a" * 10, binary(1, body=b"\x07\0\1"), binary(1, body=b"\x0b\0\1\xff\xff\xff\xff")],
)
def test_what_never_ends_is_malformed(buffer: bytes) -> None:
    """
    A name that is too long, a type that there is none of and a negative length are malformed.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(buffer, response=False)
