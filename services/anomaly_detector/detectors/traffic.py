"""
Has the traffic collapsed?

A collapse is sudden: the rate is compared with that of the last minutes, which follows a day's wave, and with its usual
spread, which knows bursty callers. While it lasts, the rate before it is kept in mind, for at most an hour.
Less traffic alone hurts nobody, so it is never red.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.baseline import FIRST, Level, count_score, deviation, learn_level
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade, Trouble
from services.anomaly_detector.observation import SERVICE

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

RECENT_S: Final = 60.0
SCORE: Final = -4.9
"""A Poisson tail of about 1e-6."""
SPREAD_SCORE: Final = -4.0
HALF: Final = 0.5
ALL_BUT_GONE: Final = 0.1
HELD_S: Final = 3600.0


class Memory(msgspec.Struct, frozen=True):
    """
    How much traffic there was lately, and how it varies.
    """

    recent: float = 0.0
    """Requests a second, over the last minute."""
    spread: Level = Level()
    """Of requests + 1 in a window."""
    held_s: float = 0.0
    """For how long *recent* has been kept from before a collapse."""


class Traffic:
    """
    The request rate against the minutes before.
    """

    signals = frozenset({"request_rate"})
    kinds = frozenset({SERVICE})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding for a service that had traffic.
        """
        known: Memory = memory
        requests = seen.calls.requests
        if not requests and not known.spread.seen:
            return Judged((), known)
        expected = known.recent * seen.window_s
        score = count_score(requests, expected)
        grade = Grade.BLANK if rules.learning or not known.spread.known else Grade.CALM
        if (
            grade is Grade.CALM
            and seen.present
            and score <= SCORE
            and requests <= HALF * expected
            and deviation(known.spread, requests + 1) <= SPREAD_SCORE
        ):
            grade = Grade.ORANGE if requests <= ALL_BUT_GONE * expected else Grade.YELLOW
        held_s = known.held_s + seen.window_s if grade >= Grade.YELLOW else 0.0
        finding = Finding(
            signal="request_rate",
            grade=grade if held_s <= HELD_S else Grade.CALM,
            trouble=Trouble.TRAFFIC,
            value=requests / seen.window_s,
            expected=known.recent,
            unit="1/s",
            score=score,
            text=f"{wording.rate(requests / seen.window_s)}, just before it was {wording.rate(known.recent)}",
        )
        return Judged((finding,), _learn(known, requests, seen.window_s, held_s))


def _learn(known: Memory, requests: int, window_s: float, held_s: float) -> Memory:
    if 0 < held_s <= HELD_S:
        return msgspec.structs.replace(known, held_s=held_s)
    weight = max(1 - math.exp(-window_s / RECENT_S), 1 / (known.spread.seen + 1) if known.spread.seen < FIRST else 0.0)
    return Memory(
        recent=known.recent + weight * (requests / window_s - known.recent),
        spread=learn_level(known.spread, requests + 1, window_s),
    )


DETECTOR: Detector = Traffic()
