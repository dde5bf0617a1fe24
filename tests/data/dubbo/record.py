"""
Records the golden captures beside it: `python -m tests.data.dubbo.record`.

Needs a JDK and the jars of Apache Dubbo 2.7, see `lab.py`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.data.dubbo import lab
from tests.data.record import Proxy, free_port, running, save

SERVICE = "com.example.Lab$Order"
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("create", "create:1", {}, {"name": f"{SERVICE}/create", "status": 20}),
    ("exception", "fail:1", {}, {"name": f"{SERVICE}/fail", "status": 20, "outcome": "SERVER_ERROR"}),
    (
        "absent",
        "absent:1",
        {},
        {"name": "com.example.Lab$Absent/find", "status": 40, "outcome": "CLIENT_ERROR"},
    ),
    ("fastjson", "create:1", {"serialization": "fastjson"}, {"name": f"{SERVICE}/create", "status": 20}),
    (
        "fastjson_exception",
        "fail:1",
        {"serialization": "fastjson"},
        {"name": f"{SERVICE}/fail", "status": 20, "outcome": "SERVER_ERROR"},
    ),
    ("java", "create:1", {"serialization": "java"}, {"name": "call", "status": 20}),
]
HEARTBEAT = b"\xda\xbb\xe2\0\0\0\0\0\0\0\0\x07\0\0\0\x01N"


def main() -> None:
    """
    Run the provider and ask it.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    port = free_port()
    try:
        with running(lab.command("serve", port), port, folder):
            for case, words, properties, expected in CASES:
                proxy = Proxy(port)
                command = lab.command("call", proxy.port, words, **properties)
                subprocess.run(command, check=True, capture_output=True, timeout=60)
                exchange = proxy.taken()[-1]
                save("dubbo", case, exchange, expected)
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(HEARTBEAT)
                save("dubbo", "heartbeat", [HEARTBEAT, client.recv(100)], {"name": "$heartbeat", "status": 20})
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
