"""
Records the golden captures beside it: `python -m tests.data.grpc.record`.

Needs Go (for `tests/kernel/l7/grpc_peer`), etcd with etcdctl, and the `grpcio` package. Kept are the frames of one
stream.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.data.http2.record import stream_of, together
from tests.data.record import SPAN, TRACE, Proxy, free_port, running, save

PEER = Path(__file__).parents[2] / "kernel" / "l7" / "grpc_peer"

Case = tuple[str, list[str], dict[str, Any]]
GO: list[Case] = [
    ("get", ["1", "1", "get", "s3cr3t-apple"], {"name": "shop.v1.Cart/Get"}),
    (
        "not_found",
        ["1", "1", "get", "fail:5", "authorization=Bearer s3cr3t-token"],
        {"name": "shop.v1.Cart/Get", "status": 5, "outcome": "CLIENT_ERROR"},
    ),
    (
        "unavailable",
        ["1", "1", "get", "fail:14"],
        {"name": "shop.v1.Cart/Get", "status": 14, "outcome": "SERVER_ERROR"},
    ),
    (
        "unimplemented",
        ["1", "1", "nowhere", "s3cr3t", "x-user=alice@example.org"],
        {"name": "shop.v1.Cart/Nowhere", "status": 12, "outcome": "SERVER_ERROR"},
    ),
    ("watch", ["1", "1", "watch", "s3cr3t-pear"], {"name": "shop.v1.Cart/Watch"}),
    ("chat", ["1", "1", "chat", "4111111111111111"], {"name": "shop.v1.Cart/Chat"}),
    (
        "traced",
        ["1", "1", "get", "plum", f"traceparent=00-{TRACE}-{SPAN}-01"],
        {"name": "shop.v1.Cart/Get", "trace_id": TRACE, "parent_span_id": SPAN},
    ),
]

PYTHON = """
import sys, grpc
channel = grpc.insecure_channel('127.0.0.1:' + sys.argv[1])
call = channel.unary_unary('/shop.v1.Cart/Get', request_serializer=bytes, response_deserializer=bytes)
call(b'\\n\\x06s3cr3t', metadata=(('x-api-key', 's3cr3t-key'),), timeout=10)
"""


def record_go(folder: Path) -> None:
    """
    The Go server, asked by its client and by Python's grpcio.
    """
    peer = folder / "peer"
    subprocess.run(["go", "build", "-o", str(peer), "."], cwd=PEER, check=True)
    port = free_port()
    with running([str(peer), "serve", f"127.0.0.1:{port}"], port, folder):
        for case, words, expected in GO:
            proxy = Proxy(port)
            subprocess.run([str(peer), "ask", f"127.0.0.1:{proxy.port}", *words], check=True, timeout=20)
            save("grpc", case, stream_of(together(proxy.taken()), 1), expected)
        proxy = Proxy(port)
        subprocess.run([sys.executable, "-c", PYTHON, str(proxy.port)], check=True, timeout=20)
        save("grpc", "python", stream_of(together(proxy.taken()), 1), {"name": "shop.v1.Cart/Get"})


def record_etcd(folder: Path) -> None:
    """
    etcd, asked by etcdctl.
    """
    port, other = free_port(), free_port()
    command = ["etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", f"http://127.0.0.1:{port}"]
    command += [
        "--advertise-client-urls",
        f"http://127.0.0.1:{port}",
        "--listen-peer-urls",
        f"http://127.0.0.1:{other}",
    ]
    with running(command, port, folder):
        for case, words, name in (
            ("etcd_put", ["put", "/users/alice@example.org", "s3cr3t-value"], "etcdserverpb.KV/Put"),
            ("etcd_get", ["get", "/users/alice@example.org"], "etcdserverpb.KV/Range"),
            ("etcd_lease", ["lease", "grant", "60"], "etcdserverpb.Lease/LeaseGrant"),
        ):
            proxy = Proxy(port)
            ask = ["etcdctl", f"--endpoints=127.0.0.1:{proxy.port}", *words]
            subprocess.run(ask, check=True, timeout=20, env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]})
            save("grpc", case, stream_of(together(proxy.taken()), 1), {"name": name})


if __name__ == "__main__":
    for record in (record_go, record_etcd):
        with tempfile.TemporaryDirectory() as name:
            record(Path(name))
