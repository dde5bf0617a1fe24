"""
Records the golden captures beside it: `python -m tests.data.memcached.record`.

Needs memcached on the path, and the packages pymemcache and python-binary-memcached.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from tests.data.record import Proxy, free_port, running, save

bmemcached: Any = importlib.import_module("bmemcached")
Client: Any = importlib.import_module("pymemcache").Client
MemcacheError: Any = importlib.import_module("pymemcache").MemcacheError
SECRET = "s3cr3t-value 4111111111111111 alice@example.org"  # planted, and looked for

TEXT: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("set", "set", ("user:s3cr3t:1", SECRET), {"name": "set"}),
    ("get", "get", ("user:s3cr3t:1",), {"name": "get"}),
    ("miss", "get", ("nobody-alice@example.org",), {"name": "get", "status": 1}),
    ("get_many", "get_many", (["user:s3cr3t:1", "nobody", "alice@example.org"],), {"name": "get"}),
    ("gets", "gets", ("user:s3cr3t:1",), {"name": "gets"}),
    ("cas", "cas", ("user:s3cr3t:1", SECRET, b"99"), {"name": "cas", "status": 2}),
    ("add", "add", ("user:s3cr3t:1", SECRET), {"name": "add", "status": 5}),
    ("touch", "touch", ("user:s3cr3t:1", 60), {"name": "touch"}),
    ("incr", "incr", ("user:s3cr3t:1", 1), {"name": "incr", "status": 4, "outcome": "CLIENT_ERROR"}),
    ("meta_set", "raw_command", (b"ms user:s3cr3t:2 6 T60 Os3cr3t\r\ns3cr3t",), {"name": "ms"}),
    ("meta_get", "raw_command", (b"mg user:s3cr3t:2 v t k O77", b"s3cr3t\r\n"), {"name": "mg"}),
    ("meta_miss", "raw_command", (b"mg user:s3cr3t:3 v",), {"name": "mg", "status": 1}),
    ("unknown", "raw_command", (b"gett s3cr3t",), {}),
    ("version", "version", (), {"name": "version"}),
    ("delete", "delete", ("user:s3cr3t:1",), {"name": "delete"}),
]

BINARY: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("binary_set", "set", ("user:s3cr3t:1", SECRET), {"name": "set"}),
    ("binary_get", "get", ("user:s3cr3t:1",), {"name": "get"}),
    ("binary_miss", "get", ("nobody-alice@example.org",), {"name": "get", "status": 1}),
    ("binary_incr", "incr", ("user:s3cr3t:1", 1), {"name": "incr", "status": 6, "outcome": "CLIENT_ERROR"}),
]


def record_text(port: int) -> None:
    """
    Record what pymemcache sends.
    """
    proxy = Proxy(port)
    client = Client(("127.0.0.1", proxy.port), default_noreply=False)
    for case, method, arguments, expected in TEXT:
        try:
            getattr(client, method)(*arguments)
        except MemcacheError as error:
            print(f"{case}: {error!r}")
        exchange = proxy.taken()[0]
        if expected:
            save("memcached", case, exchange, expected)
        client.close()


def record_full(port: int) -> None:
    """
    Fill the memory, and record what the next one is told.
    """
    with socket.create_connection(("127.0.0.1", port)) as filler:
        for number in range(9):
            filler.sendall(b"".join(b"set %d-%d 0 0 870 noreply\r\n%870d\r\n" % (number, n, n) for n in range(1000)))
    proxy = Proxy(port)
    client = Client(("127.0.0.1", proxy.port), default_noreply=False)
    with contextlib.suppress(MemcacheError):
        client.set("user:s3cr3t:9", "s3cr3t" * 145)
    expected = {"name": "set", "status": 0x82, "outcome": "SERVER_ERROR"}
    save("memcached", "out_of_memory", proxy.taken()[0], expected)
    client.close()


def record_binary(port: int) -> None:
    """
    Record what python-binary-memcached sends.
    """
    proxy = Proxy(port)
    client = bmemcached.Client([f"127.0.0.1:{proxy.port}"], "shop", "s3cr3t-password")
    client.get("first")
    save(
        "memcached",
        "binary_sasl",
        proxy.taken()[0],
        {"name": "sasl_list_mechs", "status": 0x81, "outcome": "CLIENT_ERROR"},
    )
    for case, method, arguments, expected in BINARY:
        try:
            getattr(client, method)(*arguments)
        except bmemcached.exceptions.MemcachedException as error:
            print(f"{case}: {error!r}")
        save("memcached", case, proxy.taken()[0], expected)
    client.disconnect_all()


def main() -> None:
    """
    Run memcached and ask it.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    port = free_port()
    try:
        options = ["-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "2", "-M", "-u", "nobody"]
        with running(["memcached", *options], port, folder):
            record_text(port)
            record_binary(port)
            record_full(port)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
