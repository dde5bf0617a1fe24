"""
Does anybody get an answer at all from this service?

Seen from all its callers together, so it also works for a service that is out of sight, and for one whose own side has
vanished because it is dead. It needs no history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector.baseline import Pool, pour
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import SERVICE

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

LEAST: Final = 5
POOLED: Final = 6


class Memory(msgspec.Struct, frozen=True):
    """
    The last attempts.
    """

    pool: Pool = Pool()


class Availability:
    """
    All of at least five attempts stay without an answer.
    """

    signals = frozenset({"unanswered_ratio"})
    kinds = frozenset({SERVICE})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:  # noqa: ARG002 - needs no history
        """
        Return one finding where callers tried.
        """
        known: Memory = memory
        attempts, unanswered = seen.attempts, seen.unanswered
        if seen.present:
            # Nothing came back, not even a refusal, though the service runs: the path is as likely as the service.
            attempts, unanswered = attempts - seen.unreached, unanswered - seen.unreached
        answered = max(attempts - unanswered, seen.calls.requests - seen.calls.no_responses)
        if answered > 0:
            return Judged((Finding(signal="unanswered_ratio", grade=Grade.CALM, unit="ratio"),), Memory())
        pool, failed, tried = pour(known.pool, unanswered, attempts, enough=LEAST, most=POOLED)
        if attempts <= 0:
            return Judged((), Memory(pool))
        grade = Grade.RED if tried >= LEAST and failed == tried else Grade.UNEASY
        if seen.path_suspect:
            grade = Grade.UNEASY
        finding = Finding(
            signal="unanswered_ratio",
            grade=grade,
            value=1.0,
            expected=0.0,
            unit="ratio",
            text=f"none of {tried:.0f} attempts got an answer"
            + ("" if seen.present else ", and no instance of it runs"),
        )
        return Judged((finding,), Memory(pool))


DETECTOR: Detector = Availability()
