"""
HTTP/2 and gRPC between real peers: a Go gRPC server with its client, nginx, node, curl, h2load, etcd.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import L7Series, Outcome, Protocol
from shared.protocols import mask, protocols
from tests.kernel.l7.lab import accepts, free_port, requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

PEER = Path(__file__).parent / "grpc_peer"
CALLS = 211


@pytest.fixture(scope="session")
def peer() -> str:
    """
    The Go program that is server and client.
    """
    if shutil.which("go") is None:
        pytest.skip("needs Go, to build grpc_peer")
    path = Path(tempfile.gettempdir()) / f"meshlens-grpc-peer-{os.getuid()}"
    build = subprocess.run(
        ["go", "build", "-o", str(path), "."],
        cwd=PEER,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        timeout=400,
        check=False,
    )
    if build.returncode:
        pytest.skip(f"grpc_peer does not build, perhaps for want of its modules: {build.stderr[-300:]!r}")
    return str(path)


def serve(lab: Lab, peer: str) -> int:
    """
    Start the Go server; return its port.
    """
    port = free_port()
    lab.run(peer, "serve", f"127.0.0.1:{port}")
    lab.until(lambda: accepts(port), "the Go server")
    return port


def ask(lab: Lab, peer: str, port: int, *words: object, observed: bool = True) -> str:
    """
    Run the Go client to its end; return what it saw.
    """
    program = lab.run(peer, "ask", f"127.0.0.1:{port}", *words, observed=observed)
    assert program.wait(40) == 0
    return (lab.folder / f"{len(lab.programs) - 1}.log").read_text().strip()


def statuses(series: list[L7Series]) -> Counter[int]:
    """
    Return how many requests ended with which status.
    """
    found: Counter[int] = Counter()
    for one in series:
        found[one.status] += one.requests
    return found


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_unary_calls_are_counted_at_both_ends(lab: Lab, peer: str, at_once: int) -> None:
    """
    However many streams run at once, each call is counted once at either end, under one endpoint.
    """
    port = serve(lab, peer)
    ask(lab, peer, port, CALLS, at_once, "get", "apple")
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= CALLS, "all calls")

    for series in (lab.served(port, Protocol.GRPC), lab.called(port, Protocol.GRPC)):
        assert requests_of(series) == CALLS
        assert len({one.endpoint for one in series} - {0}) == 1
    assert lab.lost() == {}
