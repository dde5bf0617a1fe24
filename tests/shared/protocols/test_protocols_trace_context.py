"""
Trace contexts out of headers.
"""

from __future__ import annotations

import pytest

from shared.protocols._trace_context import NONE, of_headers

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": f"00-{TRACE}-{SPAN}-01"},
        {"traceparent": f" 00-{TRACE.upper()}-{SPAN}-01 "},
        {"b3": f"{TRACE}-{SPAN}-1"},
        {"b3": f"{TRACE}-{SPAN}"},
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN},
        {"traceparent": f"00-{TRACE}-{SPAN}-01", "b3": f"{'1' * 32}-{'2' * 16}"},
    ],
)
def test_contexts_are_found(headers: dict[str, str]) -> None:
    """
    W3C's form comes first, Zipkin's one and many headers follow.
    """
    assert (TRACE, SPAN) == of_headers(headers)


def test_short_trace_ids_are_filled_up() -> None:
    """
    Zipkin's 64-bit trace ids become 128 bits with leading zeros.
    """
    assert ("0" * 16 + SPAN, SPAN) == of_headers({"x-b3-traceid": SPAN, "x-b3-spanid": SPAN})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"00-{TRACE[:-1]}-{SPAN}-01"},
        {"b3": "0"},
        {"x-b3-traceid": TRACE},
    ],
)
def test_what_is_not_valid_is_no_context(headers: dict[str, str]) -> None:
    """
    A context that is cut off, all zeros or of a forbidden version is left alone: an open link beats a wrong one.
    """
    assert NONE == of_headers(headers)
