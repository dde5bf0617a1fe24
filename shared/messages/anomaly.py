"""
The colours, and the reasons for them.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Level(IntEnum):
    """
    How bad it is; the pages show an icon and a shape beside each colour.
    """

    GREY = 0
    """No data, or too little history to judge."""
    GREEN = 1
    YELLOW = 2
    ORANGE = 3
    RED = 4


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """
    One signal that deviates, how far, since when, and against what.
    """

    signal: str
    """`error_ratio`, `latency_p95`, `request_rate`, `retransmit_ratio`, `connect_failures`, ..."""
    detector: str
    level: Level
    value: float
    """In the signal's unit."""
    expected: float
    """The baseline, or the limit of an event rule."""
    unit: str
    """`ratio`, `s`, `1/s`, `1`"""
    score: float = 0.0
    """z score where there is one."""
    since_ns: int = 0
    text: str = ""
    """One sentence for people: `p95 is 812 ms, 9 times its usual 90 ms`."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    The state of one service or relation after one window.
    """

    entity: str
    """A service's or a relation's id."""
    kind: str
    """`service` or `relation`"""
    at_ns: int
    """End of the window that was judged."""
    own: Level
    """The fill: what is wrong with itself."""
    inherited: Level
    """The ring: what it suffers from its dependencies."""
    learning: bool = False
    reasons: list[Reason] = []
    culprits: list[str] = []
    """The entities that *inherited* comes from."""


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """
    The verdicts of one window: all entities, so that a reader needs no history.
    """

    window_start_ns: int
    window_end_ns: int
    verdicts: list[Verdict]
