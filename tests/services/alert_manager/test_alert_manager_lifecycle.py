"""
An alert's life, told as stories: a sign for each window, `!` where the condition holds.
"""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alert_manager.lifecycle import NEXT, Event, Held, Step, alert_id, step
from services.alert_manager.template import Condition, Evaluation, Template

TEN_S = 10_000_000_000
SIGNS = {"": ".", "pending": "p", "firing": "F", "resolved": "r"}


def template(for_s: int = 20, keep_firing_s: int = 30) -> Template:
    """
    Return a template of which only the spans matter.
    """
    return Template(
        name="odd",
        title="{entity} is odd",
        family="application",
        kind="service",
        severity="warning",
        for_s=for_s,
        keep_firing_s=keep_firing_s,
        meaning="It is odd.",
        next_steps=["Look."],
        not_when=[],
        condition=Condition(signal="x", comparison="above", threshold=1.0),
        also=[],
        examples=[],
    )


def tell(windows: str, of: Template) -> tuple[str, list[Step]]:
    """
    Return the state after each of *windows*, and all steps; a space is a window that never came.
    """
    held: Held | None = None
    states, steps = "", []
    for number, sign in enumerate(windows):
        if sign == " ":
            states += " "
            continue
        evaluation = Evaluation(True, float(number), f"odd {number}") if sign == "!" else Evaluation(False)
        done = step(held, of, "web", evaluation, start_ns=number * TEN_S, end_ns=(number + 1) * TEN_S)
        held = done.held
        steps.append(done)
        states += SIGNS[held.alert.state if held else ""]
    return states, steps


@pytest.mark.parametrize(
    ("windows", "states"),
    [
        pytest.param("..!..", "..p..", id="too short: leaves no trace"),
        pytest.param("!!!.", "pFFF", id="held for twenty seconds"),
        pytest.param("!.!.!", "p.p.p", id="never long enough"),
        pytest.param("!!......", "pFFFrrrr", id="gone for thirty seconds"),
        pytest.param("!!..!..!....", "pFFFFFFFFFrr", id="a flapping fault is one alert"),
        pytest.param("!!...!.!!", "pFFFrprpF", id="comes back as the same alert"),
        pytest.param("!           !!", "p           pF", id="nobody knows what was meanwhile"),
    ],
)
def test_story(windows: str, states: str) -> None:
    """
    Each story goes as it should.
    """
    assert states == tell(windows, template())[0]


def test_without_for_it_fires_at_once() -> None:
    """
    A template without `for` has no pending state.
    """
    assert tell("!.", template(for_s=0, keep_firing_s=0))[0] == "Fr"


def test_times_and_figures_are_kept() -> None:
    """
    An alert knows when its condition began, when it fired, when it was over, and its newest figure.
    """
    states, steps = tell("..!!!....", template())
    alert = steps[-1].held.alert if steps[-1].held else None

    assert states == "..pFFFFrr"
    assert alert is not None
    assert (2 * TEN_S, 4 * TEN_S, 8 * TEN_S) == (alert.started_ns, alert.fired_ns, alert.resolved_ns)
    assert (4.0, "odd 4") == (alert.value, alert.title)


def test_occurrences_are_counted_and_an_acknowledgement_ends_with_its_occurrence() -> None:
    """
    The second time, nobody takes care of it yet and nobody has been told.
    """
    _, steps = tell("!!....", template())
    held = steps[-1].held
    assert held is not None
    cared = msgspec.structs.replace(
        held, told="firing", alert=msgspec.structs.replace(held.alert, acknowledged_by="ann", acknowledged_ns=1)
    )
    again = step(cared, template(for_s=0), "web", Evaluation(True), start_ns=9 * TEN_S, end_ns=10 * TEN_S)

    assert again.held is not None
    assert (2, "", "") == (again.held.alert.occurrences, again.held.alert.acknowledged_by, again.held.told)
    assert again.held.alert.resolved_ns == 0


def test_table_is_complete() -> None:
    """
    Every state knows what to do with every event, and only firing alerts are ever resolved.
    """
    states = ("", "pending", "firing", "resolved")

    assert set(itertools.product(states, Event)) == set(NEXT)
    assert {was for (was, _), state in NEXT.items() if state == "resolved" and was != "resolved"} == {"firing"}


@given(st.text("!.", max_size=60), st.integers(0, 4), st.integers(0, 4))
def test_never_fires_without_having_held_and_never_ends_without_a_pause(windows: str, hold: int, keep: int) -> None:
    """
    Firing begins only after `for` of holding without a break, and ends only after `keep_firing_for` of none.
    """
    states, _ = tell(windows, template(for_s=10 * hold, keep_firing_s=10 * keep))
    for number, state in enumerate(states):
        before = states[number - 1] if number else "."
        if state == "F" and before != "F":
            assert windows[max(0, number + 1 - max(1, hold)) : number + 1] == "!" * max(1, hold)
        if before == "F" and state == "r":
            assert set(windows[max(0, number + 1 - max(1, keep)) : number + 1]) == {"."}


def test_id_depends_on_template_and_entity_alone() -> None:
    """
    The same fault has the same id, another entity or template another one.
    """
    assert alert_id("a", "b") == alert_id("a", "b")
    assert len({alert_id("a", "b"), alert_id("b", "a"), alert_id("ab", ""), alert_id("", "ab")}) == 4
