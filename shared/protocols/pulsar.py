"""
Pulsar's binary protocol: commands in protocol buffers, some of them with a payload behind.

https://pulsar.apache.org/docs/developing-binary-protocol/

Sent and pushed messages say whose they are by a number that an earlier command gave out, so they have no topic here.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol, blank
from shared.protocols._dotted import masked_name, named_after, shown_name

LENGTH_LIMIT: Final = 6 << 20
HEADER: Final = 12
NAME_LIMIT: Final = 96
FIELDS_LIMIT: Final = 64

TYPES: Final = {
    2: "CONNECT", 3: "CONNECTED", 4: "SUBSCRIBE", 5: "PRODUCER", 6: "SEND", 7: "SEND_RECEIPT", 8: "SEND_ERROR",
    9: "MESSAGE", 10: "ACK", 11: "FLOW", 12: "UNSUBSCRIBE", 13: "SUCCESS", 14: "ERROR", 15: "CLOSE_PRODUCER",
    16: "CLOSE_CONSUMER", 17: "PRODUCER_SUCCESS", 18: "PING", 19: "PONG", 20: "REDELIVER_UNACKNOWLEDGED_MESSAGES",
    21: "PARTITIONED_METADATA", 22: "PARTITIONED_METADATA_RESPONSE", 23: "LOOKUP", 24: "LOOKUP_RESPONSE",
    25: "CONSUMER_STATS", 26: "CONSUMER_STATS_RESPONSE", 27: "REACHED_END_OF_TOPIC", 28: "SEEK",
    29: "GET_LAST_MESSAGE_ID", 30: "GET_LAST_MESSAGE_ID_RESPONSE", 31: "ACTIVE_CONSUMER_CHANGE",
    32: "GET_TOPICS_OF_NAMESPACE", 33: "GET_TOPICS_OF_NAMESPACE_RESPONSE", 34: "GET_SCHEMA", 35: "GET_SCHEMA_RESPONSE",
    36: "AUTH_CHALLENGE", 37: "AUTH_RESPONSE", 38: "ACK_RESPONSE", 39: "GET_OR_CREATE_SCHEMA",
    40: "GET_OR_CREATE_SCHEMA_RESPONSE", 50: "NEW_TXN", 51: "NEW_TXN_RESPONSE", 52: "ADD_PARTITION_TO_TXN",
    53: "ADD_PARTITION_TO_TXN_RESPONSE", 54: "ADD_SUBSCRIPTION_TO_TXN", 55: "ADD_SUBSCRIPTION_TO_TXN_RESPONSE",
    56: "END_TXN", 57: "END_TXN_RESPONSE", 61: "TC_CLIENT_CONNECT_REQUEST", 62: "TC_CLIENT_CONNECT_RESPONSE",
    63: "WATCH_TOPIC_LIST", 64: "WATCH_TOPIC_LIST_SUCCESS", 65: "WATCH_TOPIC_UPDATE", 66: "WATCH_TOPIC_LIST_CLOSE",
    67: "TOPIC_MIGRATED",
}  # fmt: skip
"""Each is also the number of the field that holds the command."""

ERRORS: Final = dict(
    enumerate(
        (
            *("UnknownError", "MetadataError", "PersistenceError", "AuthenticationError", "AuthorizationError"),
            *("ConsumerBusy", "ServiceNotReady", "ProducerBlockedQuotaExceededError"),
            *("ProducerBlockedQuotaExceededException", "ChecksumError", "UnsupportedVersionError", "TopicNotFound"),
            *("SubscriptionNotFound", "ConsumerNotFound", "TooManyRequests", "TopicTerminatedError", "ProducerBusy"),
            *("InvalidTopicName", "IncompatibleSchema", "ConsumerAssignError", "TransactionCoordinatorNotFound"),
            *("InvalidTxnStatus", "NotAllowedError", "TransactionConflict", "TransactionNotFound", "ProducerFenced"),
        )
    )
)
SERVER_AT_FAULT: Final = frozenset({0, 1, 2, 6, 7, 8, 14, 20})

SUBSCRIBE, PRODUCER, METADATA, LOOKUP = 4, 5, 21, 23
WITH_TOPIC: Final = frozenset({SUBSCRIBE, PRODUCER, METADATA, LOOKUP})
OPEN_TEXTS: Final = {
    SUBSCRIBE: frozenset({1, 2, 6}), PRODUCER: frozenset({1, 4}), METADATA: frozenset({1}), LOOKUP: frozenset({1}),
    2: frozenset({1}), 3: frozenset({1}), 17: frozenset({2}), 24: frozenset({1, 2}), 34: frozenset({2}),
}  # fmt: skip
"""Fields that name something, by command; all other texts and bytes are covered."""
ERROR_FIELD: Final = {8: 3, 14: 2, 22: 4, 24: 6, 26: 2, 35: 2, 40: 2}
FAILED: Final = {22: (3, 1), 24: (3, 2)}
"""Which value of which field says that a look-up failed."""
ALWAYS_FAILED: Final = frozenset({8, 14})
FROM_SERVER: Final = frozenset({3, 7, 8, 13, 14, 17, 19, 22, 24, 26, 30, 33, 35, 36, 38, 40})


class Piece(msgspec.Struct, frozen=True):
    """
    One field of a command, its value from *start* to *end*.
    """

    number: int
    start: int
    end: int
    value: int
    """Of a number; -1 for a text."""
    whole: bool


class Command(msgspec.Struct, frozen=True):
    """
    One message, as far as its head goes.
    """

    length: int
    type: int
    pieces: list[Piece]
    read: int

    def number(self, field: int) -> int | None:
        """
        Return the first number in *field*.
        """
        return next((piece.value for piece in self.pieces if piece.number == field and piece.value >= 0), None)


class Pulsar(WireProtocol):
    """
    Two lengths, a command whose type is also the number of its only field, a payload.
    """

    name = "pulsar"
    number = Protocol.PULSAR
    family = "messaging"
    specification = "https://pulsar.apache.org/docs/developing-binary-protocol/"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: lengths that fit, and a type that is repeated as a field's number.
        """
        try:
            asked = _command(request)
            answered = _command(response) if response else None
        except Malformed:
            return 0.0
        if asked.type in FROM_SERVER:
            return 0.3
        return 0.98 if answered is not None else 0.9

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both commands with topics, names and numbers; tokens, properties and payloads are covered.
        """
        return _masked(request), _masked(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the command with its topic, and the error that answered it.
        """
        attributes: dict[str, str | int] = {"messaging.system": "pulsar"}
        name, operation = _asked(request, attributes) if request else ("", "")
        outcome, code = Outcome.NO_RESPONSE, 0
        if response:
            outcome, code = _ended(_command(response))
        if outcome is Outcome.CLIENT_ERROR or outcome is Outcome.SERVER_ERROR:
            attributes["error.type"] = ERRORS.get(code, f"ERROR_{code}")
        return Parsed(name=name, operation=operation, outcome=outcome, status=code & 0xFFFF, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:  # noqa: ARG002  # both sides are alike
        """
        Return the length of the first message, of whichever side.
        """
        if buffer[:1] not in (b"", b"\0"):
            raise Malformed("pulsar: a message of more than 16 MB")
        if len(buffer) < HEADER:
            return None
        length = _lengths(buffer)[0]
        return length if length <= len(buffer) else None


PROTOCOL: WireProtocol = Pulsar()


def _lengths(head: bytes) -> tuple[int, int, int]:
    """
    Return the length of the message, where its command ends, and the command's type.
    """
    if len(head) < HEADER:
        raise Malformed("pulsar: shorter than a command")
    length, size, type_ = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big"), head[9]
    tag, _ = _varint(head, 10)
    if length > LENGTH_LIMIT or not 4 <= size <= length - 4 or head[8] != 8:
        raise Malformed(f"pulsar: a command of {size} bytes in {length}")
    if type_ not in TYPES or tag != type_ << 3 | 2:
        raise Malformed(f"pulsar: a command of type {type_} in field {tag >> 3}")
    return length + 4, size + 8, type_


def _varint(head: bytes, at: int) -> tuple[int, int]:
    """
    Return the number at *at* and the place behind it; -1 and the place when the head ends before.
    """
    value = 0
    for step in range(10):
        if at + step >= len(head):
            return -1, at
        byte = head[at + step]
        value |= (byte & 0x7F) << 7 * step
        if byte < 0x80:
            return value & (1 << 64) - 1, at + step + 1
    raise Malformed("pulsar: a number of more than ten bytes")


def _command(head: bytes) -> Command:
    length, end, type_ = _lengths(head)
    text = head[:end]
    size, at = _varint(text, 12 if type_ > 15 else 11)
    if size > end - at or (size < 0 and len(text) == end):
        raise Malformed("pulsar: a command that runs out of its message")
    pieces: list[Piece] = []
    read = at
    while len(pieces) < FIELDS_LIMIT and at < len(text):
        tag, at = _varint(text, at)
        value, at = _varint(text, at) if tag >= 0 else (-1, at)
        if value < 0 or tag & 7 not in (0, 2):
            break
        if tag & 7 == 0:
            pieces.append(Piece(tag >> 3, at, at, value, True))
        else:
            stop = min(at + value, len(text))
            pieces.append(Piece(tag >> 3, at, stop, -1, stop == at + value))
            at = stop
        read = at
    return Command(length, type_, pieces, read)


def _named(command: Command, head: bytes, field: int) -> bytes | None:
    found = (piece for piece in command.pieces if piece.number == field and piece.value < 0 and piece.whole)
    return next((head[piece.start : piece.end] for piece in found), None)


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str]:
    command = _command(request)
    operation = TYPES[command.type]
    attributes["messaging.operation.name"] = operation
    if command.type == SUBSCRIBE:
        group = _named(command, request, 2)
        if group:
            attributes["messaging.destination.subscription.name"] = shown_name(group)
    topic = _named(command, request, 1) if command.type in WITH_TOPIC else None
    return named_after(operation, topic, attributes, longest=NAME_LIMIT), operation


def _ended(command: Command) -> tuple[Outcome, int]:
    code = command.number(ERROR_FIELD.get(command.type, 0)) if command.type in ERROR_FIELD else None
    if command.type in FAILED:
        field, value = FAILED[command.type]
        failed = command.number(field) == value
    else:
        failed = command.type in ALWAYS_FAILED or bool(code)
    if not failed:
        return Outcome.OK, 0
    code = code or 0
    return (Outcome.SERVER_ERROR if code in SERVER_AT_FAULT else Outcome.CLIENT_ERROR), code


def _masked(head: bytes) -> bytes:
    try:
        command = _command(head)
    except Malformed:
        return blank(head)
    out = bytearray(len(head))
    out[: command.read] = head[: command.read]
    for piece in command.pieces:
        if piece.value < 0:
            raw = head[piece.start : piece.end]
            open_ = piece.whole and piece.number in OPEN_TEXTS.get(command.type, ())
            out[piece.start : piece.end] = masked_name(raw) if open_ else bytes(len(raw))
    return bytes(out)
