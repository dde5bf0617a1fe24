"""
Listeners whose queue is full.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import SERVICE
from shared.messages.topology import Tcp
from tests.services.anomaly_detector.detectors.observations import grade, seen


@pytest.mark.parametrize(
    ("overflows", "expected"), [(0, Grade.CALM), (1, Grade.YELLOW), (10, Grade.ORANGE), (100, Grade.RED)]
)
def test_listen_queue(overflows: int, expected: Grade) -> None:
    """
    No overflow is usual.
    """
    assert expected == grade("listen_queue", [seen(SERVICE, tcp=Tcp(opened=200, listen_overflows=overflows))])
