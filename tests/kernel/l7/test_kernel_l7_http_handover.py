"""
Connections that HTTP/1 hands over: tunnels, and upgrades to another protocol.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.conftest import chosen_protocols
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    import socket

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

MODULES: Final = Path("/usr/lib/apache2/modules")
APACHE: Final = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule http2_module {modules}/mod_http2.so
DocumentRoot {folder}/pages
Protocols h2c http/1.1
"""


def ask(connection: socket.socket, request: bytes) -> bytes:
    """
    Send *request* and return the first bytes of the answer.
    """
    connection.sendall(request)
    return connection.recv(65536)


def test_what_goes_through_a_tunnel_is_recognised_anew(lab: Lab) -> None:
    """
    A CONNECT that is granted is one request; behind it the connection speaks what it speaks.
    """
    port = lab.serve(
        "NO = b'HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\n\\r\\n'\n"
        "while True:\n"
        "    c, _ = listener.accept(); c.recv(1000)\n"
        "    c.sendall(b'HTTP/1.1 200 Yes\\r\\nContent-Length: 99\\r\\n\\r\\n')\n"
        "    while asked := c.recv(1000):\n"
        "        c.sendall(b'+OK\\r\\n' if asked[:1] == b'*' else NO)\n"
        "    c.close()\n"
    )
    for inside in (b"GET /inside HTTP/1.1\r\n\r\n", b"*1\r\n$4\r\nPING\r\n"):
        connection = lab.stream(port)
        assert ask(connection, b"CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n").startswith(b"HTTP/1.1 200")
        for _ in range(7):
            ask(connection, inside)
        connection.close()

    found = {one.status: (one.requests, one.outcome) for one in lab.served(port, Protocol.HTTP1)}
    assert {200: (2, Outcome.OK), 404: (7, Outcome.CLIENT_ERROR)} == found
    assert 7 == requests_of(lab.served(port, Protocol.REDIS))
    assert {} == lab.lost()


def test_a_tunnel_that_is_refused_is_none(lab: Lab) -> None:
    """
    After a refused CONNECT the connection goes on with HTTP.
    """
    port = lab.serve(
        "c, _ = listener.accept()\n"
        "while c.recv(1000): c.sendall(b'HTTP/1.1 407 No\\r\\nContent-Length: 2\\r\\n\\r\\nno')\n"
    )
    connection = lab.stream(port)
    for _ in range(5):
        ask(connection, b"CONNECT shop:443 HTTP/1.1\r\n\r\n")
        ask(connection, b"GET /plain HTTP/1.1\r\n\r\n")

    assert [5, 5] == [one.requests for one in lab.served(port, Protocol.HTTP1)]


def test_an_upgrade_to_what_nobody_knows_is_left_alone(lab: Lab) -> None:
    """
    Behind 101 nothing is guessed about the bytes of a protocol without a name.
    """
    port = lab.serve(
        "c, _ = listener.accept(); c.recv(1000)\n"
        "c.sendall(b'HTTP/1.1 101 Yes\\r\\nUpgrade: own\\r\\nConnection: Upgrade\\r\\n\\r\\n')\n"
        "while c.recv(1000): c.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
    )
    connection = lab.stream(port)
    ask(connection, b"GET /own HTTP/1.1\r\nUpgrade: own\r\nConnection: Upgrade\r\n\r\n")
    for _ in range(5):
        ask(connection, b"GET /no HTTP/1.1\r\n\r\n")

    assert [(101, 1)] == [(one.status, one.requests) for one in lab.series() if one.port == port]
    assert {} == lab.lost()


def test_an_upgrade_to_http2(lab: Lab) -> None:
    """
    The request that upgrades is counted once, as it was asked; those behind it are HTTP/2.
    """
    if not shutil.which("apache2") or not (MODULES / "mod_http2.so").exists():
        pytest.skip("apache2 with mod_http2 (Debian: apache2-bin) is not installed")
    chosen = chosen_protocols()
    if chosen is not None and "http2" not in chosen:
        pytest.skip("optional: this run was told to do without HTTP/2")
    port = free_port()
    (lab.folder / "pages").mkdir()
    (lab.folder / "pages" / "page").write_bytes(b"some words\n" * 100)
    (lab.folder / "apache.conf").write_text(APACHE.format(folder=lab.folder, port=port, modules=MODULES))
    lab.run("apache2", "-d", lab.folder, "-f", lab.folder / "apache.conf", "-DFOREGROUND")
    lab.until(lambda: accepts(port), "apache2")
    pages = [f"http://127.0.0.1:{port}/page"] * 7
    words = ["curl", "-s", "--http2", "-w", "opened %{num_connects} code %{http_code} ", *pages]
    said = subprocess.run(words, check=False, capture_output=True, timeout=DEADLINE_S).stdout
    opened = sum(int(number) for number in re.findall(rb"opened (\d)", said))
    answered = said.count(b"code 200")  # curl sends some on connections that Apache is about to close

    assert [(101, opened)] == [(one.status, one.requests) for one in lab.served(port, Protocol.HTTP1)]
    behind = lab.served(port, Protocol.HTTP2)
    assert answered - opened == sum(one.requests for one in behind if one.status == 200)
    assert 7 - answered == sum(one.requests for one in behind if one.outcome is Outcome.NO_RESPONSE)
    assert {} == lab.lost()
