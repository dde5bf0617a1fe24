"""
Figures in words, for the sentences that explain a colour.
"""

from __future__ import annotations

from shared.units import MS_NS, S_NS, US_NS


def duration(ns: float) -> str:
    """
    Return *ns* as people write it: `812 ms`.
    """
    if ns >= 10 * S_NS:
        return f"{ns / S_NS:.0f} s"
    if ns >= S_NS:
        return f"{ns / S_NS:.1f} s"
    if ns >= 10 * MS_NS:
        return f"{ns / MS_NS:.0f} ms"
    if ns >= MS_NS:
        return f"{ns / MS_NS:.1f} ms"
    return f"{ns / US_NS:.0f} us"


def share(ratio: float) -> str:
    """
    Return *ratio* as a percentage with two significant figures at least: `0.13 %`, `42 %`.
    """
    percent = 100 * ratio
    if percent >= 10 or percent == 0:
        return f"{percent:.0f} %"
    if percent >= 1:
        return f"{percent:.1f} %"
    return f"{percent:.2f} %" if percent >= 0.01 else "under 0.01 %"


def times(ratio: float) -> str:
    """
    Return how many times: `9 times`, `1.6 times`.
    """
    return f"{ratio:.0f} times" if ratio >= 5 else f"{ratio:.1f} times"


def rate(per_s: float) -> str:
    """
    Return a rate: `12 a second`, `3 a minute`.
    """
    if per_s >= 10:
        return f"{per_s:.0f} a second"
    if per_s >= 1:
        return f"{per_s:.1f} a second"
    return f"{per_s * 60:.1f} a minute"
