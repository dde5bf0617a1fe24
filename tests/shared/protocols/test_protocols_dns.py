"""
DNS: names, answers, and record data that stays on the node.
"""

from __future__ import annotations

import struct

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.dns import PROTOCOL, endpoint_name

QUESTION = b"\3web\4test\0\0\1\0\1"
ASKED = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + QUESTION


def answer(code: int = 0, *records: bytes, identity: int = 7) -> bytes:
    """
    Return an answer with *records* behind its question.
    """
    return struct.pack("!HHHHHH", identity, 0x8180 | code, 1, len(records), 0, 0) + QUESTION + b"".join(records)


def record(kind: int, data: bytes) -> bytes:
    """
    Return a record of the name that was asked for.
    """
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def test_the_question_is_the_name() -> None:
    """
    Record type and name, the answers as an attribute.
    """
    parsed = PROTOCOL.parse(ASKED, answer(0, record(5, b"\1a\xc0\x0c"), record(1, b"\x0a\0\0\7")))

    assert ("A web.test", "A") == (parsed.name, parsed.operation)
    assert parsed.attributes["dns.answers"] == "a.web.test,10.0.0.7"


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        (2, Outcome.SERVER_ERROR, "SERVFAIL"),
        (3, Outcome.CLIENT_ERROR, "NXDOMAIN"),
        (5, Outcome.SERVER_ERROR, "REFUSED"),
        (14, Outcome.SERVER_ERROR, "RCODE14"),
    ],
)
def test_the_code_tells_who_is_at_fault(code: int, outcome: Outcome, word: str) -> None:
    """
    A name that is not there is the caller's matter; all else is the server's.
    """
    parsed = PROTOCOL.parse(ASKED, answer(code))

    assert (outcome, code, word) == (parsed.outcome, parsed.status, parsed.attributes["error.type"])


def test_text_records_stay_on_the_node() -> None:
    """
    Addresses and host names leave it, other data becomes zeros.
    """
    response = answer(0, record(16, b"\6secret"), record(1, b"\x0a\0\0\7"))

    assert answer(0, record(16, bytes(7)), record(1, b"\x0a\0\0\7")) == PROTOCOL.mask(ASKED, response)[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.test", "web.test"),
        ("7.2.0.192.in-addr.arpa", "{id}.in-addr.arpa"),
        ("10-0-0-7.pods.test", "{id}.pods.test"),
        ("_ldap._tcp.test", "_ldap._tcp.test"),
        (".", "."),
    ],
)
def test_ids_in_names_collapse(name: str, expected: str) -> None:
    """
    Reverse look-ups and numbered hosts are one endpoint each.
    """
    assert expected == endpoint_name(name)


def test_an_answer_to_another_question_is_doubtful() -> None:
    """
    Ids that differ make it unlikely that both datagrams belong together.
    """
    assert PROTOCOL.confidence(ASKED, answer(0)) > 0.9
    assert PROTOCOL.confidence(ASKED, answer(0, identity=8)) < 0.2


@pytest.mark.parametrize(
    "request_head",
    [
        ASKED[:11],
        answer(0),
        ASKED[:12] + b"\xc0\x0c\0\1\0\1",
        ASKED[:12] + b"\xc0\xff\0\1\0\1",
        ASKED[:12] + b"\x80\0\0\1\0\1",
        ASKED[:12] + b"\3we",
        ASKED[:12] + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
        b"\0\7\xff\xff" + ASKED[4:],
    ],
)
def test_what_is_no_question_is_refused(request_head: bytes) -> None:
    """
    Loops, pointers forward, labels of unknown kinds and endless names are no questions.
    """
    with pytest.raises(Malformed):
        PROTOCOL.parse(request_head, b"")
    assert PROTOCOL.mask(request_head, b"")[0] == bytes(len(request_head))


def test_on_a_stream_a_length_stands_before_the_message() -> None:
    """
    A message behind its length tells the same as a datagram, masked or not, and its neighbours are covered.
    """
    datagram = bytes.fromhex("002a01000001000000000000") + b"\3www\2ok\4test\0\0\1\0\1"
    framed = len(datagram).to_bytes(2, "big") + datagram
    masked = PROTOCOL.mask(framed + framed, b"")[0]

    assert "A www.ok.test" == PROTOCOL.parse(framed, b"").name == PROTOCOL.parse(masked, b"").name
    assert len(framed) == PROTOCOL.frame(framed + framed, response=False)
    assert framed + bytes(len(framed)) == masked
    assert PROTOCOL.confidence(datagram, b"") == PROTOCOL.confidence(framed, b"")
