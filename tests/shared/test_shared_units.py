"""
Instants, as we count them and as PostgreSQL does.
"""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from shared.units import US_NS, at, maybe_at, unix_ns

LATEST_NS = 4_000_000_000 * 10**9


@given(st.integers(0, LATEST_NS))
def test_an_instant_comes_back_to_the_microsecond(at_ns: int) -> None:
    """
    There and back, an instant loses what is less than a microsecond, and nothing else.
    """
    assert at_ns - at_ns % US_NS == unix_ns(at(at_ns))


def test_an_instant_is_in_utc() -> None:
    """
    A known instant is what the calendar says.
    """
    assert dt.datetime(2023, 11, 14, 22, 13, 20, 999_999, dt.UTC) == at(1_700_000_000_999_999_999)


def test_what_has_not_happened_is_nothing() -> None:
    """
    Zero is no instant, and no instant is zero.
    """
    assert (None, 0) == (maybe_at(0), unix_ns(None))
    assert at(1_000) == maybe_at(1_000)
