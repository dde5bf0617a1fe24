"""
ClickHouse: what its clients send to a real server is counted to the unit, under the statement's own name.

The server is the one that Debian 12 has (18.16). What newer clients add to a query is sent by one of them,
clickhouse-driver, to a server of the test's own that claims a newer revision.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Final

import clickhouse_driver  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols.clickhouse import PROTOCOL
from tests.kernel.l7.clickhouse_server import ClickHouse, running
from tests.kernel.l7.lab import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

INSTANCE: Final = 78
REVISION: Final = b"\x14\n\xc4\xa9\x03"
HELLO: Final = b"\0\6tester" + REVISION + b"\0\7default\6s3cr3t"


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouse]:
    """
    One server for all tests of this file.
    """
    with running() as made:
        yield made


@pytest.fixture
def observed(lab: Lab, server: ClickHouse) -> ClickHouse:
    """
    The server, in scope.
    """
    lab.observe(server.pid, INSTANCE)
    return server


@contextlib.contextmanager
def client(port: int, **options: Any) -> Iterator[clickhouse_driver.Client]:
    """
    Return a client that connects with its first query, until the block ends.
    """
    made = clickhouse_driver.Client("127.0.0.1", port=port, **{"password": "s3cr3t", **options})
    try:
        yield made
    finally:
        made.disconnect()


def query(sql: bytes) -> bytes:
    """
    Return a query of the server's own revision with the empty block behind it.
    """
    who = b"\1\0\1\0\0\t0.0.0.0:0\1\4root\2vm\6tester" + REVISION + b"\0\2\0"
    return who + b"\2\0" + bytes([len(sql)]) + sql + b"\2\0\1\0\2\xff\xff\xff\xff\0\0\0"


def named(lab: Lab, port: int) -> dict[str, int]:
    """
    Return the requests of each endpoint so far, called as the samples that came up name it.
    """
    names: dict[int, str] = {}
    for one in lab.samples():
        if one.port == port and one.protocol is Protocol.CLICKHOUSE and one.request:
            parsed = PROTOCOL.parse(*PROTOCOL.mask(one.request, one.response))
            names.setdefault(one.endpoint, parsed.name)
    found: dict[str, int] = {}
    for series in lab.served(port, Protocol.CLICKHOUSE):
        name = names.get(series.endpoint, f"? {series.endpoint:#x}")
        found[name] = found.get(name, 0) + series.requests
    return found


def test_statements_are_counted_by_their_text(lab: Lab, observed: ClickHouse) -> None:
    """
    Queries that differ in their values only are one endpoint, however their rows come and whatever settings they have.
    """
    with client(observed.port) as asking:
        asking.execute("drop table if exists orders")
        asking.execute("create table orders (id UInt32, note String) engine = Memory")
        for number in range(53):
            asking.execute("insert into orders values", [(number, "select 1"), (number, "\x01\x00\x01")])
        for number in range(101):
            asking.execute(f"select note, 'it''s {number}' from orders where id = {number} -- {number}")
        for number in range(7):
            settings = {"max_block_size": 1000 + number, "max_threads": 1, "connect_timeout": 7}
            asking.execute("select number from system.numbers limit 100000", settings=settings)

    expected = {
        "HELLO": 1, "PING": 161, "DROP TABLE orders": 1, "CREATE TABLE orders": 1, "INSERT orders": 53,
        "SELECT orders": 101, "SELECT system.numbers": 7,
    }  # fmt: skip
    expected["PING"] = sum(expected.values()) - 161 - 1 - 1
    assert expected == named(lab, observed.port)
    assert {} == lab.lost()


FAILURES: Final = [
    ("selec 1", 62, Outcome.CLIENT_ERROR),
    ("select * from nothing", 60, Outcome.CLIENT_ERROR),
    ("select nothing", 47, Outcome.CLIENT_ERROR),
    ("select throwIf(number = 1000000) from numbers(2000000)", 395, Outcome.CLIENT_ERROR),
    ("select sum(number) from numbers(1000000000000)", 159, Outcome.SERVER_ERROR),
]


def test_exceptions_have_their_code_and_their_blame(lab: Lab, observed: ClickHouse) -> None:
    """
    An exception is a failure, at once or behind rows: its code is the status, and tells whose fault it is.
    """
    told = []
    for sql, code, outcome in FAILURES:
        with client(observed.port) as asking, pytest.raises(clickhouse_driver.errors.ServerException) as raised:
            asking.execute(sql, settings={"max_execution_time": 1})
        told.append((raised.value.code, outcome))
        assert code == raised.value.code
    with client(observed.port, password="wrong") as asking, pytest.raises(clickhouse_driver.errors.ServerException):
        asking.execute("select 1")
    served = lab.served(observed.port, Protocol.CLICKHOUSE)
    found = [(one.status, one.outcome) for one in served for _ in range(one.requests) if one.status]

    assert sorted([*told, (193, Outcome.CLIENT_ERROR)]) == sorted(found)
    assert 2 * len(FAILURES) + 1 == sum(one.requests for one in served)
    assert {} == lab.lost()


def test_connections_from_before_are_joined_in_the_middle(lab: Lab, server: ClickHouse) -> None:
    """
    On a connection that was open before, every query from then on is counted, and the one byte before it as unknown.
    """
    with client(server.port) as asking:
        asking.execute("select 1")
        lab.observe(server.pid, INSTANCE)
        for number in range(61):
            asking.execute(f"select {number} from system.one")
        found = named(lab, server.port)

    unknown = [one.requests for one in lab.served(server.port, Protocol.UNKNOWN)]
    assert {"SELECT system.one": 61, "PING": 60} == found
    assert [1] == unknown
    assert {} == lab.lost()


def test_bytes_cut_anywhere(lab: Lab, observed: ClickHouse) -> None:
    """
    A query that comes byte by byte is counted once.
    """
    connection = lab.stream(observed.port)
    connection.sendall(HELLO)
    assert connection.recv(999).startswith(b"\0\x0aClickHouse")
    for size in (1, 2, 3, 5, 7, 11, 64, 999):
        for number in range(3):
            wire = query(f"select {number}, '{'x' * 31 * number}' from system.one".encode())
            for at in range(0, len(wire), size):
                connection.sendall(wire[at : at + size])
            while not connection.recv(9999).endswith(b"\5"):
                pass

    assert {"HELLO": 1, "SELECT system.one": 24} == named(lab, observed.port)
    assert {} == lab.lost()


NEWER: Final = """
c, _ = listener.accept()
c.recv(9999)
c.sendall(b"\\0\\x0aClickHouse\\x18\\x08" + bytes([%d & 127 | 128, %d >> 7 & 127 | 128, %d >> 14])
          + b"\\3UTC\\2vm\\1" + b"\\0" + bytes(8))
while got := c.recv(9999):
    c.sendall(b"\\5" if got.endswith(bytes(3)) else b"\\4" if got.endswith(b"\\4") else b"")
"""


@pytest.mark.parametrize("revision", [54448, 54459, 54462])
def test_newer_revisions_are_read(lab: Lab, revision: int) -> None:
    """
    A query is found behind what newer revisions put before it: start time, trace context, settings as text.
    """
    answer = NEWER % (revision, revision, revision)
    port = lab.serve(answer if revision >= 54462 else answer.replace(' + b"\\0" + bytes(8)', ""))
    context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with client(port, settings={"opentelemetry_traceparent": context}) as asking:
        for number in range(37):
            settings = {"max_block_size": number, "log_comment": "x" * 7 * number}
            asking.execute(f"select {number} from system.one", settings=settings, query_id=f"query-{number}")

    assert {"HELLO": 1, "PING": 36, "SELECT system.one": 37} == named(lab, port)
    assert {} == lab.lost()


def test_the_command_line_is_counted(lab: Lab, observed: ClickHouse) -> None:
    """
    ClickHouse's own client, with compressed blocks and many settings.
    """
    sql = "".join(f"select number, {number} from system.numbers limit 100;" for number in range(31))
    words = ["clickhouse-client", "--host=127.0.0.1", f"--port={observed.port}", "--password=s3cr3t", "--multiquery"]
    subprocess.run([*words, f"--query={sql}"], check=True, capture_output=True, timeout=60)

    assert {"HELLO": 1, "PING": 31, "SELECT system.numbers": 31} == named(lab, observed.port)
    assert {} == lab.lost()


def test_a_connection_that_ends_leaves_no_response(lab: Lab, server: ClickHouse) -> None:
    """
    A query in flight when its connection is closed has no response, told by the caller's end.
    """
    lab.observe(os.getpid(), 7)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as connection:
            connection.sendall(HELLO)
            connection.recv(999)
            connection.sendall(query(b"select sleep(0.5)"))
        lab.until(lambda: bool(unanswered(lab, server)), "the end")
    finally:
        lab.ignore(os.getpid())

    assert [1] == unanswered(lab, server)
    assert {} == lab.lost()


def unanswered(lab: Lab, server: ClickHouse) -> list[int]:
    """
    Return the requests of this process that have no response.
    """
    called = lab.called(server.port, Protocol.CLICKHOUSE)
    return [one.requests for one in called if one.outcome is Outcome.NO_RESPONSE]
