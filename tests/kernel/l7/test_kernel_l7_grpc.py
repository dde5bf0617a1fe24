"""
gRPC between real peers: a Go server with its client, Python's client, etcd with its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols import mask, protocols
from tests.compiled import COMPILED
from tests.kernel.l7.http2 import names, statuses
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

PEER = Path(__file__).parent / "grpc_peer"
CALLS = 211


@pytest.fixture(scope="session")
def peer() -> str:
    """
    The Go program that is server and client.
    """
    if shutil.which("go") is None:
        pytest.skip("optional: needs Go, to build grpc_peer")
    path = COMPILED.parent / "grpc_peer"
    path.parent.mkdir(exist_ok=True)
    build = subprocess.run(
        ["go", "build", "-o", str(path), "."],
        cwd=PEER,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        timeout=400,
        check=False,
    )
    if build.returncode:
        pytest.skip(f"optional: grpc_peer does not build, perhaps for want of its modules: {build.stderr[-300:]!r}")
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
    assert program.wait(2 * DEADLINE_S) == 0
    return (lab.folder / f"{len(lab.programs) - 1}.log").read_text().strip()


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


def test_calls_that_fail_have_their_status(lab: Lab, peer: str) -> None:
    """
    The status of the trailers is counted, and says whose fault it is.
    """
    port = serve(lab, peer)
    ask(lab, peer, port, 13, 3, "get", "fail:5")
    ask(lab, peer, port, 11, 3, "get", "fail:14")
    ask(lab, peer, port, 7, 3, "nowhere", "apple")
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 31, "all calls")

    for series in (lab.served(port, Protocol.GRPC), lab.called(port, Protocol.GRPC)):
        assert {5: 13, 14: 11, 12: 7} == statuses(series)
        assert {5} == {one.status for one in series if one.outcome is Outcome.CLIENT_ERROR}
        assert {14, 12} == {one.status for one in series if one.outcome is Outcome.SERVER_ERROR}
    assert lab.lost() == {}


def test_a_stream_held_open_is_not_slow(lab: Lab, peer: str) -> None:
    """
    A stream that takes 2 s counts with the time until its response began; a call that takes 400 ms is slow.
    """
    port = serve(lab, peer)
    ask(lab, peer, port, 5, 5, "watch", "slow:1000")
    ask(lab, peer, port, 3, 3, "get", "slow:400")
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 8, "all calls")

    for series in (lab.served(port, Protocol.GRPC), lab.called(port, Protocol.GRPC)):
        took = {one.requests: one.duration_sum_ns for one in series}
        assert {5, 3} == set(took)
        assert took[5] < 5 * 1000e6
        assert took[3] >= 3 * 400e6
    assert lab.lost() == {}


@pytest.mark.parametrize("method", ["pour", "chat"])
def test_streams_of_the_client_are_counted_once(lab: Lab, peer: str, method: str) -> None:
    """
    However many messages go either way, a call is one request.
    """
    port = serve(lab, peer)
    ask(lab, peer, port, 53, 9, method, "pear")
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 53, "all calls")

    assert [{0: 53}] * 2 == [statuses(of(port, Protocol.GRPC)) for of in (lab.served, lab.called)]
    assert lab.lost() == {}


def test_samples_name_the_endpoint_and_carry_the_trace(lab: Lab, peer: str) -> None:
    """
    A sample's heads tell service, method, status and trace context, also behind HPACK's tables and Huffman's code.
    """
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    port = serve(lab, peer)
    ask(lab, peer, port, 1, 1, "get", "fail:5", f"traceparent=00-{trace}-00f067aa0ba902b7-01", "x-key=s3cr3t")
    lab.until(lambda: requests_of(lab.called(port, Protocol.GRPC)) >= 1, "the call")
    samples = [one for one in lab.samples() if one.protocol is Protocol.GRPC]

    assert len(samples) == 2
    for sample in samples:
        assert b"s3cr3t" not in sample.request + sample.response
        parsed = protocols()[Protocol.GRPC].parse(*mask(Protocol.GRPC, sample.request, sample.response))
        assert ("shop.v1.Cart/Get", 5, trace) == (parsed.name, parsed.status, parsed.trace_id)


def test_etcd_is_called_by_its_services(lab: Lab) -> None:
    """
    etcdctl's calls have the names of etcd's services, and a watch is not slow.
    """
    if shutil.which("etcd") is None or shutil.which("etcdctl") is None:
        pytest.skip("needs etcd and etcdctl")
    port, other = free_port(), free_port()
    here = f"http://127.0.0.1:{port}"
    words = ["--listen-client-urls", here, "--advertise-client-urls", here, "--data-dir", lab.folder / "etcd"]
    lab.run("etcd", *words, "--listen-peer-urls", f"http://127.0.0.1:{other}")
    lab.until(lambda: accepts(port), "etcd")
    ask = ["env", "ETCDCTL_API=3", "etcdctl", f"--endpoints=127.0.0.1:{port}"]
    for number in range(13):
        assert lab.run(*ask, "put", f"/a/{number}", "s3cr3t").wait(DEADLINE_S) == 0
    for number in range(7):
        assert lab.run(*ask, "get", f"/a/{number}").wait(DEADLINE_S) == 0
    watch = lab.run(*ask, "watch", "/a/1")
    lab.until(lambda: any(one.protocol is Protocol.GRPC for one in lab.called(port, Protocol.GRPC)), "calls")
    assert lab.run(*ask, "put", "/a/1", "s3cr3t").wait(DEADLINE_S) == 0
    watch.terminate()
    watch.wait(DEADLINE_S)
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 21, "all calls")

    known = names(lab)
    for role, series in ((1, lab.served(port, Protocol.GRPC)), (0, lab.called(port, Protocol.GRPC))):
        found: Counter[str] = Counter()
        for one in series:
            found[known.get((role, one.endpoint), "")] += one.requests
        assert {"etcdserverpb.KV/Put": 14, "etcdserverpb.KV/Range": 7} == {
            name: count for name, count in found.items() if name.startswith("etcdserverpb.KV")
        }
    assert lab.lost() == {}


def test_grpc_of_python_is_counted(lab: Lab, peer: str) -> None:
    """
    gRPC's C core codes its headers in its own way: its calls have the same name.
    """
    pytest.importorskip("grpc")
    port = serve(lab, peer)
    client = (
        f"import grpc; c = grpc.insecure_channel('127.0.0.1:{port}')\n"
        "call = c.unary_unary('/shop.v1.Cart/Get', request_serializer=bytes, response_deserializer=bytes)\n"
        "asked = [call.future(b'\\n\\x05apple', metadata=(('x-key', 's3cr3t' * 20),)) for _ in range(61)]\n"
        "[one.result() for one in asked]; c.close()\n"
    )
    assert lab.run(sys.executable, "-c", client).wait(DEADLINE_S) == 0
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 61, "all calls")

    assert [{0: 61}] * 2 == [statuses(of(port, Protocol.GRPC)) for of in (lab.served, lab.called)]
    assert {"shop.v1.Cart/Get"} == set(names(lab).values())
    assert lab.lost() == {}
