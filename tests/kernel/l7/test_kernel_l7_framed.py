"""
Messages that say how long they are, on DNS over TCP, which is the least of them: any cut, any order, any end.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

PRIME: Final = 97
SERVER: Final = """
import struct
connection = listener.accept()[0]
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
held, queries = b"", []
while data := connection.recv(SIZE):
    held += data
    while len(held) >= 2 and len(held) >= 2 + int.from_bytes(held[:2], "big"):
        size = 2 + int.from_bytes(held[:2], "big")
        queries.append(held[2:size])
        held = held[size:]
    if len(queries) < BATCH:
        continue
    answers = [q[:2] + bytes([0x80, 3 if b"missing" in q else 0]) + q[4:] for q in reversed(queries)]
    if not ANSWERS:
        break
    whole = b"".join(struct.pack("!H", len(answer)) + answer for answer in answers)
    for at in range(0, len(whole), CUT):
        connection.sendall(whole[at:at + CUT])
    queries = []
if not ANSWERS:
    connection.close()
"""


def query(identity: int, name: str) -> bytes:
    """
    Return a question for the address of *name*, behind its length.
    """
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack("!6H", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    return struct.pack("!H", len(message)) + message


def server(lab: Lab, *, batch: int, cut: int = 65536, size: int = 65536, answers: bool = True) -> socket.socket:
    """
    Return a connection to a server in scope that answers each *batch* of queries the last one first.
    """
    words = {"SIZE": size, "BATCH": batch, "CUT": cut, "ANSWERS": answers}
    code = SERVER
    for word, value in words.items():
        code = code.replace(word, str(value))
    return lab.stream(lab.serve(code))


def by_outcome(lab: Lab, port: int) -> dict[Outcome, int]:
    """
    Return how many requests the server on *port* was seen to answer, by outcome.
    """
    found: Counter[Outcome] = Counter()
    for one in lab.served(port, Protocol.DNS):
        found[one.outcome] += one.requests
    return dict(found)


def send(connection: socket.socket, data: bytes, cut: int) -> None:
    """
    Send *data* in pieces of *cut* bytes.
    """
    for at in range(0, len(data), cut):
        connection.sendall(data[at : at + cut])


def receive(connection: socket.socket, length: int) -> None:
    """
    Take *length* bytes.
    """
    while length:
        data = connection.recv(length)
        assert data
        length -= len(data)


@pytest.mark.parametrize(("sent", "read", "answered"), [(65536, 65536, 65536), (1, 1, 1), (7, 3, 11), (65536, 5, 2)])
def test_any_cut_and_any_order(lab: Lab, sent: int, read: int, answered: int) -> None:
    """
    However the bytes are cut, and whichever answer comes first, each query is counted once, with its own outcome.
    """
    connection = server(lab, batch=PRIME, cut=answered, size=read)
    names = ["missing.example" if number % 3 == 0 else f"host{number % 2}.example" for number in range(PRIME)]
    asked = b"".join(query(number, name) for number, name in enumerate(names))
    send(connection, asked, sent)
    receive(connection, len(asked))
    port = connection.getpeername()[1]

    lab.until(lambda: requests_of(lab.served(port, Protocol.DNS)) == PRIME, "every query")
    missing = names.count("missing.example")
    assert {Outcome.CLIENT_ERROR: missing, Outcome.OK: PRIME - missing} == by_outcome(lab, port)
    series = lab.served(port, Protocol.DNS)
    assert len({one.endpoint for one in series}) == 3
    assert (len(asked), len(asked)) == tuple(
        sum(getattr(one, part) for one in series) for part in ("request_bytes", "response_bytes")
    )
    assert lab.lost() == {}


def test_what_is_in_flight_at_the_end_has_no_response(lab: Lab) -> None:
    """
    Queries that the server never answers are counted when the connection ends, every one of them.
    """
    connection = server(lab, batch=PRIME, answers=False)
    connection.sendall(b"".join(query(number, "host.example") for number in range(PRIME)))
    port = connection.getpeername()[1]
    assert connection.recv(1) == b""
    connection.close()

    lab.until(lambda: requests_of(lab.served(port, Protocol.DNS)) == PRIME, "every query")
    assert {Outcome.NO_RESPONSE: PRIME} == by_outcome(lab, port)
    assert lab.lost() == {}


def test_a_connection_that_was_open_before(lab: Lab) -> None:
    """
    Queries after the moment of attaching are counted; an answer to one before is stated as lost.
    """
    connection = server(lab, batch=1)
    port = connection.getpeername()[1]
    first = query(1, "host.example")
    program = lab.programs[-1].pid
    lab.ignore(program)
    connection.sendall(first)
    receive(connection, len(first))
    lab.observe(program, 1001)
    for number in range(PRIME):
        asked = query(number, "host.example")
        connection.sendall(asked)
        receive(connection, len(asked))

    lab.until(lambda: requests_of(lab.served(port, Protocol.DNS)) == PRIME, "every query")
    assert lab.lost() == {}


def test_a_wrong_verdict_is_taken_back(lab: Lab) -> None:
    """
    A connection that began like DNS and goes on as something else is no DNS any more; what was asked is lost by cause.
    """
    connection = server(lab, batch=PRIME)
    port = connection.getpeername()[1]
    connection.sendall(query(1, "host.example"))
    lab.heard(connection)
    connection.sendall(b"\0\1" + b"nonsense" * 9)

    lab.until(lambda: "stream_not_followed" in lab.lost(), "the loss")
    assert requests_of(lab.served(port, Protocol.DNS)) == 0
    assert {"stream_not_followed": 1} == lab.lost()
