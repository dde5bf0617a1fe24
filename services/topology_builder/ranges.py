"""
Sets of numbers that mostly follow one another, as sorted ranges.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First number, and the number after the last one."""


class Ranges:
    """
    A set of integers that costs memory by its gaps, not by its size.
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        for low, high in ranges:
            self.add(low, high)

    def add(self, low: int, high: int | None = None) -> None:
        """
        Add *low*, or all numbers from *low* to before *high*.
        """
        high = low + 1 if high is None else high
        if high <= low:
            return
        first = bisect_right(self._lows, low) - 1
        if first < 0 or self._highs[first] < low:
            first += 1
        last = bisect_right(self._lows, high)
        if first < last:
            low = min(low, self._lows[first])
            high = max(high, self._highs[last - 1])
        self._lows[first:last] = [low]
        self._highs[first:last] = [high]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._lows, number) - 1
        return at >= 0 and number < self._highs[at]

    def __len__(self) -> int:
        return sum(high - low for low, high in self)

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._lows, self._highs, strict=True)))

    @property
    def end(self) -> int:
        """
        Return the number after the greatest one, 0 when the set is empty.
        """
        return self._highs[-1] if self._highs else 0

    def missing(self, low: int, high: int) -> list[Range]:
        """
        Return the ranges between *low* and *high* that are not in the set.
        """
        gaps: list[Range] = []
        for begin, end in zip(self._lows, self._highs, strict=True):
            if begin >= high:
                break
            if begin > low:
                gaps.append((low, begin))
            low = max(low, end)
        if low < high:
            gaps.append((low, high))
        return gaps

    def clear(self) -> None:
        """
        Make the set empty.
        """
        self._lows.clear()
        self._highs.clear()
