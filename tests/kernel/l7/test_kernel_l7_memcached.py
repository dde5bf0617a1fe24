"""
Memcached: every command of the text, the meta and the binary protocol is counted, and replies find their commands.
"""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from tests.kernel.l7.lab import accepts, free_port, requests_of
from tests.kernel.l7.tally import served

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not shutil.which("memcached"), reason="needs memcached on the path"),
]

CAPTURES = Path(__file__).parents[2] / "data" / "memcached"


def memcached(lab: Lab, *, observed: bool = True) -> tuple[int, int]:
    """
    Start memcached, in scope if it is *observed*; return its port and its process.
    """
    port = free_port()
    program = lab.run("memcached", "-l", "127.0.0.1", "-p", port, "-U", "0", "-u", "nobody", observed=observed)
    lab.until(lambda: accepts(port), "memcached")
    return port, program.pid


def until(connection: socket.socket, ending: bytes, times: int = 1) -> bytes:
    """
    Return what arrives, once it holds *ending* so often.
    """
    got = b""
    while got.count(ending) < times:
        more = connection.recv(65536)
        assert more, got[-100:]
        got += more
    return got


def captured(case: str) -> bytes:
    """
    Return the request of a golden capture.
    """
    content = json.loads((CAPTURES / f"{case}.json").read_text(encoding="utf-8"))
    return str(content["request"]).encode("latin-1")


LONG = b"k" * 250
SCRIPT = (
    b"set key 0 0 300\r\n" + b"v" * 300 + b"\r\n"
    b"set " + LONG + b" 5 0 6\r\nset\r\n\r\r\n"
    b"get key\r\n"
    b"get nobody\r\n"
    b"get key nobody " + LONG + b"\r\n"
    b"gets key " + b" ".join(b"absent%d" % n for n in range(60)) + b"\r\n"
    b"gat 60 key\r\n"
    b"add key 0 0 1\r\n1\r\n"
    b"append key 0 0 1 noreply\r\n1\r\n"
    b"cas key 0 0 1 77777\r\nx\r\n"
    b"incr key 1\r\n"
    b"set n 0 0 1\r\n1\r\n"
    b"incr n 41\r\n"
    b"touch " + LONG + b" 60\r\n"
    b"delete n noreply\r\n"
    b"delete n\r\n"
    b"nonsense key\r\n"
    b"stats\r\n"
    b"mg key v\r\n"
    b"mg nobody v\r\n"
    b"ms meta 2 T60 Oab\r\nhi\r\n"
    b"mg meta v q\r\nmg absent v q\r\nmn\r\n"
    b"md meta q\r\n"
    b"version\r\n"
)
COUNTED = {
    ("set", "OK", 0): 3,
    ("get", "OK", 0): 2,
    ("get", "OK", 1): 1,
    ("gets", "OK", 0): 1,
    ("gat", "OK", 0): 1,
    ("add", "OK", 5): 1,
    ("append", "OK", 0): 1,
    ("cas", "OK", 2): 1,
    ("incr", "CLIENT_ERROR", 4): 1,
    ("incr", "OK", 0): 1,
    ("touch", "OK", 0): 1,
    ("delete", "OK", 0): 1,
    ("delete", "OK", 1): 1,
    ("", "CLIENT_ERROR", 0x81): 1,
    ("stats", "OK", 0): 1,
    ("mg", "OK", 0): 3,
    ("mg", "OK", 1): 1,
    ("ms", "OK", 0): 1,
    ("mn", "OK", 0): 1,
    ("md", "OK", 0): 1,
    ("version", "OK", 0): 1,
}


@pytest.mark.parametrize("size", [1, 7, 1 << 20], ids=["byte by byte", "by sevens", "in one write"])
def test_every_command_is_counted(lab: Lab, size: int) -> None:
    """
    Each command of the text and meta protocol is counted under its name with its status, however its bytes arrive.
    """
    port, _ = memcached(lab)
    connection = lab.stream(port)
    for at in range(0, len(SCRIPT), size):
        connection.sendall(SCRIPT[at : at + size])
    until(connection, b"VERSION ")

    assert COUNTED == served(lab, port, Protocol.MEMCACHED, sum(COUNTED.values()))
    assert {} == lab.lost()


def test_packets_are_counted(lab: Lab) -> None:
    """
    The binary protocol's commands, quiet ones among them, are counted once each, cut and joined.
    """
    port, _ = memcached(lab)
    connection = lab.stream(port)
    packets = [captured(case) for case in ("binary_set", "binary_get", "binary_miss", "binary_incr")]
    quiet = bytes([0x80, 0x0D]) + captured("binary_get")[2:]
    noop = bytes([0x80, 0x0A, *bytes(22)])
    wire = b"".join(packets) + quiet * 5 + noop
    connection.sendall(wire * 7)
    until(connection, bytes([0x81, 0x0A]), 7)
    for at in range(len(wire)):
        connection.sendall(wire[at : at + 1])
    until(connection, bytes([0x81, 0x0A]))

    expected = {
        ("set", "OK", 0): 8,
        ("get", "OK", 0): 8 + 40,
        ("get", "OK", 1): 8,
        ("incr", "CLIENT_ERROR", 6): 8,
        ("noop", "OK", 0): 8,
    }
    assert expected == served(lab, port, Protocol.MEMCACHED, 80)
    assert {} == lab.lost()


def test_a_pipeline_keeps_its_order(lab: Lab) -> None:
    """
    Of 101 commands in one write, among them misses and errors, each has its own reply.
    """
    port, _ = memcached(lab)
    connection = lab.stream(port)
    connection.sendall(
        b"set here 0 0 4\r\nEND\r\r\n" + (b"get here\r\nget gone\r\nincr here 1\r\ntouch here 1\r\n") * 25
    )
    until(connection, b"TOUCHED", 25)

    expected = {
        ("set", "OK", 0): 1,
        ("get", "OK", 0): 25,
        ("get", "OK", 1): 25,
        ("incr", "CLIENT_ERROR", 4): 25,
        ("touch", "OK", 0): 25,
    }
    assert expected == served(lab, port, Protocol.MEMCACHED, 101)
    assert {} == lab.lost()


def test_joined_in_the_middle(lab: Lab) -> None:
    """
    A connection that was busy before memcached was watched is counted from the next command on.
    """
    port, process = memcached(lab, observed=False)
    connection = lab.stream(port)
    connection.sendall(b"set key 0 0 2\r\nhi\r\n")
    until(connection, b"STORED\r\n")
    lab.observe(process, 1000)
    for _ in range(13):
        connection.sendall(b"get key\r\n")
        until(connection, b"END\r\n")

    assert {("get", "OK", 0): 13} == served(lab, port, Protocol.MEMCACHED, 13)
    assert {} == lab.lost()


def test_a_wrong_verdict_is_taken_back(lab: Lab) -> None:
    """
    A shell that knows `get` is no Memcached once it answers in words of its own.
    """
    port = lab.serve("c, _ = listener.accept()\nwhile c.recv(100): c.sendall(b'the value is 7\\n')\n")
    connection = lab.stream(port)
    for _ in range(5):
        connection.sendall(b"get value\r\n")
        until(connection, b"\n")

    assert 0 == requests_of(lab.served(port, Protocol.MEMCACHED))
    assert {"stream_not_followed": 1} == lab.lost()
