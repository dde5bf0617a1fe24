"""
Waits between restarts.
"""

from __future__ import annotations

from deploy.local.restart import CALM_S, FIRST_S, MOST_S, Backoff


def test_waits_double_up_to_a_limit() -> None:
    """
    A process that keeps dying is started ever more rarely, but it is started.
    """
    backoff = Backoff()

    waits = [backoff.after(0.1) for _ in range(12)]

    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert waits[-1] == MOST_S


def test_a_calm_life_begins_anew() -> None:
    """
    After a long life the first wait is the shortest again.
    """
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.1)

    assert backoff.after(CALM_S) == FIRST_S
