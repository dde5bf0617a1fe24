"""
NATS client protocol: lines of text, with payloads behind some of them.

https://docs.nats.io/reference/reference-protocols/nats-protocol

A publication with a reply subject in the client's own inbox is a request: the message that comes back on that subject
is its response. What the server sends without being asked (deliveries, errors) is a message of its own. Subjects
collapse token by token, so that the name says the same as the kernel's hash; an inbox is always `_INBOX.*`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _trace_context
from shared.protocols._base import MASK, Parsed, WireProtocol
from shared.protocols._collapse import ID, cover, is_id, may_stay
from shared.protocols._nats_errors import ERRORS, SERVER_FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_LIMIT: Final = 64 * 1024
"""The longest line, in bytes: INFO of a large cluster."""
PAYLOAD_LIMIT: Final = 64 * 1024 * 1024
NAME_LIMIT: Final = 160
INBOX: Final = b"_INBOX"

_SUBJECT: Final = rb"[!-~\x80-\xff]{1,255}"
_LINES: Final = {
    b"INFO": re.compile(rb"[ \t]*(\{[^\r\n]*)"),
    b"CONNECT": re.compile(rb"[ \t]+(\{[^\r\n]*)"),
    b"PUB": re.compile(rb" ++(%b)(?: ++(%b))? ++([0-9]{1,9})" % (_SUBJECT, _SUBJECT)),
    b"HPUB": re.compile(rb" ++(%b)(?: ++(%b))? ++([0-9]{1,9}) ++([0-9]{1,9})" % (_SUBJECT, _SUBJECT)),
    b"SUB": re.compile(rb" ++(%b)(?: ++(%b))? ++([!-~]{1,32})" % (_SUBJECT, _SUBJECT)),
    b"UNSUB": re.compile(rb" ++([!-~]{1,32})(?: ++([0-9]{1,9}))?"),
    b"MSG": re.compile(rb" ++(%b) ++([!-~]{1,32})(?: ++(%b))? ++([0-9]{1,9})" % (_SUBJECT, _SUBJECT)),
    b"HMSG": re.compile(rb" ++(%b) ++([!-~]{1,32})(?: ++(%b))? ++([0-9]{1,9}) ++([0-9]{1,9})" % (_SUBJECT, _SUBJECT)),
    b"PING": re.compile(rb""),
    b"PONG": re.compile(rb""),
    b"+OK": re.compile(rb""),
    b"-ERR": re.compile(rb" '([^\r\n]*)'"),
}
_OPENING: Final = re.compile(rb"[ \t]*[{']?")
_VERB: Final = re.compile(rb"[A-Z+-]{3,7}")
_PART: Final = re.compile(rb"(PUB|HPUB|SUB|MSG|HMSG) ++(%b)( ?)" % _SUBJECT)
"""The beginning of a line that is cut off; with a space behind it, its subject is whole."""
_PAYLOADS: Final = frozenset((b"PUB", b"HPUB", b"MSG", b"HMSG"))
_HEADED: Final = frozenset((b"HPUB", b"HMSG"))
_SUBJECTS: Final = _PAYLOADS | {b"SUB"}
FROM_CLIENT: Final = frozenset((b"CONNECT", b"PUB", b"HPUB", b"SUB", b"UNSUB", b"PING"))
FROM_SERVER: Final = frozenset((b"INFO", b"MSG", b"HMSG", b"+OK", b"-ERR", b"PONG"))
_OPERATIONS: Final = {
    b"PUB": "publish",
    b"REQ": "request",
    b"MSG": "deliver",
    b"SUB": "subscribe",
    b"UNSUB": "unsubscribe",
}
_FLAGS: Final = re.compile(
    rb'"(?:verbose|pedantic|tls_required|headers|jetstream|echo|no_responders)": ?(?:true|false)'
)
_STATUS: Final = re.compile(rb"NATS/1\.0(?: ([1-9][0-9]{2}))?(?: ([^\r\n]*))?(?=\r|\Z)")
_FIELD: Final = re.compile(rb"\r\n([A-Za-z][A-Za-z0-9-]{0,39}):[ \t]*([^\r\n]*)")
_TRACE_HEADERS: Final = frozenset((b"traceparent", b"b3", b"x-b3-traceid", b"x-b3-spanid"))
_HEX: Final = re.compile(rb"[0-9A-Fa-f-]{1,60}\Z")


class Line(msgspec.Struct, frozen=True):
    """
    One message of a head.
    """

    verb: bytes
    start: int
    found: re.Match[bytes] | None
    """Its arguments; None when the line is cut off."""
    end: int
    """Behind the line's end, or where the head ends."""
    body: int
    """Bytes of headers and payload."""
    headers: int
    """Of these, bytes of headers."""


class Nats(WireProtocol):
    """
    Publications, subscriptions, deliveries, and requests that are made of them.
    """

    name = "nats"
    number = Protocol.NATS
    specification = "https://docs.nats.io/reference/reference-protocols/nats-protocol"
    family = "messaging"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: whole lines of the protocol on both sides say most.
        """
        asked, answered = _first(request), _first(response)
        if (request and asked is None) or (response and answered is None) or not (request or response):
            return 0.0
        if answered is not None and answered.verb not in FROM_SERVER:
            return 0.0
        if asked is None:
            return 0.9 if answered is not None and answered.verb in (b"INFO", b"MSG", b"HMSG") else 0.3
        if asked.verb in (b"PING", b"PONG", b"+OK", b"-ERR", b"UNSUB", b"INFO"):
            sure = asked.verb == b"PING" and answered is not None and answered.verb == b"PONG"
            leaves = asked.verb == b"UNSUB" and asked.found is not None
            return 0.95 if sure or (leaves and answered) else 0.7 if leaves else 0.5
        return 0.98 if answered else 0.9 if asked.found else 0.5

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return lines with their subjects' patterns; payloads, headers and credentials are covered.
        """
        return _mask(request), _mask(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first message of the head, and how the server took it.
        """
        attributes: dict[str, str | int] = {"messaging.system": "nats"}
        asked, answered = _first(request), _first(response)
        if request and asked is None:
            raise Malformed("nats: no line of the protocol")
        name = _asked(request, asked, attributes) if asked else ""
        status, outcome = _judged(response, answered, attributes)
        if asked is not None and not response and asked.verb in FROM_SERVER - {b"PONG", b"INFO"}:
            status, outcome = _judged(request, asked, attributes)
        fields = _headers(request, asked) if asked else {}
        trace_id, parent = _trace_context.of_headers(fields)
        return Parsed(
            name=name,
            operation=name.partition(" ")[0],
            outcome=outcome,
            status=status,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
            stand_in=asked is not None and asked.found is None and asked.verb in _SUBJECTS,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first line with its payload.
        """
        del response  # both sides speak alike
        line = _first(buffer)
        if line is None:
            if _may_begin(buffer):
                return None
            raise Malformed("nats: no line of the protocol")
        if line.found is None or buffer[line.end - 1 : line.end] != b"\n":
            if len(buffer) >= LINE_LIMIT:
                raise Malformed(f"nats: a line longer than {LINE_LIMIT} bytes")
            return None
        if line.body > PAYLOAD_LIMIT:
            raise Malformed(f"nats: a payload of {line.body} bytes")
        length = line.end + (line.body + 2 if line.verb in _PAYLOADS else 0)
        return length if length <= len(buffer) else None


PROTOCOL: WireProtocol = Nats()


def _may_begin(buffer: bytes) -> bool:
    return any((verb + b" ").startswith(buffer) or (verb + b"\r\n").startswith(buffer) for verb in _LINES)


def _first(head: bytes) -> Line | None:
    return next(_lines(head), None)


def _lines(head: bytes) -> Iterator[Line]:
    """
    Yield the messages in *head*, the last one perhaps cut off; end at the first byte that fits none.
    """
    at = 0
    while at < len(head):
        line = _line(head, at)
        if line is None:
            return
        yield line
        if line.found is None or line.end > len(head):
            return
        at = line.end + (line.body + 2 if line.verb in _PAYLOADS else 0)


def _line(head: bytes, at: int) -> Line | None:
    verb = _VERB.match(head, at)
    if verb is None or verb[0] not in _LINES:
        return None
    found = _LINES[verb[0]].match(head, verb.end())
    if found is not None:
        stop = found.end()
        while stop < len(head) and head[stop] in b" \t":
            stop += 1
        ending = head[stop : stop + 2]
        if ending == b"\r\n":
            groups = found.groups()
            body = int(groups[-1]) if verb[0] in _PAYLOADS else 0
            headers = int(groups[-2]) if verb[0] in _HEADED else 0
            if headers > body:
                return None
            return Line(verb[0], at, found, stop + 2, body, headers)
        if ending in (b"", b"\r") and verb[0] in (b"INFO", b"CONNECT", b"-ERR"):
            return Line(verb[0], at, None, len(head), 0, 0)
    end = head.find(b"\n", at)
    if end >= 0 or head[verb.end() : verb.end() + 1] not in (b"", b" ", b"\r") or len(head) - at > LINE_LIMIT:
        return None
    return Line(verb[0], at, None, len(head), 0, 0)


def _tokens(subject: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for token in subject.split(b"."):
        yield at, token
        at += len(token) + 1


def _pattern(subject: bytes) -> str:
    """
    Return what *subject* is called: ids collapse, wildcards stay, an inbox is one.
    """
    if subject.startswith(INBOX + b"."):
        return "_INBOX.*"
    shown = (ID if len(token) > 1 and is_id(token) else _short(token) for token in subject.split(b"."))
    return ".".join(shown)[:NAME_LIMIT]


def _short(token: bytes) -> str:
    if token == b">":
        return ">"
    if len(token) != 1 or not is_id(token):
        return token.decode("ascii")
    return ID if token.isdigit() else "*"


def _subject(head: bytes, line: Line) -> tuple[bytes, bytes, bool]:
    """
    Return subject and reply subject of *line*, and whether the subject is whole.
    """
    if line.found is not None:
        groups = line.found.groups()
        reply = groups[1] if line.verb in (b"PUB", b"HPUB") else b""
        return groups[0], reply or b"", True
    part = _PART.match(head, line.start)
    return (part[2], b"", bool(part[3])) if part else (b"", b"", False)


def _asked(head: bytes, line: Line, attributes: dict[str, str | int]) -> str:
    """
    Return the name of *line*, and add to *attributes*.
    """
    verb = line.verb.removeprefix(b"H") if line.verb in _HEADED else line.verb
    if line.verb not in _SUBJECTS:
        if verb in (b"UNSUB",):
            attributes["messaging.operation.name"] = _OPERATIONS[verb]
        return verb.decode("ascii")
    subject, reply, whole = _subject(head, line)
    if verb == b"PUB" and reply.startswith(INBOX + b"."):
        verb = b"REQ"
    attributes["messaging.operation.name"] = _OPERATIONS[verb]
    if not whole:
        return verb.decode("ascii")
    attributes["messaging.destination.name"] = _pattern(subject)
    if line.body:
        attributes["messaging.message.body.size"] = line.body - line.headers
    return f"{verb.decode('ascii')} {_pattern(subject)}"


def _judged(head: bytes, line: Line | None, attributes: dict[str, str | int]) -> tuple[int, Outcome]:
    """
    Return the status and the outcome that a server's message tells, and add to *attributes*.
    """
    if not head:
        return 0, Outcome.NO_RESPONSE
    if line is None:
        return 0, Outcome.OK
    if line.verb == b"-ERR":
        raw = line.found[1].lower() if line.found else head[line.start + 6 : line.end].lower()
        known = next((shown for word, shown in ERRORS.items() if raw.startswith(word)), "")
        attributes["error.type"] = attributes["nats.error"] = known or "ERR"
        return 0, Outcome.SERVER_ERROR if raw.startswith(SERVER_FAULTS) else Outcome.CLIENT_ERROR
    if line.verb != b"HMSG" or line.found is None:
        return 0, Outcome.OK
    found = _STATUS.match(head, line.end, min(len(head), line.end + line.headers))
    status = int(found[1]) if found and found[1] else 0
    if status:
        attributes["nats.status"] = status
    if status < 400:
        return status, Outcome.OK
    attributes["error.type"] = str(status)
    return status, Outcome.SERVER_ERROR if status >= 500 else Outcome.CLIENT_ERROR


def _headers(head: bytes, line: Line) -> dict[str, str]:
    if line.verb not in _HEADED or line.found is None:
        return {}
    fields = _FIELD.finditer(head, line.end, min(len(head), line.end + line.headers))
    return {field[1].decode("ascii").lower(): field[2].decode("ascii", "replace") for field in fields}


def _mask(head: bytes) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    for line in _lines(head):
        out[line.start : line.end] = head[line.start : line.end]
        _mask_line(out, head, line)
        if line.found is None or line.verb not in _PAYLOADS:
            continue
        stop = min(len(head), line.end + line.body)
        out[line.end : stop + 2] = head[line.end : stop + 2]
        if head[stop : stop + 2] not in (b"\r\n", b"\r", b""):
            out[stop : stop + 2] = bytes(len(out[stop : stop + 2]))
        cover(out, line.end, stop)
        if line.headers:
            _mask_headers(out, head, line)
    return bytes(out)


def _mask_line(out: bytearray, head: bytes, line: Line) -> None:
    after = line.start + len(line.verb)
    if line.found is None and line.verb in _SUBJECTS:
        part = _PART.match(head, line.start)
        if part and part[3]:
            _mask_subject(out, part[2], part.start(2))
            cover(out, part.end(), line.end, b"\r")
        else:
            cover(out, after + 1, line.end, b"\r")
    elif line.found is None:
        _mask_text(out, head, line, after)
    elif line.verb in _SUBJECTS:
        groups = line.found.groups()
        numbers = (line.verb in _PAYLOADS) + (line.verb in _HEADED)
        for number, text in enumerate(groups[: len(groups) - numbers], 1):
            if text:
                _mask_subject(out, text, line.found.start(number))
    elif line.verb == b"UNSUB":
        _mask_subject(out, line.found[1], line.found.start(1))
    elif line.verb in (b"INFO", b"CONNECT", b"-ERR"):
        _mask_text(out, head, line, after)


def _mask_text(out: bytearray, head: bytes, line: Line, after: int) -> None:
    """
    Cover credentials, addresses and names; flags and known errors stay.
    """
    opening = _OPENING.match(head, after, line.end)
    cover(out, opening.end() if opening else after, line.end, b"\r\n")
    if line.found is not None:
        closing = line.found.end() - (head[line.found.end() - 1] in b"}'")
        out[closing : line.end] = head[closing : line.end]
    if line.verb == b"-ERR":
        raw = head[after + 2 : line.end].lower()
        kept = max((len(word) for word in ERRORS if raw.startswith(word)), default=0)
        out[after + 2 : after + 2 + kept] = head[after + 2 : after + 2 + kept]
        return
    for flag in _FLAGS.finditer(head, after, line.end):
        out[flag.start() : flag.end()] = flag[0]


def _mask_subject(out: bytearray, subject: bytes, start: int) -> None:
    inbox = subject.startswith(INBOX + b".")
    for at, token in _tokens(subject):
        if (inbox and at) or not may_stay(token):
            keep = b">" if token == b">" else b""
            cover(out, start + at, start + at + len(token), keep)


def _mask_headers(out: bytearray, head: bytes, line: Line) -> None:
    stop = min(len(head), line.end + line.headers)
    status = _STATUS.match(head, line.end, stop)
    if status is None:
        return
    kept = status.end(1) if status[1] else line.end + 8
    out[line.end : kept] = head[line.end : kept]
    for field in _FIELD.finditer(head, line.end, stop):
        out[field.start() : field.start(2)] = head[field.start() : field.start(2)]
        if field[1].lower() in _TRACE_HEADERS and _HEX.match(field[2]):
            out[field.start(2) : field.end(2)] = field[2]
    for at in range(line.end, stop):
        if head[at] in b"\r\n":
            out[at] = head[at]
    if out[kept : kept + 1] == bytes([MASK]) and kept < status.end():
        out[kept] = head[kept]
