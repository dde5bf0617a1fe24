"""
Traffic that collapses, and traffic that fades.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import SERVICE
from tests.services.anomaly_detector.detectors.observations import grade, quiet, red, seen


@pytest.mark.parametrize(
    ("requests", "expected"), [(100, Grade.CALM), (60, Grade.CALM), (30, Grade.YELLOW), (0, Grade.ORANGE)]
)
def test_traffic(requests: int, expected: Grade) -> None:
    """
    A sudden fall below a half is yellow, to almost nothing orange, and never red.
    """
    assert expected == grade("traffic", [*quiet(60), seen(SERVICE, calls=red(requests))])


def test_traffic_that_fades_in_a_wave_is_no_collapse() -> None:
    """
    The trough of a day, a tenth of its peak, is reached without a colour.
    """
    wave = [seen(SERVICE, calls=red(max(1, int(500 * 0.985**step)))) for step in range(150)]

    assert {Grade.CALM} == {grade("traffic", [*quiet(30), *wave[:length]]) for length in range(10, 150, 10)}
