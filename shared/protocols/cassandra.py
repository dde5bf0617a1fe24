"""
Cassandra's native protocol: CQL in frames, versions 3 to 5; those of version 5 travel in segments.

https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec
"""

from __future__ import annotations

import re
from typing import Final

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _cql as cql
from shared.protocols import _sql
from shared.protocols._base import Parsed, WireProtocol, blank

CALLER_AT_FAULT_FROM: Final = 0x2000
CALLER_AT_FAULT: Final = frozenset((0x000A, 0x0100))
"""Protocol error and bad credentials; so is every code from *CALLER_AT_FAULT_FROM* on: syntax, rights, what exists."""
LAST_CODE: Final = 0x2500
COMPRESSED_NAME: Final = " (compressed)"
EVENTS: Final = frozenset((b"TOPOLOGY_CHANGE", b"STATUS_CHANGE", b"SCHEMA_CHANGE"))
KNOWN_WORDS: Final = EVENTS | {b"CQL_VERSION", b"COMPRESSION", b"DRIVER_NAME", b"DRIVER_VERSION", b"lz4", b"snappy"}

_TEXT: Final = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*\Z")


class Cassandra(WireProtocol):
    """
    Many streams on one connection: a response carries the stream of its request.
    """

    name = "cassandra"
    number = Protocol.CASSANDRA
    family = "database"
    specification = "https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the opcode must fit its body, and the response the version and stream of the request.
        """
        try:
            asked = cql.frame_at(request, response=False)
            answered = cql.frame_at(response, response=True) if response else None
        except Malformed:
            return 0.0
        sure = _fits(request, asked)
        if answered is None or not sure:
            return sure
        agreed = (answered.stream, answered.version) == (asked.stream, asked.version)
        return 0.98 if agreed else 0.7 if answered.opcode is cql.Opcode.ERROR else 0.3

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the statements without their literals, and of responses their kind or their code.
        """
        return _mask(request, response=False), _mask(response, response=True)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return what the first frame asks, and how its response ended.
        """
        attributes: dict[str, str | int] = {"db.system.name": "cassandra"}
        name, operation, stand_in, trace = "", "", False, ""
        if request:
            name, operation, stand_in, trace = _asked(request, attributes)
        outcome, code = _ended(response)
        if outcome in (Outcome.CLIENT_ERROR, Outcome.SERVER_ERROR):
            attributes["db.response.status_code"] = attributes["error.type"] = str(code)
        parts = trace.split("-")
        return Parsed(
            name=name,
            operation=operation,
            outcome=outcome,
            status=code,
            attributes=attributes,
            stand_in=stand_in,
            trace_id=parts[1] if len(parts) == 4 else "",
            parent_span_id=parts[2] if len(parts) == 4 else "",
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first frame, or of the first segment.
        """
        if len(buffer) < cql.HEADER_BYTES:
            return None
        header, payload = cql.segment(buffer)
        length = header + payload + cql.CHECKSUM_BYTES if header else cql.header_at(buffer, 0, response=response).end
        return length if length <= len(buffer) else None


PROTOCOL: WireProtocol = Cassandra()


def _fits(head: bytes, frame: cql.Frame) -> float:
    """
    Return how well the body fits its opcode.
    """
    if frame.flags & cql.COMPRESSED or not frame.body:
        return 0.65 if frame.version == 5 and not frame.length else 0.4
    count = cql.i32(head, frame.body)
    match frame.opcode:
        case cql.Opcode.OPTIONS:
            return 0.7 if frame.length == 0 else 0.0
        case cql.Opcode.STARTUP:
            return 0.95 if b"CQL_VERSION" in head[frame.body : frame.body + 96] else 0.0
        case cql.Opcode.QUERY | cql.Opcode.PREPARE:
            return 0.9 if count is None or _text(head, frame) is not None else 0.0
        case cql.Opcode.AUTH_RESPONSE:
            return 0.7 if count is not None and count == frame.length - 4 else 0.0
        case cql.Opcode.EXECUTE | cql.Opcode.REGISTER:
            short = cql.u16(head, frame.body)
            return 0.8 if short is not None and 0 < short <= min(64, frame.length) else 0.0
    kind = head[frame.body + 3 : frame.body + 4]
    return 0.8 if frame.length >= 7 and head[frame.body : frame.body + 1] <= b"\2" and kind <= b"\1" else 0.0


def _statement(head: bytes, frame: cql.Frame, at: int) -> tuple[int, int] | None:
    """
    Return from where to where the statement lies whose length is told at *at*, as far as it is there.
    """
    size = cql.i32(head, at)
    if size is None or not 0 < size <= frame.end - at - 4:
        return None
    return at + 4, min(at + 4 + size, len(head))


def _text(head: bytes, frame: cql.Frame) -> tuple[int, int] | None:
    """
    Return where the text of QUERY or PREPARE, or of the first statement of a BATCH, lies.
    """
    found = None
    if frame.body and frame.opcode in (cql.Opcode.QUERY, cql.Opcode.PREPARE):
        found = _statement(head, frame, frame.body)
    elif frame.body and frame.opcode is cql.Opcode.BATCH and head[frame.body + 3 : frame.body + 4] == b"\0":
        found = _statement(head, frame, frame.body + 4)
    return found if found and _TEXT.match(head[slice(*found)]) else None


def _asked(head: bytes, attributes: dict[str, str | int]) -> tuple[str, str, bool, str]:
    """
    Return name, operation, whether they only stand in, and the trace context; add to *attributes*.
    """
    frame = cql.frame_at(head, response=cql.pushed(head))
    name, operation = frame.opcode.name, frame.opcode.name
    if frame.flags & cql.COMPRESSED:
        return name + COMPRESSED_NAME, operation, True, ""
    if frame.opcode is cql.Opcode.EVENT:
        return f"EVENT {_event(head, frame)}".rstrip(), operation, False, ""
    text = _text(head, frame)
    if text is None:
        unnamed = frame.opcode in (cql.Opcode.QUERY, cql.Opcode.PREPARE, cql.Opcode.EXECUTE, cql.Opcode.BATCH)
        attributes["db.operation.name"] = operation
        return name, operation, unnamed, ""
    statement = _sql.describe(head[text[0] : text[1]])
    name = statement.summary or name
    attributes["db.query.text"] = statement.text
    attributes["db.operation.name"] = operation = statement.operation or operation
    if statement.collection:
        attributes["db.collection.name"] = statement.collection
    if frame.opcode is cql.Opcode.BATCH:
        name = attributes["db.operation.name"] = f"BATCH {name}"[:256]
        return name, "BATCH", False, statement.traceparent
    return name, operation, not statement.summary, statement.traceparent


def _event(head: bytes, frame: cql.Frame) -> str:
    """
    Return what kind of event a frame announces.
    """
    size = cql.u16(head, frame.body) or 0
    kind = head[frame.body + 2 : frame.body + 2 + size]
    return kind.decode("ascii") if kind in EVENTS else ""


def _ended(head: bytes) -> tuple[Outcome, int]:
    """
    Return how the response ended, and its code.
    """
    if not head:
        return Outcome.NO_RESPONSE, 0
    try:
        frame = cql.frame_at(head, response=True)
    except Malformed:
        return Outcome.OK, 0
    if frame.opcode is not cql.Opcode.ERROR:
        return Outcome.OK, 0
    code = (cql.i32(head, frame.body) or 0) & 0xFFFF if frame.body and frame.body + 4 <= frame.end else 0
    at_fault = CALLER_AT_FAULT_FROM <= code <= LAST_CODE or code in CALLER_AT_FAULT
    return (Outcome.CLIENT_ERROR if at_fault else Outcome.SERVER_ERROR), code


def _mask(head: bytes, *, response: bool) -> bytes:
    try:
        frame = cql.frame_at(head, response=response or cql.pushed(head))
    except Malformed:
        return blank(head)
    out = bytearray(len(head))
    if frame.flags & cql.COMPRESSED:
        kept = frame.at + cql.HEADER_BYTES if frame.length or frame.at else min(cql.PACKED_HEADER_BYTES, len(head))
        out[:kept] = head[:kept]
        return bytes(out)
    body = frame.at + cql.HEADER_BYTES
    out[:body] = head[:body]
    if not frame.body:
        return bytes(out)
    if frame.flags & cql.TRACING and response:
        body += 16
    if frame.flags & cql.WARNING:
        body = cql.skip(head, body, values=False, out=out)
    if frame.flags & cql.PAYLOAD:
        cql.skip(head, body, values=True, out=out)
    if frame.opcode in (cql.Opcode.ERROR, cql.Opcode.RESULT, cql.Opcode.AUTH_RESPONSE):
        cql.keep(head, frame.body, min(4, frame.end - frame.body), out)
    elif not response or frame.opcode is cql.Opcode.EVENT:
        _mask_request(out, head, frame)
    return bytes(out)


def _mask_request(out: bytearray, head: bytes, frame: cql.Frame) -> None:
    at = frame.body
    match frame.opcode:
        case cql.Opcode.QUERY | cql.Opcode.PREPARE | cql.Opcode.BATCH:
            text = _text(head, frame)
            first = text[0] if text else at + 4 + (frame.opcode is cql.Opcode.BATCH)
            cql.keep(head, at, min(first, frame.end) - at, out)
            if text:
                out[text[0] : text[1]] = head[text[0] : text[1]]
                _sql.mask(out, *text)
        case cql.Opcode.EXECUTE:
            cql.keep(head, at, min(2, frame.length), out)
        case cql.Opcode.STARTUP | cql.Opcode.REGISTER | cql.Opcode.EVENT:
            _mask_words(out, head, frame)


def _mask_words(out: bytearray, head: bytes, frame: cql.Frame) -> None:
    """
    Copy a list of strings, or a map of strings, or what begins with a string; only known words stay.
    """
    at, stop = frame.body, min(frame.end, len(head))
    if frame.opcode is not cql.Opcode.EVENT:
        at = cql.keep(head, at, min(2, stop - at), out)
    while at + 2 <= stop:
        size = cql.u16(head, at) or 0
        at = cql.keep(head, at, 2, out)
        if head[at : at + size] in KNOWN_WORDS and at + size <= stop:
            cql.keep(head, at, size, out)
        at += size
