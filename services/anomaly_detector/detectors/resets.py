"""
Are connections torn down rather than closed?

Some programs always reset; so only a change counts, and it is never red: what resets break shows as failed requests.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.baseline import FIRST, Pool, Share, learn_share, pour, share_score
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import RELATION

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

ENOUGH: Final = 20
POOLED: Final = 3
LEAST_MORE: Final = 0.05


class Memory(msgspec.Struct, frozen=True):
    """
    How many connections usually end in a reset.
    """

    share: Share = Share()
    pool: Pool = Pool()


class Resets:
    """
    Resets, sent and received, against connections.
    """

    signals = frozenset({"reset_ratio"})
    kinds = frozenset({RELATION})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding for a relation whose connections came or went.
        """
        known: Memory = memory
        refused = seen.tcp.failed.get(errno.ECONNREFUSED, 0)  # each is a reset too, of no connection
        resets = max(0, seen.tcp.resets_sent + seen.tcp.resets_received - refused)
        connections = max(seen.tcp.opened, seen.tcp.closed, resets)
        if not connections and not known.pool.windows:
            return Judged((), known)
        pool, k, n = pour(known.pool, resets, connections, enough=ENOUGH, most=POOLED)
        learnt = not rules.learning and known.share.seen >= FIRST
        usual = known.share.usual if learnt else 0.0
        score = share_score(k, n, usual) if learnt else 0.0
        grade = Grade.CALM if learnt else Grade.BLANK
        if learnt and k and k / n - usual >= LEAST_MORE:
            grade = (
                Grade.ORANGE
                if score >= 5 and k >= 10
                else Grade.YELLOW
                if score >= 4 and k >= 5
                else Grade.UNEASY
                if score >= 2 and k >= 3
                else Grade.CALM
            )
        finding = Finding(
            signal="reset_ratio",
            grade=grade,
            value=k / n if n else 0.0,
            expected=usual,
            unit="ratio",
            score=score,
            text=f"{k:.0f} resets on {n:.0f} connections, usually on {wording.share(usual)} of them",
        )
        taught = known.share if rules.frozen else learn_share(known.share, resets, connections, seen.window_s)
        return Judged((finding,), Memory(taught, pool))


DETECTOR: Detector = Resets()
