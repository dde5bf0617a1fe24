"""
HTTP/2.

https://www.rfc-editor.org/rfc/rfc9113
"""

from __future__ import annotations

import functools
from typing import Final

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _http2_heads, _trace_context
from shared.protocols._base import Parsed, WireProtocol, text_of
from shared.protocols._collapse import collapsed, may_stay
from shared.protocols._http2_heads import Heads
from shared.protocols.http1 import NAME_LIMIT

UNNAMED: Final = "HTTP"
"""The operation of a request whose method is not told."""
GRPC: Final = b"application/grpc"


class Http2(WireProtocol):
    """
    HTTP/2 that is not gRPC: the frames of one stream, of which the headers are read.
    """

    name = "http2"
    number = Protocol.HTTP2
    specification = "https://www.rfc-editor.org/rfc/rfc9113"
    family = "http"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: every frame has to be one, and the headers say most.
        """
        claim, grpc = claims(request, response)
        return claim * 0.8 if grpc else claim

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both heads without ids in the path, query, header values (but for a few) and bodies.
        """
        return _http2_heads.masked(request, _stays), _http2_heads.masked(response, _stays)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return method and route, status, and the trace context.
        """
        heads = _http2_heads.heads(request, response)
        attributes: dict[str, str | int] = {"network.protocol.name": "http", "network.protocol.version": "2"}
        name, method = _asked(heads, attributes) if request else ("", "")
        status = int(heads.answer.get(b":status", b"0"))
        if status:
            attributes["http.response.status_code"] = status
        if status >= 400 or (heads.reset > 0 and not status):
            attributes["error.type"] = str(status) if status else f"reset {heads.reset}"
        for side, headers in (("request", heads.fields), ("response", heads.answer)):
            if b"content-type" in headers:
                attributes[f"http.{side}.header.content-type"] = text_of(headers[b"content-type"])
        trace_id, parent = _trace_context.of_traceparent(heads.fields.get(b"traceparent", b"").decode("latin-1"))
        return Parsed(
            name=name,
            operation=method,
            outcome=_outcome(heads, status, response),
            status=status,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
            stand_in=bool(request) and ("url.template" not in attributes or not heads.path_whole),
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first frame.
        """
        return _http2_heads.frame_length(buffer, response=response)


PROTOCOL: WireProtocol = Http2()


@functools.lru_cache(maxsize=8)
def claims(request: bytes, response: bytes) -> tuple[float, bool]:
    """
    Return how sure it is that both heads are HTTP/2, and whether they carry gRPC: both protocols ask, one by one.
    """
    claim = _http2_heads.claim(request, response)
    return claim, claim > 0 and is_grpc(_http2_heads.heads(request, response))


def is_grpc(heads: Heads) -> bool:
    """
    Return whether a stream carries gRPC.
    """
    types = (heads.fields.get(b"content-type", b""), heads.answer.get(b"content-type", b""))
    return b"grpc-status" in heads.answer or any(kind.startswith(GRPC) for kind in types)


def _stays(segments: list[bytes]) -> list[bool]:
    return [True] if segments == [b"*"] else [may_stay(segment) for segment in segments]


def _asked(heads: Heads, attributes: dict[str, str | int]) -> tuple[str, str]:
    """
    Return the endpoint's name and the method, and add to *attributes*.
    """
    if not heads.stream:
        raise Malformed("http2: no header of a request")
    method = heads.fields.get(b":method", UNNAMED.encode()).decode("ascii")
    path = _http2_heads.path_of(heads)
    attributes["http.request.method"] = method
    if path is None:
        return method, method
    template = "*" if path == b"*" else "/".join(collapsed(segment) for segment in path.split(b"/"))[:NAME_LIMIT]
    attributes["url.path"] = text_of(path)
    attributes["url.template"] = template
    return f"{method} {template}", method


def _outcome(heads: Heads, status: int, response: bytes) -> Outcome:
    if status >= 500:
        return Outcome.SERVER_ERROR
    if status >= 400:
        return Outcome.CLIENT_ERROR
    if not status and heads.reset > 0:
        return Outcome.SERVER_ERROR if response else Outcome.NO_RESPONSE
    return Outcome.OK if response else Outcome.NO_RESPONSE
