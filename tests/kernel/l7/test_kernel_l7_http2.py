"""
HTTP/2 between real peers: nginx, node, curl, h2load, and frames made by hand.
"""

from __future__ import annotations

import shutil
import socket
import time
from typing import TYPE_CHECKING

import pytest
from hpack import Encoder

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.http2 import names, statuses
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

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
    assert load.wait(DEADLINE_S) == 0
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= 397, "all requests")

    for series in (lab.served(port, Protocol.HTTP2), lab.called(port, Protocol.HTTP2)):
        found = statuses(series)
        assert 397 == sum(found.values())
        assert {200, 404, 503} == set(found)
        assert 3 == len({one.endpoint for one in series})
    assert {"GET /users/{id}/cart", "GET /gone/{id}", "GET /broken"} == set(names(lab).values())
    assert lab.lost() == {}


def test_what_curl_asks_is_counted(lab: Lab) -> None:
    """
    Another encoder, other methods: the same endpoint at both ends.
    """
    port = nginx(lab)
    for method in ("GET", "DELETE", "PUT", "DELETE"):
        words = ["curl", "-s", "--http2-prior-knowledge", "-X", method, f"http://127.0.0.1:{port}/items/4711"]
        assert lab.run(*words).wait(DEADLINE_S) == 0

    assert [4, 4] == [requests_of(of(port, Protocol.HTTP2)) for of in (lab.served, lab.called)]
    assert sorted(["GET /items/{id}", "DELETE /items/{id}", "PUT /items/{id}"] * 2) == sorted(names(lab).values())
    assert lab.lost() == {}


@pytest.mark.skipif(shutil.which("node") is None, reason="optional: needs node")
def test_what_node_asks_is_counted(lab: Lab) -> None:
    """
    Requests at once whose heads are up to a kilobyte long have one endpoint at both ends.
    """
    port = nginx(lab)
    client = (
        "const c=require('http2').connect('http://127.0.0.1:" + str(port) + "');let n=0;"
        "for(let i=0;i<29;i++){const r=c.request({':path':'/node/'+i,'x-a':'b'.repeat(i*40)});"
        "r.on('close',()=>{if(++n===29)c.close()});r.resume();r.end()}"
    )
    assert lab.run("node", "-e", client).wait(DEADLINE_S) == 0

    assert [29, 29] == [requests_of(of(port, Protocol.HTTP2)) for of in (lab.served, lab.called)]
    assert ["GET /node/{id}"] * 2 == list(names(lab).values())
    assert lab.lost() == {}


HELD_S = 0.3
"""A stream stays open for so long, which must not count as the time it took."""
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
        "while c.recv(65536) != b'LEAVE': pass\n"
        "c.close()\n"
    )
    block = Encoder().encode(
        [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/Watch"), ("content-type", "application/grpc")]
    )
    client = lab.stream(port)
    began = time.monotonic_ns()
    client.sendall(PREFACE + frame(1, 4, 1, bytes(block)) + frame(6, 0, 0, b"END....."))
    heard = client.recv(len(answer), socket.MSG_WAITALL)
    answered = time.monotonic_ns()
    time.sleep(HELD_S)
    client.sendall(b"LEAVE")
    assert (answer, b"") == (heard, client.recv(100))
    lab.until(lambda: requests_of(lab.served(port, Protocol.GRPC)) >= 1, "the call")

    one = lab.served(port, Protocol.GRPC)[0]
    assert (1, 1, Outcome.CLIENT_ERROR) == (one.requests, one.status, one.outcome)
    assert one.duration_sum_ns <= answered - began


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
        "c.recv(1)\n"
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
