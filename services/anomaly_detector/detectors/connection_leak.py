"""
Are connections opened and never closed?

The growth (opened less closed) in a window against its usual size. A pool that fills at the start grows once; a leak
grows in every window.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import RELATION

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

WEIGHT: Final = 0.03
LEAST_GROWTH: Final = 5
LEARNING_GROWTH: Final = 10
MANY_OPEN: Final = 100
LARGEST_STEP: Final = 3.0


class Memory(msgspec.Struct, frozen=True):
    """
    How the number of open connections moves.
    """

    windows: int = 0
    open: int = 0
    """Connections open now, as far as seen."""
    usual_open: float = 0.0
    growth: float = 0.0
    variance: float = 0.0
    grew_for: int = 0
    """Windows in a row that grew."""


class ConnectionLeak:
    """
    Growth of the open connections.
    """

    signals = frozenset({"connection_growth"})
    kinds = frozenset({RELATION})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding for a relation with connections.
        """
        known: Memory = memory
        opened, closed = seen.tcp.opened, seen.tcp.closed
        if not opened and not closed and not known.windows:
            return Judged((), known)
        growth = opened - closed
        least_spread = max(1.5, 0.5 * math.sqrt(opened + closed))
        score = (growth - known.growth) / max(least_spread, math.sqrt(known.variance))
        grade = _grade(growth, score, opened, known, rules)
        finding = Finding(
            signal="connection_growth",
            grade=grade,
            value=growth,
            expected=known.growth,
            unit="1",
            score=score,
            text=f"{opened} connections were opened and {closed} closed in {seen.window_s:.0f} s; "
            f"{max(0, known.open + growth)} more are open than when it was first seen",
        )
        return Judged((finding,), _learn(known, growth, least_spread, rules))


def _grade(growth: int, score: float, opened: int, known: Memory, rules: Rules) -> Grade:
    if known.windows == 0:
        return Grade.BLANK
    least = LEARNING_GROWTH if rules.learning else LEAST_GROWTH
    grows = growth >= least and growth >= 0.5 * opened
    if not grows:
        return Grade.UNEASY if growth >= least and score >= 2 else Grade.CALM
    if rules.learning or known.windows < 3:
        return Grade.YELLOW
    if score < 4:
        return Grade.UNEASY if score >= 2 else Grade.CALM
    stock = known.open + growth
    if known.grew_for >= 3 and stock >= MANY_OPEN and stock >= 3 * known.usual_open:
        return Grade.ORANGE
    return Grade.YELLOW


def _learn(known: Memory, growth: int, least_spread: float, rules: Rules) -> Memory:
    now_open = max(0, known.open + growth)
    mean, variance, usual_open = known.growth, known.variance, known.usual_open
    if not rules.frozen and known.windows > 0:
        reach = LARGEST_STEP * max(least_spread, math.sqrt(variance))
        step = min(max(growth - mean, -reach), reach)
        mean += WEIGHT * step
        variance = (1 - WEIGHT) * (variance + WEIGHT * step * step)
        usual_open += WEIGHT * (now_open - usual_open)
    return Memory(
        windows=known.windows + 1,
        open=now_open,
        usual_open=usual_open if known.windows else float(now_open),
        growth=mean,
        variance=variance,
        grew_for=known.grew_for + 1 if growth > 0 else 0,
    )


DETECTOR: Detector = ConnectionLeak()
