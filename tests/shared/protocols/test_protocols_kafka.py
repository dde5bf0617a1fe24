"""
Kafka: topics, groups, errors by kind and version, lag, replicas, and ids of topics.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols._kafka_apis import APIS, layout
from shared.protocols._kafka_errors import error_outcome
from shared.protocols.kafka import PROTOCOL, Kafka

ROOT = Path(__file__).parents[3]
APART = sorted((ROOT / "tests" / "data" / "kafka" / "apart").glob("*.json"))
SECRET = re.compile(rb"s3cr3t|4111111111111111|alice@")
TOPIC_ID = bytes(range(16))


def text(word: bytes) -> bytes:
    """
    Return a string as old versions have it.
    """
    return struct.pack("!h", len(word)) + word


def compact(word: bytes) -> bytes:
    """
    Return a string as flexible versions have it.
    """
    return bytes([len(word) + 1]) + word


def asked(key: int, version: int, body: bytes, *, client: bytes = b"shop", flexible: bool = False) -> bytes:
    """
    Return a request.
    """
    rest = struct.pack("!hhi", key, version, 7) + text(client) + (b"\0" if flexible else b"") + body
    return struct.pack("!i", len(rest)) + rest


def answered(body: bytes, correlation: int = 7) -> bytes:
    """
    Return a response.
    """
    return struct.pack("!ii", len(body) + 4, correlation) + body


FETCH = asked(
    1, 4, struct.pack("!iiiibi", -1, 500, 1, 9, 0, 1) + text(b"orders") + struct.pack("!iiqi", 1, 3, 1000, 99)
)


def fetched(error: int, mark: int, partition: int = 3) -> bytes:
    """
    Return a response to `FETCH`.
    """
    rest = struct.pack("!iihqqi", 1, partition, error, mark, mark, 0) + struct.pack("!i", 0)
    return answered(struct.pack("!ii", 0, 1) + text(b"orders") + rest)


@pytest.mark.parametrize("path", APART, ids=[path.stem for path in APART])
def test_outcomes_that_only_both_sides_tell(path: Path) -> None:
    """
    Failures, and what has no response, are read from real captures, masked or not; masking leaves no secret.
    """
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    request, response = (content[part].encode("latin-1") for part in ("request", "response"))
    masked = PROTOCOL.mask(request, response)
    parsed = PROTOCOL.parse(*masked)

    assert {"status": 0, **content["expected"]} == {
        "name": parsed.name,
        "outcome": parsed.outcome.name,
        "status": parsed.status,
    }
    assert SECRET.search(b"".join(masked)) is None
    assert masked == PROTOCOL.mask(*masked)


def test_the_lag_is_what_lies_between_offset_and_high_watermark() -> None:
    """
    Of the first partition, and only when both sides tell of the same one.
    """
    parsed = PROTOCOL.parse(FETCH, fetched(0, 1042))

    assert ("Fetch orders", 42) == (parsed.name, parsed.attributes["messaging.kafka.lag"])
    assert "messaging.kafka.lag" not in PROTOCOL.parse(FETCH, fetched(0, 1042, partition=4)).attributes
    assert "messaging.kafka.lag" not in PROTOCOL.parse(FETCH, fetched(1, -1)).attributes
    assert 500 == parsed.attributes["messaging.kafka.fetch.max_wait_ms"]


def test_the_lag_is_that_of_the_partition_that_lags_most() -> None:
    """
    Of several partitions the one farthest behind is told, by its number; one that failed has no lag.
    """
    asked_for = b"".join(struct.pack("!iqi", number, 1000, 99) for number in (0, 4, 7, 9))
    request = asked(
        1, 4, struct.pack("!iiiibi", -1, 500, 1, 9, 0, 1) + text(b"orders") + struct.pack("!i", 4) + asked_for
    )
    marks = [(0, 0, 1042), (4, 0, 1500), (7, 0, 990), (9, 6, 9999)]
    told = b"".join(struct.pack("!ihqqii", number, error, mark, mark, 0, 0) for number, error, mark in marks)
    response = answered(struct.pack("!ii", 0, 1) + text(b"orders") + struct.pack("!i", 4) + told)

    for parsed in (PROTOCOL.parse(request, response), PROTOCOL.parse(*PROTOCOL.mask(request, response))):
        assert (500, 4) == tuple(parsed.attributes[f"messaging.kafka.lag{word}"] for word in ("", ".partition"))


@pytest.mark.parametrize(("time", "end"), [(-1, 4711), (-2, None)])
def test_the_end_of_a_partition_is_what_was_asked_as_the_latest(time: int, end: int | None) -> None:
    """
    ListOffsets tells where a partition ends, but not when its beginning was asked.
    """
    request = asked(2, 1, struct.pack("!ii", -1, 1) + text(b"orders") + struct.pack("!iiq", 1, 3, time))
    response = answered(struct.pack("!i", 1) + text(b"orders") + struct.pack("!iihqq", 1, 3, 0, -1, 4711))

    assert end == PROTOCOL.parse(request, response).attributes.get("messaging.kafka.end_offset")


def test_metadata_that_is_cut_says_so() -> None:
    """
    Partitions whose replicas are not all there are not counted, and that there are more is told.
    """
    partitions = partition(0, 1, 3, 3) + partition(0, -1, 3, 2) + partition(0, 1, 3, 1)
    topic = struct.pack("!h", 0) + text(b"orders") + b"\0" + struct.pack("!i", 3) + partitions
    broker = struct.pack("!ii", 1, 1) + text(b"kafka-1") + struct.pack("!ih", 9092, -1)
    request, response = asked(3, 1, struct.pack("!i", -1)), answered(broker + struct.pack("!ii", 1, 1) + topic)
    words = ("", ".under_replicated", ".offline", ".cut")

    for length, expected in {0: (3, 2, 1, None), 9: (2, 1, 1, 1), 70: (1, 0, 0, 1)}.items():
        found = PROTOCOL.parse(request, response[: len(response) - length]).attributes
        assert expected == tuple(found.get(f"messaging.kafka.partitions{word}") for word in words)


def partition(error: int, leader: int, replicas: int, isr: int) -> bytes:
    """
    Return a partition of a Metadata response of version 1.
    """
    nodes = [struct.pack(f"!i{count}i", count, *range(count)) for count in (replicas, isr)]
    return struct.pack("!hii", error, 0, leader) + b"".join(nodes)


def test_metadata_tells_of_replicas_and_leaders() -> None:
    """
    Partitions that lack replicas, and those without a leader, are counted.
    """
    partitions = partition(0, 1, 3, 3) + partition(0, 1, 3, 2) + partition(5, -1, 3, 0)
    topic = struct.pack("!h", 0) + text(b"orders") + b"\0" + struct.pack("!i", 3) + partitions
    broker = struct.pack("!ii", 1, 1) + text(b"kafka-1") + struct.pack("!ih", 9092, -1)
    parsed = PROTOCOL.parse(asked(3, 1, struct.pack("!i", -1)), answered(broker + struct.pack("!ii", 1, 1) + topic))

    found = [parsed.attributes[f"messaging.kafka.partitions{word}"] for word in ("", ".under_replicated", ".offline")]
    assert ([3, 2, 1], 5) == (found, parsed.status)


def test_ids_of_topics_are_learnt_from_metadata() -> None:
    """
    A Fetch that says an id only has a name as soon as somebody asked for the metadata.
    """
    kafka = Kafka()
    fetch = asked(
        1,
        13,
        struct.pack("!iiiibii", -1, 500, 1, 9, 0, 0, 0) + b"\2" + TOPIC_ID + b"\1\0\1\1\0",
        flexible=True,
    )
    before = kafka.parse(fetch, b"")
    topic = b"\2" + struct.pack("!h", 0) + compact(b"orders") + TOPIC_ID + b"\0\1" + bytes(5)
    kafka.parse(
        asked(3, 12, b"\0\1\0\0", flexible=True),
        answered(b"\0" + struct.pack("!i", 0) + b"\1" + compact(b"cluster") + struct.pack("!i", 1) + topic),
    )

    assert ("Fetch", True) == (before.name, before.stand_in)
    assert ("Fetch orders", False) == (kafka.parse(fetch, b"").name, kafka.parse(fetch, b"").stand_in)


def test_a_session_that_goes_on_tells_no_topic() -> None:
    """
    A Fetch without topics stands in for those of its session; one without a session fetches nothing.
    """
    names = [
        PROTOCOL.parse(asked(1, 7, struct.pack("!iiiibiiii", -1, 500, 1, 9, 0, 5, epoch, 0, 0)), b"")
        for epoch in (3, 0)
    ]

    assert [("Fetch", True), ("Fetch", False)] == [(one.name, one.stand_in) for one in names]


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        (b"orders.v1", "Produce orders.v{n}"),
        (b"reply-6f1e0c52-9a3b-4c1d-abcd-0123456789ab", "Produce reply-{id}"),
        (b"shop-2024", "Produce shop-{id}"),
        (b"x" * 97, "Produce"),
        (b"alice@example.org", "Produce {id}"),
    ],
)
def test_ids_in_topics_collapse(topic: bytes, name: str) -> None:
    """
    Topics made for one request or one day are one endpoint.
    """
    body = struct.pack("!hii", 1, 1500, 1) + text(topic) + struct.pack("!iii", 1, 0, 0)
    parsed = PROTOCOL.parse(asked(0, 2, body), b"")

    assert name.replace("{n}", "1") == parsed.name


def test_the_kernel_blames_the_same_side() -> None:
    """
    The bits in `bpf/l7/kafka.h` are the codes that are the broker's fault here.
    """
    header = (ROOT / "bpf" / "l7" / "kafka.h").read_text(encoding="utf-8")
    low, high = (int(word, 16) for word in re.findall(r"KAFKA_BROKERS_\w+ (0x\w+)ULL", header))
    codes = {code for code in range(128) if (low | high << 64) >> code & 1}

    assert codes == {code for code in range(128) if error_outcome(code) is Outcome.SERVER_ERROR}


def test_the_kernel_knows_the_same_flexible_versions() -> None:
    """
    Where the kernel side looks into a request, it and the layouts agree from which version on lengths are varints.
    """
    header = (ROOT / "bpf" / "l7" / "kafka.h").read_text(encoding="utf-8")
    keys = {name: int(key) for name, key in re.findall(r"KAFKA_(\w+) = (\d+)", header)}
    switch = header[header.index("kafka_flexible_from") :]
    switch = switch[: switch.index("return 255")]
    found = {}
    for cases, version in re.findall(r"((?:case KAFKA_\w+:\s*)+)return (\d+);", switch):
        for name in re.findall(r"KAFKA_(\w+)", cases):
            found[keys[name]] = int(version)

    assert len(found) >= 18
    assert found == {key: APIS[key].flexible for key in found}


@pytest.mark.parametrize(
    "head",
    [
        b"\0\x11ClickHouse client\x15\x0b\xb4\xa9\x03\0\4shop\7default\6s3cr3t",
        b"\0\0\0\x2d" + bytes(12) + b"\0\0\x75\x30" + bytes(8) + b"\0\0\0\x10" + bytes(17),
        b"\0\0\0\x11\0\0\0\4ping\1\0\0\0\1\0\0\0\0",
        b"\0\0\0\x22\0\3\0\0user\0postgres\0database\0shop\0\0",
        asked(0, 30, b""),
        asked(400, 0, b""),
        asked(3, 1, b"\xff\xff\xff\xff", client=b"sh\1p"),
        asked(1, 4, b"\0" * 3)[:-1] + b"\xff",
    ],
)
def test_what_is_no_request_is_not_recognised(head: bytes) -> None:
    """
    Neighbours with a length in front, unknown keys and versions, and bodies that do not fit are strangers.
    """
    assert PROTOCOL.confidence(head, b"") < 0.6


def test_sizes_out_of_reason_are_malformed() -> None:
    """
    A length that no broker takes ends the reading at once.
    """
    for head in (b"\x7f\xff\xff\xff", b"\0\0\0\1"):
        with pytest.raises(Malformed):
            PROTOCOL.frame(head, response=False)


def test_a_layout_reads_as_it_is_written() -> None:
    """
    Ranges of versions and arrays in arrays come out as they went in.
    """
    one, two = layout("a:i32@2-4 b@3+[c:name@-1 d:i8@0]")

    assert ("a", "i32", 2, 4) == (one.name, one.kind, one.first, one.last)
    assert ("array", 3, [("c", 0, 1), ("d", 0, 0)]) == (
        two.kind,
        two.first,
        [(f.name, f.first, f.last) for f in two.fields],
    )
