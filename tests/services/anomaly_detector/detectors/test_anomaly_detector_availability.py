"""
Services that answer nobody.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import SERVICE, Observation
from tests.services.anomaly_detector.detectors.observations import LEARNING, grade, seen


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        pytest.param(seen(SERVICE, attempts=5, unanswered=5, present=False), Grade.RED, id="dead"),
        pytest.param(seen(SERVICE, attempts=5, unanswered=5), Grade.RED, id="runs, and refuses or hangs"),
        pytest.param(seen(SERVICE, attempts=5, unanswered=5, unreached=5), Grade.BLANK, id="runs, out of reach"),
        pytest.param(seen(SERVICE, attempts=5, unanswered=4), Grade.CALM, id="one answer"),
        pytest.param(seen(SERVICE, attempts=4, unanswered=4), Grade.UNEASY, id="too few"),
        pytest.param(seen(SERVICE, attempts=9, unanswered=9, path_suspect=True), Grade.UNEASY, id="lossy path"),
        pytest.param(seen(SERVICE), Grade.BLANK, id="nobody asks"),
    ],
)
def test_availability(observation: Observation, expected: Grade) -> None:
    """
    A service that answers nobody is red, unless the path is as likely.
    """
    assert expected == grade("availability", [observation], LEARNING)
