"""
Histograms in PostgreSQL's binary form of a number, held against plain arithmetic.
"""

from __future__ import annotations

import struct
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.topology_builder.packing import LARGEST, from_numeric, numeric
from shared.histogram import BUCKETS, from_packed, pack, to_flat

HISTOGRAMS = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10**11), max_size=20)


def value_of(data: bytes) -> Fraction:
    """
    Return the number that PostgreSQL reads from *data*.
    """
    count, weight, sign, scale = struct.unpack_from(">hhHH", data)
    assert sign == 0
    assert scale >= 4 * (count - 1 - weight)
    digits = struct.unpack_from(f">{count}h", data, 8)
    assert all(0 <= digit < 10_000 for digit in digits)
    return sum((digit * Fraction(10_000) ** (weight - index) for index, digit in enumerate(digits)), Fraction())


@given(HISTOGRAMS)
def test_numeric_is_the_packed_number(histogram: dict[int, int]) -> None:
    """
    The bytes are the number that `shared.histogram.pack` gives, and they unpack to the same histogram.
    """
    data = numeric(histogram)

    assert Fraction(pack(to_flat(histogram))) == value_of(data)
    assert histogram == from_packed(pack(to_flat(histogram)))
    assert histogram == from_numeric(data)


def test_a_full_bucket_does_not_run_over() -> None:
    """
    A count beyond what a bucket holds stays in its bucket.
    """
    assert from_numeric(numeric({7: LARGEST + 5, 8: 1})) == {7: LARGEST, 8: 1}
