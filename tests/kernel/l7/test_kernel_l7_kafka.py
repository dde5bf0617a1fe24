"""
Kafka: a real broker and two clients; what the kernel counts is what passed, frame by frame.

The broker (Kafka 3.9 in KRaft mode) comes from Maven; without its jars, or without Java, the tests are skipped. The
truth is taken from a proxy that keeps both streams of each connection, and read by the parser that names endpoints.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from shared.messages.kernel import Protocol
from shared.protocols.kafka import PROTOCOL
from tests.data.kafka.broker import broker, exchanges
from tests.data.kafka.wire import GROUP, METADATA, NEIGHBOURS, answers, fetch, message, produce
from tests.data.streams import Streams, jars
from tests.kernel.l7.lab import requests_of
from tests.kernel.l7.tally import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.messages.kernel import L7Series
    from tests.kernel.l7.lab import Lab

CLIENTS_THERE = all(importlib.util.find_spec(name) for name in ("kafka", "confluent_kafka"))
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not CLIENTS_THERE, reason="optional: needs kafka-python and confluent-kafka from PyPI"),
    pytest.mark.skipif(
        not (shutil.which("java") and jars("kafka")), reason="optional: needs Java and Kafka's jars from Maven"
    ),
]

BROKER = 77
HELD_MS = 1000
"""How long the broker may hold back what finds nothing."""
COUNT = 101
CLIENTS = """
import confluent_kafka, kafka, sys
at = "127.0.0.1:" + sys.argv[1]
admin = kafka.KafkaAdminClient(bootstrap_servers=at)
try: admin.create_topics([kafka.admin.NewTopic("orders", 2, 1)])
except kafka.errors.TopicAlreadyExistsError: pass
admin.close()
for acks in ("all", 1, 0):
    producer = kafka.KafkaProducer(bootstrap_servers=at, acks=acks, linger_ms=0)
    for n in range(37): producer.send("orders", b"x" * 40 * n, partition=n % 2).get(10)
    producer.close()
other = confluent_kafka.Producer({"bootstrap.servers": at, "linger.ms": 0, "acks": "all"})
for n in range(41): other.produce("orders", b"y" * 1000, partition=n % 2); other.poll(0.01)
other.flush(10)
group = {"group_id": "billing", "auto_offset_reset": "earliest"}
consumer = kafka.KafkaConsumer("orders", bootstrap_servers=at, **group)
seen = 0
for _ in range(40):
    seen += sum(len(records) for records in consumer.poll(300).values())
    if seen >= 152: break
consumer.commit(); consumer.poll(1100); consumer.close()
consumer = confluent_kafka.Consumer({"bootstrap.servers": at, "group.id": "audit", "auto.offset.reset": "earliest"})
consumer.subscribe(["orders"])
seen = 0
while seen < 152: seen += consumer.poll(10) is not None
consumer.commit(asynchronous=False); consumer.close()
"""


class Running(NamedTuple):
    """
    A broker, the proxies in front of it, and its process.
    """

    plain: int
    secure: int
    proxy: Streams
    secure_proxy: Streams
    pid: int


@pytest.fixture(scope="module")
def kafka() -> Iterator[Running]:
    """
    One broker for all tests: it needs seconds to start.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-kafka-"))
    proxy, secure = Streams(), Streams()
    try:
        with broker(folder, proxy.port, secure.port) as (proxy.behind, secure.behind):
            yield Running(proxy.behind, secure.behind, proxy, secure, listener(proxy.behind))
    finally:
        proxy.close()
        secure.close()
        shutil.rmtree(folder, ignore_errors=True)


def sockets() -> list[list[str]]:
    """
    Return the lines of the kernel's tables of sockets.
    """
    tables = (Path(f"/proc/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6"))
    return [line.split() for table in tables for line in table.splitlines()[1:]]


def listener(port: int) -> int:
    """
    Return the process among our own children that listens on *port*.
    """
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    inode = next(words[9] for words in lines if words[1].endswith(f":{port:04X}") and words[3] == "0A")
    children = Path("/proc/self/task").glob("*/children")
    for pid in (int(word) for path in children for word in path.read_text().split()):
        if any(str(fd.readlink()) == f"socket:[{inode}]" for fd in Path(f"/proc/{pid}/fd").iterdir()):
            return pid
    raise AssertionError(f"nobody listens on {port}")


def unread(local: str, remote: str) -> str:
    """
    Return how many bytes wait in the socket between two ports.
    """
    return next(words[4][9:] for words in sockets() if words[1].endswith(local) and words[2].endswith(remote))


def create(lab: Lab, port: int, topic: bytes) -> None:
    """
    Create a topic with one partition.
    """
    body = b"\0\0\0\1" + len(topic).to_bytes(2, "big") + topic + b"\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\0\x27\x10\0"
    with lab.stream(port) as client:
        client.sendall(message(19, 2, 1, body))
        answers(client, 1)


def ready(lab: Lab, port: int, topic: bytes) -> None:
    """
    Create a topic, and wait until it has a leader and groups have a coordinator.
    """
    create(lab, port, topic)
    with lab.stream(port) as client:

        def done() -> bool:
            client.sendall(fetch(1, topic, 0) + message(10, 0, 2, b"\0\4shop") + message(12, 0, 3, GROUP))
            found, coordinator, group = answers(client, 3)
            place = 8 + 4 + 4 + 2 + len(topic) + 4 + 4
            return found[place : place + 2] + coordinator[8:10] + group[8:10] == b"\0\0\0\0\0\x19"

        lab.until(done, f"a leader of {topic!r}")


def lost(lab: Lab) -> dict[str, int]:
    """
    Return what was lost, but for answers to what the broker had asked itself before it was in scope.
    """
    return {cause: n for cause, n in lab.lost().items() if cause not in ("attached_midstream", "unpaired_response")}


def passed(proxy: Streams) -> Counter[tuple[str, str, int]]:
    """
    Return what passed the proxy, by name, outcome and status; what has no response by intent is fine.
    """
    found = Counter[tuple[str, str, int]]()
    for request, response in exchanges(proxy):
        parsed = PROTOCOL.parse(request, response)
        silent = parsed.attributes.get("messaging.kafka.acks") == 0
        found[parsed.name, "OK" if silent else parsed.outcome.name, parsed.status] += 1
    return found


def all_served(lab: Lab, port: int, count: int) -> list[L7Series]:
    """
    Return the broker's series as soon as *count* requests are in them: a client has an answer before that.
    """
    lab.until(lambda: requests_of(lab.served(port, Protocol.KAFKA)) >= count, f"{count} requests")
    return lab.served(port, Protocol.KAFKA)


def settled(found: Counter[tuple[str, str, int]]) -> Counter[tuple[str, str, int]]:
    """
    Return *found* as it is when nobody hangs up: each end closes at its own time, with other requests in flight.

    A Fetch that tells its topic by an id, or by its session, is one of the only topic there is.
    """
    merged = Counter[tuple[str, str, int]]()
    for (name, outcome, status), count in found.items():
        merged["Fetch orders" if name == "Fetch" else name, "OK" if outcome == "NO_RESPONSE" else outcome, status] += (
            count
        )
    return merged


def test_two_clients_and_a_group(lab: Lab, kafka: Running) -> None:
    """
    Of kafka-python and librdkafka, which produce with every kind of acknowledgement and consume in groups, all is seen.

    Both ends count every request with its name, outcome and error code.
    """
    kafka.proxy.streams.clear()
    lab.observe(kafka.pid, BROKER)
    client = lab.run(sys.executable, "-c", CLIENTS, kafka.proxy.port)
    assert 0 == client.wait(60), (lab.folder / "0.log").read_text()
    truth = settled(passed(kafka.proxy))
    lab.until(lambda: requests_of(lab.served(kafka.plain, Protocol.KAFKA)) == sum(truth.values()), "the broker's end")

    samples = lab.samples()
    assert truth["Produce orders", "OK", 0] >= COUNT
    assert truth == settled(named(lab.served(kafka.plain, Protocol.KAFKA), samples))
    assert truth == settled(named(lab.called(kafka.proxy.port, Protocol.KAFKA), samples))
    assert {} == lost(lab)


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_pipelined_and_cut_anywhere(lab: Lab, kafka: Running, size: int) -> None:
    """
    Requests that lie behind each other on a connection, in pieces of any size, find their responses.
    """
    ready(lab, kafka.plain, b"cut")
    lab.observe(kafka.pid, BROKER)
    client = lab.stream(kafka.plain)
    kinds = [lambda n: message(3, 1, n, METADATA), lambda n: produce(n, b"nowhere"), lambda n: fetch(n, b"cut", 0)]
    wire = b"".join(kinds[n % 3](n) for n in range(COUNT))
    for at in range(0, len(wire), size):
        client.sendall(wire[at : at + size])
    assert list(range(COUNT)) == [int.from_bytes(one[4:8], "big") for one in answers(client, COUNT)]

    expected = {("Metadata", "OK", 0): 34, ("Produce nowhere", "CLIENT_ERROR", 3): 34, ("Fetch cut", "OK", 0): 33}
    assert expected == named(all_served(lab, kafka.plain, COUNT), lab.samples())
    assert {} == lost(lab)


def test_one_way_requests(lab: Lab, kafka: Running) -> None:
    """
    What asks for no acknowledgement is counted when it is sent, with no duration, and never as unanswered.
    """
    ready(lab, kafka.plain, b"quick")
    lab.observe(kafka.pid, BROKER)
    with lab.stream(kafka.plain) as client:
        client.sendall(b"".join(produce(n, b"quick", acks=0) for n in range(COUNT)) + message(3, 1, COUNT, METADATA))
        answers(client, 1)

    found = all_served(lab, kafka.plain, COUNT + 1)
    assert {("Produce quick", "OK", 0): COUNT, ("Metadata", "OK", 0): 1} == named(found, lab.samples())
    assert [0] == [one.duration_sum_ns for one in found if one.requests == COUNT]
    assert {} == lost(lab)


def test_a_long_poll_is_not_slow(lab: Lab, kafka: Running) -> None:
    """
    A Fetch that finds nothing and waits as long as it may has no duration to speak of, and is no slow request.
    """
    ready(lab, kafka.plain, b"idle")
    lab.observe(kafka.pid, BROKER)
    client = lab.stream(kafka.plain)
    for n in range(3):
        client.sendall(fetch(n, b"idle", HELD_MS))
        answers(client, 1)

    (found,) = all_served(lab, kafka.plain, 3)
    assert 3 == found.requests
    assert 3 * HELD_MS * 1_000_000 / 2 > found.duration_sum_ns
    assert ["first"] == [sample.why for sample in lab.samples() if sample.port == kafka.plain]


def test_attached_in_the_middle(lab: Lab, kafka: Running) -> None:
    """
    A connection that was open before is recognised by its next request; a response to an earlier one is stated as lost.
    """
    ready(lab, kafka.plain, b"late")
    client = lab.stream(kafka.plain)
    client.sendall(message(3, 1, 1, METADATA))
    answers(client, 1)
    client.sendall(fetch(2, b"late", 1500))
    near = f":{kafka.plain:04X}", f":{client.getsockname()[1]:04X}"
    lab.until(lambda: "00000000" == unread(*near), "the broker to read the request")
    lab.observe(kafka.pid, BROKER, busy=True)
    answers(client, 1)
    for n in range(COUNT):
        client.sendall(message(3, 1, 10 + n, METADATA))
        answers(client, 1)

    assert {("Metadata", "OK", 0): COUNT} == named(all_served(lab, kafka.plain, COUNT), lab.samples())
    assert {} == lost(lab)
    assert lab.lost()["attached_midstream"] >= 1


def test_failures_have_their_code(lab: Lab, kafka: Running) -> None:
    """
    Whose fault it was and what the protocol calls it is read where the version of each request has it.
    """
    ready(lab, kafka.plain, b"there")
    lab.observe(kafka.pid, BROKER)
    create(lab, kafka.plain, b"there")
    client = lab.stream(kafka.plain)
    for one in (
        fetch(1, b"there", 0, offset=4711),
        message(12, 1, 2, GROUP),
        message(12, 0, 3, GROUP),
        message(8, 2, 4, GROUP + b"\xff" * 8 + b"\0\0\0\1\0\5there\0\0\0\1\0\0\0\0" + bytes(8) + b"\xff\xff"),
        message(2, 1, 5, b"\xff\xff\xff\xff\0\0\0\1\0\7nowhere\0\0\0\1\0\0\0\0" + b"\xff" * 8),
        message(17, 1, 6, b"\0\5PLAIN"),
    ):
        client.sendall(one)
        answers(client, 1)

    expected = {
        ("CreateTopics", "CLIENT_ERROR", 36): 1,
        ("Fetch there", "CLIENT_ERROR", 1): 1,
        ("Heartbeat shop", "CLIENT_ERROR", 25): 2,
        ("OffsetCommit shop", "CLIENT_ERROR", 22): 1,
        ("ListOffsets nowhere", "CLIENT_ERROR", 3): 1,
        ("SaslHandshake", "CLIENT_ERROR", 34): 1,
    }
    assert expected == named(all_served(lab, kafka.plain, 7), lab.samples())
    assert {} == lost(lab)


def test_closed_with_requests_in_flight(lab: Lab, kafka: Running) -> None:
    """
    Requests whose connection ends before the answers have none.
    """
    ready(lab, kafka.plain, b"gone")
    wire = fetch(1, b"gone", 3000) + message(3, 1, 2, METADATA)
    script = (
        f"import socket; c = socket.create_connection(('127.0.0.1', {kafka.plain})); c.sendall({wire!r}); c.close()"
    )
    assert 0 == lab.run(sys.executable, "-c", script).wait(20)
    lab.until(lambda: bool(lab.called(kafka.plain, Protocol.KAFKA)), "the end of the connection")

    expected = {("Fetch gone", "NO_RESPONSE", 0): 1, ("Metadata", "NO_RESPONSE", 0): 1}
    assert expected == named(lab.called(kafka.plain, Protocol.KAFKA), lab.samples())
    assert {} == lost(lab)


def test_behind_sasl(lab: Lab, kafka: Running) -> None:
    """
    The handshake and the log-in are requests like all that follow, and a wrong password is the caller's failure.
    """
    kafka.secure_proxy.streams.clear()
    lab.observe(kafka.pid, BROKER)
    script = (
        "import confluent_kafka, sys\n"
        "from confluent_kafka.admin import AdminClient\n"
        "for password in ('s3cr3t-password', 's3cr3t-wrong'):\n"
        "    settings = {'bootstrap.servers': '127.0.0.1:' + sys.argv[1], 'security.protocol': 'SASL_PLAINTEXT',\n"
        "                'sasl.mechanism': 'PLAIN', 'sasl.username': 'shop', 'sasl.password': password}\n"
        "    try: AdminClient(settings).list_topics(timeout=2)\n"
        "    except confluent_kafka.KafkaException: pass\n"
    )
    assert 0 == lab.run(sys.executable, "-c", script, kafka.secure_proxy.port).wait(30)
    lab.until(
        lambda: requests_of(lab.served(kafka.secure, Protocol.KAFKA)) >= sum(passed(kafka.secure_proxy).values()), ""
    )

    truth = settled(passed(kafka.secure_proxy))
    assert truth["SaslAuthenticate", "CLIENT_ERROR", 58] > 0 < truth["SaslAuthenticate", "OK", 0]
    samples = lab.samples()
    assert truth == settled(named(lab.served(kafka.secure, Protocol.KAFKA), samples))
    assert truth == settled(named(lab.called(kafka.secure_proxy.port, Protocol.KAFKA), samples))


def test_neighbours_are_not_taken_for_it(lab: Lab) -> None:
    """
    What other protocols with a length in front say first is not Kafka.
    """
    port = lab.serve(
        f"for _ in range({len(NEIGHBOURS)}):\n"
        "    c, _ = listener.accept(); c.recv(4096); c.sendall(b'12345678'); c.close()\n"
    )
    for head in NEIGHBOURS.values():
        with lab.stream(port) as client:
            client.sendall(head)
            client.recv(100)
            assert b"" == client.recv(100)

    assert [] == lab.served(port, Protocol.KAFKA)
    assert all(PROTOCOL.confidence(head, b"") < 0.6 for head in NEIGHBOURS.values())
