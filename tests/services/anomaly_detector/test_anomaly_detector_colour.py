"""
Colours come quickly and go slowly.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.anomaly_detector.colour import Track, follow
from services.anomaly_detector.finding import Grade
from shared.messages.anomaly import Level

SIGNS = {"-": Grade.BLANK, ".": Grade.CALM, "u": Grade.UNEASY, "y": Grade.YELLOW, "o": Grade.ORANGE, "r": Grade.RED}
COLOURS = {Level.GREEN: ".", Level.YELLOW: "y", Level.ORANGE: "o", Level.RED: "r"}
TEN_S = 10_000_000_000


def story(grades: str) -> str:
    """
    Return the colours that *grades* lead to, a sign for each window.
    """
    track, colours = Track(), ""
    for number, sign in enumerate(grades):
        track = follow(track, SIGNS[sign], number * TEN_S)
        colours += COLOURS[track.level]
    return colours


@pytest.mark.parametrize(
    ("grades", "colours"),
    [
        pytest.param("..y...", "......", id="one yellow window is nothing"),
        pytest.param("..yy..", "...yyy", id="two of three are yellow"),
        pytest.param("..y.y.", "....yy", id="the two need not follow each other"),
        pytest.param("..r...", "..yyy.", id="one red window is yellow at once, for half a minute"),
        pytest.param("..rr..", "..yrrr", id="two of three are red"),
        pytest.param("..o.o.", "....yy", id="two orange windows are yellow"),
        pytest.param("..o.oo", "....yo", id="three of five are orange"),
        pytest.param("rr.........", "yrrrooyyy."[:1] + "rrrooo" + "yyy.", id="nine calm windows lead to green"),
        pytest.param("rruuuuuuuuu", "yrrrooo" + "yyyy", id="uneasy windows keep yellow"),
        pytest.param("rr" + "o" * 9, "y" + "r" * 10, id="orange windows keep red"),
        pytest.param("rr---------------", "yrrrrr" + "ooooo" + "yyyyy" + ".", id="no evidence leads down more slowly"),
        pytest.param("rr...r..", "yrrro" + "ooo", id="one red window does not lead up again"),
        pytest.param("rr...rr.", "yrrro" + "orr", id="two do"),
    ],
)
def test_story(grades: str, colours: str) -> None:
    """
    Each story ends as it should.
    """
    assert colours == story(grades)


def test_trouble_has_a_beginning_as_long_as_it_lasts() -> None:
    """
    The track remembers the first bad window, and forgets it when the trouble is over.
    """
    track = Track()
    for number, sign in enumerate("..rr"):
        track = follow(track, SIGNS[sign], number * TEN_S)
    assert 2 * TEN_S == track.since_ns
    for number in range(4, 14):
        track = follow(track, Grade.CALM, number * TEN_S)

    assert 0 == track.since_ns
    assert track.idle


@given(st.text("-.uyor", max_size=60))
def test_colours_go_one_step_at_a_time(grades: str) -> None:
    """
    A colour never falls by more than one step in a window, nor twice within three.
    """
    order = ".yor"
    ranks = [order.index(colour) for colour in story(grades)]
    falls = [number for number in range(1, len(ranks)) if ranks[number] < ranks[number - 1]]

    assert all(ranks[number - 1] - ranks[number] == 1 for number in falls)
    assert all(later - earlier >= 3 for earlier, later in itertools.pairwise(falls))


@given(st.text("-.uyor", max_size=40))
def test_nine_calm_windows_always_lead_to_green(grades: str) -> None:
    """
    Whatever was, a minute and a half of calm ends it.
    """
    assert "." == story(grades + "." * 11)[-1]
