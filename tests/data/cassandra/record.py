"""
Records the golden captures beside it: `CASSANDRA_LIB=FOLDER-WITH-JARS python -m tests.data.cassandra.record`.

A real Cassandra is asked with frames that are written here, in version 4 and, in segments, in version 5.
"""

from __future__ import annotations

import select
import shutil
import socket
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

from shared.protocols._cql import crc24
from tests.data import record
from tests.data.cassandra.server import command
from tests.data.record import free_port, running, save

record.PATIENCE_S = 90.0

STARTUP, OPTIONS, QUERY, PREPARE, EXECUTE, REGISTER, BATCH = 1, 5, 7, 9, 10, 11, 13


def frame(opcode: int, body: bytes, stream: int = 7, version: int = 4, flags: int = 0) -> bytes:
    """
    Return a frame.
    """
    return struct.pack(">BBhBi", version, flags, stream, opcode, len(body)) + body


def strings(pairs: dict[str, str]) -> bytes:
    """
    Return a map of strings.
    """
    words = [word.encode() for pair in pairs.items() for word in pair]
    return struct.pack(">H", len(pairs)) + b"".join(struct.pack(">H", len(word)) + word for word in words)


def text(statement: str) -> bytes:
    """
    Return a long string.
    """
    return struct.pack(">i", len(statement)) + statement.encode()


def query(statement: str, version: int = 4) -> bytes:
    """
    Return what QUERY holds: consistency ONE, no values.
    """
    return text(statement) + struct.pack(">H", 1) + (bytes(4) if version == 5 else bytes(1))


def segment(payload: bytes) -> bytes:
    """
    Return a segment that contains all of its frames.
    """
    head = (len(payload) | 1 << 17).to_bytes(3, "little")
    check = zlib.crc32(payload, zlib.crc32(b"\xfa\x2d\x55\xca"))
    return head + crc24(head).to_bytes(3, "little") + payload + check.to_bytes(4, "little")


def ask(client: socket.socket, request: bytes) -> bytes:
    """
    Return the whole response.
    """
    client.sendall(request)
    response = client.recv(65536)
    while client in _readable(client):
        response += client.recv(65536)
    return response


def _readable(client: socket.socket) -> list[socket.socket]:
    return select.select([client], [], [], 0.3)[0]


SETUP = [
    "create keyspace shop with replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "create table shop.orders (id int primary key, mail text, card text)",
]
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("insert", "insert into shop.orders (id, mail) values (1, 'alice@example.org')", {"name": "INSERT shop.orders"}),
    (
        "select",
        "select * from shop.orders where id = 1 and card = '4111111111111111' allow filtering",
        {"name": "SELECT shop.orders"},
    ),
    ("update", "update shop.orders set mail = 's3cr3t' where id = 1", {"name": "UPDATE shop.orders"}),
    ("syntax", "selec 's3cr3t'", {"name": "SELEC", "outcome": "CLIENT_ERROR", "status": 0x2000}),
    (
        "invalid",
        "select 's3cr3t' from shop.nowhere",
        {"name": "SELECT shop.nowhere", "outcome": "CLIENT_ERROR", "status": 0x2200},
    ),
    (
        "exists",
        "create keyspace shop with replication = {'class': 's3cr3t'}",
        {"name": "CREATE", "outcome": "CLIENT_ERROR", "status": 0x2400},
    ),
]


def record_version_4(client: socket.socket) -> None:
    """
    Frames as they are.
    """
    options = {"CQL_VERSION": "3.0.0", "DRIVER_NAME": "s3cr3t-driver"}
    save("cassandra", "options", [frame(OPTIONS, b""), ask(client, frame(OPTIONS, b""))], {"name": "OPTIONS"})
    save(
        "cassandra",
        "startup",
        [frame(STARTUP, strings(options)), ask(client, frame(STARTUP, strings(options)))],
        {"name": "STARTUP"},
    )
    for statement in SETUP:
        ask(client, frame(QUERY, query(statement)))
    for case, statement, expected in CASES:
        request = frame(QUERY, query(statement))
        save("cassandra", case, [request, ask(client, request)], expected)
    request = frame(PREPARE, text("insert into shop.orders (id, mail) values (?, ?)"))
    response = ask(client, request)
    save("cassandra", "prepare", [request, response], {"name": "INSERT shop.orders"})
    mail = struct.pack(">ii", 4, 9) + text("alice@example.org")
    request = frame(EXECUTE, response[13:31] + struct.pack(">HBH", 1, 1, 2) + mail)
    save("cassandra", "execute", [request, ask(client, request)], {"name": "EXECUTE"})
    request = frame(EXECUTE, struct.pack(">H", 16) + bytes(16) + struct.pack(">HB", 1, 0))
    expected = {"name": "EXECUTE", "outcome": "CLIENT_ERROR", "status": 0x2500}
    save("cassandra", "unprepared", [request, ask(client, request)], expected)
    one = b"\0" + text("update shop.orders set card = '4111111111111111' where id = 1") + bytes(2)
    request = frame(BATCH, b"\0" + struct.pack(">H", 2) + one + one + struct.pack(">HB", 1, 0))
    save("cassandra", "batch", [request, ask(client, request)], {"name": "BATCH UPDATE shop.orders"})


def record_version_5(client: socket.socket) -> None:
    """
    Frames in segments, once the start is answered.
    """
    ask(client, frame(STARTUP, strings({"CQL_VERSION": "3.0.0"}), version=5))
    for case, statement, expected in CASES[1], CASES[4]:
        request = segment(frame(QUERY, query(statement, 5), version=5))
        save("cassandra", f"{case}_segment", [request, ask(client, request)], expected)


def main() -> None:
    """
    Record everything.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="meshlens-record-")), free_port()
    try:
        with running(command(folder, port, free_port()), port, folder):
            for part in (record_version_4, record_version_5):
                with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                    part(client)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
