"""
The status codes of gRPC: their words, and who is at fault.

https://grpc.github.io/grpc/core/md_doc_statuscodes.html
"""

from __future__ import annotations

from typing import Final

from shared.messages.kernel import Outcome

WORDS: Final = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
"""Each code's word, in the order of their numbers."""

OF_THE_SERVER: Final = frozenset((2, 4, 12, 13, 14, 15))
"""Codes that are the callee's fault, as OpenTelemetry has it; the others but 0 are the caller's."""

_OF_HTTP: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_OF_RESET: Final = {7: 14, 8: 1, 11: 8, 12: 7}


def of_http(status: int) -> int:
    """
    Return the code that stands for an HTTP *status* of a response that has none of its own.
    """
    return 0 if status in (0, 200) else _OF_HTTP.get(status, 2)


def of_reset(code: int) -> int:
    """
    Return the code that stands for a stream that was reset with HTTP/2's error *code*.
    """
    return _OF_RESET.get(code, 13)


def outcome(code: int) -> Outcome:
    """
    Return whose fault it is.
    """
    if code == 0:
        return Outcome.OK
    return Outcome.SERVER_ERROR if code in OF_THE_SERVER or code >= len(WORDS) else Outcome.CLIENT_ERROR


def word(code: int) -> str:
    """
    Return the code's word, its number where it has none.
    """
    return WORDS[code] if code < len(WORDS) else str(code)
