"""
Kafka's protocol, every kind of request up to those of version 4.1.

https://kafka.apache.org/protocol

What a response says where depends on the kind and the version of its request, so a response without its request tells
only that it came. From version 13 on, Fetch and Produce have ids instead of the topics' names: those are learnt from
the Metadata responses that pass through here, from whichever connection, since the ids are unique everywhere.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol, blank
from shared.protocols._collapse import cover
from shared.protocols._dotted import collapsed_name, masked_name, shown_name
from shared.protocols._kafka_errors import NORMAL, error_name, error_outcome
from shared.protocols._kafka_walk import SIZE_LIMIT, Header, Part, request_header, request_parts, response_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

RESPONSE_LIMIT: Final = 1 << 30
RESPONSE_HEADER: Final = 8
TOPICS_LIMIT: Final = 10_000
"""So many ids of topics are remembered."""
NAME_LIMIT: Final = 96
"""The kernel side does not tell topics with longer names apart."""

NAMED_AFTER: Final = {
    "Produce": "topic", "Fetch": "topic", "ListOffsets": "topic", "OffsetCommit": "group", "OffsetFetch": "group",
    "JoinGroup": "group", "Heartbeat": "group", "LeaveGroup": "group", "SyncGroup": "group",
    "ConsumerGroupHeartbeat": "group",
}  # fmt: skip
OPERATION_TYPES: Final = {"Produce": "send", "Fetch": "receive", "OffsetCommit": "settle"}
NUMBERS: Final = {
    "partition": "messaging.destination.partition.id",
    "acks": "messaging.kafka.acks",
    "max_wait_ms": "messaging.kafka.fetch.max_wait_ms",
    "generation": "messaging.kafka.group.generation",
}
ANSWERED: Final = {
    "throttle_ms": "messaging.kafka.throttle_time_ms",
    "high_watermark": "messaging.kafka.high_watermark",
    "base_offset": "messaging.kafka.offset",
}
LATEST: Final = -1
"""The time for which ListOffsets answers with the end of a partition."""
BATCH: Final = 61
"""Bytes of the head of a batch of records of version 2, with its number at 16 and the count of records at its end."""


class _Found(msgspec.Struct):
    """
    The first value of each field, and all that is counted.
    """

    first: dict[str, int | bytes]
    parts: list[Part]


class Kafka(WireProtocol):
    """
    A size, a key, a version, a correlation id and the client's name stand before every request.
    """

    name = "kafka"
    number = Protocol.KAFKA
    family = "messaging"
    specification = "https://kafka.apache.org/protocol"

    def __init__(self) -> None:
        self._topics: Final[OrderedDict[bytes, bytes]] = OrderedDict()

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: a header with a client's name, a body laid out like its kind, the same correlation id.
        """
        try:
            header = request_header(request)
            found = _found(list(request_parts(request, header)))
        except Malformed:
            return 0.0
        sure = 0.85 if header.client else 0.5
        if header.api.whole and found.parts and found.parts[-1].end == header.size + 4:
            sure += 0.1  # the body ends where the message does
        if not response:
            return sure
        return min(sure + 0.12, 0.99) if _answers(response, header) else 0.1

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both with numbers and plain names; records, tokens, texts and member data are covered.
        """
        if not request:
            return b"", _masked(response, 4 if _bare_response(response) else 0, [])
        try:
            header = request_header(request)
            asked = list(request_parts(request, header))
            answered = list(response_parts(response, header)) if _answers(response, header) else []
        except Malformed:
            return blank(request), blank(response)
        start = min(14, len(request))
        client = header.client or b""
        parts = [Part("client", "name", start, min(start + len(client), len(request)), client), *header.tags, *asked]
        return _masked(request, start, parts), _masked(
            response, RESPONSE_HEADER if _answers(response, header) else 0, answered
        )

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return what the request asks of which topic or group, and the first error of its response.
        """
        outcome = Outcome.OK if response else Outcome.NO_RESPONSE
        if not request:
            return Parsed(name="", operation="", outcome=outcome)
        header = request_header(request)
        asked = _found(list(request_parts(request, header)))
        attributes = _request_attributes(header, asked)
        name, stand_in = self._name(header, asked, attributes)
        code = 0
        if _answers(response, header):
            answered = _found(list(response_parts(response, header)))
            code = _read_response(header, asked, answered, attributes)
            if header.api.name == "Metadata":
                self._learn(answered)
                _replicas(response, answered.parts, attributes)
            outcome = error_outcome(code)
        return Parsed(
            name=name,
            operation=header.api.name,
            outcome=outcome,
            status=code & 0xFFFF,
            attributes=attributes,
            stand_in=stand_in,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first message.
        """
        if len(buffer) < 4:
            return None
        size = int.from_bytes(buffer[:4], "big")
        if not (4 if response else 10) <= size <= (RESPONSE_LIMIT if response else SIZE_LIMIT):
            raise Malformed(f"kafka: a message of {size} bytes")
        if not response and len(buffer) >= 14:
            request_header(buffer)
        return size + 4 if len(buffer) >= size + 4 else None

    def _name(self, header: Header, asked: _Found, attributes: dict[str, str | int]) -> tuple[str, bool]:
        api = header.api.name
        after = NAMED_AFTER.get(api)
        raw = asked.first.get(after) if after else None
        if after == "topic" and "topic_id" in asked.first:
            raw = self._topics.get(bytes(asked.first["topic_id"]))
            if raw is None:
                return api, True
        if isinstance(raw, bytes) and raw:
            if after == "topic":
                attributes["messaging.destination.name"] = shown_name(raw)
            if len(raw) <= NAME_LIMIT:
                return f"{api} {collapsed_name(raw)}", False
        # A Fetch without topics goes on with those that its session began with.
        return api, api == "Fetch" and raw is None and asked.first.get("session_epoch", 0) not in (0, -1)

    def _learn(self, answered: _Found) -> None:
        topic = b""
        for part in answered.parts:
            if part.name == "topic" and isinstance(part.value, bytes):
                topic = part.value
            elif part.name == "topic_id" and isinstance(part.value, bytes) and topic and any(part.value):
                self._topics[part.value] = topic
                self._topics.move_to_end(part.value)
                if len(self._topics) > TOPICS_LIMIT:
                    self._topics.popitem(last=False)


PROTOCOL: WireProtocol = Kafka()


def _found(parts: list[Part]) -> _Found:
    first: dict[str, int | bytes] = {}
    for part in parts:
        if part.value is not None and part.kind != "count":
            first.setdefault(part.name, part.value)
    return _Found(first, parts)


def _answers(response: bytes, header: Header) -> bool:
    """
    Return whether *response* is one to the request with *header*.
    """
    return (
        _bare_response(response)
        and len(response) >= RESPONSE_HEADER
        and int.from_bytes(response[4:8], "big", signed=True) == header.correlation
    )


def _bare_response(response: bytes) -> bool:
    return len(response) >= 4 and 4 <= int.from_bytes(response[:4], "big") <= RESPONSE_LIMIT


def _masked(head: bytes, start: int, parts: list[Part]) -> bytes:
    """
    Return the first *start* bytes of *head*, and what of its *parts* may leave the node; all the rest is NUL.
    """
    out = bytearray(len(head))
    out[:start] = head[:start]
    for part in parts:
        if part.kind == "name" and isinstance(part.value, bytes) and part.end - part.start == len(part.value):
            out[part.start : part.end] = masked_name(part.value) if part.whole else b"*" * len(part.value)
        elif part.kind in ("name", "text"):
            cover(out, part.start, part.end)
        elif part.kind == "batch":
            _keep_batch(out, head, part)
        elif part.kind == "varint":  # what is cut off stays cut off
            out[part.start : part.end] = b"\x80" * (part.end - part.start)
        elif part.kind != "bytes":
            out[part.start : part.end] = head[part.start : part.end]
    return bytes(out)


def _keep_batch(out: bytearray, head: bytes, part: Part) -> None:
    at = part.start
    if part.end - at >= BATCH and head[at + 16] == 2:
        out[at + 16] = 2
        out[at + 57 : at + BATCH] = head[at + 57 : at + BATCH]


def _request_attributes(header: Header, asked: _Found) -> dict[str, str | int]:
    api = header.api.name
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.name": api,
        "messaging.kafka.api.version": header.version,
    }
    if api in OPERATION_TYPES:
        attributes["messaging.operation.type"] = OPERATION_TYPES[api]
    if header.client:
        attributes["messaging.client.id"] = shown_name(header.client)
    group = asked.first.get("group")
    if isinstance(group, bytes) and group:
        attributes["messaging.consumer.group.name"] = shown_name(group)
    for field, word in NUMBERS.items():
        value = asked.first.get(field)
        if isinstance(value, int):
            attributes[word] = value
    topic_id = asked.first.get("topic_id")
    if isinstance(topic_id, bytes) and any(topic_id):
        attributes["messaging.kafka.topic.id"] = str(uuid.UUID(bytes=topic_id))
    return attributes


def _read_response(header: Header, asked: _Found, answered: _Found, attributes: dict[str, str | int]) -> int:
    """
    Return the first error that is more than a step of the protocol, and add to *attributes*.
    """
    api = header.api.name
    errors = [part.value for part in answered.parts if part.name == "error" and isinstance(part.value, int)]
    code = next((error for error in errors if error not in NORMAL), next((error for error in errors if error), 0))
    for field, word in ANSWERED.items():
        value = answered.first.get(field)
        if isinstance(value, int):
            attributes[word] = value
    if api == "Fetch":
        _lag(asked, answered, attributes)
    if api == "ListOffsets":
        _end(asked, answered, attributes)
    if code not in NORMAL:
        attributes["error.type"] = error_name(code)
    if code:
        attributes["messaging.kafka.error_code"] = code
    return code


def _lag(asked: _Found, answered: _Found, attributes: dict[str, str | int]) -> None:
    """
    Add how far behind the end was read: of the partition that lags most, of those that both sides tell of.
    """
    offsets = {place: fields["offset"] for place, fields in _partitions(asked.parts) if "offset" in fields}
    if not offsets:
        return
    attributes["messaging.kafka.fetch.offset"] = next(iter(offsets.values()))
    lags = {
        place: max(fields["high_watermark"] - offsets[place], 0)
        for place, fields in _partitions(answered.parts)
        if place in offsets and fields.get("high_watermark", -1) >= 0 and not fields.get("error")
    }
    if lags:
        most = max(lags, key=lags.__getitem__)
        attributes["messaging.kafka.lag"] = lags[most]
        attributes["messaging.kafka.lag.partition"] = most[1]


def _end(asked: _Found, answered: _Found, attributes: dict[str, str | int]) -> None:
    """
    Add where the first partition ends, when that is what was asked.
    """
    asks = {place for place, fields in _partitions(asked.parts) if fields.get("time") == LATEST}
    for place, fields in _partitions(answered.parts):
        if place in asks and fields.get("offset", -1) >= 0 and not fields.get("error"):
            attributes["messaging.kafka.end_offset"] = fields["offset"]
            return


def _partitions(parts: list[Part]) -> Iterator[tuple[tuple[bytes, int], dict[str, int]]]:
    """
    Yield each partition, by its topic's name or id and its number, with its own numbers as far as the head goes.
    """
    topic, number, fields = b"", -1, dict[str, int]()
    for part in parts:
        if part.name in ("topic", "topic_id", "partition") and part.kind != "count":
            if fields:
                yield (topic, number), fields
            fields = {}
        if part.name in ("topic", "topic_id") and isinstance(part.value, bytes):
            topic, number = part.value, -1
        elif part.name == "partition" and isinstance(part.value, int):
            number = part.value
        elif number >= 0 and part.kind in ("i16", "i64") and isinstance(part.value, int):
            fields.setdefault(part.name, part.value)
    if fields:
        yield (topic, number), fields


def _replicas(response: bytes, parts: list[Part], attributes: dict[str, str | int]) -> None:
    """
    Add how many partitions there are in the head, how many of them lack replicas or a leader, and whether it is cut.
    """
    partitions = under = offline = replicas = leader = 0
    for part in parts:
        if not isinstance(part.value, int):
            continue
        if part.name == "leader":
            leader = part.value
        elif part.kind == "count" and part.name == "replicas":
            replicas = part.value
        elif part.kind == "count" and part.name == "isr":
            partitions += 1
            under += part.value < replicas
            offline += leader == -1
    if partitions:
        attributes["messaging.kafka.partitions"] = partitions
        attributes["messaging.kafka.partitions.under_replicated"] = under
        attributes["messaging.kafka.partitions.offline"] = offline
    if len(response) < 4 + int.from_bytes(response[:4], "big"):
        attributes["messaging.kafka.partitions.cut"] = 1
