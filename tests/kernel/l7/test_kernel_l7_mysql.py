"""
MySQL: what real clients send to a real MariaDB is counted to the unit, under the statement's own name.
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Any, Final

import pymysql  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.mariadb import INSTANCE, MariaDb, named, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

OPENED: Final = {"CONNECT": 1, "SET": 1}
PING, PREPARE, EXECUTE, LONG_DATA, CLOSE, RESET = 0x0E, 0x16, 0x17, 0x18, 0x19, 0x1A


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    """
    One server for all tests of this file.
    """
    with running() as made:
        yield made


@pytest.fixture
def observed(lab: Lab, server: MariaDb) -> MariaDb:
    """
    The server, in scope.
    """
    lab.observe(server.pid, INSTANCE)
    return server


def total(lab: Lab, server: MariaDb) -> int:
    """
    Return how many requests the server has been seen to serve.
    """
    return sum(one.requests for one in lab.served(server.port, Protocol.MYSQL))


def seen(lab: Lab, server: MariaDb, expected: dict[str, int]) -> dict[str, int]:
    """
    Return what was seen once it is as much as *expected*: a farewell is read after its sender has gone.
    """
    lab.until(lambda: total(lab, server) >= sum(expected.values()), f"{sum(expected.values())} requests")
    return named(lab, server.port)


def packet(command: int, body: bytes = b"") -> bytes:
    """
    Return a command as clients send it.
    """
    return (len(body) + 1).to_bytes(3, "little") + b"\0" + bytes([command]) + body


def ask(connection: Any, command: int, body: bytes = b"") -> bytes:
    """
    Send a command and return the first packet of its answer.
    """
    connection._execute_command(command, body)
    answer: bytes = connection._read_packet().get_all_data()
    return answer


def skip(connection: Any, packets: int) -> None:
    """
    Read so many packets, none of them an error.
    """
    for _ in range(packets):
        length = int.from_bytes(connection._rfile.read(4)[:3], "little")
        assert connection._rfile.read(length)[:1] != b"\xff"


def prepare(connection: Any, sql: bytes) -> bytes:
    """
    Prepare a statement and return its id as it is sent.
    """
    answer = ask(connection, PREPARE, sql)
    columns, parameters = struct.unpack_from("<HH", answer, 5)
    for count in (parameters, columns):
        for _ in range(count + bool(count)):
            connection._read_packet()
    return answer[1:5]


def execute(connection: Any, statement: bytes, parameter: int) -> None:
    """
    Execute a prepared statement that has one number as parameter, and read its result.
    """
    body = statement + b"\0" + struct.pack("<I", 1) + b"\0\1\x08\0" + struct.pack("<q", parameter)
    columns = ask(connection, EXECUTE, body)[0]
    for _ in range(columns + 1):
        connection._read_packet()
    while connection._read_packet().get_all_data()[0] != 0xFE:
        pass


def test_statements_are_counted_by_their_text(lab: Lab, observed: MariaDb) -> None:
    """
    Statements that differ in their values only are one endpoint; the log-in is one request, and so is the farewell.
    """
    connection = observed.connect()
    with connection.cursor() as cursor:
        for number in range(101):
            cursor.execute(f"select * from orders where id = {number} and note <> 'it''s {number}' # {number}")
            cursor.fetchall()
    connection.ping()
    connection.close()

    expected = {**OPENED, "SELECT orders": 101, "PING": 1, "QUIT": 1}
    assert expected == seen(lab, observed, expected)
    assert {} == lab.lost()


def test_prepared_statements_are_called_what_was_prepared(lab: Lab, observed: MariaDb) -> None:
    """
    An execution has the endpoint of its statement's text, by the id of its connection; closing is one-way.
    """
    connection = observed.connect()
    orders = prepare(connection, b"select * from orders where id = ?")
    sequence = prepare(connection, b"select seq from `seq_1_to_10` where seq > ?")
    for number in range(53):
        execute(connection, orders, number)
        if number < 47:
            execute(connection, sequence, number)
    ask(connection, RESET, orders)
    for statement in (orders, sequence):
        connection._execute_command(CLOSE, statement)
    with connection.cursor() as cursor:
        cursor.execute("select * from orders where id = 7")
    connection.close()

    expected = {
        **OPENED, "PREPARE SELECT orders": 1, "PREPARE SELECT seq_1_to_10": 1, "SELECT orders": 54,
        "SELECT seq_1_to_10": 47, "RESET": 1, "CLOSE": 2, "QUIT": 1,
    }  # fmt: skip
    assert expected == seen(lab, observed, expected)
    assert {} == lab.lost()


def test_connections_from_before_are_joined_in_the_middle(lab: Lab, server: MariaDb) -> None:
    """
    On a connection that was open before, an execution of what was prepared before is only an `EXECUTE`, never another.
    """
    connection = server.connect()
    before = prepare(connection, b"select * from orders where id = ?")
    lab.observe(server.pid, INSTANCE)
    for number in range(13):
        execute(connection, before, number)
    after = prepare(connection, b"select note from shop.orders where id = ?")
    for number in range(17):
        execute(connection, after, number)
        execute(connection, before, number)
    connection.close()

    expected = {"EXECUTE": 30, "PREPARE SELECT shop.orders": 1, "SELECT shop.orders": 17, "QUIT": 1}
    assert expected == seen(lab, server, expected)
    assert {} == lab.lost()


FAILURES: Final = [
    ("insert into orders values (1, 'again')", 1062, Outcome.CLIENT_ERROR),
    ("selec 1", 1064, Outcome.CLIENT_ERROR),
    ("select * from nothing", 1146, Outcome.CLIENT_ERROR),
    ("select nothing from orders", 1054, Outcome.CLIENT_ERROR),
    ("set statement max_statement_time=0.01 for select sleep(1)", 1969, Outcome.SERVER_ERROR),
    ("kill query connection_id()", 1317, Outcome.SERVER_ERROR),
    ("set global nothing = 1", 1193, Outcome.CLIENT_ERROR),
    ("signal sqlstate '45000'", 1644, Outcome.CLIENT_ERROR),
    ("select 1; select 2; selec 3", 1064, Outcome.CLIENT_ERROR),
    ("select (select seq from seq_1_to_9)", 1242, Outcome.CLIENT_ERROR),
]


def test_errors_have_their_number_and_their_blame(lab: Lab, observed: MariaDb) -> None:
    """
    Each error has its number as status, and is the caller's fault or the server's; the last of several results counts.
    """
    connection = observed.connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
    told = []
    for sql, number, outcome in FAILURES:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                while cursor.nextset():
                    pass
            told.append((0, outcome))
        except pymysql.MySQLError as error:
            told.append((error.args[0], outcome))
        assert told[-1][0] == number, sql
    served = lab.served(observed.port, Protocol.MYSQL)
    found = [(one.status, one.outcome) for one in served for _ in range(one.requests)]

    assert sorted([*told, (0, Outcome.OK), (0, Outcome.OK)]) == sorted(found)
    assert {} == lab.lost()


def test_refused_connections_are_failed_log_ins(lab: Lab, observed: MariaDb) -> None:
    """
    A wrong password is 1045 and the caller's fault; no connection left is 1040, though the server never greeted.
    """
    with pytest.raises(pymysql.OperationalError):
        observed.connect(password="wrong")
    held = []
    with contextlib.suppress(pymysql.OperationalError):
        while True:
            held.append(observed.connect())
    for connection in held:
        connection.close()
    expected = 1 + 3 * len(held) + 1
    lab.until(lambda: total(lab, observed) >= expected, "all of them")

    failed = {(s.status, s.outcome): s.requests for s in lab.served(observed.port, Protocol.MYSQL) if s.status}
    assert {(1045, Outcome.CLIENT_ERROR): 1, (1040, Outcome.SERVER_ERROR): 1} == failed
    assert expected == total(lab, observed)
    assert {} == lab.lost()


def test_lock_waits_and_deadlocks_have_their_numbers(lab: Lab, observed: MariaDb) -> None:
    """
    1205 is a failure of the server, told of the statement that waited.
    """
    one, other = observed.connect(), observed.connect()
    with one.cursor() as first, other.cursor() as second:
        first.execute("begin")
        first.execute("update orders set note = 'x' where id = 1")
        with pytest.raises(pymysql.OperationalError):
            second.execute("update orders set note = 'y' where id = 1")
        first.execute("rollback")

    failed = {(s.status, s.outcome): s.requests for s in lab.served(observed.port, Protocol.MYSQL) if s.status}
    assert {(1205, Outcome.SERVER_ERROR): 1} == failed
    assert {} == lab.lost()


def test_bytes_cut_anywhere(lab: Lab, observed: MariaDb) -> None:
    """
    Commands that come byte by byte, and several of them in one write, are counted once each.
    """
    connection: Any = observed.connect()
    wire = packet(3, b"select note from orders where id in (1, 2, 3)") + packet(PING) + packet(3, b"select 'x', 2")
    for size in (1, 2, 3, 5, 7, 11, 13, 997):
        for at in range(0, len(wire), size):
            connection._sock.sendall(wire[at : at + size])
        skip(connection, 6 + 1 + 6)
        connection._sock.sendall(packet(PING) * 5)
        skip(connection, 5)
    found = named(lab, observed.port)

    assert {**OPENED, "SELECT orders": 8, "PING": 48, "SELECT": 8} == found
    assert {} == lab.lost()
