"""
Records the golden captures beside it: `python -m tests.data.thrift.record`.

Needs the packages thrift and thriftpy2.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.data.record import Proxy, free_port, running, save

LAB = [sys.executable, str(Path(__file__).parent / "lab.py")]
FAILED = {"outcome": "SERVER_ERROR"}
CASES: list[tuple[str, list[str], str, dict[str, Any]]] = [
    ("binary_framed", ["binary", "framed"], "order:1", {"name": "order"}),
    ("binary_buffered", ["binary", "buffered"], "order:1", {"name": "order"}),
    ("compact_framed", ["compact", "framed"], "order:1", {"name": "order"}),
    ("compact_buffered", ["compact", "buffered"], "order:1", {"name": "order"}),
    ("void", ["binary", "framed"], "ping:1", {"name": "ping"}),
    ("void_compact", ["compact", "framed"], "ping:1", {"name": "ping"}),
    ("declared", ["binary", "framed"], "find:1", {"name": "find", **FAILED}),
    ("declared_compact", ["compact", "buffered"], "find:1", {"name": "find", **FAILED}),
    ("exception", ["binary", "buffered"], "broken:1", {"name": "broken", "status": 6, **FAILED}),
    ("exception_compact", ["compact", "framed"], "broken:1", {"name": "broken", "status": 6, **FAILED}),
    ("absent", ["binary", "framed"], "absent:1", {"name": "absent", "status": 1, "outcome": "CLIENT_ERROR"}),
]


def record(server: list[str], calls: list[tuple[str, str, list[str], dict[str, Any]]], folder: Path) -> None:
    """
    Record some calls of one server.
    """
    port = free_port()
    with running([*LAB, "serve", str(port), *server], port, folder):
        for case, client, words, expected in calls:
            proxy = Proxy(port)
            command = [*LAB, client, str(proxy.port), *server[:2], *words]
            subprocess.run(command, check=True, timeout=20)
            save("thrift", case, proxy.taken()[0], expected)


def main() -> None:
    """
    Run the servers and ask them.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    try:
        for case, server, words, expected in CASES:
            record(server, [(case, "call", [words], expected)], folder)
        wanted = [("multiplexed", "call", ["multiplexed", "order:1"], {"name": "Shop/order"})]
        record(["binary", "framed", "multiplexed"], wanted, folder)
        record(["compact", "framed"], [("apache", "apache", ["order:1"], {"name": "order"})], folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
