"""
Segments that are lost on the way.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector.detectors._base import Rules
from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION
from shared.messages.topology import Tcp
from tests.services.anomaly_detector.detectors.observations import KNOWN, LEARNING, grade, seen


@pytest.mark.parametrize(
    ("retransmits", "rules", "expected"),
    [
        (0, KNOWN, Grade.CALM),
        (12, KNOWN, Grade.YELLOW),
        (30, KNOWN, Grade.ORANGE),
        (80, KNOWN, Grade.RED),
        (30, LEARNING, Grade.YELLOW),
        (120, LEARNING, Grade.RED),
    ],
)
def test_retransmits(retransmits: int, rules: Rules, expected: Grade) -> None:
    """
    Lost segments count against history, and without it from twice the limits on.
    """
    before = [seen(RELATION, tcp=Tcp(segments_sent=1000))] * (0 if rules.learning else 60)

    assert expected == grade(
        "retransmits", [*before, seen(RELATION, tcp=Tcp(segments_sent=1000, retransmits=retransmits))], rules
    )
