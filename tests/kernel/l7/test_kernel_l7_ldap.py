"""
LDAP: operations are paired by their number, searches end with their result, and StartTLS hands over.

The server is a real slapd, run in a folder of its own; the client is ldap3, and raw messages.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from shared.protocols.ldap import PROTOCOL
from tests.data.ldap.server import command, person
from tests.kernel.l7.lab import accepts, free_port
from tests.kernel.l7.tally import served

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # ldap3 uses names that pyasn1 wants to get rid of
    ldap3 = pytest.importorskip("ldap3")

if TYPE_CHECKING:
    import socket

    from tests.kernel.l7.lab import Lab

pytestmark = [pytest.mark.kernel, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

needs_server = pytest.mark.skipif(
    shutil.which("slapd") is None or not Path("/etc/ldap/schema/core.schema").exists(),
    reason="no slapd: install Debian's package `slapd`",
)


def slapd(lab: Lab, *, observed: bool = True) -> tuple[int, int]:
    """
    Start slapd; return its process and its port.
    """
    port = free_port()
    program = lab.run(*command(port, lab.folder), observed=observed)
    lab.until(lambda: accepts(port), "slapd")
    return program.pid, port


def element(tag: int, content: bytes) -> bytes:
    """
    Return a BER element; long ones tell their length in two bytes.
    """
    size = len(content)
    return bytes([tag]) + (bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")) + content


def message(number: int, tag: int, content: bytes) -> bytes:
    """
    Return a message.
    """
    return element(0x30, element(2, number.to_bytes(2, "big")) + element(tag, content))


def search(number: int, base: bytes = b"", scope: int = 0) -> bytes:
    """
    Return a search for what is there.
    """
    limits = element(10, bytes([scope])) + element(10, b"\0") + element(2, b"\0") * 2 + element(1, b"\0")
    return message(number, 0x63, element(4, base) + limits + element(0x87, b"objectClass") + element(0x30, b""))


def receive(connection: socket.socket, results: int) -> bytes:
    """
    Return all messages up to so many results.
    """
    buffer, at = b"", 0
    while results:
        length = PROTOCOL.frame(buffer[at:], response=True)
        if length is None:
            more = connection.recv(65536)
            assert more
            buffer += more
            continue
        results -= b"\x64" not in buffer[at + 4 : at + 9]
        at += length
    assert at == len(buffer)
    return buffer


@needs_server
def test_what_a_client_asks_is_counted_by_operation(lab: Lab) -> None:
    """
    Every operation is counted to the unit, by name, with the code of those that failed; leaving is one-way.
    """
    _, port = slapd(lab)
    server = ldap3.Server("127.0.0.1", port, get_info=ldap3.NONE)
    client = ldap3.Connection(server, "cn=admin,dc=shop", "s3cr3t-password")
    assert client.bind()
    client.add("dc=shop", ["dcObject", "organization"], {"o": "shop"})
    for number in range(41):
        assert client.add(*person(f"p{number}"))
    for number in range(7):
        assert not client.add(*person(f"p{number}"))
    for _ in range(11):
        assert client.search("dc=shop", "(objectClass=inetOrgPerson)", attributes=["*"])
        assert 41 == len(client.entries)
    for number in range(13):
        assert not client.search(f"uid=nobody{number},dc=shop", "(cn=*)", "BASE")
    assert client.compare("uid=p1,dc=shop", "sn", "p1")
    assert client.modify("uid=p1,dc=shop", {"sn": [("MODIFY_REPLACE", ["x" * 1000])]})
    assert client.delete("uid=p1,dc=shop")
    client.unbind()

    assert {
        ("bind simple", "OK", 0): 1,
        ("add", "OK", 0): 42,
        ("add", "CLIENT_ERROR", 68): 7,
        ("search subtree", "OK", 0): 11,
        ("search base", "CLIENT_ERROR", 32): 13,
        ("compare", "OK", 6): 1,
        ("modify", "OK", 0): 1,
        ("delete", "OK", 0): 1,
        ("unbind", "OK", 0): 1,
    } == served(lab, port, Protocol.LDAP, 78)
    assert {} == lab.lost()


@needs_server
@pytest.mark.parametrize("size", [1, 5, 16, 61, 509])
def test_messages_cut_anywhere(lab: Lab, size: int) -> None:
    """
    Pipelined messages that arrive in pieces of any size are counted once each, with all their bytes.
    """
    _, port = slapd(lab)
    connection = lab.stream(port)
    wire = b"".join(search(number, b"dc=nowhere" * (number % 2) * 30) for number in range(1, 24))
    for at in range(0, len(wire), size):
        connection.sendall(wire[at : at + size])
    answers = receive(connection, 23)

    assert 23 == sum(served(lab, port, Protocol.LDAP, 23).values())
    found = lab.served(port, Protocol.LDAP)
    assert len(wire) == sum(one.request_bytes for one in found)
    assert len(answers) == sum(one.response_bytes for one in found)
    assert {} == lab.lost()


@needs_server
def test_a_connection_that_was_open_before(lab: Lab) -> None:
    """
    Watched from the middle on, a connection's further operations are counted.
    """
    pid, port = slapd(lab, observed=False)
    connection = lab.stream(port)
    connection.sendall(search(1))
    receive(connection, 1)
    lab.observe(pid, 77)
    for number in range(2, 45):
        connection.sendall(search(number))
        receive(connection, 1)

    assert {("search base", "OK", 0): 43} == served(lab, port, Protocol.LDAP, 43)
    assert {} == lab.lost()


def test_answers_in_another_order_and_none(lab: Lab) -> None:
    """
    Results find their operations by number, entries between them belong to none, and what is left had no response.
    """
    port = lab.serve(
        "c, _ = listener.accept()\n"
        f"got = b''\nwhile len(got) < {17 * len(search(1))}: got += c.recv(65536)\n"
        "end = lambda n, code: bytes([0x30, 13, 2, 2, 0, n, 0x65, 7, 10, 1, code, 4, 0, 4, 0])\n"
        "entry = lambda n: bytes([0x30, 10, 2, 2, 0, n, 0x64, 4, 4, 0, 0x30, 0])\n"
        "for n in range(13, 0, -1): c.sendall(entry(n) * 3 + end(n, 51 if n % 3 == 0 else 0))\n"
        "c.close()\n"
    )
    connection = lab.stream(port)
    connection.sendall(b"".join(search(number) for number in range(1, 18)))
    while connection.recv(65536):
        pass

    name = "search base"
    expected = {(name, "OK", 0): 9, (name, "SERVER_ERROR", 51): 4, (name, "NO_RESPONSE", 0): 4}
    assert expected == served(lab, port, Protocol.LDAP, 17)
    assert {} == lab.lost()


def test_after_start_tls_nothing_is_read(lab: Lab) -> None:
    """
    Once StartTLS succeeded, what follows is not taken for LDAP.
    """
    port = lab.serve(
        "c, _ = listener.accept()\n"
        "c.recv(1000)\n"
        "c.sendall(bytes([0x30, 13, 2, 2, 0, 1, 0x78, 7, 10, 1, 0, 4, 0, 4, 0]))\n"
        "while c.recv(1000): c.sendall(b'\\x16\\x03\\x03\\x00\\x02ab')\n"
    )
    connection = lab.stream(port)
    connection.sendall(message(1, 0x77, element(0x80, b"1.3.6.1.4.1.1466.20037")))
    receive(connection, 1)
    for _ in range(5):
        connection.sendall(b"\x17\x03\x03\x00\x05hello")
        connection.recv(7)

    assert {("extended StartTLS", "OK", 0): 1} == served(lab, port, Protocol.LDAP, 1)
    assert "stream_not_followed" not in lab.lost()
