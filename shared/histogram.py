"""
Durations as exponential histograms: base 2 with eight linear sub-buckets, the form that the kernel fills.

A duration is first divided by 1024 (`TICK_NS`), so the unit is a little more than a microsecond. Values below 8 have a
bucket each; above, every power of two is cut into 8 equal parts, so a bucket is at most 12.5 % wide and its middle
is at most 6.25 % from any value in it. `bpf/include/series.h` computes the same index; a test holds the two together.

Histograms merge by adding buckets, over instances, nodes and time. They are kept sparse: bucket index to count.
OpenTelemetry: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SUB_BITS: Final = 3
SUB_BUCKETS: Final = 1 << SUB_BITS
TICK_SHIFT: Final = 10
TICK_NS: Final = 1 << TICK_SHIFT
MAX_BITS: Final = 27
BUCKETS: Final = (MAX_BITS - SUB_BITS + 1) * SUB_BUCKETS
"""200 buckets: from 1 us to 2^27 ticks, which is 137 s; what is longer falls into the last one."""

Histogram = dict[int, int]
"""Sparse: bucket index to count."""


def bucket_of(duration_ns: int) -> int:
    """
    Return the index of the bucket that holds *duration_ns*.
    """
    ticks = max(duration_ns, 0) >> TICK_SHIFT
    if ticks < SUB_BUCKETS:
        return ticks
    octave = ticks.bit_length() - 1
    if octave >= MAX_BITS:
        return BUCKETS - 1
    return ((octave - SUB_BITS + 1) << SUB_BITS) + ((ticks >> (octave - SUB_BITS)) & (SUB_BUCKETS - 1))


def lower_bound_ns(bucket: int) -> int:
    """
    Return the least duration that falls into *bucket*, in nanoseconds.
    """
    if bucket < SUB_BUCKETS:
        return bucket << TICK_SHIFT
    octave = (bucket >> SUB_BITS) + SUB_BITS - 1
    return (SUB_BUCKETS + (bucket & (SUB_BUCKETS - 1))) << (octave - SUB_BITS + TICK_SHIFT)


def merge(into: Histogram, other: Mapping[int, int]) -> None:
    """
    Add the counts of *other* to *into*.
    """
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def merged(histograms: Iterable[Mapping[int, int]]) -> Histogram:
    """
    Return the sum of *histograms*.
    """
    total: Histogram = {}
    for histogram in histograms:
        merge(total, histogram)
    return total


def count(histogram: Mapping[int, int]) -> int:
    """
    Return how many durations *histogram* holds.
    """
    return sum(histogram.values())


def quantile_ns(histogram: Mapping[int, int], q: float) -> int | None:
    """
    Return the *q* quantile (0 to 1) in nanoseconds, linear inside its bucket; None for an empty histogram.
    """
    total = sum(histogram.values())
    if total == 0:
        return None
    rank = q * total
    seen = 0
    for bucket in sorted(histogram):
        inside = histogram[bucket]
        if seen + inside >= rank and inside:
            low, high = lower_bound_ns(bucket), lower_bound_ns(bucket + 1)
            return int(low + (high - low) * max(0.0, rank - seen) / inside)
        seen += inside
    return lower_bound_ns(max(histogram) + 1)


def above(histogram: Mapping[int, int], limit_ns: int) -> int:
    """
    Return how many durations lie in buckets that begin at or above *limit_ns*.
    """
    return sum(n for bucket, n in histogram.items() if lower_bound_ns(bucket) >= limit_ns)


def to_flat(histogram: Mapping[int, int]) -> list[int]:
    """
    Return *histogram* as `[index, count, index, count, ...]` in ascending order: the form on the wire and in tables.
    """
    flat: list[int] = []
    for bucket in sorted(histogram):
        flat += (bucket, histogram[bucket])
    return flat


def from_flat(flat: list[int]) -> Histogram:
    """
    Return the histogram that *flat* holds.
    """
    return dict(zip(flat[::2], flat[1::2], strict=True))


PACKED_DIGITS: Final = 12
"""Decimal digits that each bucket takes in a packed histogram: counts up to 10^12 - 1, also after adding."""
PACKED_ORIGIN: Final = 64
"""The bucket that takes the last digits before the decimal point (1 to 2 ms): few zeros around it, short sums."""


def pack(flat: list[int]) -> str:
    """
    Return a flat histogram as one decimal number: adding two numbers merges two histograms.

    Bucket b counts 10^(12 (b - 64)); lower buckets lie behind the decimal point. That is how PostgreSQL holds them
    (`numeric`), so that its own `sum()` merges histograms exactly.
    """
    buckets: Histogram = {}
    for index in range(0, len(flat), 2):
        buckets[flat[index]] = buckets.get(flat[index], 0) + flat[index + 1]
    top, bottom = max((PACKED_ORIGIN, *buckets)), min((PACKED_ORIGIN, *buckets))
    parts = [f"{buckets.get(bucket, 0):0{PACKED_DIGITS}d}" for bucket in range(top, bottom - 1, -1)]
    point = top - PACKED_ORIGIN + 1
    whole, fraction = "".join(parts[:point]).lstrip("0") or "0", "".join(parts[point:])
    return f"{whole}.{fraction}" if fraction else whole


def from_packed(packed: str) -> Histogram:
    """
    Return the histogram that *packed* holds: the decimal text of a packed number, as `duration::text` gives it.
    """
    digits = PACKED_DIGITS
    whole, _, fraction = packed.partition(".")
    text = whole.zfill(-(-len(whole) // digits) * digits) + fraction.ljust(-(-len(fraction) // digits) * digits, "0")
    bucket = PACKED_ORIGIN - -(-len(fraction) // digits)
    histogram: Histogram = {}
    for end in range(len(text), 0, -digits):
        inside = int(text[end - digits : end])
        if inside:
            histogram[bucket] = inside
        bucket += 1
    return histogram
