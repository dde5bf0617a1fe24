"""
Services that nobody asks any more.
"""

from __future__ import annotations

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import SERVICE
from tests.services.anomaly_detector.detectors.observations import grade, red, seen


def test_silence_is_ten_usual_gaps() -> None:
    """
    A service that is asked each half minute is silent after five minutes, one that is asked always after 100 seconds.
    """
    busy, nothing = seen(SERVICE, calls=red(100)), seen(SERVICE)
    seldom = [seen(SERVICE, calls=red(1)), nothing, nothing] * 20

    assert Grade.UNEASY == grade("silence", [*[busy] * 20, *[nothing] * 10])
    assert Grade.YELLOW == grade("silence", [*[busy] * 20, *[nothing] * 11])
    assert Grade.UNEASY == grade("silence", [*seldom, *[nothing] * 20])
    assert Grade.YELLOW == grade("silence", [*seldom, *[nothing] * 31])
