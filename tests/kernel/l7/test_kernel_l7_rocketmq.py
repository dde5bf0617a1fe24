"""
RocketMQ: a real name server, a real broker and their own client; what the kernel counts is what passed, frame by frame.

All three come from Maven (RocketMQ 5.1); without the jars, or without Java, the tests are skipped.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from shared.protocols.rocketmq import PROTOCOL
from tests.data.rocketmq.broker import compiled, flag, frames, opaque, servers
from tests.data.streams import jars
from tests.kernel.l7.tally import Tally, named, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.data.streams import Streams
    from tests.kernel.l7.lab import Lab

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        not (shutil.which("javac") and jars("rocketmq")), reason="optional: needs a JDK and RocketMQ's jars"
    ),
]

COUNT = 13


@pytest.fixture(scope="module")
def rocketmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Streams, Streams, list[str]]]:
    """
    Both servers for all tests, and the client.
    """
    folder = tmp_path_factory.mktemp("rocketmq")
    with servers(folder) as (names, broker):
        yield names, broker, compiled(folder)


def passed(proxy: Streams) -> Tally:
    """
    Return what passed: requests by name and how they ended, and what the server said unasked.
    """
    found = Tally()
    for up, down in list(proxy.streams):
        answers = {opaque(frame): frame for frame in frames(bytes(down)) if flag(frame) & 1}
        for frame in frames(bytes(up)):
            if flag(frame) & 1:
                continue
            answer = b"" if flag(frame) else answers.get(opaque(frame), b"")
            parsed = PROTOCOL.parse(frame[:256], answer)
            found[parsed.name, "OK" if flag(frame) else parsed.outcome.name, parsed.status] += 1
        for frame in frames(bytes(down)):
            if not flag(frame) & 1:
                found[PROTOCOL.parse(frame[:256], b"").name, "OK", 0] += 1
    return found


def test_a_shop_that_sends_and_reads(lab: Lab, rocketmq: tuple[Streams, Streams, list[str]]) -> None:
    """
    Sent with an answer, without one, and all at once; pulled, and pushed by the broker: each is counted by the client.
    """
    name_server, broker, client = rocketmq
    for proxy in (name_server, broker):
        proxy.streams.clear()
    program = lab.run(*client, f"127.0.0.1:{name_server.port}", COUNT)
    assert 0 == program.wait(90), (lab.folder / "0.log").read_text()

    samples = lab.samples()
    for proxy in (name_server, broker):
        truth = passed(proxy)
        assert settled(truth) == settled(named(lab.called(proxy.port, Protocol.ROCKETMQ), samples))
    assert truth["SEND_MESSAGE_V2 orders", "OK", 0] == 3 * COUNT
    assert {} == lab.lost()


def settled(found: Tally) -> Tally:
    """
    Return *found* with the pulls that were in flight at the end as if they had been answered.
    """
    merged = Tally()
    for (name, outcome, status), count in found.items():
        quiet = name.startswith("PULL") and outcome in ("OK", "NO_RESPONSE")
        merged[name, "OK" if quiet else outcome, 0 if quiet else status] += count
    return merged


def command(code: int, number: int, flag_: int = 0, fields: bytes = b"{}") -> bytes:
    """
    Return a message as every client writes it.
    """
    header = b'{"code":%d,"extFields":%b,"flag":%d,"language":"JAVA","opaque":%d,"version":433}'
    text = header % (code, fields, flag_, number)
    return (len(text) + 4).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text


def binary(code: int, number: int, flag_: int = 0) -> bytes:
    """
    Return a message in the protocol's own form.
    """
    text = code.to_bytes(2, "big") + b"\0\1\xb1" + number.to_bytes(4, "big") + flag_.to_bytes(4, "big") + bytes(8)
    return (len(text) + 4).to_bytes(4, "big") + b"\1" + len(text).to_bytes(3, "big") + text


LONG = b'{"topic":"orders","filler":"%b"}' % (b"x" * 400)
ECHO = """
import re
c, _ = listener.accept(); got = b''
while True:
    more = c.recv(65536)
    if not more: break
    got += more
    while len(got) >= 4 and len(got) >= 4 + int.from_bytes(got[:4], 'big'):
        size = 4 + int.from_bytes(got[:4], 'big'); frame, got = got[:size], got[size:]
        if frame[4]:
            c.sendall(frame[:8] + b'\\0\\1' + frame[10:17] + b'\\0\\0\\0\\1' + frame[21:])
            continue
        number = int(re.search(rb'"opaque":(\\d+)', frame)[1])
        if b'"flag":2' in frame: continue
        text = b'{"code":%d,"flag":1,"language":"JAVA","opaque":%d,"remark":"%b","version":433}'
        text %= (17 if number % 2 else 0, number, b'r' * 300)
        c.sendall((len(text) + 4).to_bytes(4, 'big') + len(text).to_bytes(4, 'big') + text)
"""


@pytest.mark.parametrize("size", [1, 7, 300, 2000])
def test_long_headers_cut_anywhere(lab: Lab, size: int) -> None:
    """
    Headers longer than what is kept of a head, in both directions and in pieces of any size, are one message each.
    """
    port = lab.serve(ECHO)
    client = lab.stream(port)
    wire = b"".join(command(11, n, fields=LONG) + command(15, n, 2) + binary(34, 1000 + n) for n in range(COUNT))
    answers = 0
    for at in range(0, len(wire), size):
        client.sendall(wire[at : at + size])
    got = b""
    while answers < 2 * COUNT:
        got += client.recv(65536)
        answers = sum(1 for _ in frames(got))

    expected = {
        ("PULL_MESSAGE orders", "OK", 0): 7,
        ("PULL_MESSAGE orders", "CLIENT_ERROR", 17): 6,
        ("UPDATE_CONSUMER_OFFSET", "OK", 0): COUNT,
        ("HEART_BEAT", "SERVER_ERROR", 1): COUNT,
    }
    assert expected == served(lab, port, Protocol.ROCKETMQ, 3 * COUNT)
    assert len(wire) == sum(one.request_bytes for one in lab.served(port, Protocol.ROCKETMQ))
    assert {} == lab.lost()


def test_attached_in_the_middle_and_closed(lab: Lab) -> None:
    """
    A connection that was open before is recognised; what is in flight at its end has no response.
    """
    port = lab.serve("c, _ = listener.accept(); c.recv(4096); c.sendall(b'seen'); c.recv(4096); c.close()\n")
    server = lab.programs[0].pid
    lab.ignore(server)
    client = lab.stream(port)
    client.sendall(command(34, 1))
    assert b"seen" == client.recv(4)
    lab.observe(server, 78)
    client.sendall(command(34, 2))
    assert b"" == client.recv(1)

    assert {("HEART_BEAT", "NO_RESPONSE", 0): 1} == served(lab, port, Protocol.ROCKETMQ, 1)
