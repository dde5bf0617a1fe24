"""
Does a listener turn connections away because its queue is full?

An event rule: no overflow is usual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.anomaly_detector.detectors._base import Detector, Judged, Nothing, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import SERVICE

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

ORANGE: Final = 5
RED: Final = 20
RED_RATIO: Final = 0.1


class ListenQueue:
    """
    Overflows of the accept queue.
    """

    signals = frozenset({"listen_overflows"})
    kinds = frozenset({SERVICE})
    memory = Nothing

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:  # noqa: ARG002 - needs no history
        """
        Return one finding for a service that accepts connections.
        """
        overflows, opened = seen.tcp.listen_overflows, seen.tcp.opened
        if not overflows and not opened and not seen.calls.requests:
            return Judged((), memory)
        grade = Grade.CALM
        if overflows:
            grade = Grade.ORANGE if overflows >= ORANGE else Grade.YELLOW
            if overflows >= RED and overflows >= RED_RATIO * (opened + overflows):
                grade = Grade.RED
        finding = Finding(
            signal="listen_overflows",
            grade=grade,
            value=overflows,
            expected=0.0,
            unit="1",
            text=f"the listener's full queue turned {overflows} connections away",
        )
        return Judged((finding,), memory)


DETECTOR: Detector = ListenQueue()
