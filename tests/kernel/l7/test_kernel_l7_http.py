"""
HTTP: every request is counted once, with its outcome, whatever pieces it comes in.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import OVERFLOW_ENDPOINT, Outcome, Protocol
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

NGINX: Final = """
daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; keepalive_requests 1000000; sendfile on;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "hello world\\n"; }}
    location /missing {{ return 404; }}
    location /broken {{ return 503; }}
    location /file {{ root {folder}; }}
    location = /count {{ stub_status; }}
  }}
}}
"""
ECHO: Final = """
while True:
    c, _ = listener.accept()
    while head := c.recv(65536):
        c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')
    c.close()
"""


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


def get(connection: http.client.HTTPConnection, path: str) -> int:
    """
    Ask for *path* and return how many bytes the answer had, head and body.
    """
    connection.request("GET", path)
    answer = connection.getresponse()
    head = sum(len(name) + len(value) + 4 for name, value in answer.getheaders())
    return len(f"HTTP/1.1 {answer.status} {answer.reason}\r\n\r\n") + head + len(answer.read())


def test_requests_on_kept_connections_are_counted_with_their_bytes(lab: Lab) -> None:
    """
    1,009 requests on 7 connections are 1,009 requests of one endpoint, with every byte of both directions.
    """
    port = nginx(lab)
    connections = [lab.http(port) for _ in range(7)]
    received = sum(get(connections[number % 7], "/") for number in range(1009))
    for connection in connections:
        connection.close()

    (series,) = lab.served(port, Protocol.HTTP1)
    sent = 1009 * len(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: identity\r\n\r\n")
    assert (1009, 200, Outcome.OK) == (series.requests, series.status, series.outcome)
    assert (sent, received) == (series.request_bytes, series.response_bytes)
    assert 1009 == sum(series.duration[1::2])
    assert {} == lab.lost()


def test_a_connection_for_each_request(lab: Lab) -> None:
    """
    503 requests on connections of their own are 503 requests.
    """
    port = nginx(lab)
    for _ in range(503):
        connection = lab.http(port)
        get(connection, "/")
        connection.close()

    assert 503 == requests_of(lab.served(port, Protocol.HTTP1))
    assert {} == lab.lost()


def test_a_load_generator_and_the_server_agree_with_the_kernel(lab: Lab) -> None:
    """
    Under wrk, what is seen and lost is what nginx itself counts.
    """
    port = nginx(lab)

    def served() -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=DEADLINE_S) as answer:
            return int(re.findall(r"\d+", answer.read().decode())[3])

    before = served()
    subprocess.run(["wrk", "-t1", "-c13", "-d1s", f"http://127.0.0.1:{port}/"], check=True, capture_output=True)
    after = served()

    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP1)) > after - before, "the last request")
    # nginx had not counted the first look itself; the kernel has counted both.
    assert after - before + 1 == requests_of(lab.served(port, Protocol.HTTP1)) + sum(lab.lost().values())


def test_statuses_and_outcomes(lab: Lab) -> None:
    """
    A 4xx is the caller's fault, a 5xx the server's; each status is a series of its own.
    """
    port = nginx(lab)
    connection = lab.http(port)
    for path, times in (("/", 11), ("/missing", 7), ("/broken", 5)):
        for _ in range(times):
            get(connection, path)

    found = {(one.status, one.outcome): one.requests for one in lab.served(port, Protocol.HTTP1)}
    assert {(200, Outcome.OK): 11, (404, Outcome.CLIENT_ERROR): 7, (503, Outcome.SERVER_ERROR): 5} == found


def test_ids_and_queries_do_not_make_endpoints(lab: Lab) -> None:
    """
    Numbers, hexadecimal ids, UUIDs and query strings collapse; different words and methods do not.
    """
    port = nginx(lab)
    connection = lab.http(port)
    for number in range(31):
        get(connection, f"/users/{number * 7919}?page={number}")
        get(connection, f"/orders/{number:08x}-1111-2222-3333-{number:012x}/lines")
    connection.request("POST", "/users/5")
    connection.getresponse().read()

    assert [1, 31, 31] == sorted(one.requests for one in lab.served(port, Protocol.HTTP1))


def test_a_body_sent_by_sendfile_counts_its_bytes(lab: Lab) -> None:
    """
    A response whose body never passes through user memory is one request with all its bytes.
    """
    port = nginx(lab)
    (lab.folder / "file").write_bytes(os.urandom(300_007))
    connection = lab.http(port)
    received = sum(get(connection, "/file") for _ in range(5))

    found = lab.served(port, Protocol.HTTP1)
    assert (5, received) == (requests_of(found), sum(one.response_bytes for one in found))
    assert {} == lab.lost()


def test_heads_in_pieces(lab: Lab) -> None:
    """
    Requests and responses that arrive byte by byte are whole requests of the same endpoint.
    """
    port = lab.serve(
        "while True:\n"
        "    c, _ = listener.accept(); c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n"
        "    while True:\n"
        "        head = b''\n"
        "        while not head.endswith(b'\\r\\n\\r\\n'):\n"
        "            piece = c.recv(1)\n"
        "            if not piece: break\n"
        "            head += piece\n"
        "        if not piece: break\n"
        "        for byte in b'HTTP/1.1 404 Not Found\\r\\nContent-Length: 3\\r\\n\\r\\nabc':\n"
        "            c.send(bytes([byte]))\n"
        "    c.close()\n"
    )
    connection = lab.stream(port)
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc"
    for _ in range(29):
        for byte in b"GET /some/rather/long/path?with=query HTTP/1.1\r\nHost: x\r\n\r\n":
            connection.send(bytes([byte]))
        got = b""
        while len(got) < len(answer):
            got += connection.recv(100)
    connection.close()

    (series,) = lab.served(port, Protocol.HTTP1)
    assert (29, 404) == (series.requests, series.status)
    assert 29 * len(answer) == series.response_bytes
    assert {} == lab.lost()


def test_a_long_body_is_one_request(lab: Lab) -> None:
    """
    A body in many pieces, some of which look like requests, belongs to its request.
    """
    port = lab.serve(
        "while True:\n"
        "    c, _ = listener.accept(); got = b''\n"
        "    while not got.endswith(b'END'): got += c.recv(65536)\n"
        "    c.sendall(b'HTTP/1.1 100 Continue\\r\\n\\r\\n')\n"
        "    c.sendall(b'HTTP/1.1 201 Created\\r\\n\\r\\n'); c.close()\n"
    )
    for _ in range(3):
        connection = lab.stream(port)
        connection.sendall(b"POST /things HTTP/1.1\r\nContent-Length: 40003\r\n\r\n")
        for _piece in range(4):
            connection.sendall(b"x" * 10_000)
        connection.sendall(b"END")
        while connection.recv(1000):
            pass
        connection.close()

    (series,) = lab.served(port, Protocol.HTTP1)
    assert (3, 201) == (series.requests, series.status)


def test_peeking_is_not_reading(lab: Lab) -> None:
    """
    A server that looks at its requests before it reads them is not counted twice.
    """
    port = lab.serve(
        ECHO.replace("while head := c.recv(65536):", "while c.recv(10, socket.MSG_PEEK) and c.recv(65536):")
    )
    connection = lab.http(port)
    for _ in range(101):
        get(connection, "/")

    assert 101 == requests_of(lab.served(port, Protocol.HTTP1))


def test_a_connection_that_ends_without_an_answer(lab: Lab) -> None:
    """
    Requests that are in flight when their connection ends have no response, and are counted.
    """
    port = lab.serve("while True:\n    c, _ = listener.accept(); c.recv(1000); c.close()\n")
    for _ in range(13):
        connection = lab.stream(port)
        connection.sendall(b"GET /nothing HTTP/1.1\r\n\r\n")
        assert b"" == connection.recv(100)
        connection.close()

    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP1)) == 13, "the ends of the connections")
    assert {Outcome.NO_RESPONSE} == {one.outcome for one in lab.served(port, Protocol.HTTP1)}


def test_connections_from_before(lab: Lab) -> None:
    """
    Connections that were opened before their process came into scope are covered from then on.
    """
    port = nginx(lab)
    connection = lab.http(port)
    with lab.unseen():
        for _ in range(17):
            get(connection, "/")
    for _ in range(19):
        get(connection, "/")

    assert 19 == requests_of(lab.served(port, Protocol.HTTP1))


def test_both_ends_are_joined(lab: Lab) -> None:
    """
    When both ends are in scope, each series names the other end and both count the same.
    """
    port = nginx(lab)
    lab.observe(os.getpid(), 7)
    try:
        for _ in range(23):
            connection = lab.http(port)
            get(connection, "/")
            connection.close()
    finally:
        lab.ignore(os.getpid())

    (server,), (client,) = lab.served(port, Protocol.HTTP1), lab.called(port, Protocol.HTTP1)
    assert (23, 23) == (server.requests, client.requests)
    assert (7, b"") == (server.peer, server.remote)
    assert (server.instance, b"") == (client.peer, client.remote)
    assert (server.request_bytes, server.response_bytes) == (client.request_bytes, client.response_bytes)


def test_nobody_else_is_seen(lab: Lab) -> None:
    """
    A server that is out of scope leaves no trace.
    """
    port = free_port()
    config = lab.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=lab.folder, port=port))
    lab.run("nginx", "-c", config, "-p", lab.folder, observed=False)
    lab.until(lambda: accepts(port), "nginx")
    connection = lab.http(port)
    for _ in range(5):
        get(connection, "/")

    assert [] == lab.series()
    assert [] == lab.samples()


def test_distinct_addresses_stay_bounded(lab: Lab) -> None:
    """
    More endpoints than the limit are counted together; no request is lost, and what has no name is stated.
    """
    port = nginx(lab)
    connection = lab.http(port)
    for number in range(1511):
        word = "".join(chr(ord("g") + int(digit)) for digit in str(number))  # no digits: they would collapse
        get(connection, f"/{word}")

    found = lab.served(port, Protocol.HTTP1)
    (overflow,) = [one for one in found if one.endpoint == OVERFLOW_ENDPOINT]
    assert (102, 1511, 1511 - 101) == (len(found), requests_of(found), overflow.requests)
    assert {"endpoint_names": 1511 - 101} == lab.lost()


def test_samples_of_what_is_worth_looking_at(lab: Lab) -> None:
    """
    The first request of an endpoint and every failed one come up with both heads; both ends agree where they are.
    """
    port = nginx(lab)
    lab.observe(os.getpid(), 7)
    try:
        connection = lab.http(port)
        for path in ("/a", "/a", "/missing", "/missing"):
            get(connection, path)
    finally:
        lab.ignore(os.getpid())

    found = [one for one in lab.samples() if one.port == port]
    server = [one for one in found if one.peer == 7]
    assert ["first", "first", "failed"] == [one.why for one in server]
    assert server[1].request.startswith(b"GET /missing HTTP/1.1\r\nHost: 127.0.0.1")
    assert server[1].response.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert {(one.connection, one.offset) for one in server} == {
        (one.connection, one.offset) for one in found if one.instance == 7
    }


def test_samples_obey_the_budget(lab: Lab) -> None:
    """
    Samples beyond the budget are left out and counted; the requests are not touched by that.
    """
    port = nginx(lab)
    lab.grant(3)
    connection = lab.http(port)
    for _ in range(11):
        get(connection, "/missing")

    assert 3 == len(lab.samples())
    assert 11 == requests_of(lab.served(port, Protocol.HTTP1))
