"""
Units of time, and aligned windows.

Durations and instants are integers in nanoseconds everywhere; a name says its unit (`_ns`, `_s`, `_bytes`, `_ratio`).
"""

from __future__ import annotations

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
