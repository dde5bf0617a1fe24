"""
PostgreSQL frontend/backend protocol, version 3.

https://www.postgresql.org/docs/current/protocol.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _sql, _trace_context
from shared.protocols._base import Parsed, WireProtocol, text_of
from shared.protocols._collapse import cover
from shared.protocols._postgresql_conditions import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGE_LIMIT: Final = 1024 * 1024 * 1024
"""PostgreSQL's own limit of one message, in bytes."""
STARTUP_LIMIT: Final = 10_000
HEADER_BYTES: Final = 5

STARTUP_3: Final = 3 << 16
CANCEL: Final = 1234 << 16 | 5678
TLS: Final = 1234 << 16 | 5679
GSS: Final = 1234 << 16 | 5680
STARTUP_CODES: Final = {CANCEL: "CANCEL", TLS: "SSLREQUEST", GSS: "GSSENCREQUEST"}

EXECUTE: Final = "EXECUTE"
"""What a request is called whose statement was prepared before: its text is not in the head."""

FRONTEND: Final = b"ABCDEFHPQSXcdfp"
BACKEND: Final = b"123ACDEGHIKNRSTVWZcdnstv"

FIXED: Final = {b"H": 4, b"S": 4, b"X": 4, b"c": 4}
"""Messages of a client that have no body."""
FIXED_BACKEND: Final = {b"1": 4, b"2": 4, b"3": 4, b"I": 4, b"n": 4, b"s": 4, b"c": 4, b"Z": 5, b"K": 12}
"""Messages of a server that are always equally long, but for the key (K), which newer servers make longer."""

OPEN_SETTINGS: Final = frozenset(
    b"user database application_name client_encoding server_version server_encoding DateStyle TimeZone".split()
)
"""Connection parameters whose values leave the node."""
OPEN_ERROR_FIELDS: Final = b"SVCFLRstcdnPp"
"""Severity, code, place in the server's source, names of things; not the message with its details."""

_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}\Z")
_TAG: Final = re.compile(r"(?:SELECT|FETCH) ([0-9]{1,18})\Z")
_SQL_BEGINS: Final = re.compile(rb"[ \t\r\n]*+(?:[A-Za-z(;\x00]|/\*|--|\Z)")
_STATEMENT_NAME: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.-]{0,62}\Z")
_PROOF: Final = re.compile(rb"SCRAM-SHA-256(?:-PLUS)?\0|c=[A-Za-z0-9+/=]+,r=[!-+\--~]+,p=")
_SETTING: Final = re.compile(rb"[A-Za-z_.]{1,63}(?:\0|\Z)")
_NUMBERS: Final = re.compile(r"[0-9]+")


class Message(msgspec.Struct, frozen=True):
    """
    One message in a head: its body lies from *start* to *end*, and may be cut off there.
    """

    kind: bytes
    """The type byte; empty for the messages that open a connection, which have none."""
    start: int
    end: int
    whole: bool


class PostgreSql(WireProtocol):
    """
    Typed, length-prefixed messages; only those that open a connection have no type.
    """

    name = "postgresql"
    number = Protocol.POSTGRESQL
    specification = "https://www.postgresql.org/docs/current/protocol.html"
    family = "database"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: each message that fits in type, length and body makes it surer.
        """
        if request[:1] == b"\0":
            return 0.97 if _opens(request, response) else 0.0
        asked = _fitting(request, FRONTEND, FIXED)
        answered = _fitting(response, BACKEND, FIXED_BACKEND)
        if not asked or (response and not answered):
            return 0.0
        if request[:1] == b"p" and (response[:1] == b"R" or (not response and _PROOF.match(request, HEADER_BYTES))):
            return 0.9
        if not _speaks_sql(request):
            return min(0.3 + 0.2 * (asked - 1) + 0.2 * answered, 0.75)
        return min(0.75 + 0.05 * (asked - 1) + 0.1 * answered, 0.99)

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the messages without literals, bound values, rows, passwords, keys and error texts.
        """
        return _mask(request, FRONTEND, _mask_frontend), _mask(response, BACKEND, _mask_backend)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first statement of the request in short, and SQLSTATE or command tag of the response.
        """
        attributes: dict[str, str | int] = {"db.system.name": "postgresql"}
        name, operation, traceparent = _asked(request, attributes) if request else ("", "", "")
        failed = _answered(response, attributes)
        trace_id, parent = _trace_context.of_traceparent(traceparent)
        return Parsed(
            name=name,
            operation=operation,
            outcome=Outcome.SERVER_ERROR if failed else Outcome.OK if response else Outcome.NO_RESPONSE,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
            stand_in=operation == EXECUTE,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first message.
        """
        if not buffer:
            return None
        if buffer[0] == 0 and not response:
            return _startup_length(buffer)
        if buffer[0] not in (BACKEND if response else FRONTEND):
            raise Malformed(f"postgresql: no message of type {buffer[0]:#04x}")
        if len(buffer) < HEADER_BYTES:
            return None
        length = int.from_bytes(buffer[1:5], "big")
        fixed = (FIXED_BACKEND if response else FIXED).get(buffer[:1])
        if length < 4 or length > MESSAGE_LIMIT or (fixed is not None and length < fixed):
            raise Malformed(f"postgresql: a message of {length} bytes")
        return length + 1 if length + 1 <= len(buffer) else None


PROTOCOL: WireProtocol = PostgreSql()


def _opens(request: bytes, response: bytes) -> bool:
    """
    Return whether a connection is opened here; Kafka's requests begin with a length and a small code too.
    """
    code = int.from_bytes(request[4:8], "big")
    if len(request) < 8 or not _announced_startup(request):
        return False
    if code in STARTUP_CODES:
        return len(response) <= 1 or code == CANCEL
    return code >> 16 == 3 and _SETTING.match(request, 8) is not None and response[:1] in b"RENv"


def _announced_startup(head: bytes) -> int:
    length = int.from_bytes(head[:4], "big")
    return length if 8 <= length <= STARTUP_LIMIT else 0


def _startup_length(buffer: bytes) -> int | None:
    if buffer[1:2] not in (b"", b"\0") or (len(buffer) >= 4 and not _announced_startup(buffer)):
        raise Malformed("postgresql: no message opens a connection with such a length")
    code = int.from_bytes(buffer[4:8], "big")
    if len(buffer) >= 8 and code not in STARTUP_CODES and code >> 16 != 3:
        raise Malformed(f"postgresql: code {code:#010x} opens no connection")
    length = int.from_bytes(buffer[:4], "big")
    return length if len(buffer) >= 8 and length <= len(buffer) else None


def _messages(head: bytes, kinds: bytes) -> Iterator[Message]:
    """
    Yield the messages in *head*, the last one perhaps cut off; end at the first byte that fits none.
    """
    at = 0
    if kinds is FRONTEND and head[:1] == b"\0":
        at = _announced_startup(head)
        if not at or len(head) < 8:
            return
        yield Message(b"", 4, min(at, len(head)), at <= len(head))
    while at + HEADER_BYTES <= len(head):
        length = int.from_bytes(head[at + 1 : at + 5], "big")
        if head[at] not in kinds or length < 4 or length > MESSAGE_LIMIT:
            return
        end = at + 1 + length
        yield Message(head[at : at + 1], at + HEADER_BYTES, min(end, len(head)), end <= len(head))
        at = end


def _fitting(head: bytes, kinds: bytes, fixed: dict[bytes, int]) -> int:
    """
    Return how many messages of *head* fit; 0 when what is there does not.
    """
    count, end = 0, 0
    for message in _messages(head, kinds):
        length = int.from_bytes(head[message.start - 4 : message.start], "big")
        wanted = fixed.get(message.kind)
        if wanted is not None and length != wanted and message.kind != b"K":
            return 0
        count, end = count + 1, message.end
    return count if end == len(head) or (count and len(head) - end < HEADER_BYTES) else 0


def _speaks_sql(head: bytes) -> bool:
    for message in _messages(head, FRONTEND):
        if message.kind in (b"Q", b"P"):
            body = head[message.start : message.end]
            name, ended, sql = (b"", b"\0", body) if message.kind == b"Q" else body.partition(b"\0")
            ends = not message.whole or message.kind == b"P" or body.endswith(b"\0")
            named = not name or _STATEMENT_NAME.match(name) is not None
            return ends and named and (ended or not body) and _SQL_BEGINS.match(sql) is not None
    return False


def _mask(head: bytes, kinds: bytes, mask_body: Callable[[bytearray, Message], None]) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    for message in _messages(head, kinds):
        begin = message.start - (HEADER_BYTES if message.kind else 4)
        out[begin : message.end] = head[begin : message.end]
        mask_body(out, message)
    return bytes(out)


def _mask_frontend(out: bytearray, message: Message) -> None:
    start, end = message.start, message.end
    match message.kind:
        case b"":
            _mask_startup(out, start, end)
        case b"Q":
            _sql.mask(out, start, _text_end(out, start, end))
            _zero(out, _text_end(out, start, end), end)
        case b"P":
            query = _text_end(out, start, end) + 1
            _mask_name(out, start, query - 1)
            _sql.mask(out, query, _text_end(out, query, end))
            _zero(out, _text_end(out, query, end), end)
        case b"B":
            portal = _text_end(out, start, end)
            statement = _text_end(out, portal + 1, end)
            _mask_name(out, start, portal)
            _mask_name(out, portal + 1, statement)
            _zero(out, statement + 1, end)
        case b"E" | b"D" | b"C":
            name = start + (message.kind != b"E")
            _mask_name(out, name, _text_end(out, name, end))
            _zero(out, _text_end(out, name, end), end)
        case _:
            _zero(out, start, end)


def _mask_startup(out: bytearray, start: int, end: int) -> None:
    if int.from_bytes(out[start : start + 4], "big") >> 16 == 3:
        _mask_settings(out, start + 4, end)
    else:
        _zero(out, start + 4, end)


def _mask_settings(out: bytearray, start: int, end: int) -> None:
    while start < end:
        name_end = _text_end(out, start, end)
        value_end = _text_end(out, name_end + 1, end)
        if bytes(out[start:name_end]) not in OPEN_SETTINGS:
            cover(out, name_end + 1, value_end)
        start = value_end + 1


def _mask_backend(out: bytearray, message: Message) -> None:
    start, end = message.start, message.end
    match message.kind:
        case b"E" | b"N":
            while start < end and out[start]:
                stop = _text_end(out, start, end)
                if out[start] not in OPEN_ERROR_FIELDS:
                    cover(out, start + 1, stop)
                start = stop + 1
            _zero(out, start, end)
        case b"S":
            _mask_settings(out, start, end)
        case b"C":
            if not re.match(rb"[A-Z][A-Z ]{0,40}(?: [0-9]{1,18}){0,2}\0?\Z", bytes(out[start:end])):
                _zero(out, start, end)
        case b"R":
            _zero(out, start + 4, end)
        case b"Z":
            pass
        case _:
            _zero(out, start, end)


def _mask_name(out: bytearray, start: int, end: int) -> None:
    if not _STATEMENT_NAME.match(bytes(out[start:end])):
        cover(out, start, end)


def _zero(out: bytearray, start: int, end: int) -> None:
    out[start:end] = bytes(max(end - start, 0))


def _text_end(head: bytes | bytearray, start: int, end: int) -> int:
    """
    Return where the text that begins at *start* ends: at its NUL, or at *end* when that is cut off.
    """
    found = head.find(b"\0", start, end)
    return min(start, end) if start > end else end if found < 0 else found


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str, str]:
    """
    Return the endpoint's name, the operation and a `traceparent`, and add to *attributes*.
    """
    other = ""
    for message in _messages(request, FRONTEND):
        start, end = message.start, message.end
        if message.kind == b"":
            return _opened(request[start:end], attributes)
        if message.kind in (b"Q", b"P"):
            begin = start if message.kind == b"Q" else _text_end(request, start, end) + 1
            statement = _sql.describe(request[begin : _text_end(request, begin, end)])
            _describe(statement, attributes)
            return statement.summary or "EMPTY", statement.operation or "EMPTY", statement.traceparent
        other = other or _named(request, message)
    if not other:
        raise Malformed("postgresql: no message in the request")
    operation = other.partition(" ")[0]
    attributes["db.operation.name"] = operation
    return other, operation, ""


def _named(request: bytes, message: Message) -> str:
    if message.kind == b"B":
        name = _text_end(request, message.start, message.end) + 1
        stop = _text_end(request, name, message.end)
        if not _STATEMENT_NAME.match(request, name, stop):
            return EXECUTE
        return f"{EXECUTE} {_NUMBERS.sub('{n}', text_of(request[name:stop]))}"
    return {
        b"E": EXECUTE, b"D": "DESCRIBE", b"C": "CLOSE", b"F": "CALL", b"S": "SYNC", b"H": "FLUSH", b"X": "TERMINATE",
        b"d": "COPY", b"c": "COPY", b"f": "COPY", b"p": "AUTHENTICATE", b"A": "NOTIFICATION",
    }[message.kind]  # fmt: skip


def _opened(body: bytes, attributes: dict[str, str | int]) -> tuple[str, str, str]:
    code = int.from_bytes(body[:4], "big")
    operation = STARTUP_CODES.get(code, "STARTUP")
    if code >> 16 == 3:
        words = body[4:].split(b"\0")
        settings = dict(zip(words[::2], words[1::2], strict=False))
        for key, attribute in ((b"database", "db.namespace"), (b"user", "db.user")):
            if settings.get(key):
                attributes[attribute] = text_of(settings[key])
    attributes["db.operation.name"] = operation
    return operation, operation, ""


def _describe(statement: _sql.Statement, attributes: dict[str, str | int]) -> None:
    told = {
        "db.operation.name": statement.operation,
        "db.collection.name": statement.collection,
        "db.query.summary": statement.summary,
        "db.query.text": statement.text,
    }
    attributes.update({name: value for name, value in told.items() if value})


def _answered(response: bytes, attributes: dict[str, str | int]) -> bool:
    """
    Return whether the response tells of an error, and add to *attributes*.
    """
    for message in _messages(response, BACKEND):
        body = response[message.start : message.end]
        if message.kind == b"E":
            fields = {field[:1]: text_of(field[1:]) for field in body.split(b"\0") if field}
            state = fields.get(b"C", "")
            if _SQLSTATE.match(state):
                attributes["db.response.status_code"] = state
                attributes["error.type"] = CONDITIONS.get(state) or CONDITIONS.get(state[:2]) or state
            return True
        tag = _TAG.match(text_of(body.rstrip(b"\0"))) if message.kind == b"C" else None
        if tag:
            attributes["db.response.returned_rows"] = int(tag[1])
    return False
