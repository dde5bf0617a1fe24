"""
Connections that are opened and never closed.
"""

from __future__ import annotations

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION, Observation
from shared.messages.topology import Tcp
from tests.services.anomaly_detector.detectors.observations import LEARNING, grade, seen


def churn(opened: int, closed: int) -> Observation:
    """
    Return a relation whose connections came and went.
    """
    return seen(RELATION, tcp=Tcp(opened=opened, closed=closed))


def test_connections_that_come_and_go_are_calm() -> None:
    """
    A hundred short connections a window, some open at its end, are no leak; nor is a pool that fills once.
    """
    short = [churn(100 + step % 7, 100 + (step + 3) % 7) for step in range(60)]

    assert {Grade.CALM} == {grade("connection_leak", short[:length]) for length in range(2, 60, 3)}
    assert Grade.BLANK == grade("connection_leak", [churn(50, 0)])


def test_connections_that_only_come_are_a_leak() -> None:
    """
    Fifty more in each window are yellow at once, and orange when hundreds are open.
    """
    before, leak = [churn(3, 3)] * 30, churn(53, 3)

    assert Grade.YELLOW == grade("connection_leak", [*before, leak])
    assert Grade.ORANGE == grade("connection_leak", [*before, *[leak] * 6])
    assert Grade.CALM == grade("connection_leak", [*before, *[leak] * 6, churn(3, 303)])
    assert Grade.YELLOW == grade("connection_leak", [churn(3, 0), leak], LEARNING)
