"""
DNS over TCP: queries are paired by their number, pipelined and cut anywhere, with a real dnsmasq.
"""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from tests.kernel.l7.lab import accepts, free_port
from tests.kernel.l7.tally import exchange, served

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

needs_server = pytest.mark.skipif(
    shutil.which("dnsmasq") is None, reason="no dnsmasq: install Debian's package `dnsmasq`"
)


def dnsmasq(lab: Lab) -> int:
    """
    Start dnsmasq in scope and return its port.
    """
    port = free_port()
    words = ["--no-resolv", "--no-hosts", "--address=/ok.test/10.0.0.1", "--listen-address=127.0.0.1", "--pid-file="]
    lab.run("dnsmasq", "-k", "-p", port, "--bind-interfaces", "--conf-file=/dev/null", "--user=root", *words)
    lab.until(lambda: accepts(port), "dnsmasq")
    return port


def query(number: int, name: str, kind: int = 1) -> bytes:
    """
    Return a query behind its length.
    """
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack(">6H", number, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
    return struct.pack(">H", len(message)) + message


@needs_server
def test_streams_of_queries_are_counted_by_name(lab: Lab) -> None:
    """
    Queries one after the other, on two connections, are counted by name and by response code.
    """
    port = dnsmasq(lab)
    one, two = lab.stream(port), lab.stream(port)
    for number in range(53):
        one.sendall(query(number, f"{number}.ok.test"))
        exchange(one, Protocol.DNS, 1)
    for number in range(11):
        two.sendall(query(number, "nope.example"))
        exchange(two, Protocol.DNS, 1)

    found = served(lab, port, Protocol.DNS, 64)
    assert {("A {id}.ok.test", "OK", 0): 53, ("A nope.example", "SERVER_ERROR", 5): 11} == found
    assert {} == lab.lost()


@needs_server
@pytest.mark.parametrize("size", [1, 2, 13, 61, 509])
def test_messages_cut_anywhere(lab: Lab, size: int) -> None:
    """
    Queries that are sent without waiting, in pieces of any size, are counted once each, with all their bytes.
    """
    port = dnsmasq(lab)
    connection = lab.stream(port)
    wire = b"".join(query(number, "www.ok.test") for number in range(23))
    for at in range(0, len(wire), size):
        connection.sendall(wire[at : at + size])
    answers = exchange(connection, Protocol.DNS, 23)

    assert {("A www.ok.test", "OK", 0): 23} == served(lab, port, Protocol.DNS, 23)
    found = lab.served(port, Protocol.DNS)
    assert len(wire) == sum(one.request_bytes for one in found)
    assert len(answers) == sum(one.response_bytes for one in found)
    assert {} == lab.lost()


def test_answers_in_another_order_and_none(lab: Lab) -> None:
    """
    Answers find their queries by number; what is in flight at the end had no response.
    """
    port = lab.serve(
        "c, _ = listener.accept()\n"
        f"each = [c.recv({len(query(0, 'www.ok.test'))}, socket.MSG_WAITALL) for _ in range(17)]\n"
        "for one in reversed(each[:13]):\n"
        "    code = 3 if one[3] % 2 else 0\n"
        "    c.sendall(one[:4] + bytes([0x81, 0x80 | code]) + one[6:])\n"
        "c.close()\n"
    )
    connection = lab.stream(port)
    connection.sendall(b"".join(query(number, "www.ok.test") for number in range(17)))
    while connection.recv(65536):
        pass

    name = "A www.ok.test"
    expected = {(name, "OK", 0): 7, (name, "CLIENT_ERROR", 3): 6, (name, "NO_RESPONSE", 0): 4}
    assert expected == served(lab, port, Protocol.DNS, 17)
    assert {} == lab.lost()
