"""
HTTP/2 and gRPC between real peers: a Go gRPC server with its client, nginx, node, curl, h2load, etcd.

long file: every kind of peer in one place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hpack import Encoder

from shared.messages.kernel import Outcome, Protocol
from shared.protocols import mask, protocols
from tests.kernel.l7.lab import accepts, free_port, requests_of

if TYPE_CHECKING:
    from shared.messages.kernel import L7Series
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
    A stream that takes 400 ms counts with the time until its response began; a call that takes 400 ms is slow.
    """
    port = serve(lab, peer)
    ask(lab, peer, port, 5, 5, "watch", "slow:200")
    ask(lab, peer, port, 3, 3, "get", "slow:400")
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 8, "all calls")

    for series in (lab.served(port, Protocol.GRPC), lab.called(port, Protocol.GRPC)):
        streams, calls = sorted(series, key=lambda one: one.duration_sum_ns / one.requests)
        assert (5, 3) == (streams.requests, calls.requests)
        assert streams.duration_sum_ns < 5 * 300e6
        assert calls.duration_sum_ns >= 3 * 400e6
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


def names(lab: Lab) -> dict[tuple[int, int], str]:
    """
    Return what protocol-parser would call each role's endpoints, from masked samples.
    """
    found: dict[tuple[int, int], str] = {}
    for sample in lab.samples():
        masked = mask(sample.protocol, sample.request, sample.response)
        parsed = protocols()[sample.protocol].parse(*masked)
        assert (parsed.outcome, parsed.status) == (sample.outcome, sample.status) or not sample.response
        if parsed.name and not parsed.stand_in:
            assert parsed.name == found.setdefault((int(sample.role), sample.endpoint), parsed.name)
    return found


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


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; keepalive_requests 10000;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} http2;
        location / {{ return 200 "hello\\n"; }}
        location /gone {{ return 404 "no such thing"; }}
        location /broken {{ return 503; }}
    }}
}}
"""


def nginx(lab: Lab) -> int:
    """
    Start nginx with HTTP/2 in clear; return its port.
    """
    port = free_port()
    (lab.folder / "nginx.conf").write_text(NGINX.format(folder=lab.folder, port=port))
    lab.run("nginx", "-p", lab.folder, "-c", lab.folder / "nginx.conf")
    lab.until(lambda: accepts(port), "nginx")
    return port


@pytest.mark.parametrize("at_once", [1, 100])
def test_nginx_and_h2load_agree(lab: Lab, at_once: int) -> None:
    """
    A prime number of requests over three connections is counted to the unit, by status and by path.
    """
    if shutil.which("h2load") is None:
        pytest.skip("needs h2load")
    port = nginx(lab)
    paths = [
        f"http://127.0.0.1:{port}/{path}" for path in ("users/12345/cart", "gone/7", "broken?x=1", "users/77/cart")
    ]
    load = lab.run("h2load", "-n", 397, "-c", 3, "-m", at_once, *paths)
    assert load.wait(30) == 0
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= 397, "all requests")

    for series in (lab.served(port, Protocol.HTTP2), lab.called(port, Protocol.HTTP2)):
        found = statuses(series)
        assert 397 == sum(found.values())
        assert {200, 404, 503} == set(found)
        assert 3 == len({one.endpoint for one in series})
    assert {"GET /users/{id}/cart", "GET /gone/{id}", "GET /broken"} == set(names(lab).values())
    assert lab.lost() == {}


def test_curl_and_node_are_counted(lab: Lab) -> None:
    """
    Other encoders, other methods: the same endpoint at both ends.
    """
    port = nginx(lab)
    for method in ("GET", "DELETE", "PUT", "DELETE"):
        words = ["curl", "-s", "--http2-prior-knowledge", "-X", method, f"http://127.0.0.1:{port}/items/4711"]
        assert lab.run(*words).wait(10) == 0
    client = (
        "const c=require('http2').connect('http://127.0.0.1:" + str(port) + "');let n=0;"
        "for(let i=0;i<29;i++){const r=c.request({':path':'/node/'+i,'x-a':'b'.repeat(i*40)});"
        "r.on('close',()=>{if(++n===29)c.close()});r.resume();r.end()}"
    )
    assert lab.run("node", "-e", client).wait(20) == 0
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= 33, "all requests")

    assert [33, 33] == [requests_of(of(port, Protocol.HTTP2)) for of in (lab.served, lab.called)]
    expected = {"GET /items/{id}", "DELETE /items/{id}", "PUT /items/{id}", "GET /node/{id}"}
    assert sorted([*expected] * 2) == sorted(names(lab).values())
    assert lab.lost() == {}


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """
    Return a frame.
    """
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def fields(path: str, encoder: Encoder | None = None, method: str = "GET") -> bytes:
    """
    Return the header block of a request.
    """
    asked = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    return bytes((encoder or Encoder()).encode([*asked, ("x-long", "s3cr3t" * 50)]))


def test_any_cut_of_the_bytes_is_understood(lab: Lab) -> None:
    """
    Requests that come byte by byte, or all in one write, with padding, priority and continuations, are counted.
    """
    port = nginx(lab)
    encoder = Encoder()
    said = []
    for stream in range(1, 2 * 31, 2):
        block = fields(f"/users/{stream}/name" if stream % 3 else "/", encoder)
        match stream % 4, stream % 5:
            case 1, 0 | 1:
                said.append(frame(1, 0x2D, stream, b"\x07" + bytes(4) + b"\x10" + block + bytes(7)))
            case 1, _:
                said += [
                    frame(1, 1, stream, block[:1]),
                    frame(9, 0, stream, block[1:9]),
                    frame(9, 4, stream, block[9:]),
                ]
            case _:
                said.append(frame(1, 5, stream, block))
    for slow in (True, False):
        client = lab.stream(port)
        client.sendall(PREFACE)
        everything = b"".join(said)
        for at in range(0, len(everything), 1 if slow else len(everything)):
            client.sendall(everything[at : at + 1] if slow else everything)
        lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= (31 if slow else 62), "all requests")  # noqa: B023  # it is called at once

    found = lab.served(port, Protocol.HTTP2)
    assert 62 == requests_of(found)
    assert {"GET /users/{id}/name", "GET /"} >= set(names(lab).values())
    assert lab.lost() == {}


def test_attached_in_the_middle_knows_no_path_rather_than_a_wrong_one(lab: Lab) -> None:
    """
    What refers to headers from before has no path; what is said anew has one, and so has what refers to it.
    """
    port = free_port()
    (lab.folder / "nginx.conf").write_text(NGINX.format(folder=lab.folder, port=port))
    server = lab.run("nginx", "-p", lab.folder, "-c", lab.folder / "nginx.conf", observed=False)
    lab.until(lambda: accepts(port), "nginx")
    client, encoder = lab.stream(port), Encoder()
    client.sendall(PREFACE + frame(1, 5, 1, fields("/old", encoder)))
    client.recv(4096)
    lab.observe(server.pid, 4711)
    for stream, path in ((3, "/old"), (5, "/new"), (7, "/new"), (9, "/old"), (11, "/newer"), (13, "/new")):
        client.sendall(frame(1, 5, stream, fields(path, encoder)))
        seen = stream // 2
        lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= seen, "the request")  # noqa: B023  # it is called at once

    series = lab.served(port, Protocol.HTTP2)
    known = names(lab)
    found = {known.get((1, one.endpoint), "") for one in series}
    assert {"": 2, "GET /new": 3, "GET /newer": 1} == {
        name: sum(one.requests for one in series if known.get((1, one.endpoint), "") == name) for name in found
    }


def test_a_connection_that_ends_leaves_no_request_uncounted(lab: Lab) -> None:
    """
    Requests in flight have no response; one that the client reset has none either.
    """
    port = lab.serve(
        "while True:\n"
        "    c = listener.accept()[0]\n"
        "    c.sendall(bytes.fromhex('000000040000000000'))\n"
        "    while b'END' not in c.recv(65536): pass\n"
        "    c.close()\n"
    )
    client = lab.stream(port)
    client.sendall(PREFACE + b"".join(frame(1, 5, stream, fields("/held")) for stream in range(1, 22, 2)))
    client.sendall(frame(3, 0, 5, bytes.fromhex("00000008")) + frame(6, 0, 0, b"END....."))
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= 11, "all requests")

    series = lab.served(port, Protocol.HTTP2)
    assert (11, {Outcome.NO_RESPONSE}) == (requests_of(series), {one.outcome for one in series})
    assert lab.lost() == {}


def test_a_watch_that_ends_with_its_connection_is_cancelled(lab: Lab) -> None:
    """
    A call that was answered and held open is no failure of the server when its connection ends.
    """
    answer = frame(4, 0, 0, b"") + frame(
        1, 4, 1, bytes(Encoder().encode([(":status", "200"), ("content-type", "application/grpc")]))
    )
    port = lab.serve(
        "c = listener.accept()[0]\n"
        "while b'END' not in c.recv(65536): pass\n"
        f"c.sendall({answer!r})\n"
        "time.sleep(1); c.close(); time.sleep(9)\n"
    )
    block = Encoder().encode(
        [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/Watch"), ("content-type", "application/grpc")]
    )
    client = lab.stream(port)
    client.sendall(PREFACE + frame(1, 4, 1, bytes(block)) + frame(6, 0, 0, b"END....."))
    client.recv(100)
    client.recv(100)
    client.close()
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 1, "the call")

    one = lab.served(port, Protocol.GRPC)[0]
    assert (1, 1, Outcome.CLIENT_ERROR) == (one.requests, one.status, one.outcome)
    assert one.duration_sum_ns < 500e6


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
        assert lab.run(*ask, "put", f"/a/{number}", "s3cr3t").wait(20) == 0
    for number in range(7):
        assert lab.run(*ask, "get", f"/a/{number}").wait(20) == 0
    watch = lab.run(*ask, "watch", "/a/1")
    lab.until(lambda: any(one.protocol is Protocol.GRPC for one in lab.called(port, Protocol.GRPC)), "calls")
    assert lab.run(*ask, "put", "/a/1", "s3cr3t").wait(20) == 0
    watch.terminate()
    watch.wait(10)
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


def test_an_upgraded_connection_goes_on_as_http_2(lab: Lab) -> None:
    """
    A request that asks HTTP/1.1 for HTTP/2 is counted once, and so is each one behind it (of our own two ends).
    """
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    first = switch + frame(4, 0, 0, b"\0\3\0\0\0\x64") + frame(1, 5, 1, b"\x88")
    port = lab.serve(
        "c = listener.accept()[0]; c.recv(65536)\n"
        f"c.sendall({first!r})\n"
        "for stream in range(3, 37, 2):\n"
        "    c.recv(65536)\n"
        "    c.sendall(bytes.fromhex('000001010500000000')[:8] + bytes([stream]) + b'\\x8d')\n"
        "time.sleep(9)\n"
    )
    client = lab.stream(port)
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    client.sendall(b"GET /first HTTP/1.1\r\nHost: localhost\r\n" + upgrade)
    client.recv(65536)
    encoder = Encoder()
    for stream in range(3, 37, 2):
        client.sendall((PREFACE if stream == 3 else b"") + frame(1, 5, stream, fields("/behind", encoder)))
        client.recv(65536)
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= 17, "the requests behind the first")

    assert {404: 17} == statuses(lab.served(port, Protocol.HTTP2))
    assert 1 == requests_of(lab.served(port, Protocol.HTTP1))
    assert "GET /behind" in names(lab).values()
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
        "asked = [call.future(b'\\n\\x05apple', metadata=(('x-key', 's3cr3t' * 20),)) for _ in range(29)]\n"
        "[one.result() for one in asked]; c.close()\n"
    )
    assert lab.run(sys.executable, "-c", client).wait(20) == 0
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 29, "all calls")

    assert [{0: 29}] * 2 == [statuses(of(port, Protocol.GRPC)) for of in (lab.served, lab.called)]
    assert {"shop.v1.Cart/Get"} == set(names(lab).values())
    assert lab.lost() == {}
