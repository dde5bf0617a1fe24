"""
Sums become rates, histograms become quantiles.
"""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.query_api.answers import Point, Rates, TcpRates
from services.query_api.figures import errno_words, filled, quantiles_s, rates, tcp_rates, unpacked
from services.query_api.rows import written
from services.topology_builder.packing import numeric
from shared.histogram import BUCKETS, quantile_ns, to_flat
from shared.messages.topology import Red, Tcp
from shared.units import S_NS, at, maybe_at, unix_ns
from tests.services.query_api import shop

HISTOGRAMS = st.one_of(
    *(
        st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(0, 10**digits - 1), max_size=40)
        for digits in (4, 8, 12)  # a bucket's count takes one, two or three digits of base 10,000
    )
)


@given(HISTOGRAMS)
def test_quantiles_are_those_of_the_histogram(histogram: dict[int, int]) -> None:
    """
    One pass over the buckets gives what the histogram's own quantiles are.
    """
    wanted = (0.5, 0.95, 0.99)
    expected = [quantile_ns(histogram, q) for q in wanted]
    flat = to_flat(histogram)
    found = quantiles_s(flat[::2], flat[1::2], wanted)

    assert [None if one is None else pytest.approx(one / S_NS, abs=1e-8) for one in expected] == found


def sent(histogram: dict[int, int]) -> bytes:
    """
    Return a packed histogram as PostgreSQL sends it: without digits that are zero at either end.
    """
    many, weight, sign, scale, *digits = struct.unpack(f">4h{len(numeric(histogram)) // 2 - 4}h", numeric(histogram))
    first = next((at for at, digit in enumerate(digits) if digit), many)
    last = next((at for at in range(many, first, -1) if digits[at - 1]), first)
    kept = digits[first:last]
    return struct.pack(f">4h{len(kept)}h", len(kept), weight - first if kept else 0, sign, scale, *kept)


@given(HISTOGRAMS)
def test_packed_histograms_are_unpacked(histogram: dict[int, int]) -> None:
    """
    PostgreSQL's binary form of a packed histogram gives back every bucket and its count.
    """
    whole = {bucket: count for bucket, count in histogram.items() if count}
    buckets, counts = unpacked(sent(whole))

    assert whole == {bucket: count for bucket, count in zip(buckets, counts, strict=True) if count}
    assert ((), ()) == unpacked(None) == unpacked(sent({}))


def test_what_is_written_is_the_same_answer() -> None:
    """
    Figures that are kept as JSON are, inside an answer, the bytes that they would be otherwise.
    """
    point = Point(start=at(0), rates=rates(shop.RED, 10.0))
    kept = msgspec.structs.replace(point, rates=written(point.rates))

    assert msgspec.json.encode(point) == msgspec.json.encode(kept)


def test_rates_are_over_the_asked_time() -> None:
    """
    Counts stay counts, rates are for each second, ratios are shares of the requests.
    """
    found = rates(shop.RED, 10.0)

    assert (
        found.requests,
        found.errors,
        found.client_errors,
        found.no_responses,
    ) == (shop.REQUESTS, shop.ERRORS, 3, 2)
    assert pytest.approx(shop.REQUESTS / 10) == found.requests_per_s
    assert pytest.approx(shop.ERRORS / shop.REQUESTS) == found.error_ratio
    assert pytest.approx(0.006) == found.mean_s
    assert found.request_bytes_per_s == 1010.0


def test_what_is_not_known_is_null() -> None:
    """
    Without requests, segments or time there is no ratio and no duration, rather than zero.
    """
    assert Rates() == rates(Red(), 10.0) == rates(shop.RED, 0.0)
    assert TcpRates() == tcp_rates(Tcp(), 10.0) == tcp_rates(shop.TCP, 0.0)
    assert Rates().error_ratio is None
    assert Rates().p99_s is None


def test_tcp_figures_have_words_for_errors() -> None:
    """
    Failed connections are counted by errno word, retransmissions are a share of the segments.
    """
    found = tcp_rates(msgspec.structs.replace(shop.TCP, failed={111: 5, 99_999: 1}), 10.0)

    assert found.failed == {"ECONNREFUSED": 5, "99999": 1}
    assert pytest.approx(0.01) == found.retransmit_ratio
    assert errno_words({110: 2}) == {"ETIMEDOUT": 2}


@given(st.integers(0, 4 * 10**18))
def test_instants_go_there_and_back(at_ns: int) -> None:
    """
    An instant is exact to the microsecond, and 0 is never.
    """
    assert at_ns // 1000 * 1000 == unix_ns(at(at_ns))
    assert (maybe_at(at_ns) is None) == (at_ns == 0)


def test_steps_without_traffic_are_points_too() -> None:
    """
    A time line has a point of no requests where nothing was stored, and none beyond what is known.
    """
    there = Point(start=at(20 * S_NS), rates=Rates(requests=3))
    line = filled([there], 0, 30 * S_NS, 10)

    assert [point.rates.requests for point in line] == [0, 0, 3]
    assert [unix_ns(point.start) // S_NS for point in line] == [0, 10, 20]
    assert [point.rates.requests for point in filled([there], 0, 10 * S_NS, 10)] == [0, 0, 3]
