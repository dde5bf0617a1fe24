"""
gRPC over HTTP/2, and what speaks it: etcd.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import re
from typing import Final

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _grpc_status, _http2_heads, _trace_context
from shared.protocols._base import Parsed, WireProtocol
from shared.protocols._collapse import ID, is_id, may_stay
from shared.protocols._http2_heads import Heads
from shared.protocols.http1 import NAME_LIMIT
from shared.protocols.http2 import claims

UNNAMED: Final = "gRPC"
"""The name of a call whose path is not told."""
DIGITS: Final = 4
"""So many digits make a word of the path an id in the kernel, when it is long."""
LONGEST: Final = 100
SYLLABLE: Final = 3.5
"""Letters of a word in camel case, on average; what has fewer is a token."""

_IDENTIFIER: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\Z")
_WORD: Final = re.compile(rb"[A-Z]{1,4}(?![a-z])[0-9]{0,2}|[A-Z]?[a-z]+[0-9]{0,2}|_+")
_SYSTEMS: Final = {"etcdserverpb": "etcd", "v3lockpb": "etcd", "v3electionpb": "etcd", "mvccpb": "etcd"}
"""Databases, by the package of their services."""


class Grpc(WireProtocol):
    """
    gRPC: HTTP/2 with the content type that says so, and a status in the trailers.
    """

    name = "grpc"
    number = Protocol.GRPC
    specification = "https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"
    family = "rpc"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: as sure as HTTP/2 where content type or status say so, else not at all.
        """
        claim, grpc = claims(request, response)
        return claim if grpc else 0.0

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both heads without metadata, messages, and what in the path is no name.
        """
        return _http2_heads.masked(request, _stays), _http2_heads.masked(response, _stays)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return service and method, status, and the trace context.
        """
        heads = _http2_heads.heads(request, response)
        attributes: dict[str, str | int] = {"rpc.system": "grpc"}
        name, method = _asked(heads, attributes) if request else ("", "")
        code = _code(heads)
        if code is not None:
            attributes["rpc.grpc.status_code"] = code
        if code:
            attributes["error.type"] = _grpc_status.word(code)
        trace_id, parent = _trace_context.of_traceparent(heads.fields.get(b"traceparent", b"").decode("latin-1"))
        return Parsed(
            name=name,
            operation=method,
            outcome=_grpc_status.outcome(code or 0) if response or code else Outcome.NO_RESPONSE,
            status=code or 0,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
            stand_in=bool(request) and ("rpc.service" not in attributes or not heads.path_whole),
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first frame.
        """
        return _http2_heads.frame_length(buffer, response=response)


PROTOCOL: WireProtocol = Grpc()


def _asked(heads: Heads, attributes: dict[str, str | int]) -> tuple[str, str]:
    """
    Return the endpoint's name and the method, and add to *attributes*.
    """
    if not heads.stream:
        raise Malformed("grpc: no header of a request")
    path = _http2_heads.path_of(heads)
    if path is None:
        return UNNAMED, UNNAMED
    words = [_called(segment) for segment in path.removeprefix(b"/").split(b"/")]
    name = "/".join(words)[:NAME_LIMIT]
    service, method = "/".join(words[:-1])[:NAME_LIMIT], words[-1][:NAME_LIMIT]
    if service:
        attributes["rpc.service"] = service
    attributes["rpc.method"] = method
    system = _SYSTEMS.get(service.partition(".")[0])
    if system:
        attributes["db.system.name"] = system
        attributes["db.operation.name"] = method
    return name or UNNAMED, method or UNNAMED


def _code(heads: Heads) -> int | None:
    """
    Return the call's status: of the trailers, else what stands for HTTP's or for a reset; None when nobody told it.
    """
    if b"grpc-status" in heads.answer:
        return int(heads.answer[b"grpc-status"])
    if heads.reset >= 0:
        return _grpc_status.of_reset(heads.reset)
    status = int(heads.answer.get(b":status", b"0"))
    return _grpc_status.of_http(status) if status >= 300 else None


def _stays(segments: list[bytes]) -> list[bool]:
    return [not segment or _is_name(segment) or may_stay(segment) for segment in segments]


def _called(segment: bytes) -> str:
    if not segment or _is_name(segment):
        return segment.decode("ascii")
    return ID if is_id(segment) else segment.decode("ascii")


def _is_name(segment: bytes) -> bool:
    """
    Return whether *segment* is a name of a service or method, however long, and not a token.
    """
    digits = len(segment) - len(segment.translate(None, b"0123456789"))
    if digits >= DIGITS or len(segment) > LONGEST:
        return False
    return all(_is_word(part) for part in segment.split(b"."))


def _is_word(part: bytes) -> bool:
    if not _IDENTIFIER.match(part):
        return False
    if not is_id(part):
        return True
    words = _WORD.findall(part)
    return not part.isupper() and b"".join(words) == part and len(part) >= SYLLABLE * len(words)
