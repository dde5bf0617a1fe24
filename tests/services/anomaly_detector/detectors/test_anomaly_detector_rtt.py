"""
Round trips that take longer.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION, Observation
from shared import histogram
from shared.messages.topology import Tcp
from shared.units import MS_NS
from tests.services.anomaly_detector.detectors.observations import grade, seen


def trips(ms: float) -> Observation:
    """
    Return a relation with fifty round trips of *ms*.
    """
    return seen(RELATION, tcp=Tcp(rtt=[histogram.bucket_of(int(ms * MS_NS)), 50]))


@pytest.mark.parametrize(
    ("ms", "expected"), [(0.3, Grade.CALM), (12, Grade.CALM), (40, Grade.YELLOW), (90, Grade.ORANGE)]
)
def test_rtt(ms: float, expected: Grade) -> None:
    """
    Tens of milliseconds matter.
    """
    assert expected == grade("rtt", [*[trips(0.1)] * 60, trips(ms)])
