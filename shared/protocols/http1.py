"""
HTTP/1.0 and HTTP/1.1.

https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Protocol
from shared.protocols import _elasticsearch, _trace_context
from shared.protocols._base import Parsed, WireProtocol, blank, text_of
from shared.protocols._collapse import cover, is_id
from shared.protocols._http_parts import (
    NAME_LIMIT,
    PHRASES,
    fields,
    mask_fields,
    mask_path,
    mask_query,
    outcome_of,
    template,
)

__all__ = ["HEAD_LIMIT", "METHODS", "NAME_LIMIT", "PROTOCOL", "Http1"]

METHODS: Final = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY PURGE REPORT SEARCH PROPFIND PROPPATCH MKCOL COPY "
    b"MOVE LOCK UNLOCK MKACTIVITY CHECKOUT MERGE NOTIFY SUBSCRIBE UNSUBSCRIBE LINK UNLINK ACL BIND REBIND "
    b"UNBIND".split()
)
HEAD_LIMIT: Final = 64 * 1024
"""A head that has not ended by then never will."""
_REQUEST: Final = re.compile(rb"([A-Z][A-Z-]*) ([^ \r\n]*)(?:( HTTP/1\.[01])(?=\r?\n|\Z)|( [HTP/1.]{0,8})?\Z)")
_RESPONSE: Final = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: ([^\r\n]*))?(?:\r?\n|\r?\Z)")
_TARGET: Final = re.compile(rb"(?:([a-zA-Z][a-zA-Z0-9+.-]*)://([^/?#]*))?(/[^?#]*)?(?:[?]([^#]*))?")
_PLACE: Final = re.compile(rb"[A-Za-z0-9._-]+:[0-9]{1,5}\Z")
_END: Final = re.compile(rb"\r?\n\r?\n")
_OPERATION: Final = re.compile(rb"[_A-Za-z][_A-Za-z]{0,63}\Z")
_GRAPHQL: Final = re.compile(rb"(?:/[^?#]*)?/graphql/?\Z")


class Line(msgspec.Struct, frozen=True):
    """
    A request line, perhaps cut off.
    """

    method: bytes
    target: bytes
    start: int
    """Where the target begins."""
    whole: bool
    """Whether the target ends where it says."""
    version: str


class Http1(WireProtocol):
    """
    HTTP/1.0 and HTTP/1.1; bodies are never looked at.
    """

    name = "http"
    number = Protocol.HTTP1
    specification = "https://www.rfc-editor.org/rfc/rfc9112"
    family = "http"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: a status line says most, a known method next.
        """
        line = _request_line(request)
        answered = _RESPONSE.match(response) is not None
        if line is None:
            return 0.9 if answered and not request else 0.3 if answered else 0.0
        if answered:
            return 1.0
        if response:
            return 0.2
        return 0.95 if line.version else 0.7

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both heads without ids in the path, query values, header values (but for a few) and bodies.
        """
        line = _request_line(request)
        masked = blank(request)
        if line is not None:
            out = bytearray(request)
            _mask_target(out, line)
            _mask_headers(out, request.find(b"\n", line.start))
            masked = bytes(out)
        status = _RESPONSE.match(response)
        if status is None:
            return masked, blank(response)
        answer = bytearray(response)
        if status[3] and status[3] not in PHRASES:
            cover(answer, status.start(3), status.end(3), b" ")
        _mask_headers(answer, response.find(b"\n"))
        return masked, bytes(answer)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return method and route, status, and what the kept headers say.
        """
        headers = fields(request.partition(b"\n")[2])
        answer = fields(response.partition(b"\n")[2])
        status = _status(response)
        attributes: dict[str, str | int] = {"network.protocol.name": "http"}
        name, method = _asked(request, attributes, "x-elastic-product" in answer) if request else ("", "")
        _describe(attributes, headers, "request")
        _describe(attributes, answer, "response")
        if status:
            attributes["http.response.status_code"] = status
        if status >= 400:
            attributes["error.type"] = str(status)
        trace_id, parent = _trace_context.of_headers(headers)
        return Parsed(
            name=name,
            operation=method,
            outcome=outcome_of(status, bool(response)),
            status=status,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first head, up to and with its empty line.
        """
        end = _END.search(buffer, 0, HEAD_LIMIT)
        first = buffer.find(b"\n", 0, HEAD_LIMIT)
        if first >= 0 or end:
            matches = _RESPONSE.match(buffer) if response else _request_line(buffer)
            if not matches:
                raise Malformed(f"http: no {'status' if response else 'request'} line")
        elif not _may_begin(buffer, response):
            raise Malformed("http: these bytes begin no message")
        if end:
            return end.end()
        if len(buffer) >= HEAD_LIMIT:
            raise Malformed(f"http: a head longer than {HEAD_LIMIT} bytes")
        return None


PROTOCOL: WireProtocol = Http1()


def _request_line(head: bytes) -> Line | None:
    found = _REQUEST.match(head)
    if found is None or found[1] not in METHODS:
        return None
    target = found[2]
    cut = found[3] is None and found[4] is None
    if found[1] == b"CONNECT":
        fits = cut or _PLACE.match(target) is not None
    else:
        fits = target[:1] in (b"/", b"*") or b"://" in target[:16] or (cut and not target)
    if not fits:
        return None
    return Line(found[1], target, found.start(2), not cut, (found[3] or b"").decode("ascii")[6:])


def _mask_target(out: bytearray, line: Line) -> None:
    if line.method == b"CONNECT" and line.whole:
        return
    found = _TARGET.match(line.target)
    if found is None or (found.end() == 0 and line.target):
        if line.target != b"*":
            cover(out, line.start, line.start + len(line.target))
        return
    if found[2] and not line.whole and found.end(2) == len(line.target):
        cover(out, line.start + found.start(2), line.start + found.end(2))
    elif found[2] and b"@" in found[2]:
        cover(out, line.start + found.start(2), line.start + found.start(2) + found[2].rindex(b"@"))
    if found[3]:
        cut = not line.whole and found.end(3) == len(line.target)
        numbers = _elasticsearch.ids(found[3].split(b"/"))
        mask_path(out, line.start + found.start(3), line.start + found.end(3), numbers, cut=cut)
    if found[4]:
        _mask_query(out, line, found.start(4), found[3] or b"", found[4])
    fragment = line.target.startswith(b"#", found.end())  # its sign stays, so the path ends where it did
    cover(out, line.start + found.end() + fragment, line.start + len(line.target))


def _mask_query(out: bytearray, line: Line, start: int, path: bytes, query: bytes) -> None:
    operation = _graphql_operation(path, query) if line.whole else None
    mask_query(out, line.start + start, line.start + start + len(query))
    if operation is not None:
        first, last = operation
        out[line.start + start + first : line.start + start + last] = query[first:last]


def _mask_headers(out: bytearray, first_line_end: int) -> None:
    if first_line_end >= 0:
        mask_fields(out, first_line_end + 1, len(out))


def _asked(request: bytes, attributes: dict[str, str | int], elastic: bool) -> tuple[str, str]:
    """
    Return the endpoint's name and the method, and add to *attributes*.
    """
    line = _request_line(request)
    if line is None:
        raise Malformed("http: no request line")
    method = line.method.decode("ascii")
    path, query = _target_parts(line)
    route = template(path, _elasticsearch.ids(path.split(b"/")))
    attributes["http.request.method"] = method
    attributes["url.path"] = text_of(path)
    attributes["url.template"] = route
    if query:
        attributes["url.query"] = text_of(query)
    if line.version:
        attributes["network.protocol.version"] = line.version
    if line.whole:
        attributes |= _elasticsearch.described(method, path, elastic)
    operation = _graphql_operation(path, query) if line.whole else None
    if operation is not None:
        attributes["graphql.operation.name"] = text_of(query[operation[0] : operation[1]])
    return f"{method} {route}", method


def _graphql_operation(path: bytes, query: bytes) -> tuple[int, int] | None:
    """
    Return where in *query* the name of a GraphQL operation lies that is a name and no value.
    """
    if not _GRAPHQL.match(path):
        return None
    at = 0
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"operationName" and _OPERATION.match(value) and not is_id(value):
            return at + len(name) + 1, at + len(pair)
        at += len(pair) + 1
    return None


def _target_parts(line: Line) -> tuple[bytes, bytes]:
    if line.method == b"CONNECT":
        return line.target, b""
    found = _TARGET.match(line.target)
    path = (found[3] if found else None) or (b"*" if line.target == b"*" else b"/")
    if not line.whole and found and found.end(3) == len(line.target):
        path = path[: path.rfind(b"/") + 1] + b"*"
    return path, (found[4] if found else None) or b""


def _status(response: bytes) -> int:
    found = _RESPONSE.match(response)
    return int(found[2]) if found else 0


def _describe(attributes: dict[str, str | int], headers: dict[str, str], side: str) -> None:
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 16:
        attributes[f"http.{side}.body.size"] = int(length)
    if "content-type" in headers:
        attributes[f"http.{side}.header.content-type"] = headers["content-type"]
    if side == "request":
        host, _, port = headers.get("host", "").rpartition(":")
        if not (port.isascii() and port.isdigit() and len(port) <= 5):
            host, port = headers.get("host", ""), ""
        if host:
            attributes["server.address"] = host
        if port:
            attributes["server.port"] = int(port)
        if "user-agent" in headers:
            attributes["user_agent.original"] = headers["user-agent"]


def _may_begin(buffer: bytes, response: bool) -> bool:
    if response:
        return re.match(rb"HTTP/1\.[01] [1-9][0-9]{2}( |\r|\Z)", buffer) is not None or any(
            re.fullmatch(pattern, buffer) for pattern in (rb"H?T?T?P?/?1?\.?[01]?", rb"HTTP/1\.[01] [0-9]{0,2}")
        )
    method = buffer.partition(b" ")[0]
    return method in METHODS or (b" " not in buffer and any(known.startswith(method) for known in METHODS))
