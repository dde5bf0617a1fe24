"""
Pulsar: its own client (pulsar-client, in C++) against a stand-in for the broker, and commands made by hand.

A real broker needs more memory than is spared for a test; the stand-in is `tests/data/pulsar/mock.py`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from shared.protocols.pulsar import PROTOCOL
from tests.data.pulsar.mock import command, field
from tests.data.pulsar.record import frames
from tests.data.streams import Streams
from tests.kernel.l7.lab import accepts, free_port, requests_of
from tests.kernel.l7.tally import Tally, named, served

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

PULSAR = Path(__file__).parents[2] / "data" / "pulsar"
COUNT = 53
REFUSED = {"PRODUCER shop/eu/forbidden": ("CLIENT_ERROR", 4), "LOOKUP shop/eu/nowhere": ("CLIENT_ERROR", 11)}


def passed(proxy: Streams) -> Tally:
    """
    Return what passed: what the client asked and told, and what the broker pushed.
    """
    found = Tally()
    for up, down in proxy.streams:
        said = [PROTOCOL.parse(frame[:256], b"").name for frame in frames(bytes(up)) if frame[9] != 19]
        said += ["MESSAGE" for frame in frames(bytes(down)) if frame[9] == 9]
        for name in said:
            found[(name, *REFUSED.get(name, ("OK", 0)))] += 1
    return found


def broker(lab: Lab) -> int:
    """
    Start the stand-in in scope and return its port.
    """
    port = free_port()
    lab.run(sys.executable, PULSAR / "mock.py", port)
    lab.until(lambda: accepts(port), "the stand-in")
    return port


@pytest.mark.skipif(not importlib.util.find_spec("pulsar"), reason="optional: needs pulsar-client from PyPI")
def test_a_shop_that_sends_and_reads(lab: Lab) -> None:
    """
    Look-ups, producers, messages sent one by one and all at once, pushed and acknowledged: both ends count each.
    """
    port = broker(lab)
    proxy = Streams(port)
    proxy.instead = (str(port).encode(), str(proxy.port).encode())
    shop = lab.run(sys.executable, PULSAR / "shop.py", proxy.port, COUNT)
    assert 0 == shop.wait(60), (lab.folder / "1.log").read_text()
    truth = passed(proxy)
    proxy.close()

    lab.until(lambda: requests_of(lab.served(port, Protocol.PULSAR)) >= sum(truth.values()), "the last answer's end")

    samples = lab.samples()
    assert 2 * COUNT == truth["SEND", "OK", 0] == truth["MESSAGE", "OK", 0]
    assert truth == named(lab.called(proxy.port, Protocol.PULSAR), samples)
    assert truth == named(lab.served(port, Protocol.PULSAR), samples)
    assert {} == lab.lost()


def lookup(number: int, topic: str) -> bytes:
    """
    Return a look-up.
    """
    return command(23, field(1, f"persistent://shop/eu/{topic}"), field(2, number))


@pytest.mark.parametrize("size", [1, 7, 64, 1500])
def test_pipelined_and_cut_anywhere(lab: Lab, size: int) -> None:
    """
    Commands behind each other on one connection, in pieces of any size, find their answers by their numbers.
    """
    port = broker(lab)
    client = lab.stream(port)
    topics = [("orders", "nowhere", "orders-2024")[number % 3] for number in range(COUNT)]
    wire = b"".join(lookup(number, topic) for number, topic in enumerate(topics)) + command(18)
    for at in range(0, len(wire), size):
        client.sendall(wire[at : at + size])
    got = b""
    while sum(1 for _ in frames(got)) < COUNT + 1:
        got += client.recv(65536)

    expected = {
        ("LOOKUP shop/eu/orders", "OK", 0): 18,
        ("LOOKUP shop/eu/nowhere", "CLIENT_ERROR", 11): 18,
        ("LOOKUP shop/eu/orders-{id}", "OK", 0): 17,
        ("PING", "OK", 0): 1,
    }
    assert expected == served(lab, port, Protocol.PULSAR, COUNT + 1)
    assert len(wire) == sum(one.request_bytes for one in lab.served(port, Protocol.PULSAR))
    assert {} == lab.lost()


def test_attached_in_the_middle_and_closed(lab: Lab) -> None:
    """
    A connection that was open before is recognised; what is in flight at its end has no response.
    """
    port = lab.serve("c, _ = listener.accept(); c.recv(4096); c.sendall(b'seen'); c.recv(4096); c.close()\n")
    server = lab.programs[0].pid
    lab.ignore(server)
    client = lab.stream(port)
    client.sendall(command(18))
    assert b"seen" == client.recv(4)
    lab.observe(server, 79)
    client.sendall(lookup(1, "orders") + lookup(2, "orders"))
    assert b"" == client.recv(1)

    assert {("LOOKUP shop/eu/orders", "NO_RESPONSE", 0): 2} == served(lab, port, Protocol.PULSAR, 2)


def test_what_the_broker_says_unasked(lab: Lab) -> None:
    """
    A ping, a closed consumer and a pushed message are endpoints of the broker's own, one-way.
    """
    pushed = [command(18), command(16, field(1, 1), field(2, 7)), command(9, field(1, 1), payload=b"x" * 1000)]
    answer = command(3, field(1, "mock")) + b"".join(pushed)
    port = lab.serve(f"c, _ = listener.accept(); c.recv(4096); c.sendall({answer!r}); c.recv(1); c.close()\n")
    client = lab.stream(port)
    client.sendall(command(2, field(1, "lab")))
    got = b""
    while len(got) < len(answer):
        got += client.recv(4096)

    expected = {(name, "OK", 0): 1 for name in ("CONNECT", "PING", "CLOSE_CONSUMER", "MESSAGE")}
    assert expected == served(lab, port, Protocol.PULSAR, len(expected))
