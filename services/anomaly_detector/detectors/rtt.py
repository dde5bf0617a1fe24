"""
Does the path take longer than usual?

The smoothed round-trip time also holds what the receiver waits before it acknowledges (40 ms on Linux, when the answer
takes longer than that), so small changes mean nothing, and a slow callee explains a part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.baseline import Level, deviation, learn_level
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade, Trouble
from services.anomaly_detector.observation import RELATION, quantiles_ns
from shared import histogram
from shared.units import MS_NS, S_NS

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

ENOUGH: Final = 5

GATES: Final = (
    # grade, least score, least ratio, least increase
    (Grade.ORANGE, 5.0, 3.0, 60 * MS_NS),
    (Grade.YELLOW, 4.0, 2.0, 20 * MS_NS),
    (Grade.UNEASY, 2.0, 1.5, 20 * MS_NS),
)


class Memory(msgspec.Struct, frozen=True):
    """
    The usual round trip.
    """

    rtt: Level = Level()


class Rtt:
    """
    The median round-trip time against its own history.
    """

    signals = frozenset({"rtt"})
    kinds = frozenset({RELATION})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding for a relation with enough measurements.
        """
        known: Memory = memory
        trips = histogram.from_flat(seen.tcp.rtt)
        if histogram.count(trips) < ENOUGH:
            return Judged((), known)
        value, _ = quantiles_ns(trips)
        usual = known.rtt.usual
        score = deviation(known.rtt, value, least=0.2)
        grade = Grade.CALM if known.rtt.known and not rules.learning else Grade.BLANK
        if grade is Grade.CALM:
            grade = next(
                (g for g, z, ratio, more in GATES if score >= z and value >= ratio * usual and value - usual >= more),
                Grade.CALM,
            )
        finding = Finding(
            signal="rtt",
            grade=grade,
            trouble=Trouble.LATENCY,
            value=value / S_NS,
            expected=usual / S_NS,
            unit="s",
            score=score,
            text=f"a round trip takes {wording.duration(value)}, usually {wording.duration(usual)}",
        )
        return Judged((finding,), known if rules.frozen else Memory(learn_level(known.rtt, value, seen.window_s)))


DETECTOR: Detector = Rtt()
