"""
Apache Thrift: binary (strict) and compact encoding, framed or not.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-rpc.md

A reply that holds an exception which its interface declares is a failure without a number; what the library itself
answers (`TApplicationException`) has its type as status.
"""

from __future__ import annotations

from typing import Final

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _thrift_wire as wire
from shared.protocols._base import Parsed, WireProtocol
from shared.protocols._thrift_wire import Message, message_at

EXCEPTIONS: Final[dict[int, str]] = {
    0: "UNKNOWN",
    1: "UNKNOWN_METHOD",
    2: "INVALID_MESSAGE_TYPE",
    3: "WRONG_METHOD_NAME",
    4: "BAD_SEQUENCE_ID",
    5: "MISSING_RESULT",
    6: "INTERNAL_ERROR",
    7: "PROTOCOL_ERROR",
    8: "INVALID_TRANSFORM",
    9: "INVALID_PROTOCOL",
    10: "UNSUPPORTED_CLIENT_TYPE",
}
CALLERS_FAULT: Final = (1, 2, 3)
_MESSAGE_FIELD: Final = b"\x0b\0\1"
_TYPE_FIELD: Final = b"\x08\0\2"


class Thrift(WireProtocol):
    """
    A message is the method's name, a kind, an id and a struct.
    """

    name = "thrift"
    family = "rpc"
    number = Protocol.THRIFT
    specification = "https://github.com/apache/thrift/blob/master/doc/specs/thrift-rpc.md"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: a call with a method's name, and a reply that repeats it, say most.
        """
        call = message_at(request, 0)
        if call is None or call.kind not in (wire.CALL, wire.ONE_WAY):
            return 0.0
        if not response:
            return 0.8 if call.compact else 0.93
        reply = message_at(response, 0)
        if reply is None and len(response) < call.body - call.start + wire.FRAME_BYTES:
            return 0.75 if response[:1] == request[:1] else 0.0
        if reply is None or reply.kind not in (wire.REPLY, wire.EXCEPTION) or reply.compact is not call.compact:
            return 0.0
        return 0.98 if request[call.name : call.name_end].endswith(response[reply.name : reply.name_end]) else 0.7

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return methods and kinds; arguments, results and ids are overwritten.
        """
        return _mask(request), _mask(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first call of the head, and whether its reply holds an exception.
        """
        attributes: dict[str, str | int] = {"rpc.system": "thrift"}
        name, one_way = _asked(request, attributes) if request else ("", False)
        outcome, status = (Outcome.OK if one_way else Outcome.NO_RESPONSE), 0
        if response:
            outcome, status = _answered(response, attributes)
        operation = str(attributes.get("rpc.method", name))
        return Parsed(name=name, operation=operation, outcome=outcome, status=status, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first message: its frame's, or up to where its struct ends.
        """
        framed = buffer[:1] not in (b"\x80", b"\x82")
        start = wire.FRAME_BYTES if framed else 0
        if framed and buffer[:1] > b"\x10":
            raise Malformed("thrift: no message begins like this")
        if len(buffer) <= start:
            return None
        found = message_at(buffer, 0)
        if found is None:
            _check_head(buffer, start)
            return None
        if found.kind in (wire.CALL, wire.ONE_WAY) and response:
            raise Malformed("thrift: a call where a reply should be")
        end = found.end if framed else wire.struct_end(buffer, found.body, compact=found.compact)
        return end if end is not None and end <= len(buffer) else None


PROTOCOL: WireProtocol = Thrift()


def _check_head(buffer: bytes, start: int) -> None:
    """
    Raise Malformed unless more bytes can still make a head of a message.
    """
    name_bytes = wire.NAME_LIMIT + 32
    size = int.from_bytes(buffer[:start], "big")
    whole = len(buffer) - start >= name_bytes or (start and len(buffer) - start >= size)
    if buffer[start] not in (wire.BINARY, wire.COMPACT) or whole or size > wire.FRAME_LIMIT:
        raise Malformed("thrift: no message begins like this")
    if buffer[start] == wire.BINARY and len(buffer) - start >= 8:
        length = int.from_bytes(buffer[start + 4 : start + 8], "big")
        if buffer[start + 1] != 1 or length > wire.NAME_LIMIT or len(buffer) - start >= 12 + length:
            raise Malformed("thrift: no method has such a name")


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, bool]:
    """
    Return the method and whether nobody answers, and add to *attributes*.
    """
    call = message_at(request, 0)
    if call is None or call.kind not in (wire.CALL, wire.ONE_WAY):
        raise Malformed("thrift: no call")
    service, _, method = request[call.name : call.name_end].decode("ascii").rpartition(":")
    attributes["rpc.method"] = method
    if service:
        attributes["rpc.service"] = service
    return f"{service}/{method}" if service else method, call.kind == wire.ONE_WAY


def _answered(response: bytes, attributes: dict[str, str | int]) -> tuple[Outcome, int]:
    """
    Return how the call ended and its number, and add to *attributes*.
    """
    reply = message_at(response, 0)
    if reply is None or reply.kind in (wire.CALL, wire.ONE_WAY):
        return Outcome.OK, 0
    if reply.end >= 0:
        response = response[: reply.end]
    if reply.kind == wire.REPLY:
        declared = _first_field(response, reply)[0] > 0
        if declared:
            attributes["error.type"] = "declared exception"
        return Outcome.SERVER_ERROR if declared else Outcome.OK, 0
    status = _exception_type(response, reply)[0]
    attributes["error.type"] = EXCEPTIONS.get(status, "UNKNOWN")
    return Outcome.CLIENT_ERROR if status in CALLERS_FAULT else Outcome.SERVER_ERROR, status


def _first_field(head: bytes, reply: Message) -> tuple[int, int]:
    """
    Return the id of the result's first field (0 is success), and where its header ends.
    """
    at = reply.body
    if at >= len(head) or head[at] == wire.STOP:
        return 0, min(at + 1, len(head))
    if not reply.compact:
        known = head[at] in wire.BINARY_TYPES and len(head) >= at + 3
        return (int.from_bytes(head[at + 1 : at + 3], "big"), at + 3) if known else (0, at)
    if head[at] & 0x0F not in wire.COMPACT_TYPES:
        return 0, at
    if head[at] >= 0x10:
        return head[at] >> 4, at + 1
    end = wire.varint_end(head, at + 1)
    return (wire.varint(head, at + 1, end) >> 1, end) if 0 < end <= at + 4 else (0, at)


def _exception_type(head: bytes, reply: Message) -> tuple[int, list[tuple[int, int]]]:
    """
    Return the type of a `TApplicationException`, 0 when it is not to be seen, and what to keep of its struct.
    """
    at = reply.body
    if reply.compact:
        end = wire.varint_end(head, at + 1) if head[at : at + 1] == b"\x18" else 0
        place = end + wire.varint(head, at + 1, end) if end > 0 else at
        lead, kept = (b"\x15", [(at, end)]) if end > 0 else (b"\x25", [])
        if head[place : place + 1] != lead or place + 1 >= len(head) or head[place + 1] & 0x81:
            return 0, kept
        return head[place + 1] >> 1, [*kept, (place, place + 2)]
    place, kept = at, []
    if head[at : at + 3] == _MESSAGE_FIELD and len(head) >= at + 7:
        place, kept = at + 7 + int.from_bytes(head[at + 3 : at + 7], "big"), [(at, at + 7)]
    value = head[place + 3 : place + 7]
    if head[place : place + 3] != _TYPE_FIELD or len(value) < 4 or value[:3] != b"\0\0\0":
        return 0, kept
    return value[3], [*kept, (place, place + 7)]


def _mask(head: bytes) -> bytes:
    out = bytearray(len(head))
    at = 0
    while (found := message_at(head, at)) is not None:
        end = min(found.end, len(head)) if found.end >= 0 else len(head)
        out[at : found.body] = head[at : found.body]
        out[found.id_start : found.id_end] = bytes(
            c & 0x80 if found.compact else 0 for c in head[found.id_start : found.id_end]
        )
        inside = head[:end]
        if found.kind == wire.REPLY:
            stop = _first_field(inside, found)[1]
            out[found.body : stop] = head[found.body : stop]
        elif found.kind == wire.EXCEPTION:
            for start, stop in _exception_type(inside, found)[1]:
                out[start:stop] = head[start:stop]
        if found.end < 0:
            break
        at = found.end
    return bytes(out)
