"""
Are segments lost on the way, and sent again?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.baseline import FIRST, Pool, Share, learn_share, pour, share_score
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import RELATION

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

ENOUGH: Final = 200
POOLED: Final = 3
LEAST_SEGMENTS: Final = 50
KNOWN_SEGMENTS: Final = 200

GATES: Final = (
    # grade, least score, least retransmits, least ratio
    (Grade.RED, 8.0, 10, 0.05),
    (Grade.ORANGE, 5.0, 5, 0.02),
    (Grade.YELLOW, 4.0, 3, 0.01),
    (Grade.UNEASY, 2.0, 2, 0.005),
)
"""Red is for a loss that stalls one request in some twenty by at least one retransmission timeout (200 ms on Linux)."""


class Memory(msgspec.Struct, frozen=True):
    """
    How much is usually sent again.
    """

    share: Share = Share()
    pool: Pool = Pool()


class Retransmits:
    """
    The share of segments that are sent again.
    """

    signals = frozenset({"retransmit_ratio"})
    kinds = frozenset({RELATION})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding for a relation that sent segments.
        """
        known: Memory = memory
        again = seen.tcp.retransmits
        segments = max(seen.tcp.segments_sent, again)
        if not segments:
            return Judged((), known)
        pool, k, n = pour(known.pool, again, segments, enough=ENOUGH, most=POOLED)
        learnt = not rules.learning and known.share.seen >= FIRST and known.share.attempts >= KNOWN_SEGMENTS
        usual = known.share.usual if learnt else 0.0
        score = share_score(k, n, usual) if learnt else 0.0
        finding = Finding(
            signal="retransmit_ratio",
            grade=_grade(k, n, usual, score, learnt),
            value=k / n,
            expected=usual,
            unit="ratio",
            score=score,
            text=f"{wording.share(k / n)} of {n:.0f} segments were sent again, usually {wording.share(usual)}",
        )
        taught = known.share if rules.frozen else learn_share(known.share, again, segments, seen.window_s)
        return Judged((finding,), Memory(taught, pool))


def _grade(k: float, n: float, usual: float, score: float, learnt: bool) -> Grade:
    if n < LEAST_SEGMENTS:
        return Grade.BLANK
    ratio = k / n
    if not learnt:
        # Without a history: twice the limits.
        return next((g for g, _, least, more in GATES if k >= 2 * least and ratio >= 2 * more), Grade.CALM)
    for grade, least_score, least, more in GATES:
        if score >= least_score and k >= least and ratio >= more and ratio - usual >= more / 2:
            return grade
    return Grade.CALM


DETECTOR: Detector = Retransmits()
