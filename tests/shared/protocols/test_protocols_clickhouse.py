"""
ClickHouse: packets, what is left of them, and what they are called.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols import recognise
from shared.protocols.clickhouse import PROTOCOL
from tests.shared.protocols.naming import named

REVISION = b"\x14\x0a\xc4\xa9\x03"
WHO = b"\1\0\1\0\0\t0.0.0.0:0\1\4root\2vm\6tester" + REVISION + b"\0\2\0"
HELLO = b"\0\6tester" + REVISION + b"\7default\4shop\6secret"


def query(sql: bytes, behind: bytes = b"\2\0\1") -> bytes:
    """
    Return a query with the beginning of an empty block behind it.
    """
    return WHO + stage(sql) + behind


def stage(sql: bytes) -> bytes:
    """
    Return the end of a query from its stage on, as the kernel sends it up.
    """
    length = bytes([len(sql)]) if len(sql) < 128 else bytes([len(sql) & 127 | 128, len(sql) >> 7])
    return b"\2\0" + length + sql


def exception(code: int, text: bytes = b"DB::Exception: secret") -> bytes:
    """
    Return the answer that a statement failed.
    """
    return b"\2" + code.to_bytes(4, "little") + b"\x0dDB::Exception" + bytes([len(text)]) + text


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (stage(b"select 'secret', 42 -- secret"), stage(b"select '******', 00 --*******")),
        (stage(b"insert into t format CSV 1,secret"), stage(b"insert into t format CSV*********")),
        (query(b"select 'secret'"), b"\1\0\1" + bytes(len(WHO) - 3) + stage(b"select '******'") + bytes(3)),
        (HELLO, HELLO[:13] + bytes(len(HELLO) - 13)),
        (b"\2\0\1\0secret", bytes(10)),
        (b"\4", b"\4"),
    ],
)
def test_requests_are_masked(request_head: bytes, expected: bytes) -> None:
    """
    Statements keep their shape; literals, inline rows, passwords, settings and blocks become zeros.
    """
    assert expected == PROTOCOL.mask(request_head, b"")[0]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (exception(60), exception(60, b"")[:-1] + bytes(22)),
        (b"\1\0\1\0\2\xff\xff\xff\xff\0\1\1\1xsecret", b"\1\0\1\0\2\xff\xff\xff\xff\0" + bytes(10)),
        (b"\3\1\1" + exception(60), b"\3\0\0" + exception(60, b"")[:-1] + bytes(22)),
        (b"\5", b"\5"),
    ],
)
def test_responses_are_masked(response: bytes, expected: bytes) -> None:
    """
    Rows and error texts go; the kind of each answer and the code of an exception stay.
    """
    assert expected == PROTOCOL.mask(b"", response)[1]


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (query(b"select * from system.one"), "SELECT system.one"),
        (query(b"select * from `A`" + b" " * 130), "SELECT a"),
        (query(b'insert into "Orders" values', b"\0\2\0\1"), "INSERT orders"),
        (stage(b"select 1 from t"), "SELECT t"),
        (query(b"no"), "QUERY"),
        (HELLO, "HELLO"),
        (b"\4", "PING"),
        (b"\3", "CANCEL"),
    ],
)
def test_requests_have_names(request_head: bytes, expected: str) -> None:
    """
    The statement's summary where there is one, else the packet.
    """
    assert (expected, expected == "QUERY") == named(PROTOCOL, request_head)


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        (60, "unknown_table", Outcome.CLIENT_ERROR),
        (62, "syntax_error", Outcome.CLIENT_ERROR),
        (516, "authentication_failed", Outcome.CLIENT_ERROR),
        (159, "timeout_exceeded", Outcome.SERVER_ERROR),
        (202, "too_many_simultaneous_queries", Outcome.SERVER_ERROR),
        (241, "memory_limit_exceeded", Outcome.SERVER_ERROR),
    ],
)
def test_exceptions_are_somebody_s_fault(code: int, kind: str, expected: Outcome) -> None:
    """
    What is wrong with a statement is the caller's, what the server lacks is the server's.
    """
    parsed = PROTOCOL.parse(query(b"select 1 from t"), b"\3\1\1" + exception(code))

    assert (code, kind, expected) == (parsed.status, parsed.attributes["error.type"], parsed.outcome)


@pytest.mark.parametrize(
    "head", [b"\1\0\3\0\0\t0.0.0.0:0", b"\0\0\0\x10\0\3\0\7client", b"\2\0\7sel", b"\1\0\0\0\0\0\0\0", b"\4\0\0\0"]
)
def test_strangers_are_not_recognised(head: bytes) -> None:
    """
    Small numbers at the beginning are not enough.
    """
    assert recognise(head, b"")[0] is not PROTOCOL.number


@pytest.mark.parametrize(
    ("buffer", "response"), [(b"\7", False), (b"\1\0\7", False), (b"\0\1x", False), (b"\x20", True)]
)
def test_frames_that_never_come_are_refused(buffer: bytes, response: bool) -> None:
    """
    A packet that nobody sends ends the reading.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(buffer, response=response)
