"""
DNS queries that nobody answered are counted once.
"""

from __future__ import annotations

from typing import Final

from services.probe_manager.decode import SERIES_KEY
from services.probe_manager.unanswered import KEY_BYTES, QUERY, TIMEOUT_NS, swept, to_sweep
from shared.histogram import bucket_of
from shared.messages.kernel import Outcome, Protocol, Role

SERIES: Final = SERIES_KEY.pack(3, 0, Role.CLIENT, Protocol.DNS, Outcome.NO_RESPONSE, 0, 0, 53, 77, b"\1" * 16)


def query(started_ns: int, more: int = 0, *, is_swept: bool = False) -> bytes:
    """
    Return a query that waits in the kernel's map.
    """
    return QUERY.pack(SERIES, started_ns, 77, 30, 0, 0, 0, more, int(is_swept))


def test_only_what_waited_too_long_is_swept() -> None:
    """
    A query is marked when its time is over, and never twice.
    """
    keys = bytes(range(3 * KEY_BYTES))
    values = query(100) + query(101) + query(0, is_swept=True)
    found = to_sweep(keys, values, TIMEOUT_NS + 100)

    assert [(keys[:KEY_BYTES], query(100, is_swept=True))] == found


def test_swept_queries_are_requests_without_response() -> None:
    """
    Queries of one series are one figure; those that share a number count each; those that still wait do not.
    """
    keys = bytes(range(3 * KEY_BYTES))
    gone, (series,) = swept(keys, query(1, is_swept=True) + query(2) + query(3, more=2, is_swept=True))

    assert [keys[:KEY_BYTES], keys[2 * KEY_BYTES :]] == gone
    assert (4, 120, 4 * TIMEOUT_NS) == (series.requests, series.request_bytes, series.duration_sum_ns)
    assert (Outcome.NO_RESPONSE, 53, 77) == (series.outcome, series.port, series.endpoint)
    assert [bucket_of(TIMEOUT_NS), 4] == series.duration


def test_nothing_waits() -> None:
    """
    An empty map gives nothing.
    """
    assert [] == to_sweep(b"", b"", 1)
    assert ([], []) == swept(b"", b"")
