"""
Units of time, and aligned windows.

Durations and instants are integers in nanoseconds everywhere; a name says its unit (`_ns`, `_s`, `_bytes`, `_ratio`).
PostgreSQL alone knows instants otherwise, to the microsecond: `at` and `unix_ns` go there and back.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

US_NS: Final = 1_000
MS_NS: Final = 1_000_000
S_NS: Final = 1_000_000_000

WINDOW_S: Final = 10
"""The finest stored resolution: every figure belongs to one aligned window of this many seconds."""

WINDOW_NS: Final = WINDOW_S * S_NS


def window_start_ns(at_ns: int, window_ns: int = WINDOW_NS) -> int:
    """
    Return the start of the aligned window that holds *at_ns*.
    """
    return at_ns - at_ns % window_ns


def at(unix_ns: int) -> dt.datetime:
    """
    Return *unix_ns* as an instant, to the microsecond, as PostgreSQL takes it.
    """
    return dt.datetime.fromtimestamp(unix_ns // S_NS, dt.UTC) + dt.timedelta(microseconds=unix_ns % S_NS // US_NS)


def maybe_at(unix_ns: int) -> dt.datetime | None:
    """
    Return *unix_ns* as an instant; 0 means that it has not happened.
    """
    return at(unix_ns) if unix_ns else None


def unix_ns(instant: dt.datetime | None) -> int:
    """
    Return *instant*, as PostgreSQL gives it, in unix nanoseconds; 0 for none.
    """
    if instant is None:
        return 0
    since = instant - dt.datetime.fromtimestamp(0, dt.UTC)
    return (since.days * 86_400 + since.seconds) * S_NS + since.microseconds * US_NS
