"""
MQTT 3.1.1 and 5.

https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html

One byte of type and flags, the length of the rest in one to four bytes, then the rest. Publications of quality 1 and 2,
and what a client asks, are answered by a packet with the same packet id. A publication that the broker delivers looks
like one that a client sends: the kernel side marks its head with type 0, which MQTT forbids, so it is called DELIVER.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol
from shared.protocols._collapse import ID, cover, is_id, may_stay

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME_LIMIT: Final = 160
DELIVER: Final = 0
CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
SUBSCRIBE: Final = 8
SUBACK: Final = 9
UNSUBSCRIBE: Final = 10
UNSUBACK: Final = 11
DISCONNECT: Final = 14
NAMES: Final = (
    "DELIVER", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
    "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)  # fmt: skip
FLAGS: Final = {PUBLISH: None, DELIVER: None, 6: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}
"""Lower half of the first byte; None where it varies, 0 for all others."""
ANSWERS: Final = {
    CONNECT: (CONNACK, 15),
    PUBLISH: (4, 5, 7),
    SUBSCRIBE: (SUBACK,),
    UNSUBSCRIBE: (UNSUBACK,),
    12: (13,),
    6: (7,),
    15: (15, CONNACK),
}
EMPTY: Final = frozenset((12, 13))
PROTOCOL_NAMES: Final = (b"\0\4MQTT\4", b"\0\4MQTT\5", b"\0\6MQIsdp\3")
BROKERS_FAULTS: Final = frozenset((0x80, 0x83, 0x88, 0x89, 0x8B, 0x97, 0x9C, 0x9D))
"""Reason codes that are not the client's: unavailable, busy, shutting down, out of quota, moved."""
UNAVAILABLE: Final = 3
"""The return code of version 3.1.1 that says the same."""
OPERATIONS: Final = {PUBLISH: "publish", DELIVER: "deliver", SUBSCRIBE: "subscribe", UNSUBSCRIBE: "unsubscribe"}
_TOPIC: Final = re.compile(rb"[ -~\x80-\xff]+\Z")


class Packet(msgspec.Struct, frozen=True):
    """
    One packet of a head, perhaps cut off.
    """

    kind: int
    flags: int
    start: int
    body: int
    """Where what follows the fixed header begins."""
    end: int
    """Where the packet ends on the wire, perhaps beyond the head."""


class Mqtt(WireProtocol):
    """
    Publications, subscriptions and deliveries of both versions.
    """

    name = "mqtt"
    number = Protocol.MQTT
    specification = "https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: CONNECT names the protocol; of other packets both sides and their ids must fit.
        """
        asked, answered = _first(request), _first(response)
        if asked is None or (response and answered is None):
            return 0.0
        if asked.kind == CONNECT:
            named = any(request.startswith(name, asked.body) for name in PROTOCOL_NAMES)
            return 0.0 if not named else 0.95 if not answered or answered.kind in ANSWERS[CONNECT] else 0.2
        if answered is None:
            return 0.65 if _all_fit(request) else 0.4
        if answered.kind not in ANSWERS.get(asked.kind, ()):
            return 0.1
        if asked.kind == 12:
            return 0.8 if len(request) == len(response) == 2 else 0.5
        at = _id_place(request, asked)
        same = at > 0 and request[at : at + 2] == response[answered.body : answered.body + 2] != b""
        return 0.9 if same else 0.2

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return packets with their topics' patterns; payloads, properties and credentials are gone.
        """
        return _mask(request), _mask(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first packet of the head, and the code that it was answered with.
        """
        attributes: dict[str, str | int] = {"messaging.system": "mqtt"}
        asked, answered = _first(request), _first(response)
        if request and asked is None:
            raise Malformed("mqtt: no packet")
        name = _asked(request, asked, attributes) if asked else ""
        code = _code(response, answered) if answered else 0
        if asked is not None and not response and asked.kind == DISCONNECT:
            code = _code(request, asked)
        outcome = _outcome(code, answered) if response or code else Outcome.NO_RESPONSE
        if asked is not None and not response and not code and asked.kind in (DELIVER, DISCONNECT):
            outcome = Outcome.OK
        if code:
            attributes["mqtt.reason_code"] = code
        if outcome not in (Outcome.OK, Outcome.NO_RESPONSE):
            attributes["error.type"] = str(code)
        operation = NAMES[asked.kind] if asked else ""
        cut = asked is not None and asked.kind in OPERATIONS and " " not in name
        return Parsed(name=name, operation=operation, outcome=outcome, status=code, attributes=attributes, stand_in=cut)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first packet.
        """
        del response  # both sides frame alike
        if not buffer:
            return None
        packet = _packet(buffer, 0)
        if packet is None:
            if len(buffer) < 5 and _flags_fit(buffer[0]) and all(byte & 0x80 for byte in buffer[1:]):
                return None
            raise Malformed("mqtt: no packet")
        return packet.end if packet.end <= len(buffer) else None


PROTOCOL: WireProtocol = Mqtt()


def _flags_fit(first: int) -> bool:
    kind, flags = first >> 4, first & 15
    allowed = FLAGS.get(kind, 0)
    return flags & 6 != 6 if allowed is None else flags == allowed


def _packet(head: bytes, at: int) -> Packet | None:
    """
    Return the packet that begins at *at*; None when its fixed header is none, or is not whole.
    """
    if at >= len(head) or not _flags_fit(head[at]):
        return None
    length = 0
    for place in range(4):
        if at + 1 + place >= len(head):
            return None
        byte = head[at + 1 + place]
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            body, kind = at + 2 + place, head[at] >> 4
            if (kind in EMPTY) == (length > 0) and kind != DISCONNECT and kind != 15:
                return None
            return Packet(kind, head[at] & 15, at, body, body + length)
    return None


def _first(head: bytes) -> Packet | None:
    return _packet(head, 0)


def _packets(head: bytes) -> Iterator[Packet]:
    at = 0
    while at < len(head):
        packet = _packet(head, at)
        if packet is None:
            return
        yield packet
        at = packet.end


def _all_fit(head: bytes) -> bool:
    """
    Return whether *head* is whole packets and nothing else, the first of them with topics and an id as they must be.
    """
    packet, end = _first(head), 0
    for each in _packets(head):
        end = each.end
    if packet is None or end != len(head) or packet.kind not in (PUBLISH, SUBSCRIBE, UNSUBSCRIBE):
        return False
    place, behind = _id_place(head, packet), packet.body
    for start, stop, _ in _topics(head, packet):
        behind = stop + (packet.kind == SUBSCRIBE)
        wild = packet.kind == PUBLISH and (b"+" in head[start:stop] or b"#" in head[start:stop])
        if wild or not _TOPIC.match(head, start, stop) or (packet.kind == SUBSCRIBE and head[behind - 1] & 0xC3 > 2):
            return False
    ends = behind == packet.end or (packet.kind == PUBLISH and packet.body < behind < packet.end)
    return ends and (place < 0 or any(head[place : place + 2]))


def _varint(head: bytes, at: int, end: int) -> tuple[int, int]:
    """
    Return a number of up to four bytes and where it ends; -1 when it is not there.
    """
    number = 0
    for place in range(4):
        if at + place >= min(end, len(head)):
            return -1, at
        byte = head[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    return -1, at


def _topics(head: bytes, packet: Packet) -> Iterator[tuple[int, int, bool]]:
    """
    Yield start and end of each topic of *packet* in the head, and whether all of it is there.
    """
    at = packet.body
    if packet.kind in (SUBSCRIBE, UNSUBSCRIBE):
        at = _filters(head, packet)
    elif packet.kind not in (PUBLISH, DELIVER):
        return
    while at + 2 < min(packet.end, len(head)):
        size = int.from_bytes(head[at : at + 2], "big")
        end = at + 2 + size
        if end > packet.end:
            return
        yield at + 2, min(end, len(head)), end <= len(head)
        if packet.kind != SUBSCRIBE and packet.kind != UNSUBSCRIBE:
            return
        at = end + (packet.kind == SUBSCRIBE)


def _filters(head: bytes, packet: Packet) -> int:
    """
    Return where the filters begin: version 5 has properties before them, and no filter is empty.
    """
    at = packet.body + 2
    size = int.from_bytes(head[at : at + 2], "big")
    if size and at + 2 + size <= packet.end and (head[at + 2] if at + 2 < len(head) else 32) >= 32:
        return at
    properties, behind = _varint(head, at, packet.end)
    return behind + properties if properties >= 0 else len(head)


def _id_place(head: bytes, packet: Packet) -> int:
    if packet.kind == PUBLISH:
        return packet.body + 2 + int.from_bytes(head[packet.body : packet.body + 2], "big") if packet.flags & 6 else -1
    return packet.body


def _pattern(topic: bytes) -> str:
    words = (
        word.decode("ascii")
        if word in (b"+", b"#", b"*", b"")
        else ID
        if is_id(word) and len(word) > 1
        else _short(word)
        for word in topic.split(b"/")
    )
    return "/".join(words)[:NAME_LIMIT]


def _short(word: bytes) -> str:
    if len(word) != 1 or not is_id(word):
        return word.decode("ascii")
    return ID if word.isdigit() else "*"


def _asked(head: bytes, packet: Packet, attributes: dict[str, str | int]) -> str:
    verb = NAMES[packet.kind]
    if packet.kind not in OPERATIONS:
        return verb
    attributes["messaging.operation.name"] = OPERATIONS[packet.kind]
    if packet.kind in (PUBLISH, DELIVER):
        attributes["mqtt.qos"] = packet.flags >> 1 & 3
    start, end, whole = next(_topics(head, packet), (0, 0, False))
    if not whole or start == end:
        return verb
    pattern = _pattern(head[start:end])
    attributes["messaging.destination.name"] = pattern
    return f"{verb} {pattern}"


def _code(head: bytes, packet: Packet) -> int:
    """
    Return the code that *packet* carries, that of the first refusal where it carries several.
    """
    end = min(packet.end, len(head))
    if packet.kind == CONNACK:
        return head[packet.body + 1] if packet.body + 1 < end else 0
    if packet.kind in (DISCONNECT, 15):
        return head[packet.body] if packet.body < end else 0
    if packet.kind in (4, 5, 6, 7):
        return head[packet.body + 2] if packet.body + 2 < end else 0
    if packet.kind not in (SUBACK, UNSUBACK):
        return 0
    at = packet.body + 2
    properties, behind = _varint(head, at, packet.end)
    if properties > 2 and behind + properties < packet.end and head[at] not in (0x80, 0x87, 0x8F, 0x11):
        at = behind + properties
    return next((code for code in head[at:end] if code >= 0x80), 0)


def _outcome(code: int, packet: Packet | None) -> Outcome:
    if packet is not None and packet.kind == CONNACK and 0 < code < 0x80:
        return Outcome.SERVER_ERROR if code == UNAVAILABLE else Outcome.CLIENT_ERROR
    if code < 0x80:
        return Outcome.OK
    return Outcome.SERVER_ERROR if code in BROKERS_FAULTS else Outcome.CLIENT_ERROR


def _mask(head: bytes) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    for packet in _packets(head):
        out[packet.start : packet.body] = head[packet.start : packet.body]
        end = min(packet.end, len(head))
        if packet.kind == CONNECT:
            if any(head.startswith(name, packet.body) for name in PROTOCOL_NAMES):
                kept = packet.body + 2 + head[packet.body + 1] + 4
                out[packet.body : min(kept, end)] = head[packet.body : min(kept, end)]
        elif packet.kind in OPERATIONS:
            _mask_topics(out, head, packet)
        elif packet.kind in (SUBACK, UNSUBACK):
            out[packet.body : min(packet.body + 2, end)] = head[packet.body : min(packet.body + 2, end)]
            if end > packet.body + 2:
                out[end - 1] = _code(head, packet)
        else:
            kept = min(packet.body + (1 if packet.kind == 15 else 3), end)
            out[packet.body : kept] = head[packet.body : kept]
    return bytes(out)


def _mask_topics(out: bytearray, head: bytes, packet: Packet) -> None:
    end = min(packet.end, len(head))
    first = packet.body
    if packet.kind in (SUBSCRIBE, UNSUBSCRIBE):
        start = min(_filters(head, packet), end)
        _, behind = _varint(head, packet.body + 2, packet.end)
        plain = packet.body + 2 if start == packet.body + 2 else behind
        out[first : min(plain, end)] = head[first : min(plain, end)]
        first = start
    for start, stop, _ in _topics(head, packet):
        out[start - 2 : stop] = head[start - 2 : stop]
        _mask_topic(out, start, stop)
        first = stop
        if packet.kind == SUBSCRIBE and stop < end:
            out[stop] = head[stop] & 0x3F
    if packet.kind == PUBLISH and packet.flags & 6 and first > packet.body:
        out[first : min(first + 2, end)] = head[first : min(first + 2, end)]


def _mask_topic(out: bytearray, start: int, stop: int) -> None:
    at = start
    for word in bytes(out[start:stop]).split(b"/"):
        if word not in (b"+", b"#") and word and not may_stay(word):
            cover(out, at, at + len(word))
        at += len(word) + 1
