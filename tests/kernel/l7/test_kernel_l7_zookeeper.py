"""
ZooKeeper: operations are paired by their number and named by their path; watches are one-way.

The server is a real ZooKeeper, out of Debian's package, started once for all tests; clients are kazoo and raw records.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from tests.data.zookeeper.server import command, transaction
from tests.kernel.l7.lab import DEADLINE_S, free_port
from tests.kernel.l7.tally import exchange, served

kazoo = pytest.importorskip("kazoo.client")
kazoo_exceptions = pytest.importorskip("kazoo.exceptions")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

needs_server = pytest.mark.skipif(
    shutil.which("java") is None or not Path("/usr/share/java/zookeeper.jar").exists(),
    reason="optional: no ZooKeeper: install Debian's packages `zookeeper` and a Java runtime",
)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, int]]:
    """
    A ZooKeeper: its process and its port.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="meshlens-zookeeper-")), free_port()
    words = command(port, folder)
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        try:
            lines = f":{port:04X} "
            deadline = time.monotonic() + 30
            while not any(lines in Path(f"/proc/net/{table}").read_text(encoding="ascii") for table in ("tcp", "tcp6")):
                assert time.monotonic() < deadline
                assert program.poll() is None
                time.sleep(0.1)
            yield program.pid, port
        finally:
            program.kill()
            program.wait()
            shutil.rmtree(folder, ignore_errors=True)


def record(body: bytes) -> bytes:
    """
    Return *body* behind its length.
    """
    return struct.pack(">i", len(body)) + body


def operation(number: int, kind: int, path: bytes, rest: bytes = b"") -> bytes:
    """
    Return a request.
    """
    return record(struct.pack(">iii", number, kind, len(path)) + path + rest)


CONNECT = record(struct.pack(">iqiqi", 0, 0, 10000, 0, 16) + bytes(17))


@needs_server
def test_what_a_client_asks_is_counted_by_operation_and_path(lab: Lab, server: tuple[int, int]) -> None:
    """
    Operations one by one and many at once, failures, transactions and watches are counted to the unit, by name.
    """
    pid, port = server
    client = kazoo.KazooClient(f"127.0.0.1:{port}")
    client.start()
    with contextlib.suppress(kazoo_exceptions.NoNodeError):
        client.delete("/app", recursive=True)
    lab.observe(pid, 77)
    try:
        client.create("/app", b"x")
        fired: list[object] = []
        client.get("/app", watch=fired.append)
        client.set("/app", b"y" * 1000)
        waiting = [client.get_async("/app") for _ in range(211)]
        assert {1000} == {len(one.get(timeout=DEADLINE_S)[0]) for one in waiting}
        for number in range(31):
            assert client.exists(f"/app/{number}") is None
        transaction(client, "/app/one", "/app/two")
        transaction(client, "/app/three", "/app", "/app/four")
        lab.until(lambda: bool(fired), "the watch")
    finally:
        client.stop()
        client.close()
    found = served(lab, port, Protocol.ZOOKEEPER, 249)
    assert {
        ("create /app", "OK", 0): 1,
        ("setData /app", "OK", 0): 1,
        ("getData /app", "OK", 0): 212,
        ("exists /app/{id}", "CLIENT_ERROR", 101): 31,
        ("multi", "OK", 0): 1,
        ("multi", "CLIENT_ERROR", 110): 1,
        ("watch /app", "OK", 0): 1,
        ("closeSession", "OK", 0): 1,
    } == {key: count for key, count in found.items() if key[0] != "ping"}
    assert {} == lab.lost()


@needs_server
@pytest.mark.parametrize("size", [1, 5, 16, 61, 509])
def test_records_cut_anywhere(lab: Lab, server: tuple[int, int], size: int) -> None:
    """
    Records that arrive in pieces of any size are counted once each, with all their bytes and their names.
    """
    pid, port = server
    lab.observe(pid, 77)
    connection = lab.stream(port)
    wire = CONNECT + b"".join(operation(n, 4, b"/tenants/%d/settings" % n, b"\0") for n in range(1, 14))
    wire += operation(14, 5, b"/zookeeper", record(b"x" * 700) + struct.pack(">i", 77))
    wire += record(struct.pack(">ii", -2, 11)) + record(struct.pack(">ii", 15, -11))
    for at in range(0, len(wire), size):
        connection.sendall(wire[at : at + size])
    answers = exchange(connection, Protocol.ZOOKEEPER, 17)

    counted = served(lab, port, Protocol.ZOOKEEPER, 17)
    assert 17 == sum(counted.values())
    assert 13 == counted["getData /tenants/{id}/settings", "CLIENT_ERROR", 101]
    found = lab.served(port, Protocol.ZOOKEEPER)
    assert len(wire) == sum(one.request_bytes for one in found)
    assert len(answers) == sum(one.response_bytes for one in found)
    assert {} == lab.lost()


@needs_server
def test_a_connection_that_was_open_before(lab: Lab, server: tuple[int, int]) -> None:
    """
    Watched from the middle on, a connection's further operations are counted.
    """
    pid, port = server
    connection = lab.stream(port)
    connection.sendall(CONNECT)
    exchange(connection, Protocol.ZOOKEEPER, 1)
    lab.observe(pid, 77)
    for number in range(1, 44):
        connection.sendall(operation(number, 3, b"/zookeeper", b"\0"))
        exchange(connection, Protocol.ZOOKEEPER, 1)

    assert {("exists /zookeeper", "OK", 0): 43} == served(lab, port, Protocol.ZOOKEEPER, 43)
    assert {} == lab.lost()


def test_watches_and_what_is_never_answered(lab: Lab) -> None:
    """
    Watches that fire are one-way, named by their path; what is in flight at the end had no response.
    """
    port = lab.serve(
        "import struct\n"
        "c, _ = listener.accept()\n"
        "c.recv(49, socket.MSG_WAITALL)\n"
        "c.sendall(struct.pack('>iiiqi', 37, 0, 10000, 7, 16) + bytes(17))\n"
        "for n in range(19):\n"
        "    c.sendall(struct.pack('>iiqiiii', 36, -1, -1, 0, 3, 3, 8) + b'/app/%03d' % n)\n"
        "for _ in range(3): c.recv(25, socket.MSG_WAITALL)\n"
        "c.close()\n"
    )
    connection = lab.stream(port)
    connection.sendall(CONNECT)
    exchange(connection, Protocol.ZOOKEEPER, 20)
    for number in range(3):
        connection.sendall(operation(number, 4, b"/missing", b"\0"))
    assert b"" == connection.recv(1)

    assert {
        ("watch /app/{id}", "OK", 0): 19,
        ("connect", "OK", 0): 1,
        ("getData /missing", "NO_RESPONSE", 0): 3,
    } == served(lab, port, Protocol.ZOOKEEPER, 23)
    assert {} == lab.lost()
