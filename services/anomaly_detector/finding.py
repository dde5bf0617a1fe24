"""
What one detector says about one entity in one window.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec


class Grade(IntEnum):
    """
    How bad a single window is, before hysteresis.
    """

    BLANK = 0
    """Too little evidence to say anything."""
    CALM = 1
    """As usual."""
    UNEASY = 2
    """Neither as usual nor bad enough for a colour: it keeps a colour, and gives none."""
    YELLOW = 3
    ORANGE = 4
    RED = 5


class Trouble(IntEnum):
    """
    What kind of trouble a finding is: it says where a cause elsewhere may be looked for.
    """

    LOCAL = 0
    """Evidence that cannot be inherited: the wire, the kernel, a queue."""
    ERRORS = 1
    """May come from the errors of what is called."""
    LATENCY = 2
    """May come from the time that what is called takes."""
    TRAFFIC = 3
    """May come from callers that ask less."""


NO_SCORE: Final = 0.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """
    One signal of one entity in one window.
    """

    signal: str
    grade: Grade
    trouble: Trouble = Trouble.LOCAL
    value: float = 0.0
    expected: float = 0.0
    unit: str = "1"
    score: float = NO_SCORE
    text: str = ""
    excess: float = 0.0
    """How much there is beyond the usual: failed requests (ERRORS), nanoseconds of waiting (LATENCY)."""
    beyond: float = 0.0
    """The part of *excess* that the other end of a relation has seen too, hence caused."""
