"""
Connections that are torn down.
"""

from __future__ import annotations

import errno

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION
from shared.messages.topology import Tcp
from tests.services.anomaly_detector.detectors.observations import grade, seen


def test_resets_are_compared_with_what_is_usual() -> None:
    """
    A program that always resets is calm, one that begins to is orange.
    """
    always = [seen(RELATION, tcp=Tcp(opened=30, closed=30, resets_sent=30))] * 60
    never = [seen(RELATION, tcp=Tcp(opened=30, closed=30))] * 60

    assert Grade.CALM == grade("resets", always)
    assert Grade.ORANGE == grade("resets", [*never, always[0]])


def test_a_refusal_is_no_reset_of_a_connection() -> None:
    """
    Each refused connection comes with a reset, which is not counted twice.
    """
    before = [seen(RELATION, tcp=Tcp(opened=30, closed=30))] * 60
    refused = Tcp(opened=1, closed=1, failed={errno.ECONNREFUSED: 30}, resets_received=30)

    assert Grade.CALM == grade("resets", [*before, seen(RELATION, tcp=refused)])
