"""
PostgreSQL: messages, what is left of them, and what they are called.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.postgresql import CANCEL, PROTOCOL, STARTUP_3, TLS


def message(kind: str, body: bytes) -> bytes:
    """
    Return one typed message.
    """
    return kind.encode() + (len(body) + 4).to_bytes(4, "big") + body


def opening(code: int, body: bytes = b"") -> bytes:
    """
    Return one of the messages that open a connection.
    """
    return (len(body) + 8).to_bytes(4, "big") + code.to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (message("Q", b"select 'secret'\0"), message("Q", b"select '******'\0")),
        (message("P", b"s1\0select 42\0\0\1\0\0\0\x17"), message("P", b"s1\0select 00\0" + bytes(6))),
        (message("B", b"\0s1\0\0\0\0\1\0\0\0\6secret\0\0"), message("B", b"\0s1\0" + bytes(16))),
        (message("p", b"secret\0"), message("p", bytes(7))),
        (message("d", b"secret"), message("d", bytes(6))),
        (message("E", b"\0\0\0\0\0"), message("E", bytes(5))),
        (message("D", b"Ss1\0"), message("D", b"Ss1\0")),
        (
            opening(STARTUP_3, b"user\0shop\0options\0secret\0\0"),
            opening(STARTUP_3, b"user\0shop\0options\0******\0\0"),
        ),
        (opening(CANCEL, b"\0\0\0\x07\1\2\3\4"), opening(CANCEL, bytes(8))),
    ],
)
def test_requests_are_masked(request_head: bytes, expected: bytes) -> None:
    """
    Statements keep their shape; values, passwords and keys become zeros.
    """
    assert expected == PROTOCOL.mask(request_head, b"")[0]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (message("D", b"\0\1\0\0\0\6secret"), message("D", bytes(12))),
        (message("C", b"SELECT 42\0"), message("C", b"SELECT 42\0")),
        (message("E", b"C23505\0Mkey secret\0tpeople\0\0"), message("E", b"C23505\0M**********\0tpeople\0\0")),
        (message("K", b"\0\0\0\7\1\2\3\4"), message("K", bytes(8))),
        (message("R", b"\0\0\0\5salt"), message("R", b"\0\0\0\5" + bytes(4))),
        (message("S", b"server_version\x0018\0"), message("S", b"server_version\x0018\0")),
        (message("S", b"session_authorization\0secret\0"), message("S", b"session_authorization\0******\0")),
    ],
)
def test_responses_are_masked(response: bytes, expected: bytes) -> None:
    """
    Rows, keys, salts and error texts go; codes, tags and the names of things stay.
    """
    assert expected == PROTOCOL.mask(b"", response)[1]


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (message("P", b"\0insert into t values ($1)\0\0\0") + message("B", bytes(8)), "INSERT t"),
        (message("B", b"\0get_user_7\0" + bytes(6)), "EXECUTE get_user_{n}"),
        (message("B", b"\0bob@example\0" + bytes(6)), "EXECUTE"),
        (message("E", bytes(5)) + message("S", b""), "EXECUTE"),
        (message("S", b""), "SYNC"),
        (message("X", b""), "TERMINATE"),
        (message("Q", b"\0"), "EMPTY"),
        (opening(TLS), "SSLREQUEST"),
        (opening(CANCEL, bytes(8)), "CANCEL"),
        (message("A", b"\0\0\0\7orders\0secret\0"), "NOTIFICATION"),
    ],
)
def test_requests_have_names(request_head: bytes, expected: str) -> None:
    """
    The statement's summary where there is one, else what kind of request it is.
    """
    parsed = PROTOCOL.parse(request_head, b"")

    assert expected == parsed.name
    assert parsed.stand_in is (parsed.operation == "EXECUTE")


def test_an_error_tells_its_condition() -> None:
    """
    SQLSTATE is the status code, its condition's name the type of the error.
    """
    error = message("E", b"SERROR\0C40P01\0Mdeadlock\0\0")
    parsed = PROTOCOL.parse(message("Q", b"select 1\0"), message("T", b"") + error)

    assert Outcome.SERVER_ERROR is parsed.outcome
    assert ("40P01", "deadlock_detected") == tuple(
        parsed.attributes[name] for name in ("db.response.status_code", "error.type")
    )


def test_a_startup_tells_database_and_user() -> None:
    """
    A session says whose it is and where.
    """
    parsed = PROTOCOL.parse(opening(STARTUP_3, b"user\0shop\0database\0orders\0\0"), b"")

    assert ("orders", "shop") == (parsed.attributes["db.namespace"], parsed.attributes["db.user"])


@pytest.mark.parametrize(
    "buffer", [b"z", b"Q\0\0\0\1", b"S\0\0\0\3", b"\0\0\0\7\0\0\0\0", b"\0\0\0\x08\0\0\0\0", b"\x16\x03"]
)
def test_frames_that_never_come_are_refused(buffer: bytes) -> None:
    """
    A type that nobody sends, or a length that cannot be, ends the reading.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(buffer, response=False)
