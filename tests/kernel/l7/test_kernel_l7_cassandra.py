"""
Cassandra: frames of versions 3 to 5 are paired by their stream, statements and prepared ones are told apart.

The server is a real Cassandra, started once for all tests, when CASSANDRA_LIB names a folder with its jars; the client
is Cassandra's Python driver, and raw frames. Compression comes from a server of this file.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols.cassandra import PROTOCOL
from tests.data.cassandra.record import (
    BATCH,
    EXECUTE,
    OPTIONS,
    PREPARE,
    QUERY,
    STARTUP,
    frame,
    query,
    segment,
    strings,
    text,
)
from tests.data.cassandra.server import command, jars
from tests.kernel.l7.lab import accepts, free_port, requests_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

needs_server = pytest.mark.skipif(
    jars() is None, reason="optional: no Cassandra: CASSANDRA_LIB names no folder with its jars"
)
START_S = 120.0
STARTING = frame(STARTUP, strings({"CQL_VERSION": "3.0.0"}))


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, int]]:
    """
    A Cassandra: its process and its port.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="meshlens-cassandra-")), free_port()
    words = command(folder, port, free_port())
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        try:
            deadline = time.monotonic() + START_S
            while not accepts(port) and not _accepts_mapped(port):
                assert time.monotonic() < deadline
                assert program.poll() is None
                time.sleep(0.2)
            yield program.pid, port
        finally:
            program.kill()
            program.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _accepts_mapped(port: int) -> bool:
    lines = Path("/proc/net/tcp6").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


def receive(connection: socket.socket, frames: int) -> bytes:
    """
    Return so many frames, or segments.
    """
    buffer = b""
    while True:
        at = 0
        for _ in range(frames):
            length = PROTOCOL.frame(buffer[at:], response=True)
            if length is None:
                break
            at += length
        else:
            assert at == len(buffer)
            return buffer
        more = connection.recv(65536)
        assert more
        buffer += more


def by_name(lab: Lab, port: int) -> Counter[tuple[str, str, int]]:
    """
    Return how many requests were served, by name, outcome and status; names come from the samples.
    """
    names = dict[int, str]()
    for one in lab.samples():
        if one.protocol is Protocol.CASSANDRA and one.request:
            parsed = PROTOCOL.parse(*PROTOCOL.mask(one.request, one.response))
            if not parsed.stand_in or one.endpoint not in names:
                names[one.endpoint] = parsed.name
    found = Counter[tuple[str, str, int]]()
    for series in lab.served(port, Protocol.CASSANDRA):
        found[names.get(series.endpoint, "?"), series.outcome.name, series.status] += series.requests
    return found


def counted(lab: Lab, port: int, requests: int) -> int:
    """
    Return how many requests were served once there are so many: the last answer arrives before it is counted.
    """
    lab.until(lambda: requests_of(lab.served(port, Protocol.CASSANDRA)) >= requests, f"{requests} requests")
    return requests_of(lab.served(port, Protocol.CASSANDRA))


@needs_server
@pytest.mark.parametrize("version", [3, 4, 5])
def test_what_a_driver_asks_is_counted_by_statement(lab: Lab, server: tuple[int, int], version: int) -> None:
    """
    Statements, prepared ones, many at once and events are counted to the unit, by name, in each version.
    """
    driver = pytest.importorskip("cassandra.cluster")
    concurrent = pytest.importorskip("cassandra.concurrent")
    pid, port = server
    lab.observe(pid, 77)
    cluster = driver.Cluster(["127.0.0.1"], port=port, protocol_version=version)
    try:
        session = cluster.connect()
        with contextlib.suppress(Exception):
            session.execute("drop keyspace shop")
        session.execute("create keyspace shop with replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.execute("create table shop.orders (id int primary key, mail text)")
        prepared = session.prepare("insert into shop.orders (id, mail) values (?, ?)")
        concurrent.execute_concurrent_with_args(session, prepared, [(n, "x" * n) for n in range(503)], concurrency=20)
        for number in range(101):
            session.execute(f"select mail from shop.orders where id = {number}")
        for _ in range(13):
            with pytest.raises(Exception, match="nowhere"):
                session.execute("select a from shop.nowhere")
    finally:
        cluster.shutdown()
    lab.until(lambda: requests_of(lab.served(port, Protocol.CASSANDRA)) > 620, "all requests")

    found = by_name(lab, port)
    assert 504 == found["INSERT shop.orders", "OK", 0]
    assert 101 == found["SELECT shop.orders", "OK", 0]
    assert 13 == found["SELECT shop.nowhere", "CLIENT_ERROR", 0x2200]
    assert 2 <= found["EVENT SCHEMA_CHANGE", "OK", 0]
    assert {} == lab.lost()


@needs_server
@pytest.mark.parametrize("size", [1, 7, 61])
def test_frames_cut_anywhere(lab: Lab, server: tuple[int, int], size: int) -> None:
    """
    Frames that arrive in pieces of any size are counted once each, with all their bytes.
    """
    pid, port = server
    lab.observe(pid, 77)
    connection = lab.stream(port)
    statement = query(
        "select release_version from system.local where key = 'local' and cluster_name = '" + "x" * 200 + "'"
    )
    connection.sendall(STARTING)
    receive(connection, 1)
    wire = b"".join(frame(QUERY, statement, stream) for stream in range(11))
    for at in range(0, len(wire), size):
        connection.sendall(wire[at : at + size])
    answers = receive(connection, 11)

    assert 12 == counted(lab, port, 12)
    found = lab.served(port, Protocol.CASSANDRA)
    assert len(STARTING) + len(wire) == sum(one.request_bytes for one in found)
    assert len(answers) + 9 == sum(one.response_bytes for one in found)
    assert {} == lab.lost()


@needs_server
def test_segments_with_several_frames_from_the_middle_on(lab: Lab, server: tuple[int, int]) -> None:
    """
    On a connection of version 5 that was open before, frames are found in segments, several in one.
    """
    pid, port = server
    connection = lab.stream(port)
    connection.sendall(frame(STARTUP, strings({"CQL_VERSION": "3.0.0"}), version=5))
    receive(connection, 1)
    lab.observe(pid, 77)
    asked = query("select key from system.local", 5)
    for round_ in range(7):
        wire = segment(b"".join(frame(QUERY, asked, stream, 5) for stream in range(5)))
        for at in range(0, len(wire), (1, 4, 6, 15, 100, 300, 999)[round_]):
            connection.sendall(wire[at : at + (1, 4, 6, 15, 100, 300, 999)[round_]])
        assert 5 * round_ + 5 == counted(lab, port, 5 * round_ + 5)

    assert 35 == counted(lab, port, 35)
    assert {} == lab.lost()


@needs_server
def test_prepared_statements_and_batches(lab: Lab, server: tuple[int, int]) -> None:
    """
    An execution has the name of what was prepared, also on another connection; a batch that of its first statement.
    """
    pid, port = server
    lab.observe(pid, 77)
    one, two = lab.stream(port), lab.stream(port)
    for connection in (one, two):
        connection.sendall(STARTING)
        receive(connection, 1)
    one.sendall(frame(PREPARE, text("select key from system.local")))
    key = receive(one, 1)[13:31]
    for stream in range(19):
        two.sendall(frame(EXECUTE, key + bytes([0, 1, 0]), stream))
        receive(two, 1)
    two.sendall(frame(EXECUTE, b"\0\x10" + bytes(16) + bytes([0, 1, 0])))
    receive(two, 1)
    for _ in range(3):
        statement = b"\0" + text("insert into shop.nowhere (a) values ('x')") + bytes(2)
        two.sendall(frame(BATCH, b"\0\0\1" + statement + bytes([0, 1, 0])))
        receive(two, 1)

    assert 26 == counted(lab, port, 26)
    found = by_name(lab, port)
    assert 20 == found["SELECT system.local", "OK", 0]
    assert 1 == found["EXECUTE", "CLIENT_ERROR", 0x2500]
    assert 3 == found["BATCH INSERT shop.nowhere", "CLIENT_ERROR", 0x2200]
    assert {} == lab.lost()


def test_compressed_frames_and_what_is_never_answered(lab: Lab) -> None:
    """
    Frames that are compressed are paired, in any order; what is in flight at the end had no response.
    """
    port = lab.serve(
        "import struct\n"
        "c, _ = listener.accept()\n"
        "seen = [c.recv(40, socket.MSG_WAITALL) for _ in range(37)]\n"
        "for head in reversed(seen[:31]): c.sendall(struct.pack('>BBBBBi', 0x84, 1, *head[2:4], 8, 9) + bytes(9))\n"
        "c.close()\n"
    )
    connection = lab.stream(port)
    for stream in range(37):
        connection.sendall(frame(QUERY, bytes([31] * 31), stream, flags=1))
    while connection.recv(65536):
        pass

    assert 37 == counted(lab, port, 37)
    outcomes = Counter[Outcome]()
    for one in lab.served(port, Protocol.CASSANDRA):
        outcomes[one.outcome] += one.requests
    assert {Outcome.OK: 31, Outcome.NO_RESPONSE: 6} == outcomes
    assert {} == lab.lost()


def test_errors_have_their_class(lab: Lab) -> None:
    """
    What the server could not do is its failure, what it refused is the caller's.
    """
    port = lab.serve(
        "import struct\n"
        "c, _ = listener.accept()\n"
        "for code in (0x1001, 0x1100, 0x0000, 0x2000, 0x0100):\n"
        "    c.recv(9, socket.MSG_WAITALL)\n"
        "    c.sendall(struct.pack('>BBhBiiH', 0x84, 0, 3, 0, 6, code, 0))\n"
        "c.recv(1)\n"
    )
    connection = lab.stream(port)
    for _ in range(5):
        connection.sendall(frame(OPTIONS, b"", 3))
        receive(connection, 1)

    assert 5 == counted(lab, port, 5)
    expected = {
        ("OPTIONS", "SERVER_ERROR", 0x1001): 1,
        ("OPTIONS", "SERVER_ERROR", 0x1100): 1,
        ("OPTIONS", "SERVER_ERROR", 0): 1,
        ("OPTIONS", "CLIENT_ERROR", 0x2000): 1,
        ("OPTIONS", "CLIENT_ERROR", 0x0100): 1,
    }
    assert expected == by_name(lab, port)
