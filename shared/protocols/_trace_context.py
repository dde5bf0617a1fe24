"""
Trace contexts that requests carry, in the forms that are in use.

https://www.w3.org/TR/trace-context/ and https://github.com/openzipkin/b3-propagation
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE: Final = ("", "")

_W3C: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_B3: Final = re.compile(r"([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-|\Z)")
_TRACE: Final = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?\Z")
_SPAN: Final = re.compile(r"[0-9a-f]{16}\Z")


def of_traceparent(value: str) -> tuple[str, str]:
    """
    Return trace id and parent span id of a `traceparent`, empty texts when it is not valid.
    """
    found = _W3C.match(value.strip().lower())
    return _valid(found[1], found[2]) if found and not value.lower().startswith("ff") else NONE


def of_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """
    Return trace id and parent span id of a request's *headers* (names in lower case), W3C's before Zipkin's.
    """
    context = of_traceparent(headers.get("traceparent", ""))
    if context != NONE:
        return context
    single = _B3.match(headers.get("b3", "").lower())
    if single:
        return _valid(single[1].zfill(32), single[2])
    trace, span = headers.get("x-b3-traceid", "").lower(), headers.get("x-b3-spanid", "").lower()
    return _valid(trace.zfill(32), span) if _TRACE.match(trace) and _SPAN.match(span) else NONE


def _valid(trace_id: str, span_id: str) -> tuple[str, str]:
    return (trace_id, span_id) if trace_id.strip("0") and span_id.strip("0") else NONE
