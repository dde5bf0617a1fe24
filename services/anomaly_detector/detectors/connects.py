"""
Can connections be opened?

No history is needed to see that all attempts fail. A part that always fails is usual for some (a host name with an
address that nobody listens on), so a part counts against history only.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.baseline import FIRST, Pool, Share, learn_share, pour, share_score
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import RELATION, failed_connections

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

LEAST: Final = 5
POOLED: Final = 6
LEAST_FAILED: Final = 3
LEAST_MORE: Final = 0.01


class Memory(msgspec.Struct, frozen=True):
    """
    How often connections usually fail.
    """

    share: Share = Share()
    pool: Pool = Pool()


class Connects:
    """
    Failed connection attempts.
    """

    signals = frozenset({"connect_failures"})
    kinds = frozenset({RELATION})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding where connections were tried or requests answered.
        """
        known: Memory = memory
        failed, opened = failed_connections(seen.tcp), seen.tcp.opened
        answered = seen.calls.requests - seen.calls.no_responses
        pool, k, n = pour(known.pool, failed, failed + opened, enough=LEAST, most=POOLED)
        if not failed and not opened and answered <= 0:
            return Judged((), Memory(known.share, pool))
        usual = known.share.usual if known.share.seen >= FIRST else 0.0
        grade, score = _grade(k, n, answered, failed, known, rules)
        finding = Finding(
            signal="connect_failures",
            grade=grade,
            value=k / n if n else 0.0,
            expected=usual,
            unit="ratio",
            score=score,
            text=f"{k:.0f} of {n:.0f} connection attempts failed ({_words(seen.tcp.failed)})",
        )
        taught = known.share if rules.frozen else learn_share(known.share, failed, failed + opened, seen.window_s)
        return Judged((finding,), Memory(taught, pool if failed else Pool()))


def _grade(k: float, n: float, answered: int, failed: int, known: Memory, rules: Rules) -> tuple[Grade, float]:
    if not failed:
        return Grade.CALM, 0.0
    learnt = not rules.learning and known.share.seen >= FIRST
    usual = known.share.usual if learnt else 0.0
    score = share_score(k, n, usual) if learnt else 0.0
    if k == n and n >= LEAST:
        if answered <= 0:
            return Grade.RED, score
        return Grade.ORANGE, score
    if learnt and k / n - usual >= LEAST_MORE and k >= LEAST_FAILED and score >= 4:
        return (Grade.ORANGE if score >= 5 and k >= LEAST else Grade.YELLOW), score
    if not learnt and k >= LEAST and k > 0.6 * n:
        return Grade.YELLOW, score
    return (Grade.UNEASY if not learnt or score >= 2 else Grade.CALM), score


def _words(failed: dict[int, int]) -> str:
    total = sum(failed.values())
    if not total:
        return "none in this window"
    worst = sorted(failed.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{errno.errorcode.get(number, str(number))} {wording.share(n / total)}" for number, n in worst)


DETECTOR: Detector = Connects()
