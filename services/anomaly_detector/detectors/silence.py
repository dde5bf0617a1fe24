"""
Has a service that is asked now and then not been asked for far too long?

For services whose traffic is too thin for a rate: the time since the last request against the usual gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector.baseline import FIRST
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade, Trouble
from services.anomaly_detector.observation import SERVICE

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

LEAST_WINDOWS: Final = 5
GAPS: Final = 10.0
WEIGHT: Final = 0.05
FORGET_S: Final = 86400.0


class Memory(msgspec.Struct, frozen=True):
    """
    How long a service usually waits for a request.
    """

    asked: int = 0
    """Windows with requests."""
    gap_s: float = 0.0
    """Usual time between windows with requests: bursts, as of caches that expire together, count as one."""
    silent_s: float = 0.0


class Silence:
    """
    The time since the last request against the usual gap.
    """

    signals = frozenset({"silence"})
    kinds = frozenset({SERVICE})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding for a service that runs and was asked before.
        """
        known: Memory = memory
        if seen.calls.requests:
            gap_s = known.silent_s + seen.window_s
            usual = known.gap_s + max(WEIGHT, 1 / (known.asked + 1)) * (gap_s - known.gap_s)
            taught = Memory(asked=known.asked + 1, gap_s=usual)
            return Judged((Finding(signal="silence", grade=Grade.CALM, trouble=Trouble.TRAFFIC, unit="s"),), taught)
        silent_s = known.silent_s + seen.window_s
        taught = msgspec.structs.replace(known, silent_s=silent_s)
        if known.asked < FIRST or rules.learning or not seen.present or silent_s > FORGET_S:
            return Judged((), taught)
        limit_s = max(LEAST_WINDOWS * seen.window_s, GAPS * known.gap_s)
        finding = Finding(
            signal="silence",
            grade=Grade.YELLOW if silent_s > limit_s else Grade.UNEASY,
            trouble=Trouble.TRAFFIC,
            value=silent_s,
            expected=known.gap_s,
            unit="s",
            text=f"no request for {silent_s:.0f} s, usually {known.gap_s:.0f} s at most",
        )
        return Judged((finding,), taught)


DETECTOR: Detector = Silence()
