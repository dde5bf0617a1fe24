"""
HTTP/1.1 that pipelines: each request is counted once, with its own response, in any cut of the bytes.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import accepts, free_port, requests_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.messages.kernel import L7Series
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; keepalive_requests 1000000; sendfile on; if_modified_since before; client_max_body_size 8m;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "hello world\\n"; }}
    location /missing {{ return 404; }}
    location /broken {{ return 503; }}
    location /empty {{ return 204; }}
    location /stored {{ client_body_in_single_buffer on; proxy_pass http://127.0.0.1:{port}/taken; }}
    location /file {{ root {folder}; }}
  }}
}}
"""
APACHE: Final = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
DocumentRoot {folder}/pages
MaxKeepAliveRequests 0
"""
NODE: Final = """
require('http').createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.statusCode = Number(request.url.slice(1)) || 200;
    response.write('some');  // chunked
    setTimeout(() => response.end(' words'), 1);
  });
}).listen(Number(process.argv[1]), '127.0.0.1');
"""
PLAN: Final = (("/", 200), ("/missing", 404), ("/broken", 503), ("/other", 200), ("/empty", 204))


def ask(path: str, method: str = "GET", head: str = "", body: bytes = b"") -> bytes:
    """
    Return a request.
    """
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: somebody\r\n{head}{length}\r\n".encode() + body


def nginx(lab: Lab) -> int:
    """
    Start nginx in scope and return its port.
    """
    port = free_port()
    config = lab.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=lab.folder, port=port))
    lab.run("nginx", "-c", config, "-p", lab.folder)
    lab.until(lambda: accepts(port), "nginx")
    return port


def read_until(connection: socket.socket, ends: Callable[[bytes], bool], size: int = 65536) -> bytes:
    """
    Return what comes until *ends*, read in pieces of *size* at most.
    """
    got = b""
    while not ends(got):
        piece = connection.recv(size)
        assert piece, "the server closed the connection"
        got += piece
    return got


def answers(wanted: int) -> Callable[[bytes], bool]:
    """
    Return whether so many responses of nginx, whose last one has a body, are there.
    """
    return lambda got: got.count(b"HTTP/1.1 ") == wanted and got.endswith((b"hello world\n", b"</html>\r\n"))


def by_status(series: list[L7Series]) -> Counter[int]:
    """
    Return the requests by their status.
    """
    found = Counter[int]()
    for one in series:
        found[one.status] += one.requests
    return found


def pieces(data: bytes, size: int) -> list[bytes]:
    """
    Return *data* cut.
    """
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("write", [1, 7, 43, 100_000])
def test_each_request_has_its_own_endpoint_and_response(lab: Lab, write: int) -> None:
    """
    Requests to five endpoints, 103 in flight, cut anywhere on both sides: each has its status, and all bytes are there.
    """
    port = nginx(lab)
    lab.observe(os.getpid(), 7)
    try:
        connection = lab.stream(port)
        plan = [PLAN[number % 5] for number in range(103)]
        stream = b"".join(ask(path) for path, _ in plan)
        reader = threading.Thread(target=lambda: got.append(read_until(connection, answers(103), write)))
        got: list[bytes] = []
        reader.start()
        for piece in pieces(stream, write):
            connection.sendall(piece)
        reader.join()
        connection.close()
    finally:
        lab.ignore(os.getpid())

    server, client = lab.served(port, Protocol.HTTP1), lab.called(port, Protocol.HTTP1)
    for series in (server, client):
        assert Counter(status for _, status in plan) == by_status(series)
        assert 5 == len(series)
        assert len(stream) == sum(one.request_bytes for one in series)
        assert len(got[0]) == sum(one.response_bytes for one in series)
    assert {} == lab.lost()


def test_requests_beyond_what_a_call_can_hold(lab: Lab) -> None:
    """
    211 requests in one write, answered in few, are 211 requests.
    """
    port = nginx(lab)
    connection = lab.stream(port)
    connection.sendall(b"".join(ask(f"/{'abcdef'[number % 6]}") for number in range(211)))
    read_until(connection, answers(211))

    assert [35, 35, 35, 35, 35, 36] == sorted(one.requests for one in lab.served(port, Protocol.HTTP1))
    assert {} == lab.lost()


def test_responses_without_a_body(lab: Lab) -> None:
    """
    HEAD, 204 and 304 announce bodies that do not come.
    """
    port = nginx(lab)
    (lab.folder / "file").write_bytes(b"x" * 100_003)
    since = "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n"
    batch = ask("/file", "HEAD") + ask("/empty") + ask("/file", head=since) + ask("/missing", "HEAD") + ask("/")
    connection = lab.stream(port)
    for _ in range(19):
        connection.sendall(batch)
        read_until(connection, lambda got: got.endswith(b"hello world\n"))

    expected = {200: 2 * 19, 204: 19, 304: 19, 404: 19}
    assert expected == by_status(lab.served(port, Protocol.HTTP1))
    assert {} == lab.lost()


def test_long_bodies_do_not_lose_the_place(lab: Lab) -> None:
    """
    Bodies longer than any buffer, that look like HTTP themselves, sent by sendfile or read in pieces, are passed over.
    """
    port = nginx(lab)
    (lab.folder / "file").write_bytes((b"HTTP/1.1 500 No\r\n\r\n" + b"GET /wrong HTTP/1.1\r\n\r\n") * 7001)
    body = ask("/wrong") * 5003
    batch = ask("/file") + ask("/stored", "POST", body=body) + ask("/file") + ask("/broken")
    connection = lab.stream(port)
    for _ in range(3):
        sender = threading.Thread(target=connection.sendall, args=(batch,))
        sender.start()
        read_until(connection, lambda got: b"HTTP/1.1 503 " in got and got.endswith(b"</html>\r\n"))
        sender.join()

    found = lab.served(port, Protocol.HTTP1)
    assert {200: 3 * 3 + 3, 503: 3} == by_status(found)  # what is stored is asked for once more, by nginx itself
    assert [(3, False), (3, True), (3, True), (6, False)] == sorted(
        (f.requests, f.request_bytes > 100_000) for f in found
    )
    assert {} == lab.lost()


def test_chunked_bodies_and_what_comes_before_a_response(lab: Lab) -> None:
    """
    Chunks with extensions and trailers, on both sides, and 1xx responses are no end and no response.
    """
    answer = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 %d Some\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        b"1a;name=value\r\nabcdefghijklmnopqrstuvwxyz\r\n5\r\nHTTP/\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"
    )
    port = lab.serve(
        "while True:\n"
        "    c, _ = listener.accept(); c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); got = b''; asked = 0\n"
        "    while True:\n"
        "        piece = c.recv(1000)\n"
        "        if not piece: break\n"
        "        got += piece; now = got.count(b'body\\r\\n\\r\\n') + got.count(b'Sum: 1\\r\\n\\r\\n')\n"
        "        new = now - asked; asked = now\n"
        f"        for number in range(new): c.sendall({answer!r} % (200 + asked - new + number))\n"
        "    c.close()\n"
    )
    chunks = b"5\r\nPOST \r\nA\r\n/x HTTP/1.\r\n0\r\nSum: 1\r\n\r\n"
    request = b"PUT /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    connection = lab.stream(port)
    for size in (1, 13, 1000):
        for piece in pieces((request + ask("/plain")) * 4, size):
            connection.sendall(piece)
    read_until(connection, lambda got: got.count(b"X-More: 2\r\n\r\n") == 24, 33)

    found = lab.served(port, Protocol.HTTP1)
    assert {200 + number: 1 for number in range(24)} == by_status(found)
    assert 2 == len({one.endpoint for one in found})
    assert 24 * len(answer % 200) == sum(one.response_bytes for one in found)
    assert {} == lab.lost()


def test_a_response_that_ends_with_its_connection(lab: Lab) -> None:
    """
    A body without a length goes on until the end; requests behind it have no response.
    """
    port = lab.serve(
        "while True:\n"
        "    c, _ = listener.accept(); c.recv(1000)\n"
        "    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n')\n"
        "    for _ in range(20): c.sendall(b'word ' * 1000)\n"
        "    c.close()\n"
    )
    for _ in range(5):
        connection = lab.stream(port)
        connection.sendall(ask("/endless") + ask("/never"))
        while connection.recv(65536):
            pass
        connection.close()

    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP1)) == 10, "the ends of the connections")
    found = {(one.outcome, one.requests, one.response_bytes) for one in lab.served(port, Protocol.HTTP1)}
    assert {(Outcome.OK, 5, 5 * (19 + 100_000)), (Outcome.NO_RESPONSE, 5, 0)} == found
    assert {} == lab.lost()


def test_a_body_that_is_refused_before_it_is_sent(lab: Lab) -> None:
    """
    Who waits for 100 and is refused sends the next request in place of the body.
    """
    port = lab.serve(
        "while True:\n"
        "    c, _ = listener.accept()\n"
        "    while c.recv(1000): c.sendall(b'HTTP/1.1 417 No\\r\\nContent-Length: 0\\r\\n\\r\\n')\n"
        "    c.close()\n"
    )
    connection = lab.stream(port)
    for _ in range(11):
        connection.sendall(ask("/big", "PUT", "Expect: 100-continue\r\nContent-Length: 100\r\n"))
        read_until(connection, lambda got: got.endswith(b"\r\n\r\n"))
        connection.sendall(ask("/small"))
        read_until(connection, lambda got: got.endswith(b"\r\n\r\n"))

    assert [11, 11] == [one.requests for one in lab.served(port, Protocol.HTTP1)]


def test_apache_pipelines(lab: Lab) -> None:
    """
    Apache's responses, which it joins in one write, find their requests.
    """
    if not shutil.which("apache2"):
        pytest.skip("apache2 (Debian: apache2-bin) is not installed")
    port = free_port()
    (lab.folder / "pages").mkdir()
    (lab.folder / "pages" / "page").write_bytes(b"<html>" * 5003)
    (lab.folder / "apache.conf").write_text(APACHE.format(folder=lab.folder, port=port))
    lab.run("apache2", "-X", "-d", lab.folder, "-f", lab.folder / "apache.conf", "-DFOREGROUND")
    lab.until(lambda: accepts(port), "apache2")
    connection = lab.stream(port)
    for _ in range(17):
        connection.sendall(ask("/page") + ask("/missing") + ask("/page", "HEAD") + ask("/none"))
        read_until(connection, lambda got: got.count(b"</body></html>\n") == 2)

    found = lab.served(port, Protocol.HTTP1)
    assert {200: 2 * 17, 404: 2 * 17} == by_status(found)
    assert {17} == {one.requests for one in found}
    assert {} == lab.lost()


def test_node_pipelines(lab: Lab) -> None:
    """
    Node's chunked responses, each in several writes, find their requests.
    """
    if not shutil.which("node"):
        pytest.skip("optional: node is not installed")
    port = free_port()
    lab.run("node", "-e", NODE, port)
    lab.until(lambda: accepts(port), "node")
    connection = lab.stream(port)
    for _ in range(7):
        connection.sendall(ask("/201") + ask("/404", "POST", body=b"GET / HTTP/1.1\r\n\r\n") + ask("/503"))
        read_until(connection, lambda got: got.count(b"0\r\n\r\n") == 3)

    assert {201: 7, 404: 7, 503: 7} == by_status(lab.served(port, Protocol.HTTP1))
    assert {} == lab.lost()


def test_attached_in_the_middle_of_a_request(lab: Lab) -> None:
    """
    Responses to what was asked before, wholly or in part, are stated as such; what is asked from then on is counted.
    """
    port = lab.serve(
        "c, _ = listener.accept(); got = b''\n"
        "while got.count(b'\\r\\n\\r\\n') < 2: got += c.recv(1000)\n"
        "c.sendall(b'HTTP/1.1 100 Continue\\r\\n\\r\\n')\n"
        "while True:\n"
        "    while got.count(b'\\r\\n\\r\\n') < 3: got += c.recv(1000)\n"
        "    got = b''\n"
        "    for _ in range(3): c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')\n"
    )
    held = {key: lab.kernel.map("instances").read(key) for key in list(lab.kernel.map("instances").keys())}
    for key in held:
        lab.kernel.map("instances").delete(key)
    connection = lab.stream(port)
    connection.sendall(ask("/before") + b"POST /before HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
    read_until(connection, lambda got: got.endswith(b"\r\n\r\n"))
    for key, value in held.items():
        lab.kernel.map("instances").write(key, value or b"")
    connection.sendall(b"123456789" + ask("/within"))
    read_until(connection, lambda got: got.count(b"ok") == 3)
    for _ in range(5):
        connection.sendall(ask("/after") * 3)
        read_until(connection, lambda got: got.count(b"ok") == 3)

    lab.until(lambda: requests_of(lab.series()) >= 15, "the last response")
    assert [15] == [one.requests for one in lab.served(port, Protocol.HTTP1)]
    assert {"attached_midstream": 3} == lab.lost()
