"""
Thrift: calls are counted under their methods, in both encodings, in frames and without, and exceptions are failures.

The server is thriftpy2's, the clients are thriftpy2's and Apache's own.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from tests.kernel.l7.lab import accepts, free_port
from tests.kernel.l7.tally import both, exchange, served

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

needed = [name for name in ("thrift", "thriftpy2") if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.kernel, pytest.mark.skipif(bool(needed), reason=f"optional: needs the packages {needed}")]

DATA = Path(__file__).parents[2] / "data" / "thrift"
KINDS = [("binary", "framed"), ("binary", "buffered"), ("compact", "framed"), ("compact", "buffered")]
WORDS = ["order:53", "ping:11", "find:7", "broken:5", "note:3", "order:21", "absent:1"]
COUNTED = {
    ("order", "OK", 0): 74,
    ("ping", "OK", 0): 11,
    ("find", "SERVER_ERROR", 0): 7,
    ("broken", "SERVER_ERROR", 6): 5,
    ("note", "OK", 0): 3,
    ("absent", "CLIENT_ERROR", 1): 1,
}


def server(lab: Lab, *words: str, observed: bool = True) -> tuple[int, int]:
    """
    Start a Thrift server, in scope if it is *observed*; return its port and its process.
    """
    port = free_port()
    program = lab.run(sys.executable, DATA / "lab.py", "serve", port, *words, observed=observed)
    lab.until(lambda: accepts(port), "the Thrift server")
    return port, program.pid


def captured(case: str) -> bytes:
    """
    Return the request of a golden capture.
    """
    content = json.loads((DATA / f"{case}.json").read_text(encoding="utf-8"))
    return str(content["request"]).encode("latin-1")


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_calls_of_a_real_client(lab: Lab, kind: tuple[str, str]) -> None:
    """
    Calls that succeed, fail in each way, and in frames those that want no answer, are counted to the unit at both ends.
    """
    port, _ = server(lab, *kind)
    words = [word for word in WORDS if "framed" in kind or not word.startswith("note")]
    client = lab.run(sys.executable, DATA / "lab.py", "call", port, *kind, *words)
    assert 0 == client.wait(30)

    expected = {key: count for key, count in COUNTED.items() if "framed" in kind or key[0] != "note"}
    assert expected == served(lab, port, Protocol.THRIFT, sum(expected.values()))
    assert (sum(expected.values()),) * 2 == both(lab, port, Protocol.THRIFT)
    assert {} == lab.lost()


def test_services_that_share_a_port(lab: Lab) -> None:
    """
    A multiplexed service's name is part of the endpoint, and Apache's own client is counted like the other.
    """
    port, _ = server(lab, "binary", "framed", "multiplexed")
    command = [sys.executable, str(DATA / "lab.py"), "call", str(port), "binary", "framed", "multiplexed", "order:13"]
    subprocess.run(command, check=True, timeout=30)
    assert {("Shop/order", "OK", 0): 13} == served(lab, port, Protocol.THRIFT, 13)

    other, _ = server(lab, "compact", "framed")
    command = [sys.executable, str(DATA / "lab.py"), "apache", str(other), "compact", "framed", "order:17"]
    subprocess.run(command, check=True, timeout=30)

    assert {("order", "OK", 0): 17} == served(lab, other, Protocol.THRIFT, 17)
    assert {} == lab.lost()


@pytest.mark.parametrize("case", ["binary_framed", "compact_framed", "binary_buffered"])
def test_calls_cut_and_joined(lab: Lab, case: str) -> None:
    """
    Calls that come byte by byte, and in frames also many in one write, are counted once each, on a connection
    that was busy before the server was watched.
    """
    port, process = server(lab, *case.split("_"), observed=False)
    connection = lab.stream(port)
    call = captured(case)
    connection.sendall(call)
    exchange(connection, Protocol.THRIFT, 1)
    lab.observe(process, 1000)
    for _ in range(3):
        for byte in call:
            connection.sendall(bytes([byte]))
        exchange(connection, Protocol.THRIFT, 1)
    together = 50 if case.endswith("framed") else 0
    connection.sendall(call * together)
    exchange(connection, Protocol.THRIFT, together)

    assert {("order", "OK", 0): 3 + together} == served(lab, port, Protocol.THRIFT, 3 + together)
    assert {} == lab.lost()


def test_calls_without_a_reply(lab: Lab) -> None:
    """
    Calls that are in flight when the connection ends are counted as calls without an answer.
    """
    call, reply = captured("binary_framed"), captured("void").replace(b"\x80\1\0\1", b"\x80\1\0\2")
    port = lab.serve(
        "c, _ = listener.accept(); got = b''\n"
        f"while len(got) < {5 * len(call)}: got += c.recv(65536)\n"
        f"c.sendall({reply!r}); c.close()\n"
        "time.sleep(30)\n"
    )
    connection = lab.stream(port)
    connection.sendall(call * 5)
    while connection.recv(100):
        pass

    expected = {("order", "OK", 0): 1, ("order", "NO_RESPONSE", 0): 4}
    assert expected == served(lab, port, Protocol.THRIFT, 5)
    assert {} == lab.lost()
