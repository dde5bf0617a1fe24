"""
Records the golden captures of DNS over TCP beside it: `python -m tests.data.dns.record`.

A real dnsmasq is asked over a stream; those over datagrams are in `tests/data/record.py`.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from tests.data.record import free_port, question, running, save

RECORDS = [
    "--host-record=web.example.test,192.0.2.7,2001:db8::7",
    "--host-record=10-0-0-7.pods.example.test,10.0.0.7",
    "--txt-record=note.example.test,s3cr3t-text",
]
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("tcp_a", "A", "web.example.test", {"name": "A web.example.test"}),
    ("tcp_txt", "TXT", "note.example.test", {"name": "TXT note.example.test"}),
    (
        "tcp_nobody",
        "A",
        "nobody.example.test",
        {"name": "A nobody.example.test", "status": 3, "outcome": "CLIENT_ERROR"},
    ),
    ("tcp_refused", "A", "elsewhere.invalid", {"name": "A elsewhere.invalid", "status": 5, "outcome": "SERVER_ERROR"}),
    ("tcp_shard", "A", "10-0-0-7.pods.example.test", {"name": "A {id}.pods.example.test"}),
]


def framed(message: bytes) -> bytes:
    """
    Return a message behind its length.
    """
    return len(message).to_bytes(2, "big") + message


def main() -> None:
    """
    Record everything.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="meshlens-record-")), free_port()
    options = ["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--local=/example.test/"]
    options += [f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=", *RECORDS]
    try:
        with running(["dnsmasq", *options], port, folder), socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(5)
            for number, (case, kind, name, expected) in enumerate(CASES):
                request = framed(question(number, kind, name))
                client.sendall(request)
                head = client.recv(2, socket.MSG_WAITALL)
                save(
                    "dns",
                    case,
                    [request, head + client.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)],
                    expected,
                )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
