"""
The exponential histogram: its buckets, its error, its sums.
"""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from shared import histogram

durations = st.integers(min_value=0, max_value=(1 << histogram.MAX_BITS + histogram.TICK_SHIFT) - 1)


@given(durations)
def test_a_duration_lies_inside_its_bucket(duration_ns: int) -> None:
    """
    A bucket's lower bound is at most the duration, and the next one's is above it.
    """
    bucket = histogram.bucket_of(duration_ns)

    assert histogram.lower_bound_ns(bucket) <= duration_ns < histogram.lower_bound_ns(bucket + 1)


@given(durations)
def test_a_bucket_is_at_most_an_eighth_wide(duration_ns: int) -> None:
    """
    Above eight ticks the width of a bucket is at most 12.5 % of its lower bound.
    """
    low = histogram.lower_bound_ns(histogram.bucket_of(duration_ns))
    high = histogram.lower_bound_ns(histogram.bucket_of(duration_ns) + 1)

    assert high - low <= max(histogram.TICK_NS, low / 8)


def test_what_is_too_long_falls_into_the_last_bucket() -> None:
    """
    No duration has an index outside the table.
    """
    assert histogram.bucket_of(1 << 62) == histogram.BUCKETS - 1
    assert histogram.bucket_of(-5) == 0


@given(st.lists(durations, min_size=1, max_size=300), st.floats(min_value=0.01, max_value=1))
def test_a_quantile_is_within_a_bucket_of_the_true_one(values: list[int], q: float) -> None:
    """
    The estimate lies in the bucket of the exact order statistic, or on its edge.
    """
    sketch: dict[int, int] = {}
    for value in values:
        histogram.merge(sketch, {histogram.bucket_of(value): 1})
    exact = sorted(values)[max(0, math.ceil(q * len(values) - 1e-9) - 1)]
    estimate = histogram.quantile_ns(sketch, q)

    assert estimate is not None
    bucket = histogram.bucket_of(exact)
    assert histogram.lower_bound_ns(bucket) <= estimate <= histogram.lower_bound_ns(bucket + 1)


def test_an_empty_histogram_has_no_quantile() -> None:
    """
    Nothing is unknown, not zero.
    """
    assert histogram.quantile_ns({}, 0.5) is None


@given(st.lists(st.dictionaries(st.integers(0, 199), st.integers(1, 1000)), max_size=8))
def test_merging_keeps_every_count(parts: list[dict[int, int]]) -> None:
    """
    The count of the sum is the sum of the counts, and the flat form loses nothing.
    """
    total = histogram.merged(parts)

    assert sum(histogram.count(part) for part in parts) == histogram.count(total)
    assert total == histogram.from_flat(histogram.to_flat(total))


def test_above_counts_whole_buckets_from_the_limit_on() -> None:
    """
    A bucket counts as above when all of it is.
    """
    sketch = {histogram.bucket_of(1_000_000): 3, histogram.bucket_of(900_000_000): 4}

    assert histogram.above(sketch, 500_000_000) == 4
    assert histogram.above(sketch, 0) == 7
