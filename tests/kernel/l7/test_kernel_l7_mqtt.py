"""
MQTT: a real mosquitto; publications of every quality, subscriptions and deliveries are counted once.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols import protocols
from tests.data.mqtt.record import packet, text
from tests.kernel.l7.lab import accepts, free_port, requests_of

if TYPE_CHECKING:
    import socket

    from tests.kernel.l7.lab import Lab

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not there (Debian package mosquitto)"),
]


def broker(lab: Lab, *lines: str, observed: bool = True) -> int:
    """
    Start mosquitto in scope and return its port.
    """
    port = free_port()
    settings = (f"listener {port} 127.0.0.1", "max_queued_messages 0", *lines)
    (lab.folder / "conf").write_text("\n".join(settings) + "\n")
    lab.run(MOSQUITTO, "-c", lab.folder / "conf", observed=observed)
    lab.until(lambda: accepts(port), "mosquitto")
    return port


def client(lab: Lab, port: int, version: int) -> socket.socket:
    """
    Return a connection that the broker has taken.
    """
    connection = lab.stream(port)
    properties = b"\0" if version == 5 else b""
    connection.sendall(
        packet(0x10, text("MQTT") + bytes([version, 2]) + b"\0\x3c" + properties + text(f"c{id(connection)}"))
    )
    hear(connection, 1)
    return connection


def hear(connection: socket.socket, count: int) -> list[bytes]:
    """
    Read so many packets.
    """
    got: list[bytes] = []
    buffer = b""
    parser = protocols()[Protocol.MQTT]
    while len(got) < count:
        more = connection.recv(65536)
        assert more, got
        buffer += more
        while length := parser.frame(buffer, response=True):
            got.append(buffer[:length])
            buffer = buffer[length:]
    return got


def counted(lab: Lab, port: int, total: int) -> dict[tuple[str, Outcome, int], int]:
    """
    Return what the broker counted, by name, outcome and status, once it is *total* requests, or after a while.
    """
    with contextlib.suppress(AssertionError):
        lab.until(lambda: requests_of(lab.served(port, Protocol.MQTT)) >= total, "the last packet")
    parser = protocols()[Protocol.MQTT]
    known: dict[int, str] = {}
    for sample in lab.samples():
        if sample.protocol is Protocol.MQTT and sample.request:
            known.setdefault(sample.endpoint, parser.parse(sample.request, sample.response).name)
    found: dict[tuple[str, Outcome, int], int] = {}
    for one in lab.served(port, Protocol.MQTT):
        key = (known.get(one.endpoint, hex(one.endpoint)), one.outcome, one.status)
        found[key] = found.get(key, 0) + one.requests
    return found


def wire(version: int, count: int) -> bytes:
    """
    Return a subscription, *count* publications of each quality, and a ping.
    """
    none = b"\0" if version == 5 else b""
    said = packet(0x82, b"\xff\xff" + none + text("rooms/+/light") + b"\0")
    for number in range(count):
        topic = text(f"rooms/{number + 10}/light")
        said += packet(0x30, topic + none + b"on" * (number % 7))
        said += packet(0x32, topic + (2 * number + 1).to_bytes(2, "big") + none + b"off")
        said += packet(0x34, topic + (2 * number + 2).to_bytes(2, "big") + none + b"dim")
        said += packet(0x62, (2 * number + 2).to_bytes(2, "big"))
    return said + packet(0xC0, b"")


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("size", [1, 7, 997])
def test_every_quality_cut_anywhere(lab: Lab, version: int, size: int) -> None:
    """
    Packets that arrive in pieces of every size are counted once each, with their answers, and deliveries as their own.
    """
    port = broker(lab, "allow_anonymous true")
    connection = client(lab, port, version)
    said, count = wire(version, 11), 11
    for at in range(0, len(said), size):
        connection.sendall(said[at : at + size])
    hear(connection, 1 + 3 * count + 3 * count + 1)

    ok = Outcome.OK
    assert {
        ("CONNECT", ok, 0): 1,
        ("SUBSCRIBE rooms/+/light", ok, 0): 1,
        ("PUBLISH rooms/{id}/light", ok, 0): 3 * count,
        ("DELIVER rooms/{id}/light", ok, 0): 3 * count,
        ("PINGREQ", ok, 0): 1,
    } == counted(lab, port, 6 * count + 3)
    assert {} == lab.lost()


def test_a_thousand_publications_in_one_write(lab: Lab) -> None:
    """
    A batch of like publications, more than a program has turns, is counted to the unit.
    """
    port = broker(lab, "allow_anonymous true")
    connection = client(lab, port, 4)
    connection.sendall(packet(0x30, text("a/b") + b"hello") * 1009 + packet(0xC0, b""))
    hear(connection, 1)

    found = counted(lab, port, 1011)
    assert 1009 == found["PUBLISH a/b", Outcome.OK, 0]
    assert {} == lab.lost()


def test_refusals_have_their_codes(lab: Lab) -> None:
    """
    Wrong credentials and forbidden topics are the client's failures, with the protocol's own codes.
    """
    (lab.folder / "acl").write_text("topic read open/#\ntopic write open/#\n")
    port = broker(lab, "allow_anonymous true", f"acl_file {lab.folder}/acl")
    connection = client(lab, port, 5)
    connection.sendall(packet(0x32, text("closed/a") + b"\0\1\0x"))
    hear(connection, 1)
    other = lab.stream(port)
    other.sendall(packet(0x10, text("MQTT") + b"\4\0\0\x3c" + text("")))
    with contextlib.suppress(OSError):
        hear(other, 1)

    found = counted(lab, port, 3)
    assert 1 == found["PUBLISH closed/a", Outcome.CLIENT_ERROR, 0x87]
    assert 1 == found["CONNECT", Outcome.CLIENT_ERROR, 2]
    assert {} == lab.lost()


def test_attached_in_the_middle(lab: Lab) -> None:
    """
    A connection that was open before is recognised at its next publication.
    """
    port = free_port()
    (lab.folder / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    program = lab.run(MOSQUITTO, "-c", lab.folder / "conf", observed=False)
    lab.until(lambda: accepts(port), "mosquitto")
    connection = client(lab, port, 4)
    lab.observe(program.pid, 77)
    for number in range(13):
        connection.sendall(packet(0x32, text("rooms/light") + (number + 1).to_bytes(2, "big") + b"on"))
    hear(connection, 13)

    assert {("PUBLISH rooms/light", Outcome.OK, 0): 13} == counted(lab, port, 13)
    assert {} == lab.lost()
