"""
FastCGI: nginx asks php-fpm, and every request is counted at both ends.

Several requests at once go over plain sockets, because php-fpm takes one after the other.
"""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols.fastcgi import BEGIN, END, PARAMS, PROTOCOL, STDIN, STDOUT
from tests.kernel.l7.lab import accepts, free_port, requests_of

if TYPE_CHECKING:
    import socket

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

FPM: Final = """
[global]
daemonize = no
error_log = {folder}/fpm.log
[shop]
user = nobody
group = nogroup
listen = 127.0.0.1:{port}
pm = static
pm.max_children = 3
"""
NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  upstream php {{ server 127.0.0.1:{behind}; keepalive {kept}; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      include /etc/nginx/fastcgi.conf;
      fastcgi_param SCRIPT_FILENAME {folder}/index.php;
      fastcgi_keep_conn on;
      fastcgi_pass php;
    }}
  }}
}}
"""
PHP: Final = """<?php
http_response_code((int)($_GET['status'] ?? 200));
echo str_repeat('word ', (int)($_GET['words'] ?? 1));
"""
PATHS: Final = (("/users/%d", 200), ("/orders/%d/lines", 200), ("/gone?status=404", 404), ("/broken?status=503", 503))


def fpm(lab: Lab) -> int:
    """
    Start php-fpm in scope and return its port.
    """
    if not shutil.which("php-fpm8.2"):
        pytest.skip("php-fpm (Debian: php8.2-fpm) is not installed")
    port = free_port()
    (lab.folder / "index.php").write_text(PHP)
    (lab.folder / "fpm.conf").write_text(FPM.format(folder=lab.folder, port=port))
    lab.run("php-fpm8.2", "-n", "-R", "-y", lab.folder / "fpm.conf")
    lab.until(lambda: accepts(port), "php-fpm")
    return port


def nginx(lab: Lab, behind: int, kept: int = 2) -> int:
    """
    Start nginx in front of php-fpm, in scope too, and return its port.
    """
    port = free_port()
    config = lab.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=lab.folder, port=port, behind=behind, kept=kept))
    lab.run("nginx", "-c", config, "-p", lab.folder)
    lab.until(lambda: accepts(port), "nginx")
    return port


def record(kind: int, content: bytes, number: int = 1, padding: int = 0) -> bytes:
    """
    Return a record.
    """
    length = len(content).to_bytes(2, "big")
    return bytes([1, kind]) + number.to_bytes(2, "big") + length + bytes([padding, 0]) + content + bytes(padding)


def asked(path: str, number: int = 1, script: str = "/nowhere", **more: str) -> bytes:
    """
    Return a request that keeps its connection.
    """
    named = {
        "SCRIPT_FILENAME": script,
        "QUERY_STRING": "",
        "SCRIPT_NAME": "/index.php",
        "REQUEST_METHOD": "GET",
        **more,
    }
    content = b"".join(
        bytes([len(name)]) + (len(value) | 1 << 31).to_bytes(4, "big") + name.encode() + value.encode()
        for name, value in {**named, "REQUEST_URI": path}.items()
    )
    begin = record(BEGIN, b"\0\1\1\0\0\0\0\0", number)
    params = record(PARAMS, content, number, 5) + record(PARAMS, b"", number)
    return begin + params + record(STDIN, b"", number)


def answers(connection: socket.socket, wanted: int) -> bytes:
    """
    Read until so many requests have ended.
    """
    got, at, ended = b"", 0, 0
    while ended < wanted:
        length = PROTOCOL.frame(got[at:], response=True) if len(got) > at else None
        if length is None:
            piece = connection.recv(65536)
            assert piece, "the server closed the connection"
            got += piece
            continue
        ended += got[at + 1] == END
        at += length
    return got


@pytest.mark.parametrize("kept", [1, 4])
def test_what_nginx_asks_is_counted_at_both_ends(lab: Lab, kept: int) -> None:
    """
    211 requests to four endpoints have their status, whether nginx keeps its connections or not.
    """
    behind = fpm(lab)
    port = nginx(lab, behind, kept)
    connections = [lab.http(port) for _ in range(3)]
    expected = Counter[int]()
    for number in range(211):
        path, status = PATHS[number % 4]
        connections[number % 3].request("GET", path % number if "%" in path else path)
        response = connections[number % 3].getresponse()
        response.read()
        assert status == response.status
        expected[status] += 1

    for series in (lab.served(behind, Protocol.FASTCGI), lab.called(behind, Protocol.FASTCGI)):
        assert expected == Counter({s: sum(one.requests for one in series if one.status == s) for s in expected})
        assert 4 == len(series)
        assert {53: 3, 52: 1} == Counter(one.requests for one in series)
    outcomes = {one.status: one.outcome for one in lab.served(behind, Protocol.FASTCGI)}
    assert {200: Outcome.OK, 404: Outcome.CLIENT_ERROR, 503: Outcome.SERVER_ERROR} == outcomes
    assert {} == lab.lost()


def test_long_bodies_both_ways(lab: Lab) -> None:
    """
    Input and output of many records belong to their request.
    """
    behind = fpm(lab)
    connection = lab.http(nginx(lab, behind))
    for _ in range(7):
        connection.request("POST", "/upload?words=100003", body=b"\1\1\0\1" * 50_021)
        assert 500_015 == len(connection.getresponse().read())

    (series,) = lab.served(behind, Protocol.FASTCGI)
    assert (7, 200) == (series.requests, series.status)
    assert series.request_bytes > 7 * 200_084
    assert series.response_bytes > 7 * 500_015
    assert {} == lab.lost()


def test_any_cut_of_the_bytes(lab: Lab) -> None:
    """
    Requests byte by byte have the endpoint that they have in one piece, with all their bytes.
    """
    behind = fpm(lab)
    connection = lab.stream(behind)
    request, received = asked("/a/rather/long/path/12345?query=1", script=str(lab.folder / "index.php")), 0
    for size in (1, 3, 17, 100, 1000):
        for at in range(0, len(request), size):
            connection.sendall(request[at : at + size])
        received += len(answers(connection, 1))

    (series,) = lab.served(behind, Protocol.FASTCGI)
    assert (5, 200, 5 * len(request)) == (series.requests, series.status, series.request_bytes)
    assert received == series.response_bytes
    assert {} == lab.lost()


def test_requests_at_once_are_paired_by_their_number(lab: Lab) -> None:
    """
    Of 101 times four requests on one connection, answered in another order, each has its endpoint and its end.
    """
    ends = [
        record(STDOUT, b"X: y\r\nStatus: 404 No\r\n\r\nbody", 1, 3)
        + record(STDOUT, b"more", 1)
        + record(END, bytes(8), 1),
        record(STDOUT, b"Content-type: a\r\n\r\nStatus: 500", 2) + record(END, bytes(8), 2),
        record(END, b"\0\0\0\0\2\0\0\0", 3),
        record(END, b"\0\0\0\7\0\0\0\0", 4),
    ]
    port = lab.serve(
        "c, _ = listener.accept(); got = 0\n"
        "while piece := c.recv(100_000):\n"
        "    got += len(piece)\n"
        f"    if got >= {sum(len(asked('/x', number)) for number in range(4))}:\n"
        f"        got = 0; c.sendall({b''.join(reversed(ends))!r})\n"
    )
    connection = lab.stream(port)
    for _ in range(101):
        connection.sendall(b"".join(asked(f"/{'abcd'[number - 1]}", number) for number in (1, 2, 3, 4)))
        answers(connection, 4)

    found = lab.served(port, Protocol.FASTCGI)
    expected = [
        (0, Outcome.SERVER_ERROR, 101),
        (2, Outcome.SERVER_ERROR, 101),
        (200, Outcome.OK, 101),
        (404, Outcome.CLIENT_ERROR, 101),
    ]
    assert expected == sorted((one.status, one.outcome, one.requests) for one in found)
    assert 4 == len({one.endpoint for one in found})
    assert {} == lab.lost()


def test_connections_from_before_and_their_end(lab: Lab) -> None:
    """
    A connection is covered from the first request that begins in scope; what it leaves open has no response.
    """
    port = lab.serve(
        "while True:\n"
        "    c, _ = listener.accept()\n"
        f"    while len(c.recv(1000)) > 100: c.sendall({record(STDOUT, bytes(9)) + record(END, bytes(8))!r})\n"
        "    c.recv(1000); c.close()\n"
    )
    connection = lab.stream(port)
    with lab.unseen():
        connection.sendall(asked("/before"))
        answers(connection, 1)
    for _ in range(13):
        connection.sendall(asked("/after"))
        answers(connection, 1)
    connection.sendall(b"\1")
    lab.heard(connection)  # the server reads it alone, and leaves
    connection.sendall(asked("/never", 2)[1:])
    assert b"" == connection.recv(100)
    connection.close()

    lab.until(lambda: requests_of(lab.served(port, Protocol.FASTCGI)) == 14, "the end of the connection")
    found = {(one.outcome, one.requests) for one in lab.served(port, Protocol.FASTCGI)}
    assert {(Outcome.OK, 13), (Outcome.NO_RESPONSE, 1)} == found
    assert {} == lab.lost()
