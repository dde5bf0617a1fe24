"""
Figures read as people write them.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector import wording


@pytest.mark.parametrize(
    ("ns", "words"),
    [(850, "1 us"), (1_500_000, "1.5 ms"), (812_000_000, "812 ms"), (2_340_000_000, "2.3 s"), (47_000_000_000, "47 s")],
)
def test_durations(ns: float, words: str) -> None:
    """
    A duration has the unit that fits it.
    """
    assert words == wording.duration(ns)


@pytest.mark.parametrize(
    ("ratio", "words"), [(0, "0 %"), (0.00001, "under 0.01 %"), (0.0013, "0.13 %"), (0.042, "4.2 %"), (0.42, "42 %")]
)
def test_shares(ratio: float, words: str) -> None:
    """
    A share is a percentage of two figures.
    """
    assert words == wording.share(ratio)


def test_rates_and_times() -> None:
    """
    Rare things are counted by the minute, many times without a decimal.
    """
    assert ["12 a second", "1.5 a second", "6.0 a minute"] == [wording.rate(one) for one in (12, 1.5, 0.1)]
    assert ["1.6 times", "9 times"] == [wording.times(one) for one in (1.6, 9.0)]
