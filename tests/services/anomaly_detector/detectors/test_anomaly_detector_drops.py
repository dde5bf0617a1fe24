"""
Packets that the kernel drops.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION
from shared.messages.topology import Tcp
from tests.services.anomaly_detector.detectors.observations import grade, seen


@pytest.mark.parametrize(
    ("drops", "expected"),
    [
        ({"no_socket": 500, "not_specified": 500}, Grade.CALM),
        ({"qdisc_drop": 5}, Grade.YELLOW),
        ({"qdisc_drop": 50}, Grade.ORANGE),
    ],
)
def test_drops(drops: dict[str, int], expected: Grade) -> None:
    """
    Drops for a harmful reason count, others do not.
    """
    assert expected == grade("drops", [seen(RELATION, tcp=Tcp(segments_sent=1000, drops=drops))])
