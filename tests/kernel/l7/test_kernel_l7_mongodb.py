"""
MongoDB: commands are paired by their number, named by command and collection, and failures have their code.

The server is FerretDB with SQLite behind it, when its program is on the path or named by FERRETDB; what it does not do
(holding back answers, sending replies unasked) comes from a server made of pymongo's BSON. The clients are pymongo's.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols.mongodb import PROTOCOL
from tests.kernel.l7.lab import accepts, free_port, requests_of

bson = pytest.importorskip("bson")
pymongo = pytest.importorskip("pymongo")

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

FERRETDB = shutil.which(os.environ.get("FERRETDB", "ferretdb"))
needs_server = pytest.mark.skipif(
    FERRETDB is None, reason="optional: no FerretDB: put `ferretdb` on the path or name it in FERRETDB"
)


def ferretdb(lab: Lab) -> int:
    """
    Start FerretDB in scope and return its port.
    """
    port = free_port()
    options = [f"--listen-addr=127.0.0.1:{port}", "--handler=sqlite", f"--sqlite-url=file:{lab.folder}/"]
    lab.run(FERRETDB, *options, f"--state-dir={lab.folder}", "--telemetry=disable", "--debug-addr=-")
    lab.until(lambda: accepts(port), "FerretDB")
    return port


def message(number: int, command: dict[str, Any], flags: int = 0, answers: int = 0) -> bytes:
    """
    Return an OP_MSG.
    """
    body: bytes = struct.pack("<iB", flags, 0) + bson.encode(command)
    head = struct.pack("<iiii", 16 + len(body), number, answers, 2013)
    return head + body


def receive(connection: socket.socket, messages: int) -> list[bytes]:
    """
    Return so many messages.
    """
    buffer, found = b"", list[bytes]()
    while len(found) < messages:
        length = PROTOCOL.frame(buffer, response=True)
        if length is None:
            more = connection.recv(65536)
            assert more
            buffer += more
            continue
        found.append(buffer[:length])
        buffer = buffer[length:]
    assert b"" == buffer
    return found


def counted(lab: Lab, port: int, requests: int) -> int:
    """
    Return how many requests were served once there are so many: the last answer arrives before it is counted.
    """
    lab.until(lambda: requests_of(lab.served(port, Protocol.MONGODB)) >= requests, f"{requests} requests")
    return requests_of(lab.served(port, Protocol.MONGODB))


def by_name(lab: Lab, port: int) -> Counter[tuple[str, str, int]]:
    """
    Return how many requests were served, by name, outcome and status; names come from the samples.
    """
    names = {
        one.endpoint: PROTOCOL.parse(*PROTOCOL.mask(one.request, one.response)).name
        for one in lab.samples()
        if one.protocol is Protocol.MONGODB and one.request
    }
    found = Counter[tuple[str, str, int]]()
    for one in lab.served(port, Protocol.MONGODB):
        found[names.get(one.endpoint, "?"), one.outcome.name, one.status] += one.requests
    return found


@needs_server
def test_what_a_driver_asks_is_counted_by_command_and_collection(lab: Lab) -> None:
    """
    Commands of pymongo are counted to the unit, by name, with the codes of those that failed.
    """
    port = ferretdb(lab)
    address = f"mongodb://127.0.0.1:{port}/?directConnection=true&heartbeatFrequencyMS=100000&maxPoolSize=1"
    with pymongo.MongoClient(address, retryReads=False, retryWrites=False) as client:
        orders = client.shop.orders
        for number in range(101):
            orders.insert_one({"_id": number, "text": "x" * number * 10})
        for number in range(13):
            with pytest.raises(pymongo.errors.DuplicateKeyError):
                orders.insert_one({"_id": number})
        for number in range(103):
            orders.find_one({"_id": number})
        for _ in range(7):
            with pytest.raises(pymongo.errors.OperationFailure):
                client.shop.command("frobnicate")
        assert 101 == len(list(orders.find({}, batch_size=10)))

    assert counted(lab, port, 235) >= 235
    found = by_name(lab, port)
    assert {
        ("insert orders", "OK", 0): 101,
        ("insert orders", "CLIENT_ERROR", 11000): 13,
        ("find orders", "OK", 0): 104,
        ("getMore orders", "OK", 0): 10,
        ("frobnicate", "CLIENT_ERROR", 59): 7,
    }.items() <= found.items()
    assert {"?"} & {name for name, _, _ in found} == set()
    assert {} == lab.lost()


@needs_server
@pytest.mark.parametrize("size", [1, 3, 7, 16, 26, 61, 509])
def test_messages_cut_anywhere(lab: Lab, size: int) -> None:
    """
    Messages that arrive in pieces of any size are counted once each, with all their bytes.
    """
    port = ferretdb(lab)
    connection = lab.stream(port)
    commands: list[dict[str, Any]] = [
        {"ping": 1, "$db": "shop"},
        {"count": "orders", "query": {"text": "x" * 300}, "$db": "shop"},
    ]
    wire = b"".join(message(number, commands[number % 2]) for number in range(11))
    for at in range(0, len(wire), size):
        connection.sendall(wire[at : at + size])
    answers = receive(connection, 11)

    assert 11 == counted(lab, port, 11)
    found = lab.served(port, Protocol.MONGODB)
    assert [5, 6] == sorted(one.requests for one in found)
    assert len(wire) == sum(one.request_bytes for one in found)
    assert sum(map(len, answers)) == sum(one.response_bytes for one in found)
    assert {} == lab.lost()


@needs_server
def test_many_messages_in_one_write(lab: Lab) -> None:
    """
    53 commands that come with one write are 53 requests, and so they are at the caller.
    """
    port = ferretdb(lab)
    wire = b"".join(message(number, {"count": f"c{number % 5}", "$db": "shop"}) for number in range(53))
    connection = lab.stream(port)
    connection.sendall(wire)
    receive(connection, 53)

    assert 53 == counted(lab, port, 53)
    assert {} == lab.lost()


@needs_server
def test_a_connection_that_was_open_before(lab: Lab) -> None:
    """
    Watched from the middle on, a connection's further commands are counted.
    """
    port = free_port()
    options = [f"--listen-addr=127.0.0.1:{port}", "--handler=sqlite", f"--sqlite-url=file:{lab.folder}/"]
    words = [*options, f"--state-dir={lab.folder}", "--telemetry=disable", "--debug-addr=-"]
    server = lab.run(FERRETDB, *words, observed=False)
    lab.until(lambda: accepts(port), "FerretDB")
    connection = lab.stream(port)
    connection.sendall(message(1, {"ping": 1, "$db": "shop"}))
    receive(connection, 1)
    lab.observe(server.pid, 77)
    for number in range(2, 103):
        connection.sendall(message(number, {"ping": 1, "$db": "shop"}))
        receive(connection, 1)

    assert 101 == counted(lab, port, 101)
    assert {} == lab.lost()


SCRIPTED = """
import bson, struct
def take(c):
    head = c.recv(16, socket.MSG_WAITALL)
    if len(head) < 16: return None
    length, number, _, operation = struct.unpack('<iiii', head)
    body = c.recv(length - 16, socket.MSG_WAITALL)
    return number, struct.unpack_from('<i', body)[0], body
def reply(number, answers, document, flags=0):
    body = struct.pack('<iB', flags, 0) + bson.encode(document)
    return struct.pack('<iiii', 16 + len(body), number, answers, 2013) + body
c, _ = listener.accept()
"""


def test_replies_in_another_order(lab: Lab) -> None:
    """
    Replies find their requests by number, whatever their order.
    """
    port = lab.serve(
        SCRIPTED
        + "asked = [take(c)[0] for _ in range(97)]\n"
        + "for n in reversed(asked): c.sendall(reply(n + 1000, n, {'ok': 0.0 if n % 7 == 0 else 1.0, 'code': 11600}))\n"
        + "c.recv(1)\n"
    )
    connection = lab.stream(port)
    for number in range(97):
        connection.sendall(message(number, {"find": "seven" if number % 7 == 0 else "other", "$db": "shop"}))
    receive(connection, 97)

    assert 97 == counted(lab, port, 97)
    expected = {("find seven", "SERVER_ERROR", 11600): 14, ("find other", "OK", 0): 83}
    assert expected == by_name(lab, port)
    assert {} == lab.lost()


def test_what_waits_and_what_comes_unasked(lab: Lab) -> None:
    """
    A request that may be held back has its own endpoint; replies that nobody asked for again are one-way.
    """
    port = lab.serve(
        SCRIPTED
        + "n, _, _ = take(c); c.sendall(reply(7, n, {'ok': 1.0}))\n"
        + "n, _, _ = take(c); c.sendall(reply(1000, n, {'ok': 1.0}, 2))\n"
        + "for k in range(1, 13): c.sendall(reply(1000 + k, 999 + k, {'ok': 1.0}, 2 if k < 12 else 0))\n"
        + "n, _, _ = take(c); c.sendall(reply(2000, n, {'ok': 1.0}))\n"
        + "c.recv(1)\n"
    )
    connection = lab.stream(port)
    connection.sendall(message(1, {"hello": 1, "helloOk": True, "$db": "admin"}))
    receive(connection, 1)
    topology = {"processId": bson.ObjectId(), "counter": 1}
    waiting = {"hello": 1, "helloOk": True, "topologyVersion": topology, "maxAwaitTimeMS": 10000, "$db": "admin"}
    connection.sendall(message(2, waiting, 1 << 16))
    receive(connection, 13)
    connection.sendall(message(3, {"getMore": bson.Int64(7), "collection": "log", "maxTimeMS": 500, "$db": "shop"}))
    receive(connection, 1)

    assert 15 == counted(lab, port, 15)
    expected = {
        ("hello", "OK", 0): 1,
        ("hello (await)", "OK", 0): 1,
        ("(push)", "OK", 0): 12,
        ("getMore log (await)", "OK", 0): 1,
    }
    assert expected == by_name(lab, port)
    assert {} == lab.lost()


def test_writes_without_acknowledgement_and_what_is_never_answered(lab: Lab) -> None:
    """
    Writes that want no answer are one-way; requests in flight when the connection ends had no response.
    """
    port = lab.serve(
        SCRIPTED
        + "for _ in range(20): take(c)\n"
        + "n, _, _ = take(c)\n"
        + "c.sendall(reply(7, n, {'n': 0, 'writeErrors': [{'index': 0, 'code': 11000}], 'ok': 1.0}))\n"
        + "for _ in range(3): take(c)\n"
        + "c.close()\n"
    )
    connection = lab.stream(port)
    for number in range(20):
        connection.sendall(message(number, {"insert": "log", "documents": [{"a": 1}], "$db": "shop"}, 2))
    connection.sendall(message(20, {"insert": "log", "documents": [{"a": 1}], "$db": "shop"}))
    receive(connection, 1)
    for number in range(21, 24):
        connection.sendall(message(number, {"find": "log", "$db": "shop"}))
    assert b"" == connection.recv(1)
    assert 24 == counted(lab, port, 24)
    found = by_name(lab, port)
    assert 20 == found["insert log", "OK", 0]
    assert 1 == found["insert log", "CLIENT_ERROR", 11000]
    assert 3 == sum(one.requests for one in lab.served(port, Protocol.MONGODB) if one.outcome is Outcome.NO_RESPONSE)


def test_compressed_messages_are_paired(lab: Lab) -> None:
    """
    Of compressed messages only the outside is seen: they are counted, under one name.
    """
    port = lab.serve(
        "import struct\n"
        "c, _ = listener.accept()\n"
        "for _ in range(31):\n"
        "    head = c.recv(40, socket.MSG_WAITALL)\n"
        "    c.sendall(struct.pack('<iiii', 40, 9, struct.unpack('<iiii', head[:16])[1], 2012) + head[16:])\n"
        "c.recv(1)\n"
    )
    connection = lab.stream(port)
    for number in range(31):
        body = struct.pack("<iiB", 2013, 300, 2) + b"\x78\x9c" + os.urandom(13)
        connection.sendall(struct.pack("<iiii", 40, number, 0, 2012) + body)
        receive(connection, 1)

    assert 31 == counted(lab, port, 31)
    (series,) = lab.served(port, Protocol.MONGODB)
    assert (31, Outcome.OK) == (series.requests, series.outcome)
    assert {} == lab.lost()


def test_both_ends_agree(lab: Lab) -> None:
    """
    What a watched client asked is what the watched server was asked.
    """
    port = lab.serve(
        SCRIPTED
        + "for _ in range(43):\n"
        + "    n, _, _ = take(c); c.sendall(reply(n, n, {'ok': 1.0}))\n"
        + "c.recv(1)\n"
    )
    lab.observe(os.getpid(), 7)
    try:
        connection = lab.stream(port)
        for number in range(43):
            connection.sendall(message(number, {"ping": 1, "$db": "shop"}))
            receive(connection, 1)
    finally:
        lab.ignore(os.getpid())

    assert 43 == counted(lab, port, 43) == requests_of(lab.called(port, Protocol.MONGODB))
    assert {} == lab.lost()
