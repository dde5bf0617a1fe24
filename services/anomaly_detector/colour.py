"""
From grades of single windows to colours that do not flicker.

A colour comes at once when enough of the last windows ask for it, and goes one step at a time after calm windows. A
red window gives yellow by itself, so that something is seen within two windows; red wants two of three.

    ENTER  red     2 of 3 windows red
           orange  3 of 5 windows orange or worse
           yellow  2 of 3 windows yellow or worse, or one that is red
    LEAVE  red     -> orange  3 windows in a row yellow or better
           orange  -> yellow  3 windows in a row uneasy or better
           yellow  -> green   3 windows in a row calm
           a window without evidence counts for three fifths of a calm one

Nine calm windows, a minute and a half, lead from red to green.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.anomaly_detector.finding import Grade
from shared.messages.anomaly import Level


class Enter(msgspec.Struct, frozen=True):
    """
    A colour is entered when *needs* of the last *of* windows are at least *grade*.
    """

    level: Level
    grade: Grade
    needs: int
    of: int


ENTER: Final = (
    Enter(Level.RED, Grade.RED, 2, 3),
    Enter(Level.ORANGE, Grade.ORANGE, 3, 5),
    Enter(Level.YELLOW, Grade.RED, 1, 1),
    Enter(Level.YELLOW, Grade.YELLOW, 2, 3),
)
LEAVE: Final = {Level.RED: Grade.YELLOW, Level.ORANGE: Grade.UNEASY, Level.YELLOW: Grade.CALM}
"""The worst grade of a window that counts towards leaving a colour."""
WINDOWS: Final = max(rule.of for rule in ENTER)
STEP: Final = 15
"""Points that lead one step down."""
CALM_POINTS: Final = 5
BLANK_POINTS: Final = 3


class Track(msgspec.Struct, frozen=True):
    """
    One signal of one entity through the windows.
    """

    level: Level = Level.GREEN
    grades: tuple[Grade, ...] = ()
    points: int = 0
    """Towards the next step down."""
    since_ns: int = 0
    """Start of the first window of this trouble; 0 when there is none."""

    @property
    def idle(self) -> bool:
        """
        Return whether nothing need be remembered.
        """
        return self.level == Level.GREEN and all(grade <= Grade.CALM for grade in self.grades)


def follow(track: Track, grade: Grade, window_start_ns: int) -> Track:
    """
    Return *track* after a window of *grade*.
    """
    grades = (*track.grades, grade)[-WINDOWS:]
    since_ns = track.since_ns
    if grade >= Grade.YELLOW and not since_ns:
        since_ns = window_start_ns
    asked = _asked(grades)
    if asked > track.level:
        return Track(asked, grades, 0, since_ns)
    level, points = track.level, track.points
    if level in LEAVE:
        points = _points(points, grade, LEAVE[level])
        if points >= STEP:
            level, points = Level(level - 1), 0
            grades = tuple(min(one, _highest_that_keeps(level)) for one in grades)
    if level == Level.GREEN and all(one < Grade.YELLOW for one in grades):
        since_ns = 0
    return Track(level, grades, points, since_ns)


def _asked(grades: tuple[Grade, ...]) -> Level:
    for rule in ENTER:
        if sum(grade >= rule.grade for grade in grades[-rule.of :]) >= rule.needs:
            return rule.level
    return Level.GREEN


def _points(points: int, grade: Grade, worst: Grade) -> int:
    if grade == Grade.BLANK:
        return points + BLANK_POINTS
    return points + CALM_POINTS if grade <= worst else 0


def _highest_that_keeps(level: Level) -> Grade:
    """
    Return the worst grade that old windows may hold after a step down, so that they do not lead up again.
    """
    return {Level.ORANGE: Grade.ORANGE, Level.YELLOW: Grade.YELLOW}.get(level, Grade.UNEASY)
