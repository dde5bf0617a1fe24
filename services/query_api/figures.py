"""
Sums and histograms become rates and quantiles.
"""

from __future__ import annotations

import datetime as dt
import errno
import math
import re
from typing import TYPE_CHECKING, Final

from services.query_api.answers import Point, Rates, TcpRates
from shared.histogram import BUCKETS, PACKED_DIGITS, PACKED_ORIGIN, lower_bound_ns
from shared.units import S_NS

if TYPE_CHECKING:
    from shared.messages.topology import Red, Tcp

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
REQUEST_QUANTILES: Final = (0.5, 0.95, 0.99)
LOWER_S: Final = [lower_bound_ns(bucket) / S_NS for bucket in range(BUCKETS + 1)]
EACH_PART: Final = re.compile(f".{{{PACKED_DIGITS}}}")
NO_COUNT: Final = "0" * PACKED_DIGITS
NO_RATES: Final = Rates()
NO_TCP: Final = TcpRates()


def moment(at_ns: int) -> dt.datetime:
    """
    Return the instant *at_ns*, to the microsecond.
    """
    return EPOCH + dt.timedelta(microseconds=at_ns // 1000)


def moment_or_none(at_ns: int) -> dt.datetime | None:
    """
    Return the instant *at_ns*, or None for 0, which stands for never.
    """
    return moment(at_ns) if at_ns else None


def unix_ns(at: dt.datetime) -> int:
    """
    Return *at* in unix nanoseconds.
    """
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * S_NS + since.microseconds * 1000


def flat(packed: str | None) -> list[int]:
    """
    Return the flat histogram in a packed one's decimal text; the same as `shared.histogram` makes of it, in less time.
    """
    if not packed or packed == "0":
        return []
    whole, _, fraction = packed.partition(".")
    below = -(-len(fraction) // PACKED_DIGITS)
    text = whole.zfill(-(-len(whole) // PACKED_DIGITS) * PACKED_DIGITS) + fraction.ljust(below * PACKED_DIGITS, "0")
    parts = EACH_PART.findall(text)
    parts.reverse()
    lowest = PACKED_ORIGIN - below
    return [number for bucket, part in enumerate(parts, lowest) if part != NO_COUNT for number in (bucket, int(part))]


def quantiles_s(flat: list[int], wanted: tuple[float, ...]) -> list[float | None]:
    """
    Return the *wanted* quantiles (ascending) of a flat histogram in seconds, in one pass; None where it is empty.

    The same as `shared.histogram.quantile_ns` for each, which would sort the buckets again and again.
    """
    counts = flat[1::2]
    total = sum(counts)
    if total <= 0:
        return [None] * len(wanted)
    found: list[float | None] = []
    ranks = iter([q * total for q in wanted])
    rank = next(ranks)
    seen = 0
    for bucket, inside in zip(flat[::2], counts, strict=True):
        while inside and seen + inside >= rank:
            low = LOWER_S[bucket]
            found.append(low + (LOWER_S[bucket + 1] - low) * max(0.0, rank - seen) / inside)
            rank = next(ranks, math.inf)
        seen += inside
    return found


def rates(red: Red, seconds: float) -> Rates:
    """
    Return the rates of *red* over *seconds*.
    """
    if not red.requests or seconds <= 0:
        return NO_RATES
    p50, p95, p99 = quantiles_s(red.duration, REQUEST_QUANTILES)
    return Rates(
        requests=red.requests,
        requests_per_s=red.requests / seconds,
        errors=red.errors,
        error_ratio=red.errors / red.requests,
        client_errors=red.client_errors,
        no_responses=red.no_responses,
        mean_s=red.duration_sum_ns / red.requests / S_NS,
        p50_s=p50,
        p95_s=p95,
        p99_s=p99,
        request_bytes_per_s=red.request_bytes / seconds,
        response_bytes_per_s=red.response_bytes / seconds,
    )


def tcp_rates(tcp: Tcp, seconds: float) -> TcpRates:
    """
    Return the rates of *tcp* over *seconds*.
    """
    if seconds <= 0:
        return NO_TCP
    (connect_p95,) = quantiles_s(tcp.connect, (0.95,))
    rtt_p50, rtt_p95 = quantiles_s(tcp.rtt, (0.5, 0.95))
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
        connect_p95_s=connect_p95,
        rtt_p50_s=rtt_p50,
        rtt_p95_s=rtt_p95,
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
    return [
        found.get(at_ns) or Point(start=moment(at_ns), rates=NO_RATES) for at_ns in range(start_ns, end_ns, step_ns)
    ]
