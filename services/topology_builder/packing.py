"""
Histograms in PostgreSQL's own binary form of a packed number, written without big arithmetic.

A bucket takes 12 decimal digits (see `shared.histogram.pack`), and PostgreSQL's `numeric` counts in digits of base
10,000: so a bucket is exactly three of them, and those below the origin lie behind the decimal point.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from shared.histogram import PACKED_DIGITS, PACKED_ORIGIN

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE: Final = 10_000
LARGEST: Final = BASE**3 - 1
"""The most that one bucket holds."""


def numeric(histogram: Mapping[int, int]) -> bytes:
    """
    Return *histogram* as PostgreSQL receives a `numeric`.
    """
    if not histogram:
        return b"\0" * 8
    low, high = min(histogram), max(histogram)
    digits: list[int] = []
    for bucket in range(high, low - 1, -1):
        rest, last = divmod(min(histogram.get(bucket, 0), LARGEST), BASE)
        digits += (rest // BASE, rest % BASE, last)
    weight = 3 * (high - PACKED_ORIGIN) + 2
    scale = PACKED_DIGITS * max(0, PACKED_ORIGIN - low)
    return struct.pack(f">hhHH{len(digits)}h", len(digits), weight, 0, scale, *digits)


def from_numeric(data: bytes) -> dict[int, int]:
    """
    Return the histogram in a `numeric` as PostgreSQL sends it.
    """
    count, weight = struct.unpack_from(">hh", data)
    histogram: dict[int, int] = {}
    for index, digit in enumerate(struct.unpack_from(f">{count}h", data, 8)):
        if digit:
            above, place = divmod(weight - index, 3)
            bucket = PACKED_ORIGIN + above
            histogram[bucket] = histogram.get(bucket, 0) + digit * BASE**place
    return histogram
