"""
Do more requests fail than usual, or than anybody can bear?

Two tests. Against the entity's own history: an exact tail of the binomial. Against an objective: one in twenty fails.
The second needs no history, and does not apply to protocols whose error replies may be normal work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.baseline import (
    FIRST,
    Level,
    Pool,
    Share,
    learn_level,
    learn_share,
    pour,
    share_score,
)
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade, Trouble
from services.anomaly_detector.observation import RELATION, SERVICE, failed_connections

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

ENOUGH: Final = 50
POOLED: Final = 6
LEAST: Final = 5
"""Attempts without which nothing is said."""
RED_RATIO: Final = 0.05
RED_ERRORS: Final = 10
LEAVE_RATIO: Final = 0.025
LEAST_MORE: Final = 0.01
LEAST_ERRORS: Final = 3
KNOWN_ATTEMPTS: Final = 50


class Memory(msgspec.Struct, frozen=True):
    """
    How often an entity usually fails.
    """

    share: Share = Share()
    connects: Share = Share()
    rate: Level = Level()
    """Requests a second: what a circuit breaker holds back is missed against it."""
    pool: Pool = Pool()


class Failures:
    """
    The share of failed requests, against history and against an objective.
    """

    signals = frozenset({"error_ratio"})
    kinds = frozenset({SERVICE, RELATION})
    memory = Memory

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return one finding, with the number of failures beyond the usual.
        """
        known: Memory = memory
        failed_to_connect = failed_connections(seen.tcp) if seen.kind == RELATION else 0
        dead = failed_to_connect > 0 and seen.tcp.opened == 0 and seen.calls.requests == seen.calls.no_responses
        errors = seen.calls.errors + (failed_to_connect if dead else 0)
        attempts = seen.calls.requests + (failed_to_connect if dead else 0)
        pool, k, n = pour(known.pool, errors, attempts, enough=ENOUGH, most=POOLED)
        silent = seen.calls.no_responses + failed_to_connect
        grade, score = _grade(k, n, known, seen.objective, dead or 0 < attempts == silent, rules)
        if attempts and not errors:  # what the pool still holds is over
            grade = min(grade, Grade.CALM if attempts >= LEAST else Grade.UNEASY)
        usual = known.share.usual if known.share.seen >= FIRST else 0.0
        finding = Finding(
            signal="error_ratio",
            grade=grade,
            trouble=Trouble.ERRORS,
            value=k / n if n else 0.0,
            expected=usual,
            unit="ratio",
            score=score,
            text=_text(k, n, usual),
            excess=_excess(seen, known, errors, failed_to_connect, grade),
            beyond=max(0.0, seen.answered.errors - seen.answered.requests * usual),
        )
        return Judged((finding,), _learn(known, seen, errors, attempts, failed_to_connect, pool, rules))


def _grade(k: float, n: float, known: Memory, objective: bool, silent: bool, rules: Rules) -> tuple[Grade, float]:
    if n < LEAST:
        return Grade.BLANK, 0.0
    learnt = not rules.learning and known.share.seen >= FIRST and known.share.attempts >= KNOWN_ATTEMPTS
    usual = known.share.usual if learnt else 0.0
    score = share_score(k, n, usual) if learnt else 0.0
    ratio = k / n
    more = ratio - usual
    beyond_objective = ratio >= RED_RATIO and (objective or (learnt and more >= RED_RATIO and score >= 8))
    if (k == n and (objective or silent)) or (beyond_objective and k >= RED_ERRORS):
        return Grade.RED, score
    deviates = learnt and k >= LEAST_ERRORS and more >= LEAST_MORE
    if (deviates and score >= 5) or (beyond_objective and k >= LEAST_ERRORS):
        return Grade.ORANGE, score
    if deviates and score >= 4:
        return Grade.YELLOW, score
    restless = score >= 2 if learnt else objective
    if k >= 2 and restless and (ratio >= LEAVE_RATIO or (learnt and more >= LEAST_MORE)):
        return Grade.UNEASY, score
    return Grade.CALM, score


def _excess(seen: Observation, known: Memory, errors: int, failed_to_connect: int, grade: Grade) -> float:
    usual = known.share.usual if known.share.seen >= FIRST else 0.0
    excess = errors - seen.calls.requests * usual
    if errors == seen.calls.errors and failed_to_connect:
        excess += failed_to_connect - (failed_to_connect + seen.tcp.opened) * _usual_refusals(seen, known)
    if seen.kind == RELATION and grade >= Grade.ORANGE and known.rate.known:
        held_back = known.rate.usual * seen.window_s - seen.calls.requests - failed_to_connect
        excess += max(0.0, held_back)
    return max(0.0, excess)


def _usual_refusals(seen: Observation, known: Memory) -> float:
    """
    Return which share of connections usually fails; half of them where a name has an address that nobody listens on.
    """
    if known.connects.seen >= FIRST:
        return known.connects.usual
    return 0.5 if failed_connections(seen.tcp) <= seen.tcp.opened else 0.0


def _learn(
    known: Memory, seen: Observation, errors: int, attempts: int, failed_to_connect: int, pool: Pool, rules: Rules
) -> Memory:
    if rules.frozen:
        return msgspec.structs.replace(known, pool=pool)
    rate = known.rate
    if seen.kind == RELATION and seen.calls.requests:
        rate = learn_level(rate, seen.calls.requests / seen.window_s, seen.window_s)
    return Memory(
        share=learn_share(known.share, errors, attempts, seen.window_s),
        connects=learn_share(known.connects, failed_to_connect, failed_to_connect + seen.tcp.opened, seen.window_s),
        rate=rate,
        pool=pool,
    )


def _text(k: float, n: float, usual: float) -> str:
    if not k:
        return f"all of {n:.0f} requests succeeded"
    if k == n:
        return f"all of {n:.0f} requests failed"
    usually = f"usually {wording.share(usual)}" if usual else "the objective allows 5 %"
    return f"{wording.share(k / n)} of {n:.0f} requests failed, {usually}"


DETECTOR: Detector = Failures()
