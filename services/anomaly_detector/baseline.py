"""
What is usual: three small memories, each a few numbers, each taught one window at a time.

`Level` follows a positive quantity (a duration, a rate) on a log scale: its first values give a median and a spread
that an outlier cannot move, then two exponentially weighted means (one hour, one day) go on, and no single value moves
them by more than three deviations. The nearer of the two judges: the fast one forgives slow drift, the slow one
remembers.
`Share` counts failures against attempts, decayed over a day. `Pool` gathers windows until there is evidence enough.
"""

from __future__ import annotations

import math
import statistics
from typing import Final

import msgspec

FAST_S: Final = 3600.0
SLOW_S: Final = 86400.0
FIRST: Final = 9
"""Values that make the first median."""
CLIP: Final = 3.0
LEAST_SPREAD: Final = 0.1
"""On a log scale: about 10 %."""
MAD_TO_SIGMA: Final = 1.4826
LARGEST: Final = 1e-12


class Level(msgspec.Struct, frozen=True):
    """
    The usual level of a quantity, on a log scale.
    """

    first: tuple[float, ...] = ()
    seen: int = 0
    fast: float = 0.0
    fast_variance: float = 0.0
    slow: float = 0.0
    slow_variance: float = 0.0

    @property
    def known(self) -> bool:
        """
        Return whether there is a level to compare with.
        """
        return self.seen >= FIRST

    @property
    def usual(self) -> float:
        """
        Return the usual value, in the quantity's own unit.
        """
        return math.exp(self.fast if self.known else statistics.median(self.first or (0.0,)))


def learn_level(level: Level, value: float, window_s: float, least: float = LEAST_SPREAD) -> Level:
    """
    Return *level* taught *value*.
    """
    x = math.log(max(value, LARGEST))
    seen = level.seen + 1
    if seen < FIRST:
        return Level(first=(*level.first, x), seen=seen)
    if seen == FIRST:
        values = (*level.first, x)
        middle = statistics.median(values)
        spread = max(least, MAD_TO_SIGMA * statistics.median(abs(v - middle) for v in values))
        return Level(seen=seen, fast=middle, fast_variance=spread**2, slow=middle, slow_variance=spread**2)
    fast, fast_variance = _follow(level.fast, level.fast_variance, x, _weight(window_s, FAST_S, seen), least)
    slow, slow_variance = _follow(level.slow, level.slow_variance, x, _weight(window_s, SLOW_S, seen), least)
    return Level(seen=seen, fast=fast, fast_variance=fast_variance, slow=slow, slow_variance=slow_variance)


def _weight(window_s: float, memory_s: float, seen: int) -> float:
    return max(1.0 - math.exp(-window_s / memory_s), 1.0 / (seen + 1))


def _follow(mean: float, variance: float, x: float, weight: float, least: float) -> tuple[float, float]:
    reach = CLIP * max(math.sqrt(variance), least)
    step = min(max(x - mean, -reach), reach)
    return mean + weight * step, (1.0 - weight) * (variance + weight * step * step)


def deviation(level: Level, value: float, *, sampling: float = 0.0, least: float = LEAST_SPREAD) -> float:
    """
    Return how many deviations *value* lies above its usual level, by the memory that is nearer to it.

    *sampling* is the deviation that comes from a small sample alone. A young memory is trusted less: its deviation
    is widened by 4 / n.
    """
    if not level.known:
        return 0.0
    x = math.log(max(value, LARGEST))
    young = 1.0 + 4.0 / level.seen
    scores = [
        (x - mean) / (max(least, math.sqrt(variance + sampling**2)) * young)
        for mean, variance in ((level.fast, level.fast_variance), (level.slow, level.slow_variance))
    ]
    return min(scores, key=abs)


class Share(msgspec.Struct, frozen=True):
    """
    Failures among attempts, decayed.
    """

    failures: float = 0.0
    attempts: float = 0.0
    seen: int = 0

    @property
    def usual(self) -> float:
        """
        Return the usual share; a half when nothing is known.
        """
        return (self.failures + 0.5) / (self.attempts + 1.0)


def learn_share(share: Share, failures: float, attempts: float, window_s: float) -> Share:
    """
    Return *share* taught one window; a burst counts for at most three deviations above the usual.
    """
    if attempts <= 0:
        return share
    fed = failures
    if share.seen >= FIRST:
        p = share.usual
        fed = min(failures, attempts * p + CLIP * math.sqrt(attempts * p * (1 - p)))
    keep = math.exp(-window_s / SLOW_S)
    return Share(failures=share.failures * keep + fed, attempts=share.attempts * keep + attempts, seen=share.seen + 1)


def share_score(failures: float, attempts: float, usual: float) -> float:
    """
    Return how many normal deviations *failures* of *attempts* lie above *usual*.

    It is the signed root of the deviance, which follows the exact binomial tail also where few failures are expected.
    """
    if attempts <= 0:
        return 0.0
    p = min(max(usual, 1e-9), 1 - 1e-9)
    q = min(failures / attempts, 1.0)
    deviance = 0.0
    if q > 0:
        deviance += q * math.log(q / p)
    if q < 1:
        deviance += (1 - q) * math.log((1 - q) / (1 - p))
    return math.copysign(math.sqrt(max(0.0, 2 * attempts * deviance)), q - p)


def count_score(count: float, expected: float) -> float:
    """
    Return how many normal deviations *count* lies above *expected*, for events that come independently.
    """
    mean = max(expected, 1e-9)
    deviance = mean - count + (count * math.log(count / mean) if count > 0 else 0.0)
    return math.copysign(math.sqrt(max(0.0, 2 * deviance)), count - mean)


class Pool(msgspec.Struct, frozen=True):
    """
    Failures and attempts of the last few windows, for entities with thin traffic.
    """

    windows: tuple[tuple[float, float], ...] = ()


def pour(pool: Pool, failures: float, attempts: float, *, enough: float, most: int) -> tuple[Pool, float, float]:
    """
    Return the pool with one window more, and the sums over as few of the newest windows as give *enough* attempts.
    """
    windows = (*pool.windows, (failures, attempts))[-most:]
    failed = tried = 0.0
    for k, n in reversed(windows):
        failed += k
        tried += n
        if tried >= enough:
            break
    return Pool(windows), failed, tried
