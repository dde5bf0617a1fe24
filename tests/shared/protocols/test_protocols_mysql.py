"""
MySQL: packets, what is left of them, and what they are called.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols import recognise
from shared.protocols._mysql_errors import blame
from shared.protocols.mysql import PROTOCOL
from tests.shared.protocols.naming import named


def packet(body: bytes, sequence: int = 0) -> bytes:
    """
    Return one packet.
    """
    return len(body).to_bytes(3, "little") + bytes([sequence]) + body


def error(number: int, state: str, text: bytes = b"secret") -> bytes:
    """
    Return the answer that a statement failed.
    """
    return packet(b"\xff" + number.to_bytes(2, "little") + b"#" + state.encode() + text, 1)


FLAGS = (0x200 | 0x8 | 0x8000).to_bytes(4, "little")
LOGIN = FLAGS + bytes((0, 0, 0, 1, 45)) + bytes(23) + b"shop\0\x06secretorders\0mysql_native_password\0"
EVENT = b"\0" + bytes(4) + b"\x02" + bytes(4) + (43).to_bytes(4, "little") + b"secret" + bytes(24)


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (packet(b"\x03select 'secret', \"secret\""), packet(b"\x03select '******', \"******\"")),
        (packet(b"\x03\0\1select 'it''s'"), packet(b"\x03\0\1select '*****'")),
        (packet(b"\x03\1\1secret"), packet(b"\x03\1" + bytes(7))),
        (packet(b"\x16select 42 # secret"), packet(b"\x16select 00 #*******")),
        (packet(b"\x17\7\0\0\0\0\1\0\0\0secret"), packet(b"\x17\7\0\0\0\0\1\0\0\0" + bytes(6))),
        (packet(b"\x17select 42"), packet(b"\x17select 00")),
        (packet(b"\x18\7\0\0\0\0\0secret"), packet(b"\x18\7\0\0\0" + bytes(8))),
        (packet(b"\x11shop\0\6secret"), packet(b"\x11" + bytes(12))),
        (packet(b"\x02orders"), packet(b"\x02orders")),
        (packet(b"\x02bob@example"), packet(b"\x02" + bytes(11))),
        (packet(LOGIN, 1), packet(LOGIN.replace(b"secret", bytes(6)).replace(b"mysql_native_password", bytes(21)), 1)),
        (packet(EVENT, 7), packet(EVENT[:14] + bytes(30), 7)),
    ],
)
def test_requests_are_masked(request_head: bytes, expected: bytes) -> None:
    """
    Statements keep their shape; values, files, passwords and keys become zeros.
    """
    assert expected == PROTOCOL.mask(request_head, b"")[0]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (error(1062, "23000"), error(1062, "23000", b"******")),
        (packet(b"\xff\x10\4secret"), packet(b"\xff\x10\4******")),
        (packet(b"\0\5\6\2\0\1\0secret", 1), packet(b"\0\0\0\2\0\1\0" + bytes(6), 1)),
        (packet(b"\1", 1) + packet(b"\6secret", 2), packet(b"\1", 1) + packet(bytes(7), 2)),
        (packet(b"\6secret", 4) + packet(b"\xfe\0\0\2\0", 5), packet(b"\6" + bytes(6), 4) + packet(b"\xfe\0\0\2\0", 5)),
        (packet(b"\xfbsecret", 1), packet(b"\xfb" + bytes(6), 1)),
        (packet(b"\x0a10.11.19-MariaDB\0secret"), packet(b"\x0a10.11.19-MariaDB\0" + bytes(6))),
    ],
)
def test_responses_are_masked(response: bytes, expected: bytes) -> None:
    """
    Rows, numbers of rows, scrambles and error texts go; the kind of each answer, its flags and its error stay.
    """
    assert expected == PROTOCOL.mask(b"", response)[1]


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (packet(b"\x03select * from `Shop`.`orders`"), "SELECT shop.orders"),
        (packet(b"\x03/*!40101 SET NAMES utf8 */"), "SET"),
        (packet(b"\x03replace into t values (1)"), "REPLACE t"),
        (packet(b"\x03insert ignore into t values (1) on duplicate key update a = 2"), "INSERT t"),
        (packet(b"\x03load data local infile 'x' into table t"), "LOAD t"),
        (packet(b"\x03\0\1select 1 from t"), "SELECT t"),
        (packet(b"\x03\1\1\0\1\xfd\0\1aselect 1 from t"), "QUERY"),
        (packet(b"\x16update t set a = ?"), "PREPARE UPDATE t"),
        (packet(b"\x17select 1 from t"), "SELECT t"),
        (packet(b"\x17\7\0\0\0\0\1\0\0\0"), "EXECUTE"),
        (packet(b"\x19\7\0\0\0"), "CLOSE"),
        (packet(b"\x0e"), "PING"),
        (packet(LOGIN, 1), "CONNECT"),
        (packet((0x200 | 0x800).to_bytes(4, "little") + bytes(28), 1), "SSLREQUEST"),
        (packet(EVENT, 7), "BINLOG_EVENT"),
        (packet(b"\xff\x10\4Too many connections"), "CONNECT"),
        (b"\x0b\0\0\0\x30\0\0\x78\x9c" + bytes(9), "COMPRESSED"),
    ],
)
def test_requests_have_names(request_head: bytes, expected: str) -> None:
    """
    The statement's summary where there is one, else the command.
    """
    assert (expected, expected in ("EXECUTE", "QUERY")) == named(PROTOCOL, request_head)


@pytest.mark.parametrize(
    ("number", "state", "expected"),
    [
        (1040, "08004", Outcome.SERVER_ERROR),
        (1205, "HY000", Outcome.SERVER_ERROR),
        (1213, "40001", Outcome.SERVER_ERROR),
        (1203, "42000", Outcome.SERVER_ERROR),
        (1021, "HY000", Outcome.SERVER_ERROR),
        (1290, "HY000", Outcome.SERVER_ERROR),
        (1045, "28000", Outcome.CLIENT_ERROR),
        (1062, "23000", Outcome.CLIENT_ERROR),
        (1064, "42000", Outcome.CLIENT_ERROR),
        (1146, "42S02", Outcome.CLIENT_ERROR),
        (1364, "HY000", Outcome.CLIENT_ERROR),
    ],
)
def test_errors_are_somebody_s_fault(number: int, state: str, expected: Outcome) -> None:
    """
    What is wrong with a statement is the caller's, what the server lacks is the server's.
    """
    parsed = PROTOCOL.parse(packet(b"\x03select 1"), error(number, state))

    assert expected is blame(number, state) is parsed.outcome
    assert (number, str(number), state) == (
        parsed.status, parsed.attributes["db.response.status_code"], parsed.attributes["mysql.sqlstate"],
    )  # fmt: skip


def test_the_server_says_how_it_went() -> None:
    """
    A scan without an index and a slow statement are attributes; progress is no error.
    """
    progress = packet(b"\xff\xff\xff\1\2\3", 1)
    parsed = PROTOCOL.parse(packet(b"\x03update t"), progress + packet(b"\xfe\0\0\x20\x08", 2))

    assert Outcome.OK is parsed.outcome
    assert (1, 1) == (parsed.attributes["mysql.no_index"], parsed.attributes["mysql.slow"])


def test_a_log_in_tells_database_and_user() -> None:
    """
    A session says whose it is and where.
    """
    attributes = PROTOCOL.parse(packet(LOGIN, 1), b"").attributes

    assert ("orders", "shop") == (attributes["db.namespace"], attributes["db.user"])


@pytest.mark.parametrize(
    "head",
    [b"\x10\0\0\0\x2a" + b"select 1 from t", packet(b"\x03\xffnothing"), packet(b"\x0e\x0e"), b"GET / HTTP/1.1\r\n"],
)
def test_strangers_are_not_recognised(head: bytes) -> None:
    """
    A length, a command or a text that does not fit is somebody else's.
    """
    assert recognise(head, b"")[0] is not PROTOCOL.number


@pytest.mark.parametrize("buffer", [bytes(4), packet(b"\x99"), packet(b"\x0e\x0e"), packet(b"\x19\1")])
def test_frames_that_never_come_are_refused(buffer: bytes) -> None:
    """
    A command that nobody sends, or of a length that it never has, ends the reading.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(buffer, response=False)


def test_full_packets_go_on() -> None:
    """
    A message of several packets ends with the first that is not full.
    """
    message = b"\xff\xff\xff\0\x03" + bytes(0xFFFFFF - 1) + packet(b"rest", 1)

    assert len(message) == PROTOCOL.frame(message + b"more", response=False)
    assert PROTOCOL.frame(message[:-1], response=False) is None
