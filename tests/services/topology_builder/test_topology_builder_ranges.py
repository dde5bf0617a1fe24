"""
Sets of numbers as ranges, held against plain sets.
"""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.topology_builder.ranges import Ranges

PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), max_size=30)


@given(PAIRS)
def test_ranges_hold_what_a_set_holds(pairs: list[tuple[int, int]]) -> None:
    """
    Whatever is added in whatever order, the ranges hold exactly the numbers that a set holds, apart and in order.
    """
    ranges, plain = Ranges(), set[int]()
    for low, length in pairs:
        ranges.add(low, low + length)
        plain.update(range(low, low + length))
    found = list(ranges)

    assert plain == {number for low, high in found for number in range(low, high)}
    assert len(plain) == len(ranges)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(found))
    assert [number in plain for number in range(60)] == [number in ranges for number in range(60)]


@given(PAIRS, st.integers(0, 50), st.integers(0, 50))
def test_missing_is_the_complement(pairs: list[tuple[int, int]], low: int, high: int) -> None:
    """
    What is missing between two numbers is what a set lacks there.
    """
    ranges = Ranges((begin, begin + length) for begin, length in pairs)
    lacking = {number for number in range(low, high) if number not in ranges}

    assert lacking == {number for begin, end in ranges.missing(low, high) for number in range(begin, end)}


def test_end_and_clear() -> None:
    """
    The end follows the greatest number; a cleared set is empty.
    """
    ranges = Ranges([(3, 5), (9, 10)])

    assert ranges.end == 10
    ranges.clear()
    assert (ranges.end, len(ranges), list(ranges)) == (0, 0, [])
