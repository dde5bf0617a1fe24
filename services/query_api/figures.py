"""
Sums and histograms become rates and quantiles.
"""

from __future__ import annotations

import errno
import struct
import sys
from array import array
from bisect import bisect_left
from itertools import accumulate, repeat
from operator import add, mul
from typing import TYPE_CHECKING, Final

from services.query_api.answers import Point, Rates, TcpRates
from shared.histogram import BUCKETS, PACKED_ORIGIN, lower_bound_ns
from shared.units import S_NS, at, unix_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.messages.topology import Red, Tcp

REQUEST_QUANTILES: Final = (0.5, 0.95, 0.99)
CONNECT_QUANTILES: Final = (0.95,)
RTT_QUANTILES: Final = (0.5, 0.95)
LOWER_S: Final = [lower_bound_ns(bucket) / S_NS for bucket in range(BUCKETS + 1)]
NUMERIC_HEAD: Final = 8
DIGITS: Final = struct.Struct(">Hh")
NO_DIGITS: Final = (b"", bytes(2), bytes(4))
ZEROS: Final = [array("H", bytes(2 * many)) for many in range(BUCKETS + 1)]
NO_RATES: Final = Rates()
NO_TCP: Final = TcpRates()


def unpacked(packed: bytes | None) -> tuple[Sequence[int], Sequence[int]]:
    """
    Return the buckets of a packed histogram, ascending without a gap, and the count of each.

    *packed* is PostgreSQL's binary form of a `numeric`: how many digits of base 10,000 follow, and where the first one
    stands. Three of them are a bucket's count, and bucket `PACKED_ORIGIN` ends at the decimal point.
    """
    if not packed:
        return (), ()
    many, weight = DIGITS.unpack_from(packed)
    if not many:
        return (), ()
    octave, place = divmod(weight, 3)
    digits = array("H", NO_DIGITS[2 - place] + packed[NUMERIC_HEAD:] + NO_DIGITS[(place - 2 - many) % 3])
    if sys.byteorder == "little":
        digits.byteswap()
    ones, myriads, high = digits[::-3], digits[-2::-3], digits[-3::-3]
    end = PACKED_ORIGIN + octave + 1
    none = ZEROS[len(ones)]
    buckets = range(end - len(ones), end)
    if high != none:
        return buckets, [a + b * 10_000 + c * 100_000_000 for a, b, c in zip(ones, myriads, high, strict=True)]
    if myriads != none:
        return buckets, list(map(add, ones, map(mul, myriads, repeat(10_000))))
    return buckets, ones


def quantiles_s(buckets: Sequence[int], counts: Sequence[int], wanted: tuple[float, ...]) -> list[float | None]:
    """
    Return the *wanted* quantiles of a histogram in seconds, each linear inside its bucket; None where it is empty.

    The same as `shared.histogram.quantile_ns` for each, which would sort the buckets again and again.
    """
    reached = list(accumulate(counts))
    if not reached or reached[-1] <= 0:
        return [None] * len(wanted)
    found: list[float | None] = []
    for q in wanted:
        rank = q * reached[-1]
        at = bisect_left(reached, rank)
        bucket, count = buckets[at], counts[at]
        low = LOWER_S[bucket]
        found.append(low + (LOWER_S[bucket + 1] - low) * max(0.0, rank - reached[at] + count) / count)
    return found


def rates(red: Red, seconds: float) -> Rates:
    """
    Return the rates of *red* over *seconds*.
    """
    quantiles = quantiles_s(red.duration[::2], red.duration[1::2], REQUEST_QUANTILES)
    sums = red.requests, red.errors, red.client_errors, red.no_responses
    return rates_of(quantiles, seconds, *sums, red.duration_sum_ns, red.request_bytes, red.response_bytes)


def rates_of(
    quantiles: list[float | None],
    seconds: float,
    requests: int,
    errors: int,
    client_errors: int,
    no_responses: int,
    duration_sum_ns: int,
    request_bytes: int,
    response_bytes: int,
) -> Rates:
    """
    Return the rates of sums over *seconds*.
    """
    if not requests or seconds <= 0:
        return NO_RATES
    p50, p95, p99 = quantiles
    return Rates(
        requests=requests,
        requests_per_s=requests / seconds,
        errors=errors,
        error_ratio=errors / requests,
        client_errors=client_errors,
        no_responses=no_responses,
        mean_s=duration_sum_ns / requests / S_NS,
        p50_s=p50,
        p95_s=p95,
        p99_s=p99,
        request_bytes_per_s=request_bytes / seconds,
        response_bytes_per_s=response_bytes / seconds,
    )


def tcp_rates(tcp: Tcp, seconds: float) -> TcpRates:
    """
    Return the rates of *tcp* over *seconds*.
    """
    if seconds <= 0:
        return NO_TCP
    return tcp_rates_of(
        tcp,
        quantiles_s(tcp.connect[::2], tcp.connect[1::2], CONNECT_QUANTILES),
        quantiles_s(tcp.rtt[::2], tcp.rtt[1::2], RTT_QUANTILES),
        seconds,
    )


def tcp_rates_of(tcp: Tcp, connect: list[float | None], rtt: list[float | None], seconds: float) -> TcpRates:
    """
    Return the rates of *tcp* over *seconds*, whose quantiles are given.
    """
    return TcpRates(
        opened=tcp.opened,
        opened_per_s=tcp.opened / seconds,
        closed=tcp.closed,
        failed=errno_words(tcp.failed),
        bytes_sent_per_s=tcp.bytes_sent / seconds,
        bytes_received_per_s=tcp.bytes_received / seconds,
        retransmits=tcp.retransmits,
        retransmit_ratio=min(1.0, tcp.retransmits / tcp.segments_sent) if tcp.segments_sent else None,
        resets_sent=tcp.resets_sent,
        resets_received=tcp.resets_received,
        listen_overflows=tcp.listen_overflows,
        drops=tcp.drops,
        connect_p95_s=connect[0],
        rtt_p50_s=rtt[0],
        rtt_p95_s=rtt[1],
    )


def errno_words(failed: dict[int, int]) -> dict[str, int]:
    """
    Return *failed* by errno word (`ECONNREFUSED`); a number that has none stays a number.
    """
    words: dict[str, int] = {}
    for number, count in failed.items():
        word = errno.errorcode.get(number, str(number))
        words[word] = words.get(word, 0) + count
    return words


def filled(points: list[Point], start_ns: int, until_ns: int, step_s: int) -> list[Point]:
    """
    Return *points* with a point of no requests for each step from *start_ns* up to *until_ns* that had none.
    """
    found = {unix_ns(point.start): point for point in points}
    step_ns = step_s * S_NS
    end_ns = max(until_ns, max(found, default=0) + step_ns)
    return [found.get(at_ns) or Point(start=at(at_ns), rates=NO_RATES) for at_ns in range(start_ns, end_ns, step_ns)]
