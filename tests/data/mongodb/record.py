"""
Records the golden captures beside it: `python -m tests.data.mongodb.record PATH-OF-FERRETDB`.

FerretDB with SQLite behind it speaks MongoDB's protocol; pymongo asks, and raw bytes where pymongo no longer can.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bson
import pymongo
from pymongo.errors import PyMongoError

from tests.data.record import Proxy, free_port, running, save

if TYPE_CHECKING:
    from collections.abc import Callable


CASES: list[tuple[str, Callable[[Any], object], dict[str, Any]]] = [
    ("insert", lambda shop: shop.orders.insert_one({"_id": 1, "card": "4111111111111111"}), {"name": "insert orders"}),
    (
        "duplicate",
        lambda shop: shop.orders.insert_one({"_id": 1, "mail": "alice@example.org"}),
        {"name": "insert orders", "outcome": "CLIENT_ERROR", "status": 11000},
    ),
    ("find", lambda shop: list(shop.orders.find({"mail": "alice@example.org"})), {"name": "find orders"}),
    (
        "update",
        lambda shop: shop.orders.update_one({"_id": 1}, {"$set": {"note": "s3cr3t-note"}}),
        {"name": "update orders"},
    ),
    (
        "aggregate",
        lambda shop: list(shop.orders.aggregate([{"$match": {"note": "s3cr3t-note"}}, {"$count": "n"}])),
        {"name": "aggregate orders"},
    ),
    ("delete", lambda shop: shop["fs.chunks"].delete_many({"key": "s3cr3t"}), {"name": "delete fs.chunks"}),
    ("ids", lambda shop: shop["tenant.4711.orders"].find_one({}), {"name": "find tenant.{id}.orders"}),
    ("ping", lambda shop: shop.command("ping"), {"name": "ping"}),
    (
        "unknown",
        lambda shop: shop.command("frobnicate", "s3cr3t-argument"),
        {"name": "frobnicate", "outcome": "CLIENT_ERROR", "status": 59},
    ),
    (
        "operator",
        lambda shop: list(shop.orders.find({"$frobnicate": "s3cr3t"})),
        {"name": "find orders", "outcome": "CLIENT_ERROR", "status": 2},
    ),
    (
        "user",
        lambda shop: shop.command("createUser", "alice@example.org", pwd="s3cr3t-password", roles=[]),
        {"name": "createUser", "outcome": "CLIENT_ERROR", "status": 59},
    ),
    (
        "batches",
        lambda shop: list(shop.orders.find({}, batch_size=3)),
        {"name": "getMore orders"},
    ),
]


def record_commands(proxy: Proxy) -> None:
    """
    What pymongo sends: the opening of its connection, and the commands above.
    """
    address = f"mongodb://127.0.0.1:{proxy.port}/?heartbeatFrequencyMS=100000"
    with pymongo.MongoClient[dict[str, Any]](address, maxPoolSize=1, retryReads=False, retryWrites=False) as client:
        client.admin.command("ping")
        opening = [one for one in proxy.taken() if b"helloOk" in one[0]]
        release = platform.release().encode()  # the driver says where it runs
        opening[0][0] = opening[0][0].replace(release, b"6.1.0".ljust(len(release), b"0"))
        save("mongodb", "opening", opening[0], {"name": "ismaster"})
        shop = client.shop
        for case, ask, expected in CASES:
            if case == "batches":
                shop.orders.insert_many([{"_id": n, "note": "s3cr3t"} for n in range(10, 14)])
                proxy.taken()
            with contextlib.suppress(PyMongoError):
                ask(shop)
            save("mongodb", case, proxy.taken()[-1], expected)


def message(operation: int, body: bytes) -> bytes:
    """
    Return a message with the number 77.
    """
    return struct.pack("<iiii", 16 + len(body), 77, 0, operation) + body


def record_raw(proxy: Proxy) -> None:
    """
    An old client's question, and a command that names its documents before itself.
    """
    hello = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + bson.encode({"isMaster": 1})
    documents = b"documents\0" + bson.encode({"_id": 91, "mail": "alice@example.org"})
    section = b"\1" + struct.pack("<i", 4 + len(documents)) + documents
    body = b"\0" + bson.encode({"insert": "people", "$db": "shop"})
    cases = [
        ("legacy", message(2004, hello), {"name": "isMaster"}),
        ("documents", message(2013, bytes(4) + body + section), {"name": "insert people"}),
    ]
    proxy.taken()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        for case, request, expected in cases:
            client.sendall(request)
            client.recv(65536)
            save("mongodb", case, proxy.taken()[0], expected)


def main(server: str) -> None:
    """
    Record everything with this FerretDB.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    port = free_port()
    options = [f"--listen-addr=127.0.0.1:{port}", "--handler=sqlite", f"--sqlite-url=file:{folder}/"]
    options += [f"--state-dir={folder}", "--telemetry=disable", "--debug-addr=-"]
    try:
        with running([server, *options], port, folder):
            proxy = Proxy(port)
            record_commands(proxy)
            record_raw(proxy)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1])
