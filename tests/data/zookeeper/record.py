"""
Records the golden captures beside it: `python -m tests.data.zookeeper.record`.

A real ZooKeeper, out of Debian's package, is asked by kazoo.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.data.record import Proxy, free_port, running, save
from tests.data.zookeeper.server import command, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

kazoo: Any = importlib.import_module("kazoo.client")
KazooException: Any = importlib.import_module("kazoo.exceptions").KazooException


CASES: list[tuple[str, Callable[[Any], object], dict[str, Any]]] = [
    ("create", lambda zk: zk.create("/config", b"s3cr3t-value"), {"name": "create /config"}),
    ("get", lambda zk: zk.get("/config"), {"name": "getData /config"}),
    ("set", lambda zk: zk.set("/config", b"4111111111111111"), {"name": "setData /config"}),
    ("children", lambda zk: zk.get_children("/"), {"name": "getChildren /"}),
    (
        "ids",
        lambda zk: zk.exists("/users/4711/alice@example.org"),
        {"name": "exists /users/{id}/{id}", "outcome": "CLIENT_ERROR", "status": 101},
    ),
    ("missing", lambda zk: zk.get("/nowhere"), {"name": "getData /nowhere", "outcome": "CLIENT_ERROR", "status": 101}),
    (
        "again",
        lambda zk: zk.create("/config", b"s3cr3t"),
        {"name": "create /config", "outcome": "CLIENT_ERROR", "status": 110},
    ),
    (
        "version",
        lambda zk: zk.set("/config", b"x", version=77),
        {"name": "setData /config", "outcome": "CLIENT_ERROR", "status": 103},
    ),
    ("auth", lambda zk: zk.add_auth("digest", "alice@example.org:s3cr3t"), {"name": "auth"}),
]


def main() -> None:
    """
    Record everything.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="meshlens-record-")), free_port()
    failed = {"name": "multi", "outcome": "CLIENT_ERROR", "status": 110}
    try:
        with running(command(port, folder), port, folder):
            proxy = Proxy(port)
            client = kazoo.KazooClient(f"127.0.0.1:{proxy.port}")
            client.start()
            save("zookeeper", "connect", proxy.taken()[0], {"name": "connect"})
            for case, ask, expected in CASES:
                with contextlib.suppress(KazooException):
                    ask(client)
                save("zookeeper", case, proxy.taken()[-1], expected)
            for case, paths, expected in (
                ("multi", ("/one", "/two"), {"name": "multi"}),
                ("multi_failed", ("/three", "/config", "/four"), failed),
            ):
                transaction(client, *paths)
                save("zookeeper", case, proxy.taken()[-1], expected)
            client.stop()
            save("zookeeper", "close", proxy.taken()[-1], {"name": "closeSession"})
            client.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
