"""
Do requests take longer than usual?

Median and 95th percentile against their own history, on a log scale, so that 10 ms more on 10 ms counts and on 1 s
does not. Nothing is a colour below half as much again and a millisecond; red needs a tenth of a second more, because
nobody is hurt by less.

Who waits on purpose is not slow: blocking pops and subscriptions by their name, long polls and streams by having
taken ten seconds and more from the first time they were seen.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.baseline import FIRST, Level, deviation, learn_level
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade, Trouble
from services.anomaly_detector.observation import RELATION, SERVICE, mean_ns, quantiles_ns
from shared import histogram
from shared.messages.topology import EndpointFigures, Red
from shared.units import MS_NS, S_NS

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

ENOUGH: Final = 20
"""Requests without which a percentile says nothing."""
POOLED: Final = 6
WAITING_NS: Final = 10 * S_NS
WAITING_USUAL_NS: Final = 5 * S_NS
REMEMBERED: Final = 500
WAITING_NAMES: Final = re.compile(
    r"^(BLPOP|BRPOP|BRPOPLPUSH|BLMOVE|BLMPOP|BZPOPMIN|BZPOPMAX|BZMPOP|WAIT|WAITAOF|P?SUBSCRIBE|SSUBSCRIBE|MONITOR|"
    r"XREAD(GROUP)?|LISTEN)\b",
    re.IGNORECASE,
)
RED_MORE_NS: Final = 100 * MS_NS
LEAST_MORE_NS: Final = 1 * MS_NS

GATES: Final = (
    # grade, least score, least ratio, least increase
    (Grade.RED, 8.0, 3.0, RED_MORE_NS),
    (Grade.RED, 5.0, 10.0, 250 * MS_NS),
    (Grade.ORANGE, 5.0, 1.5, LEAST_MORE_NS),
    (Grade.YELLOW, 4.0, 1.5, LEAST_MORE_NS),
    (Grade.UNEASY, 2.0, 1.25, LEAST_MORE_NS),
)


class Memory(msgspec.Struct, frozen=True):
    """
    The usual durations of one entity.
    """

    p50: Level = Level()
    p95: Level = Level()
    mean: Level = Level()
    mean_answered: Level = Level()
    pool: tuple[tuple[int, ...], ...] = ()
    """Flat histograms of the last windows, while they are thin."""
    waiting: frozenset[str] = frozenset()
    """Endpoints that wait on purpose."""
    quick: frozenset[str] = frozenset()
    """Endpoints that have once been quick: should they take long, they are slow."""


class Latency:
    """
    Percentiles against their own history.
    """

    signals = frozenset({"latency_p50", "latency_p95"})
    kinds = frozenset({SERVICE, RELATION})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return findings for p50 and p95, with the time spent beyond the usual.
        """
        known: Memory = memory
        if not seen.calls.requests and not known.pool:
            return Judged((), known)
        waiting, quick = _sort_endpoints(seen.endpoints, known)
        calls = _without(seen.calls, [one for one in seen.endpoints if one.endpoint in waiting])
        pool, durations = _pool(known.pool, calls)
        enough = histogram.count(durations) >= ENOUGH
        p50, p95 = quantiles_ns(durations)
        findings = [
            _judge(signal, level, value, _sampling(known, durations), enough and not rules.learning)
            for signal, level, value in (("latency_p50", known.p50, p50), ("latency_p95", known.p95, p95))
        ]
        if known.p50.known and known.p50.usual >= WAITING_USUAL_NS:
            findings = [msgspec.structs.replace(one, grade=min(one.grade, Grade.CALM), text="") for one in findings]
        excess, beyond = _excess(calls, seen.answered, known)
        findings = [msgspec.structs.replace(one, excess=excess, beyond=beyond) for one in findings]
        taught = known
        if enough and not rules.frozen:
            taught = _learn(known, calls, seen.answered, p50, p95, seen.window_s)
        return Judged(tuple(findings), msgspec.structs.replace(taught, pool=pool, waiting=waiting, quick=quick))


def _judge(signal: str, level: Level, value_ns: int, sampling: float, judged: bool) -> Finding:
    if not judged or not level.known:
        return Finding(signal=signal, grade=Grade.BLANK, trouble=Trouble.LATENCY, value=value_ns / S_NS, unit="s")
    usual = level.usual
    score = deviation(level, value_ns, sampling=sampling)
    ratio = value_ns / max(usual, 1.0)
    grade = next(
        (
            grade
            for grade, least, least_ratio, more in GATES
            if score >= least and ratio >= least_ratio and value_ns - usual >= more
        ),
        Grade.CALM,
    )
    name = signal.removeprefix("latency_")
    return Finding(
        signal=signal,
        grade=grade,
        trouble=Trouble.LATENCY,
        value=value_ns / S_NS,
        expected=usual / S_NS,
        unit="s",
        score=score,
        text=f"{name} is {wording.duration(value_ns)}, {wording.times(ratio)} its usual {wording.duration(usual)}",
    )


def _sampling(known: Memory, durations: histogram.Histogram) -> float:
    """
    Return how far p95 strays by chance, on a log scale, from *n* durations as spread as usual (log-normal).
    """
    if not known.p50.known:
        return 0.0
    return 1.28 * max(0.0, known.p95.fast - known.p50.fast) / math.sqrt(max(1, histogram.count(durations)))


def _excess(calls: Red, answered: Red, known: Memory) -> tuple[float, float]:
    if not known.mean.known:
        return 0.0, 0.0
    excess = calls.duration_sum_ns - calls.requests * known.mean.usual
    beyond = 0.0
    if known.mean_answered.known:
        beyond = answered.duration_sum_ns - answered.requests * known.mean_answered.usual
    return max(0.0, excess), max(0.0, beyond)


def _learn(known: Memory, calls: Red, answered: Red, p50: int, p95: int, window_s: float) -> Memory:
    mean, mean_answered = known.mean, known.mean_answered
    if calls.requests:
        mean = learn_level(mean, mean_ns(calls), window_s)
    if answered.requests:
        mean_answered = learn_level(mean_answered, mean_ns(answered), window_s)
    return msgspec.structs.replace(
        known,
        p50=learn_level(known.p50, p50, window_s),
        p95=learn_level(known.p95, p95, window_s),
        mean=mean,
        mean_answered=mean_answered,
    )


def _pool(pool: tuple[tuple[int, ...], ...], calls: Red) -> tuple[tuple[tuple[int, ...], ...], histogram.Histogram]:
    newest = histogram.from_flat(calls.duration)
    if histogram.count(newest) >= ENOUGH:
        return (), newest
    kept = (*pool, tuple(calls.duration))[-POOLED:]
    if not any(kept):
        return (), {}
    return kept, histogram.merged(histogram.from_flat(list(flat)) for flat in kept)


def _sort_endpoints(endpoints: tuple[EndpointFigures, ...], known: Memory) -> tuple[frozenset[str], frozenset[str]]:
    waiting, quick = known.waiting, known.quick
    for one in endpoints:
        if one.endpoint in waiting or one.endpoint in quick or not one.provided.requests:
            continue
        if WAITING_NAMES.match(one.name):
            waiting |= {one.endpoint}
        elif known.p95.seen > 2 * FIRST and len(quick) >= REMEMBERED:
            continue
        elif mean_ns(one.provided) >= WAITING_NS and one.provided.errors <= 0.01 * one.provided.requests:
            waiting |= {one.endpoint}
        else:
            quick |= {one.endpoint}
    return waiting, quick


def _without(calls: Red, others: list[EndpointFigures]) -> Red:
    if not others:
        return calls
    left = histogram.from_flat(calls.duration)
    requests, total = calls.requests, calls.duration_sum_ns
    for one in others:
        requests -= one.provided.requests
        total -= one.provided.duration_sum_ns
        for bucket, n in histogram.from_flat(one.provided.duration).items():
            left[bucket] = left.get(bucket, 0) - n
    return msgspec.structs.replace(
        calls,
        requests=max(0, requests),
        duration_sum_ns=max(0, total),
        duration=histogram.to_flat({bucket: n for bucket, n in left.items() if n > 0}),
    )


DETECTOR: Detector = Latency()
