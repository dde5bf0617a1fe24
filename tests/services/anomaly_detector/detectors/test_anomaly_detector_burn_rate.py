"""
Error budgets that burn.
"""

from __future__ import annotations

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import SERVICE
from tests.services.anomaly_detector.detectors.observations import grade, quiet, red, seen


def test_burn_rate_ends_with_the_trouble() -> None:
    """
    An hour at a fifth of errors is red, and calm a minute after it has ended.
    """
    bad = [seen(SERVICE, calls=red(100, errors=20))] * 360

    assert Grade.RED == grade("burn_rate", bad)
    assert Grade.CALM == grade("burn_rate", [*bad, *quiet(6)])
