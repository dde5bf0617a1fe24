"""
PostgreSQL's rarer ways: copies, cancelled statements, encryption, notifications, replication, very long pipelines.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from shared.messages.kernel import L7Series, Outcome, Protocol
from shared.protocols.postgresql import PROTOCOL
from tests.kernel.l7.test_kernel_l7_postgresql import postgres, ready

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel


def message(kind: bytes, body: bytes) -> bytes:
    """
    Return one typed message.
    """
    return kind + (4 + len(body)).to_bytes(4, "big") + body


def opened(lab: Lab, port: int, *settings: bytes) -> tuple[socket.socket, bytes]:
    """
    Return a connection that is logged in, and the key that cancels its statements.
    """
    connection = lab.stream(port)
    words = b"\0".join([b"user", b"postgres", b"database", b"postgres", *settings]) + b"\0\0"
    connection.sendall((8 + len(words)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + words)
    got = b""
    while b"Z\0\0\0\5I" not in got:
        got += connection.recv(65536)
    at = got.index(b"K\0\0\0")
    return connection, got[at + 5 : at + 1 + int.from_bytes(got[at + 1 : at + 5], "big")]


def named(lab: Lab, port: int) -> dict[str, list[L7Series]]:
    """
    Return the series of each endpoint, called as the samples that came up name it.
    """
    names: dict[int, str] = {}
    for one in lab.samples():
        if one.port == port and one.protocol is Protocol.POSTGRESQL and one.request:
            parsed = PROTOCOL.parse(*PROTOCOL.mask(one.request, one.response))
            names.setdefault(one.endpoint, parsed.name)
    found: dict[str, list[L7Series]] = {}
    for series in lab.served(port, Protocol.POSTGRESQL):
        found.setdefault(names.get(series.endpoint, "?"), []).append(series)
    return found


def counts(found: dict[str, list[L7Series]]) -> dict[str, int]:
    """
    Return how many requests each name has.
    """
    return {name: sum(one.requests for one in series) for name, series in found.items()}


def test_more_than_a_hundred_statements_in_one_read(lab: Lab) -> None:
    """
    As many statements as fit into one call are told apart, and so are their answers.
    """
    port = postgres(lab)
    connection, _ = opened(lab, port)
    before = counts(named(lab, port))
    bind = message(b"B", b"\0s\0" + bytes(6)) + message(b"E", b"\0" + bytes(4))
    connection.sendall(message(b"P", b"s\0select 7 as many\0\0\0") + bind * 113 + message(b"S", b""))
    ready(connection, 1)

    after = counts(named(lab, port))
    assert 113 == sum(after.values()) - sum(before.values())
    assert {} == lab.lost()


async def copies(port: int) -> None:
    """
    Copy rows into a table, out of it, and out of a query.
    """
    client = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database="postgres", ssl="prefer")
    await client.execute("create table goods (id int, note text)")
    for _ in range(3):
        await client.copy_records_to_table("goods", records=[(n, f"select {n}") for n in range(5003)])
        await client.copy_from_query("select id from goods", output=lambda _: asyncio.sleep(0))
    await client.execute("drop table goods")
    await client.close()


def test_copies_are_one_request_each(lab: Lab) -> None:
    """
    However many rows are copied in or out, a COPY is one request; a refused SSLRequest before it changes nothing.
    """
    port = postgres(lab)
    lab.samples()
    asyncio.run(copies(port))
    found = counts(named(lab, port))

    assert {"CREATE TABLE goods": 1, "COPY goods": 6, "DROP TABLE goods": 1} == {
        name: found[name] for name in ("CREATE TABLE goods", "COPY goods", "DROP TABLE goods")
    }
    assert {} == lab.lost()


def test_a_cancelled_statement_and_its_cancel(lab: Lab) -> None:
    """
    A CancelRequest is a message of its own, on a connection of its own; the statement that it ends is a failure.
    """
    port = postgres(lab)
    connection, key = opened(lab, port)
    connection.sendall(message(b"Q", b"select pg_sleep(9) as cancelled\0"))
    lab.until(lambda: cancel(lab, port, key, connection), "the cancellation")

    found = named(lab, port)
    failed = [one for series in found.values() for one in series if one.outcome is Outcome.SERVER_ERROR]
    assert [1] == [one.requests for one in failed]
    assert counts(found)["CANCEL"] >= 1
    assert {} == lab.lost()


def cancel(lab: Lab, port: int, key: bytes, connection: socket.socket) -> bool:
    """
    Ask once for the statement's end, and return whether it has come.
    """
    asking = lab.stream(port)
    asking.sendall(struct.pack("!II", 8 + len(key), 80877102) + key)
    assert asking.recv(1) == b""
    connection.settimeout(0.5)
    try:
        return b"57014" in connection.recv(4096)
    except TimeoutError:
        return False


def test_encryption_that_is_granted_is_handed_over(lab: Lab) -> None:
    """
    What follows a granted SSLRequest is not read as PostgreSQL, and nothing of it is called lost.
    """
    port = lab.serve("c, _ = listener.accept(); c.recv(8); c.sendall(b'S')\nwhile got := c.recv(999): c.sendall(got)\n")
    connection = lab.stream(port)
    connection.sendall(struct.pack("!II", 8, 80877103))
    assert connection.recv(1) == b"S"
    for _ in range(7):
        connection.sendall(b"\x17\x03\x03\0\x20" + bytes(32))
        connection.recv(99)

    assert [] == lab.served(port, Protocol.POSTGRESQL)
    assert {} == lab.lost()


async def notifications(port: int) -> int:
    """
    Listen on a channel, notify it, and return how often that was heard.
    """
    listening, telling = [await asyncpg.connect(host="127.0.0.1", port=port, user="postgres") for _ in range(2)]
    heard: asyncio.Queue[Any] = asyncio.Queue()
    await listening.add_listener("orders", lambda *told: heard.put_nowait(told))
    for number in range(11):
        await telling.execute(f"notify orders, 'number {number}'")
    told = [await heard.get() for _ in range(11)]
    await listening.close()
    await telling.close()
    return len(told)


def test_notifications_are_pushes(lab: Lab) -> None:
    """
    A notification is a message of the server, counted once for each listener.
    """
    port = postgres(lab)
    lab.samples()
    heard = asyncio.run(notifications(port))
    found = counts(named(lab, port))

    assert (11, 11, 11) == (heard, found["NOTIFICATION"], found["NOTIFY"])
    assert {} == lab.lost()


def test_replication_is_answered_when_it_starts(lab: Lab) -> None:
    """
    START_REPLICATION has its answer when the stream begins, and is not slow because the stream goes on.
    """
    port = postgres(lab)
    connection, _ = opened(lab, port, b"replication", b"true")
    connection.sendall(message(b"Q", b"IDENTIFY_SYSTEM\0"))
    got = b""
    while b"Z\0\0\0\5I" not in got:
        got += connection.recv(65536)
    where = re.search(rb"[0-9A-F]+/[0-9A-F]+", got)
    assert where is not None
    connection.sendall(message(b"Q", b"START_REPLICATION PHYSICAL " + where[0] + b"\0"))
    assert connection.recv(1) == b"W"
    found = named(lab, port)

    started = [one for name, series in found.items() if name.startswith("START_REPLICATION") for one in series]
    assert [(1, Outcome.OK)] == [(one.requests, one.outcome) for one in started]
    assert {} == lab.lost()
