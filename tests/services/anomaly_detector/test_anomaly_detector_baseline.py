"""
What is usual, and how far something is from it.
"""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.anomaly_detector.baseline import (
    FIRST,
    Level,
    Pool,
    Share,
    count_score,
    deviation,
    learn_level,
    learn_share,
    pour,
    share_score,
)


def taught(values: list[float]) -> Level:
    """
    Return a level that has seen *values*, one each ten seconds.
    """
    level = Level()
    for value in values:
        level = learn_level(level, value, 10)
    return level


def test_nothing_deviates_before_the_first_values_are_in() -> None:
    """
    A level without enough values judges nothing.
    """
    level = taught([100.0] * (FIRST - 1))

    assert not level.known
    assert 0.0 == deviation(level, 1e9)


def test_first_values_give_their_median() -> None:
    """
    One wild value among the first moves the usual level not at all.
    """
    level = taught([100.0] * (FIRST - 1) + [100_000.0])

    assert 100.0 == pytest.approx(level.usual)


def test_a_single_value_moves_the_level_by_three_deviations_at_most() -> None:
    """
    Poison is clipped: an hour of history is not undone by one window.
    """
    before = taught([100.0] * 360)
    after = learn_level(before, 1e9, 10)

    assert math.log(after.usual / before.usual) <= 3 * 0.1 * (1 - math.exp(-10 / 3600)) + 1e-9


def test_young_level_is_trusted_less() -> None:
    """
    The same deviation scores lower against nine values than against a hundred.
    """
    assert deviation(taught([100.0] * FIRST), 200.0) < deviation(taught([100.0] * 100), 200.0)


def test_slow_drift_is_forgiven() -> None:
    """
    A doubling over a day never scores four.
    """
    dice = random.Random(1)
    level = taught([100.0 * math.exp(dice.gauss(0, 0.1)) for _ in range(360)])
    worst = 0.0
    for step in range(8640):
        value = 100.0 * 2 ** (step / 8640) * math.exp(dice.gauss(0, 0.1))
        worst = max(worst, deviation(level, value))
        level = learn_level(level, value, 10)

    assert worst < 4.5


def test_share_is_a_half_before_anything_is_known() -> None:
    """
    Nobody knows nothing.
    """
    assert 0.5 == Share().usual


def test_burst_of_failures_is_learnt_as_three_deviations() -> None:
    """
    An hour in which everything fails does not become usual at once.
    """
    share = Share()
    for _ in range(360):
        share = learn_share(share, 1, 1000, 10)
    before = share.usual
    share = learn_share(share, 1000, 1000, 10)

    assert share.usual < before * 1.05


@given(n=st.integers(1, 100_000), p=st.floats(1e-6, 0.999))
def test_usual_share_scores_about_nothing(n: int, p: float) -> None:
    """
    As many failures as usual are no deviation.
    """
    assert abs(share_score(n * p, n, p)) < 1e-3


@given(n=st.integers(1, 10_000), k=st.integers(0, 10_000), p=st.floats(1e-6, 0.999))
def test_share_score_has_the_sign_of_the_difference(n: int, k: int, p: float) -> None:
    """
    More than usual is positive, less is negative.
    """
    failures = min(k, n)
    score = share_score(failures, n, p)

    assert (score > 0) == (failures / n > p) or abs(score) < 1e-3


@pytest.mark.parametrize(("failures", "score"), [(10, 5.0), (20, 8.0)])
def test_share_score_follows_the_exact_tail(failures: int, score: float) -> None:
    """
    Ten or twenty failures where one is expected are as unlikely as the normal deviate says, to a quarter.
    """
    n, p = 1000, 0.001
    tail = sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(failures, failures + 50))
    found = share_score(failures, n, p)

    assert math.isclose(0.5 * math.erfc(found / math.sqrt(2)), tail, rel_tol=1.5)
    assert found > score


def test_count_score_of_an_expected_count_is_nothing() -> None:
    """
    Silence where a hundred events are expected is fourteen deviations, a hundred are none.
    """
    assert 0.0 == count_score(100, 100)
    assert -math.sqrt(200) == pytest.approx(count_score(0, 100))


def test_pool_takes_as_few_windows_as_are_enough() -> None:
    """
    A busy window stands alone, thin ones are added up.
    """
    pool, k, n = pour(Pool(), 1, 10, enough=50, most=3)
    assert (1, 10) == (k, n)
    pool, k, n = pour(pool, 2, 20, enough=50, most=3)
    assert (3, 30) == (k, n)
    pool, k, n = pour(pool, 5, 100, enough=50, most=3)
    assert (5, 100) == (k, n)
    assert 3 == len(pool.windows)
