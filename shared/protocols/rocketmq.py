"""
RocketMQ's remoting protocol: requests and responses with a header, in JSON or in its own binary form, and a body.

https://github.com/apache/rocketmq/blob/develop/docs/en/Design_Remoting.md

A header that was cut off still tells its code, which stands first, and whatever fields came before the cut.
"""

from __future__ import annotations

import re
import struct
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol, blank
from shared.protocols._dotted import masked_name, named_after, shown_name

START: Final = 8
FIXED: Final = 21
LENGTH_LIMIT: Final = 16 << 20
HEADER_LIMIT: Final = 64 << 10
NAME_LIMIT: Final = 64
FIELDS_LIMIT: Final = 256
JSON, BINARY = 0, 1
RESPONSE, ONE_WAY = 1, 2

CODES: Final = {
    10: "SEND_MESSAGE", 11: "PULL_MESSAGE", 12: "QUERY_MESSAGE", 14: "QUERY_CONSUMER_OFFSET",
    15: "UPDATE_CONSUMER_OFFSET", 17: "UPDATE_AND_CREATE_TOPIC", 29: "SEARCH_OFFSET_BY_TIMESTAMP",
    30: "GET_MAX_OFFSET", 31: "GET_MIN_OFFSET", 33: "VIEW_MESSAGE_BY_ID", 34: "HEART_BEAT", 35: "UNREGISTER_CLIENT",
    36: "CONSUMER_SEND_MSG_BACK", 37: "END_TRANSACTION", 38: "GET_CONSUMER_LIST_BY_GROUP",
    39: "CHECK_TRANSACTION_STATE", 40: "NOTIFY_CONSUMER_IDS_CHANGED", 41: "LOCK_BATCH_MQ", 42: "UNLOCK_BATCH_MQ",
    46: "CHECK_CLIENT_CONFIG", 103: "REGISTER_BROKER", 104: "UNREGISTER_BROKER", 105: "GET_ROUTEINFO_BY_TOPIC",
    106: "GET_BROKER_CLUSTER_INFO", 200: "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP", 220: "RESET_CONSUMER_CLIENT_OFFSET",
    221: "GET_CONSUMER_STATUS_FROM_CLIENT", 307: "GET_CONSUMER_RUNNING_INFO", 309: "CONSUME_MESSAGE_DIRECTLY",
    310: "SEND_MESSAGE_V2", 320: "SEND_BATCH_MESSAGE", 322: "QUERY_DATA_VERSION", 326: "PUSH_REPLY_MESSAGE_TO_CLIENT",
    361: "LITE_PULL_MESSAGE", 400: "QUERY_ASSIGNMENT", 904: "BROKER_HEARTBEAT", 200050: "POP_MESSAGE",
    200051: "ACK_MESSAGE", 200053: "CHANGE_MESSAGE_INVISIBLETIME", 200054: "NOTIFICATION", 200055: "POLLING_INFO",
}  # fmt: skip
"""What requests are called in `RequestCode`."""

ERRORS: Final = {
    1: "SYSTEM_ERROR", 2: "SYSTEM_BUSY", 3: "REQUEST_CODE_NOT_SUPPORTED", 4: "TRANSACTION_FAILED",
    10: "FLUSH_DISK_TIMEOUT", 11: "SLAVE_NOT_AVAILABLE", 12: "FLUSH_SLAVE_TIMEOUT", 13: "MESSAGE_ILLEGAL",
    14: "SERVICE_NOT_AVAILABLE", 15: "VERSION_NOT_SUPPORTED", 16: "NO_PERMISSION", 17: "TOPIC_NOT_EXIST",
    18: "TOPIC_EXIST_ALREADY", 21: "PULL_OFFSET_MOVED", 22: "QUERY_NOT_FOUND", 23: "SUBSCRIPTION_PARSE_FAILED",
    24: "SUBSCRIPTION_NOT_EXIST", 25: "SUBSCRIPTION_NOT_LATEST", 26: "SUBSCRIPTION_GROUP_NOT_EXIST",
    206: "CONSUMER_NOT_ONLINE", 209: "POLLING_FULL",
}  # fmt: skip
"""What responses are called in `ResponseCode`."""
NORMAL: Final = frozenset({0, 19, 20, 210})
"""Success, and nothing there to be pulled."""
SERVER_AT_FAULT: Final = frozenset({1, 2, 4, 10, 11, 12, 14})

BATCHED: Final = frozenset({310, 320})
"""Requests whose fields are called by one letter: the group `a`, the topic `b`, the queue `e`."""
GROUPS: Final = ("consumerGroup", "producerGroup", "group")
NAMES: Final = frozenset({*GROUPS, "topic", "a", "b", "c", "bname", "brokerName", "clusterName"})
NUMBERS: Final = frozenset(
    ["queueId", "queueOffset", "commitOffset", "maxMsgNums", "suspendTimeoutMillis", "sysFlag", "offset", "maxOffset",
     "minOffset", "nextBeginOffset", "d", "e", "f"]
)  # fmt: skip
WORDS: Final = frozenset({"language", "serializeTypeCurrentRPC"})
_TOP: Final = frozenset({"code", "flag", "opaque", "version"})

_PAIR: Final = re.compile(
    rb'"([A-Za-z0-9_.-]{1,64})":(?:"((?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*+)("?)|'
    rb"(-?[0-9]{1,20})(?=[,}])|(\{)|true|false|null)([,}]*+)"
)
_WORD: Final = re.compile(rb"[A-Z]{1,16}\Z")
_DIGITS: Final = re.compile(rb"[0-9]{1,19}\Z")
_BINARY: Final = struct.Struct("!hBhii")


class Field(msgspec.Struct, frozen=True):
    """
    One field of a header, its value from *start* to *end*; *whole* when its end is there.
    """

    name: str
    start: int
    end: int
    value: bytes
    whole: bool
    text: bool
    """Whether it is a string; else it is a number of the header itself."""


class Command(msgspec.Struct, frozen=True):
    """
    One message, as far as its head goes.
    """

    length: int
    kind: int
    code: int
    flag: int
    """-1 when the head ends before it."""
    fields: list[Field]
    read: int
    """How far the header was understood."""

    def named(self, name: str) -> bytes | None:
        """
        Return the first field called *name*, None when it is not there or cut off.
        """
        return next((field.value for field in self.fields if field.name == name and field.whole), None)


class RocketMq(WireProtocol):
    """
    A length, the header's length and form, the header, a body.
    """

    name = "rocketmq"
    number = Protocol.ROCKETMQ
    family = "messaging"
    specification = "https://github.com/apache/rocketmq/blob/develop/docs/en/Design_Remoting.md"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: two lengths that fit, and a header that begins as every client writes it.
        """
        try:
            asked = _command(request)
        except Malformed:
            return 0.0
        if asked.flag >= 0 and asked.flag & RESPONSE:
            return 0.1
        sure = (0.9 if asked.kind == JSON else 0.7) + (0.05 if asked.code in CODES else 0.0)
        if not response:
            return sure
        try:
            _command(response)
        except Malformed:
            return 0.1
        return min(sure + 0.1, 0.99)

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both headers with names and numbers; properties, remarks, ids and bodies are covered.
        """
        return _masked(request), _masked(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the code with its topic, and the code of the response.
        """
        outcome, code = Outcome.NO_RESPONSE, 0
        attributes: dict[str, str | int] = {"messaging.system": "rocketmq"}
        name, operation = _asked(request, attributes) if request else ("", "")
        if response:
            code = _command(response).code
            outcome = _outcome(code)
        if outcome is Outcome.CLIENT_ERROR or outcome is Outcome.SERVER_ERROR:
            attributes["error.type"] = ERRORS.get(code, f"CODE_{code}")
        return Parsed(name=name, operation=operation, outcome=outcome, status=code & 0xFFFF, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:  # noqa: ARG002  # both sides are alike
        """
        Return the length of the first message, of whichever side.
        """
        if len(buffer) < START:
            if buffer[:1] not in (b"", b"\0"):
                raise Malformed("rocketmq: a message of more than 16 MB")
            return None
        length = _lengths(buffer)[0]
        return length if length <= len(buffer) else None


PROTOCOL: WireProtocol = RocketMq()


def _lengths(head: bytes) -> tuple[int, int, int]:
    """
    Return the length of the message, that of its header, and the header's form.
    """
    if len(head) < START:
        raise Malformed("rocketmq: shorter than its lengths")
    length, kind, header = int.from_bytes(head[:4], "big"), head[4], int.from_bytes(head[5:8], "big")
    if length > LENGTH_LIMIT or kind > BINARY or not FIXED <= header <= min(HEADER_LIMIT, length - 4):
        raise Malformed(f"rocketmq: a header of {header} bytes and form {kind} in {length} bytes")
    return length + 4, header, kind


def _command(head: bytes) -> Command:
    length, header, kind = _lengths(head)
    text = head[: START + header]
    return _json(text, length) if kind == JSON else _binary(text, length)


def _json(text: bytes, length: int) -> Command:
    fields: list[Field] = []
    if text[START : START + 8] != b'{"code":':
        raise Malformed("rocketmq: a header that does not begin with its code")
    at = START + 1
    while len(fields) < FIELDS_LIMIT:
        pair = _PAIR.match(text, at)
        if pair is None:
            break
        group = 4 if pair[4] is not None else 2
        if pair[group] is not None:
            start, end = pair.span(group)
            whole = group == 4 or bool(pair[3])
            fields.append(Field(pair[1].decode("ascii"), start, end, pair[group], whole, group == 2))
        elif pair[1] != b"extFields":
            break
        at = pair.end()
    numbers = {field.name: int(field.value) for field in fields if not field.text and field.name in _TOP}
    if "code" not in numbers:
        raise Malformed("rocketmq: a header whose code is cut off")
    return Command(length, JSON, numbers["code"], numbers.get("flag", -1), fields, min(at, len(text)))


def _binary(text: bytes, length: int) -> Command:
    if len(text) < START + _BINARY.size:
        raise Malformed("rocketmq: a binary header that is cut off")
    code, language, version, _, flag = _BINARY.unpack_from(text, START)
    if language > 15 or not 0 <= version < 4096 or flag > 3 or flag < 0:
        raise Malformed(f"rocketmq: no client of language {language} and version {version} sets flag {flag}")
    fields: list[Field] = []
    at = START + _BINARY.size
    remark, at = _sized(text, at, 4, "remark", fields)
    if remark:
        at += 4  # the length of all fields
        while at + 2 <= len(text) and len(fields) < FIELDS_LIMIT:
            size = int.from_bytes(text[at : at + 2], "big")
            word = text[at + 2 : at + 2 + size]
            if size > 64 or len(word) < size or not word.isalnum():
                break
            whole, at = _sized(text, at + 2 + size, 4, word.decode("latin-1"), fields)
            if not whole:
                break
    return Command(length, BINARY, code & 0xFFFF, flag, fields, min(at, len(text)))


def _sized(text: bytes, at: int, width: int, name: str, fields: list[Field]) -> tuple[bool, int]:
    """
    Add the field whose length stands at *at*; return whether it is whole, and what comes behind it.
    """
    start = at + width
    if start > len(text):
        return False, at
    size = int.from_bytes(text[at:start], "big")
    whole = start + size <= len(text)
    end = min(start + size, len(text))
    fields.append(Field(name, start, end, text[start:end], whole, True))
    return whole, end


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str]:
    command = _command(request)
    operation = CODES.get(command.code, f"CODE_{command.code}")
    attributes["messaging.operation.name"] = operation
    attributes["messaging.rocketmq.code"] = command.code
    topic = command.named("b" if command.code in BATCHED else "topic")
    group = next((found for word in GROUPS if (found := command.named(word))), None)
    group = command.named("a") if command.code in BATCHED else group
    if group:
        attributes["messaging.consumer.group.name"] = shown_name(group)
    for word, attribute in (
        ("queueId", "messaging.destination.partition.id"),
        ("queueOffset", "messaging.rocketmq.offset"),
    ):
        value = command.named(word)
        if value and _DIGITS.match(value):
            attributes[attribute] = int(value)
    if command.flag >= 0 and command.flag & ONE_WAY:
        attributes["messaging.rocketmq.one_way"] = 1
    longest = NAME_LIMIT if command.kind == JSON else 0
    return named_after(operation, topic, attributes, longest=longest), operation


def _outcome(code: int) -> Outcome:
    if code in NORMAL:
        return Outcome.OK
    return Outcome.SERVER_ERROR if code in SERVER_AT_FAULT else Outcome.CLIENT_ERROR


def _masked(head: bytes) -> bytes:
    try:
        command = _command(head)
    except Malformed:
        return blank(head)
    out = bytearray(len(head))
    out[: command.read] = head[: command.read]
    for field in command.fields:
        out[field.start : field.end] = _masked_value(field)
    return bytes(out)


def _masked_value(field: Field) -> bytes:
    if not field.text:
        return field.value if field.name in _TOP else b"0" * len(field.value)
    kept = field.whole and (
        (field.name in NUMBERS and _DIGITS.match(field.value)) or (field.name in WORDS and _WORD.match(field.value))
    )
    if kept:
        return field.value
    return masked_name(field.value) if field.whole and field.name in NAMES else b"*" * len(field.value)
