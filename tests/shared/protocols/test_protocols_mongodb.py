"""
MongoDB: what a command asks, what a reply says, and which codes are the caller's fault.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols._mongodb import CALLER_AT_FAULT, caller_at_fault
from shared.protocols.mongodb import PROTOCOL

HEADER = Path(__file__).parents[3] / "bpf" / "l7" / "mongodb.h"


def document(*elements: bytes) -> bytes:
    """
    Return a document of these elements.
    """
    body = b"".join(elements) + b"\0"
    return struct.pack("<i", 4 + len(body)) + body


def text(key: bytes, value: bytes) -> bytes:
    """
    Return an element of text.
    """
    return b"\2" + key + b"\0" + struct.pack("<i", len(value) + 1) + value + b"\0"


def number(key: bytes, value: int) -> bytes:
    """
    Return an element of 32 bits.
    """
    return b"\x10" + key + b"\0" + struct.pack("<i", value)


def message(body: bytes, operation: int = 2013, answers: int = 0, flags: int = 0) -> bytes:
    """
    Return a message; to OP_MSG its flags are added.
    """
    body = struct.pack("<i", flags) + body if operation == 2013 else body
    return struct.pack("<iiii", 16 + len(body), 7, answers, operation) + body


def reply(*elements: bytes) -> bytes:
    """
    Return the answer to message 7.
    """
    return message(b"\0" + document(*elements), answers=7)


FIND = message(b"\0" + document(text(b"find", b"orders"), text(b"$db", b"shop")))


@pytest.mark.parametrize(
    ("elements", "name"),
    [
        ([number(b"hello", 1), text(b"$db", b"admin")], "hello"),
        ([number(b"hello", 1), number(b"maxAwaitTimeMS", 10000)], "hello (await)"),
        ([b"\x12getMore\0" + bytes(8), text(b"collection", b"log")], "getMore log"),
        ([b"\x12getMore\0" + bytes(8), text(b"collection", b"log"), number(b"maxTimeMS", 1)], "getMore log (await)"),
        ([number(b"aggregate", 1)], "aggregate"),
        ([text(b"dropUser", b"alice@example.org")], "dropUser"),
        ([text(b"find", b"user_4111111111111111")], "find {id}"),
    ],
)
def test_commands_have_names(elements: list[bytes], name: str) -> None:
    """
    A command is named by its first key and its collection; what the server is to hold back is told apart.
    """
    request = message(b"\0" + document(*elements))
    masked = PROTOCOL.mask(request, b"")[0]

    assert name == PROTOCOL.parse(request, b"").name == PROTOCOL.parse(masked, b"").name
    assert b"alice" not in masked
    assert b"4111" not in masked


def test_a_section_of_documents_may_come_first() -> None:
    """
    The body is found behind other sections.
    """
    documents = b"documents\0" + document(text(b"mail", b"alice@example.org"))
    section = b"\1" + struct.pack("<i", 4 + len(documents)) + documents
    request = message(section + b"\0" + document(text(b"insert", b"people")))

    assert "insert people" == PROTOCOL.parse(*PROTOCOL.mask(request, b"")).name
    assert b"alice" not in PROTOCOL.mask(request, b"")[0]


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (2001, "update orders"),
        (2002, "insert orders"),
        (2004, "find orders"),
        (2005, "getMore orders"),
        (2006, "delete orders"),
    ],
)
def test_operations_before_op_msg(operation: int, name: str) -> None:
    """
    Old operations carry the collection themselves.
    """
    request = message(bytes(4) + b"shop.orders\0" + bytes(8) + document(text(b"mail", b"alice@example.org")), operation)

    assert name == PROTOCOL.parse(*PROTOCOL.mask(request, b"")).name
    assert b"alice" not in PROTOCOL.mask(request, b"")[0]


def test_of_a_compressed_message_only_the_outside_is_seen() -> None:
    """
    The name only stands in, and the content does not leave the node.
    """
    request = message(struct.pack("<iiB", 2013, 300, 2) + b"s3cr3t" * 5, 2012)
    parsed = PROTOCOL.parse(*PROTOCOL.mask(request, b""))

    assert ("(compressed)", True) == (parsed.name, parsed.stand_in)
    assert b"s3cr3t" not in PROTOCOL.mask(request, b"")[0]


@pytest.mark.parametrize(
    ("response", "outcome", "status"),
    [
        (reply(number(b"ok", 1)), Outcome.OK, 0),
        (reply(b"\1ok\0" + bytes(8), text(b"errmsg", b"s3cr3t"), number(b"code", 11600)), Outcome.SERVER_ERROR, 11600),
        (reply(b"\1ok\0" + bytes(8), number(b"code", 13)), Outcome.CLIENT_ERROR, 13),
        (
            reply(b"\4writeErrors\0" + document(b"\0030\0" + document(number(b"code", 112))), number(b"ok", 1)),
            Outcome.SERVER_ERROR,
            112,
        ),
        (reply(b"\3writeConcernError\0" + document(number(b"code", 64)), number(b"ok", 1)), Outcome.SERVER_ERROR, 64),
        (message(struct.pack("<iqii", 1, 0, 0, 0), 1, 7), Outcome.CLIENT_ERROR, 43),
        (message(struct.pack("<iqii", 2, 0, 0, 1) + document(number(b"code", 2)), 1, 7), Outcome.CLIENT_ERROR, 2),
    ],
)
def test_replies_say_how_it_ended(response: bytes, outcome: Outcome, status: int) -> None:
    """
    Failures are found in `ok`, in the errors of single writes, in those of the write concern, and in old flags.
    """
    parsed = PROTOCOL.parse(*PROTOCOL.mask(FIND, response))

    assert (outcome, status) == (parsed.outcome, parsed.status)
    assert b"s3cr3t" not in PROTOCOL.mask(FIND, response)[1]


def test_replies_that_nobody_asked_for() -> None:
    """
    A reply that stands where a request should be is a push.
    """
    assert "(push)" == PROTOCOL.parse(reply(number(b"ok", 1)), b"").name


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<iiii", 15, 1, 0, 2013),
        struct.pack("<iiii", 1 << 30, 1, 0, 2013),
        struct.pack("<iiii", 99, 1, 0, 2014),
        message(b"\0" + document(number(b"ok", 1)), flags=4),
        message(b"\7" + document(number(b"ok", 1))),
    ],
)
def test_what_is_no_message(head: bytes) -> None:
    """
    Impossible lengths, operations, flags and sections are refused.
    """
    with pytest.raises(Malformed):
        PROTOCOL.parse(head, b"")

    assert 0.0 == PROTOCOL.confidence(head, b"")


def test_the_kernel_has_the_same_codes() -> None:
    """
    The words of bits in the kernel's header are those that the set of codes makes.
    """
    words = [int(word, 16) for word in re.findall(r"return (0x[0-9a-f]{16})ULL;", HEADER.read_text(encoding="utf-8"))]

    assert [sum(1 << (code & 63) for code in CALLER_AT_FAULT if code >> 6 == n) for n in range(5)] == words
    assert caller_at_fault(11000)
    assert not caller_at_fault(10107)
