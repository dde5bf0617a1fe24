"""
Is the error budget being used up?

The share of failed requests over what the objective allows: 14.4 times for an hour spends 2 % of a month's budget, 6
times for six hours 5 %, once for three days 10 %. Each needs a long and a short span, and that it still burns now, so
that the colour goes when the trouble goes. A span that is longer than the history holds what there is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade, Trouble
from services.anomaly_detector.observation import SERVICE

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

NOW, FIVE_MINUTES, HALF_HOUR, HOUR, SIX_HOURS, THREE_DAYS = range(6)
SPANS_S: Final = (10.0, 300.0, 1800.0, 3600.0, 21600.0, 259200.0)
TIERS: Final = (
    # grade, burn, long span, short span, words
    (Grade.RED, 14.4, HOUR, FIVE_MINUTES, "hour"),
    (Grade.ORANGE, 6.0, SIX_HOURS, HALF_HOUR, "six hours"),
    (Grade.YELLOW, 1.0, THREE_DAYS, SIX_HOURS, "three days"),
)
LEAST_ERRORS: Final = 10
LEAST_REQUESTS: Final = 50


class Memory(msgspec.Struct, frozen=True):
    """
    Failed and all requests over each span, decayed.
    """

    failed: tuple[float, ...] = (0.0,) * len(SPANS_S)
    requests: tuple[float, ...] = (0.0,) * len(SPANS_S)


class BurnRate:
    """
    Errors against the objective, over two spans and now.
    """

    signals = frozenset({"burn_rate"})
    kinds = frozenset({SERVICE})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding for a service with an objective.
        """
        known: Memory = memory
        if not seen.objective or (not seen.calls.requests and not known.requests[HOUR]):
            return Judged((), known)
        keep = [math.exp(-seen.window_s / span) for span in SPANS_S]
        failed = tuple(k * f + seen.calls.errors for k, f in zip(keep, known.failed, strict=True))
        requests = tuple(k * n + seen.calls.requests for k, n in zip(keep, known.requests, strict=True))
        allowed = 1 - rules.objective_ratio
        burn = [f / n / allowed if n else 0.0 for f, n in zip(failed, requests, strict=True)]
        grade, expected, value, words = Grade.CALM, 1.0, burn[HOUR], "hour"
        for tier, least, long, short, name in TIERS:
            enough = failed[long] >= LEAST_ERRORS and requests[long] >= LEAST_REQUESTS
            if enough and min(burn[long], burn[short], burn[NOW]) >= least:
                grade, expected, value, words = tier, least, burn[long], name
                break
        finding = Finding(
            signal="burn_rate",
            grade=grade,
            trouble=Trouble.ERRORS,
            value=value,
            expected=expected,
            unit="1",
            text=f"over the last {words} errors come {wording.times(value)} as fast as the objective of "
            f"{100 * rules.objective_ratio:g} % allows",
        )
        return Judged((finding,), Memory(failed, requests))


DETECTOR: Detector = BurnRate()
