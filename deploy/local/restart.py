"""
When a process that ended is started again.
"""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 0.2
MOST_S: Final = 15.0
CALM_S: Final = 60.0
"""A process that lived so long starts from the shortest wait again."""


class Backoff:
    """
    Waits that double while a process keeps dying.
    """

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lived_s: float) -> float:
        """
        Return how long to wait before the next start of a process that lived for *lived_s*.
        """
        if lived_s >= CALM_S:
            self._next_s = FIRST_S
        wait_s = self._next_s
        self._next_s = min(MOST_S, wait_s * 2)
        return wait_s
