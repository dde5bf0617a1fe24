"""
FastCGI: how web servers ask PHP and other applications.

https://fastcgi-archives.github.io/FastCGI_Specification.html

What is asked for lies in the parameters, the status in the headers that the application writes to its output.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _trace_context
from shared.protocols._base import Parsed, WireProtocol, blank, text_of
from shared.protocols._collapse import cover
from shared.protocols._http_parts import fields, mask_fields, mask_path, mask_query, outcome_of, template

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, GET_VALUES_RESULT, UNKNOWN = range(1, 12)
HEADER: Final = 8
ASKING: Final = frozenset({BEGIN, ABORT, PARAMS, STDIN, DATA, GET_VALUES})
MANAGING: Final = frozenset({GET_VALUES, GET_VALUES_RESULT, UNKNOWN})
"""Records that belong to no request."""
ROLES: Final = {1: "RESPONDER", 2: "AUTHORIZER", 3: "FILTER"}
REFUSALS: Final = {1: "CANT_MPX_CONN", 2: "OVERLOADED", 3: "UNKNOWN_ROLE"}
RECORDS_LOOKED_AT: Final = 32
STAND_IN: Final = "REQUEST"

KEPT: Final = frozenset(
    b"REQUEST_METHOD SERVER_PROTOCOL CONTENT_TYPE CONTENT_LENGTH SERVER_NAME SERVER_PORT HTTP_HOST GATEWAY_INTERFACE "
    b"REQUEST_SCHEME SERVER_SOFTWARE HTTP_TRACEPARENT HTTP_TRACESTATE HTTP_B3 HTTP_X_B3_TRACEID HTTP_X_B3_SPANID "
    b"HTTP_USER_AGENT".split()
)
"""Parameters whose values leave the node whole."""
PATHS: Final = frozenset({b"SCRIPT_NAME", b"REQUEST_URI", b"DOCUMENT_URI"})
"""Parameters whose values leave the node without ids and queries."""

_NAME: Final = re.compile(rb"[A-Z][A-Z0-9_]{0,63}\Z")
_PATH_END: Final = re.compile(rb"[?#]")
_METHOD: Final = re.compile(rb"[A-Z][A-Z-]{1,15}\Z")


class Record(msgspec.Struct, frozen=True):
    """
    A record in a head, perhaps cut off behind its header.
    """

    kind: int
    request: int
    start: int
    body: int
    end: int
    """Where its content ends, perhaps behind the head."""
    next: int
    """Where the next record begins, behind the padding."""


class Pair(msgspec.Struct, frozen=True):
    """
    A parameter in a head; *end* is where its value ends.
    """

    start: int
    value: int
    end: int
    whole: bool
    """Whether all of its value is there."""


class FastCgi(WireProtocol):
    """
    Requests by number, each with its parameters; input and output are never looked at, but for the output's headers.
    """

    name = "fastcgi"
    number = Protocol.FASTCGI
    specification = "https://fastcgi-archives.github.io/FastCGI_Specification.html"
    family = "http"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: a request that begins with its role says most.
        """
        asked, answered = list(_records(request)), list(_records(response))
        fits = all(record.kind in ASKING for record in asked) and not any(r.kind in ASKING for r in answered)
        if not asked or not fits or (response and not answered):
            return 0.0
        first = asked[0]
        if first.kind == BEGIN:
            whole = len(request) >= HEADER * 2
            role = (
                int.from_bytes(request[8:10], "big") in ROLES
                and not any(request[11:16])
                and request[10:11] in (b"\0", b"\1")
            )
            return (0.97 if len(asked) > 1 or answered else 0.85) if whole and role and first.end == 16 else 0.0
        return 0.7 if answered else 0.4 if len(asked) > 1 else 0.2

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the records' headers, the parameters' names with a few values, and the output's headers.
        """
        return _mask_head(request), _mask_head(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return method and route from the parameters, and the status from the output.
        """
        attributes: dict[str, str | int] = {"network.protocol.name": "fastcgi"}
        name = method = ""
        known, stand_in = False, False
        trace_id = parent = ""
        if request:
            if not any(True for _ in _records(request)):
                raise Malformed("fastcgi: no record")
            values, cut = _parameters(request)
            name, method, known = _asked(values, cut, attributes)
            stand_in = not known
            headers = {key[5:].replace("_", "-").lower(): value for key, value in values.items() if key[:5] == "HTTP_"}
            trace_id, parent = _trace_context.of_headers(headers)
        status, outcome = _answered(response, attributes)
        return Parsed(
            name=name,
            operation=method,
            outcome=outcome,
            status=status,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
            stand_in=stand_in,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first record with its padding.
        """
        for at, allowed in ((0, (1,)), (1, tuple(k for k in range(1, 12) if (k in ASKING) is not response))):
            if len(buffer) > at and buffer[at] not in allowed:
                raise Malformed("fastcgi: no such record")
        if len(buffer) < HEADER:
            return None
        first = next(_records(buffer), None)
        if first is None:
            raise Malformed("fastcgi: no such record")
        return first.next if first.next <= len(buffer) else None


PROTOCOL: WireProtocol = FastCgi()


def _records(head: bytes) -> Iterator[Record]:
    """
    Yield the records of *head*, the last one perhaps cut off; end where none begins.
    """
    at = 0
    for _ in range(RECORDS_LOOKED_AT):
        if len(head) - at < HEADER or head[at] != 1 or not BEGIN <= head[at + 1] <= UNKNOWN:
            return
        kind, request = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        length = int.from_bytes(head[at + 4 : at + 6], "big")
        if (request == 0) is not (kind in MANAGING) or (kind in (BEGIN, END, UNKNOWN) and length != 8):
            return
        end = at + HEADER + length
        yield Record(kind, request, at, at + HEADER, end, end + head[at + 6])
        at = end + head[at + 6]


def _length(head: bytes, at: int) -> tuple[int, int]:
    """
    Return a length and where it ends; -1 when it is cut off.
    """
    if at >= len(head) or (head[at] & 0x80 and at + 4 > len(head)):
        return -1, at
    if head[at] & 0x80:
        return int.from_bytes(head[at : at + 4], "big") & 0x7FFFFFFF, at + 4
    return head[at], at + 1


def _pairs(head: bytes, record: Record) -> Iterator[Pair]:
    """
    Yield the parameters of *record* whose names are whole.
    """
    at, stop = record.body, min(record.end, len(head))
    while at < stop:
        name, at = _length(head, at)
        value, at = _length(head, at) if name >= 0 else (-1, at)
        if value < 0 or at + name > stop:
            return
        end = min(at + name + value, stop)
        yield Pair(at, at + name, end, end == at + name + value)
        at += name + value


def _parameters(head: bytes) -> tuple[dict[str, str], str]:
    """
    Return the parameters of the first request that may be known, and the name of one whose value is cut off.
    """
    values: dict[str, str] = {}
    first, cut = 0, ""
    for record in _records(head):
        first = first or record.request
        if record.kind != PARAMS or record.request != first:
            continue
        for pair in _pairs(head, record):
            name = head[pair.start : pair.value]
            if name in KEPT or name in PATHS:
                values[name.decode("ascii")] = text_of(head[pair.value : pair.end])
                cut = cut if pair.whole else name.decode("ascii")
    return values, cut


def _asked(values: dict[str, str], cut: str, attributes: dict[str, str | int]) -> tuple[str, str, bool]:
    """
    Return the endpoint's name, the method, and whether the name is sure; add to *attributes*.
    """
    method = values.get("REQUEST_METHOD", "")
    if not _METHOD.match(method.encode()) or cut == "REQUEST_METHOD":
        method = ""
    place = "REQUEST_URI" if "REQUEST_URI" in values else "SCRIPT_NAME"
    path = _PATH_END.split(values.get(place, "").encode("utf-8", "replace"), 1)[0]
    if cut == place and not _PATH_END.search(values[place].encode("utf-8", "replace")):
        path = path[: path.rfind(b"/") + 1] + b"*"
    if method:
        attributes["http.request.method"] = method
    if path:
        attributes["url.path"] = text_of(path)
        attributes["url.template"] = template(path)
    for name, attribute in (("SERVER_NAME", "server.address"), ("HTTP_USER_AGENT", "user_agent.original")):
        if values.get(name) and cut != name:
            attributes[attribute] = values[name]
    if not method or not path:
        return method or STAND_IN, method, False
    return f"{method} {template(path)}", method, place == "REQUEST_URI" and cut != place


def _answered(response: bytes, attributes: dict[str, str | int]) -> tuple[int, Outcome]:
    """
    Return status and outcome, and add to *attributes*.
    """
    status, outcome = 0, Outcome.OK if response else Outcome.NO_RESPONSE
    for record in _records(response):
        content = response[record.body : record.end]
        if record.kind == STDOUT and content and not status:
            word = fields(content).get("status", "")
            status = int(word) if len(word) == 3 and word.isascii() and word.isdigit() else 200
            outcome = outcome_of(status, answered=True)
        elif record.kind == END and len(content) >= 5:
            refused, code = REFUSALS.get(content[4], ""), int.from_bytes(content[:4], "big")
            if refused or code:
                outcome = Outcome.SERVER_ERROR
                attributes["error.type"] = refused or str(code)
                status = status or content[4]
            break
    if status >= 100:
        attributes["http.response.status_code"] = status
    if status >= 400:
        attributes["error.type"] = str(status)
    return status, outcome


def _mask_head(head: bytes) -> bytes:
    """
    Cover every value and content that is not kept; what does not belong to a record is blanked.
    """
    out = bytearray(blank(head))
    answered = False
    for record in _records(head):
        stop = min(record.end, len(head))
        out[record.start : stop] = head[record.start : stop]
        if record.kind in (PARAMS, GET_VALUES, GET_VALUES_RESULT):
            _mask_parameters(out, head, record)
        elif record.kind == STDOUT and not answered:
            answered = record.end > record.body
            mask_fields(out, record.body, stop)
        elif record.kind == BEGIN:
            out[min(record.body + 3, stop) : stop] = bytes(max(0, stop - record.body - 3))
        elif record.kind == END:
            out[min(record.body + 5, stop) : stop] = bytes(max(0, stop - record.body - 5))
        else:
            cover(out, record.body, stop)
    return bytes(out)


def _mask_parameters(out: bytearray, head: bytes, record: Record) -> None:
    at = record.body
    for pair in _pairs(head, record):
        name = head[pair.start : pair.value]
        at = pair.end
        if not _NAME.match(name):
            cover(out, pair.start, pair.end)
        elif name in PATHS:
            _mask_place(out, pair)
        elif name not in KEPT:
            cover(out, pair.value, pair.end)
    stop = min(record.end, len(head))
    out[at:stop] = bytes(max(0, stop - at))


def _mask_place(out: bytearray, pair: Pair) -> None:
    found = _PATH_END.search(out, pair.value, pair.end)
    end = found.start() if found else pair.end
    mask_path(out, pair.value, end, cut=found is None and not pair.whole)
    if out[end : end + 1] == b"?" and found:
        mask_query(out, end + 1, pair.end)
    elif found:
        cover(out, end + 1, pair.end)
