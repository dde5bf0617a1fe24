"""
Samples of answers that tell more than their first bytes: whole when they say so, marked when they are cut, and bounded.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager.decode import CAUSES
from shared.messages.kernel import Protocol, Role
from shared.protocols.kafka import PROTOCOL
from tests.data.kafka.broker import broker
from tests.data.kafka.wire import answers, message
from tests.data.streams import jars
from tests.kernel.l7.lab import DEADLINE_S, free_port, requests_of

if TYPE_CHECKING:
    from shared.messages.kernel import Sample
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

LIMIT: Final = 4096
"""Bytes of an answer that a sample holds at most."""
PIECE: Final = 512
"""So many more bytes of a sample take as much of what is granted as a sample."""
TOPIC: Final = b"orders." + b"x" * 89
"""As long as names are told apart."""
SERVER: Final = """
import json
connection, _ = listener.accept()
for request, pieces in json.load(open({path!r})):
    while request: request -= len(connection.recv(request))
    for piece in pieces: connection.sendall(bytes.fromhex(piece))
connection.recv(1)
"""
CLIENT: Final = """
import json, socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
got = open(sys.argv[2] + ".got", "wb")
for request, length in json.load(open(sys.argv[2])):
    connection.sendall(bytes.fromhex(request))
    while length: length -= got.write(connection.recv(min(length, int(sys.argv[3]))))
"""
"""Keeps what it has read."""


def text(word: bytes) -> bytes:
    """
    Return a string as old versions have it.
    """
    return struct.pack("!h", len(word)) + word


def answer(number: int, body: bytes) -> bytes:
    """
    Return a response.
    """
    return struct.pack("!ii", len(body) + 4, number) + body


def metadata(number: int, partitions: int) -> bytes:
    """
    Return a Metadata response of version 1: every third partition lacks a replica, every seventh its leader too.
    """
    body = struct.pack("!ii", 1, 1) + text(b"kafka-1") + struct.pack("!ihii", 9092, -1, 1, 1)
    body += struct.pack("!h", 0) + text(b"orders") + b"\0" + struct.pack("!i", partitions)
    for at in range(partitions):
        isr = 0 if at % 7 == 6 else 2 if at % 3 == 2 else 3
        body += struct.pack("!hii", 5 if not isr else 0, at, 1 if isr else -1)
        body += struct.pack("!4i", 3, 1, 2, 3) + struct.pack(f"!i{isr}i", isr, *range(isr))
    return answer(number, body)


def cut(whole: bytes, size: int) -> list[bytes]:
    """
    Return *whole* in pieces.
    """
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def serve(lab: Lab, script: list[tuple[bytes, bytes]], size: int) -> int:
    """
    Start a server that answers as *script* says, in pieces; return its port.
    """
    path = lab.folder / "said.json"
    path.write_text(json.dumps([(len(one), [part.hex() for part in cut(other, size)]) for one, other in script]))
    return lab.serve(SERVER.format(path=str(path)))


def exchange(lab: Lab, script: list[tuple[bytes, bytes]], sent: int = 1 << 20, read: int = 1 << 20) -> int:
    """
    Let a client and a server say what *script* says, both in scope; return the port once all is counted.
    """
    port = serve(lab, script, sent)
    path = lab.folder / "asked.json"
    path.write_text(json.dumps([(one.hex(), len(other)) for one, other in script]))
    assert 0 == lab.run(sys.executable, "-c", CLIENT, port, path, read).wait(DEADLINE_S)
    for side in (lab.served, lab.called):
        lab.until(
            lambda side=side: requests_of(side(port, Protocol.KAFKA)) == len(script),  # type: ignore[misc]
            "all to be counted",
        )
    return port


def sampled(lab: Lab, port: int) -> list[Sample]:
    """
    Return the samples of Kafka, the server's first.
    """
    found = [one for one in lab.samples() if one.protocol is Protocol.KAFKA and one.port == port and one.response]
    return sorted(found, key=lambda one: one.role is Role.CLIENT)


def read(sample: Sample) -> dict[str, str | int]:
    """
    Return what is read of a sample once it is masked, beside what is known of every request.
    """
    found = PROTOCOL.parse(*PROTOCOL.mask(sample.request, sample.response)).attributes
    return {word.removeprefix("messaging.kafka."): fact for word, fact in found.items()}


def facts(sample: Sample) -> list[str | int | None]:
    """
    Return how many partitions there are, how many lack replicas, how many a leader, and whether there are more.
    """
    words = ("partitions", "partitions.under_replicated", "partitions.offline", "partitions.cut")
    return [read(sample).get(word) for word in words]


def children() -> set[int]:
    """
    Return the processes that this one has started.
    """
    return {int(word) for path in Path("/proc/self/task").glob("*/children") for word in path.read_text().split()}


def with_leaders(lab: Lab, port: int, asked: bytes) -> int:
    """
    Create a topic with ninety partitions; return how long the answer to *asked* is once each has a leader.
    """
    with lab.stream(port) as client:
        body = b"\0\0\0\1" + text(b"orders") + struct.pack("!ih", 90, 1) + bytes(8) + b"\0\0\x27\x10\0"
        client.sendall(message(19, 2, 1, body))
        answers(client, 1)
        told = [b""]

        def led() -> bool:
            client.sendall(asked)
            told[0] = answers(client, 1)[0]
            found = PROTOCOL.parse(asked, told[0]).attributes
            return (90, 0) == tuple(found.get(f"messaging.kafka.partitions{word}") for word in ("", ".offline"))

        lab.until(led, "leaders")
    return len(told[0])


@pytest.mark.parametrize("partitions", [1, 7, 53, 91])
def test_what_fits_is_whole(lab: Lab, partitions: int) -> None:
    """
    At both ends the sample of a Metadata response is what was on the wire, and every replica is counted.
    """
    told = metadata(1, partitions)
    assert len(told) <= LIMIT
    port = exchange(lab, [(message(3, 1, 1, b"\xff\xff\xff\xff"), told)])

    offline = partitions // 7
    under = offline + sum(at % 3 == 2 and at % 7 != 6 for at in range(partitions))
    assert [(told, [partitions, under, offline, None])] * 2 == [(s.response, facts(s)) for s in sampled(lab, port)]
    assert {} == lab.lost()


def test_what_is_longer_is_marked(lab: Lab) -> None:
    """
    Of a longer response there is the beginning, and it is said that there is more.
    """
    told = metadata(1, 199)
    port = exchange(lab, [(message(3, 1, 1, b"\xff\xff\xff\xff"), told)])

    for sample in (found := sampled(lab, port)):
        partitions, _, _, more = facts(sample)
        assert told[:LIMIT] == sample.response
        assert isinstance(partitions, int)
        assert 85 < partitions < 199
        assert 1 == more
    assert [Role.SERVER, Role.CLIENT] == [one.role for one in found]
    assert {} == lab.lost()


@pytest.mark.parametrize(("sent", "received"), [(1, 7), (7, 1), (257, 64), (997, 256), (1 << 20, 997)])
def test_pieces(lab: Lab, sent: int, received: int) -> None:
    """
    However the bytes are cut, what is there is a true beginning, and it is marked whenever it is not all.
    """
    told = metadata(1, 53)
    port = exchange(lab, [(message(3, 1, 1, b"\xff\xff\xff\xff"), told)], sent, received)

    found = sampled(lab, port)
    assert [Role.SERVER, Role.CLIENT] == [one.role for one in found]
    for sample in found:
        assert told.startswith(sample.response)
        assert len(sample.response) >= 8
        assert (None if sample.response == told else 1) == read(sample).get("partitions.cut")
    assert sent < len(told) or found[0].response == told


def test_several_answers_in_one_write(lab: Lab) -> None:
    """
    A sample ends where its answer does.
    """
    told = [metadata(number, 1 + 6 * number) for number in range(4)] + [answer(4, b"\1" * 1000)]
    asked = [message(3, 1, number, b"\xff\xff\xff\xff") for number in range(4)] + [message(15, 0, 4, bytes(4))]
    script = [(b"".join(asked), b"".join(told))]
    port = serve(lab, script, 1 << 20)
    client = lab.stream(port)
    client.sendall(script[0][0])
    assert told == answers(client, 5)
    lab.until(lambda: requests_of(lab.served(port, Protocol.KAFKA)) == 5, "all to be counted")

    found = sampled(lab, port)
    assert [told[0], told[4]] == [one.response for one in found]
    assert {} == lab.lost()


def test_the_lag_of_partitions_with_long_names(lab: Lab) -> None:
    """
    The partition that lags most is found, behind a topic's name as long as it may be.
    """
    marks = {0: 1007, 4: 5000, 7: 5501}
    asked = b"\xff\xff\xff\xff\0\0\0\0\0\0\0\1\0\1\0\0\0" + struct.pack("!i", 1) + text(TOPIC) + struct.pack("!i", 3)
    told = struct.pack("!ii", 0, 1) + text(TOPIC) + struct.pack("!i", 3)
    for partition, mark in marks.items():
        asked += struct.pack("!iqi", partition, 1000, 1 << 20)
        told += struct.pack("!ihqqii", partition, 0, mark, mark, 0, 0)
    port = exchange(lab, [(message(1, 4, 1, asked), answer(1, told))])

    found = [read(one) for one in sampled(lab, port)]
    assert [(4501, 7, 1000)] * 2 == [(one["lag"], one["lag.partition"], one["fetch.offset"]) for one in found]
    assert {} == lab.lost()


def test_long_samples_take_more_of_what_is_granted(lab: Lab) -> None:
    """
    What is granted bounds the bytes, not only the samples; those that are left out are counted.
    """
    failed = struct.pack("!ii", 0, 1) + text(b"nowhere") + struct.pack("!i", 400)
    failed += b"".join(struct.pack("!ihqq", at, 3, -1, -1) for at in range(400))
    asked = b"\xff\xff\xff\xff\0" + struct.pack("!i", 1) + text(b"nowhere") + struct.pack("!iiq", 1, 0, -1)
    script = [(message(2, 2, number, asked), answer(number, failed)) for number in range(13)]
    port = serve(lab, script, 1 << 20)
    lab.grant(10)
    client = lab.stream(port)
    for one, _ in script:
        client.sendall(one)
        answers(client, 1)
    lab.until(lambda: requests_of(lab.served(port, Protocol.KAFKA)) == 13, "all to be counted")

    found = sampled(lab, port)
    number = next(number for number, cause in CAUSES.items() if cause == "sample_rate")
    counts = lab.kernel.map("lost").read(struct.pack("<I", number)) or b""
    left_out = sum(count for (count,) in struct.iter_unpack("<Q", counts))
    assert [LIMIT] * 2 == [len(one.response) for one in found]
    assert 13 == len(found) + left_out
    assert (len(found) - 1) * (1 + (LIMIT - 256) // PIECE) <= 10


@pytest.mark.skipif(
    not (shutil.which("java") and jars("kafka")), reason="optional: needs Java and Kafka's jars from Maven"
)
def test_a_real_broker(lab: Lab) -> None:
    """
    Of a broker's topic with ninety partitions each one is counted, at both ends, as the client has read them.
    """
    folder, before = Path(tempfile.mkdtemp(prefix="meshlens-kafka-")), children()
    asked = message(3, 1, 3, struct.pack("!i", 1) + text(b"orders"))
    try:
        with broker(folder, free_port(), free_port()) as (port, _):
            (pid,) = children() - before
            length = with_leaders(lab, port, asked)
            lab.observe(pid, 77)
            path = lab.folder / "asked.json"
            path.write_text(json.dumps([(asked.hex(), length)]))
            assert 0 == lab.run(sys.executable, "-c", CLIENT, port, path, 1 << 20).wait(DEADLINE_S)
            for side in (lab.served, lab.called):
                lab.until(lambda side=side: requests_of(side(port, Protocol.KAFKA)) == 1, "it")  # type: ignore[misc]
            found = [(one.response, facts(one)) for one in sampled(lab, port)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    assert [((lab.folder / "asked.json.got").read_bytes(), [90, 0, 0, None])] * 2 == found
