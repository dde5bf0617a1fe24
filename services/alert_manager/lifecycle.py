"""
An alert's life, as a table.

An alert waits (`pending`) until its condition has held for the template's `for`, is told (`firing`), and stays until
the condition has been gone for `keep_firing_for` (`resolved`). What never fired leaves no trace. The same template and
entity always make the same alert, so a fault that comes back is the old alert with one occurrence more.
"""

from __future__ import annotations

import hashlib
from enum import Enum, auto
from typing import Final, Literal

import msgspec

from services.alert_manager.template import Evaluation, Template
from shared.messages.alert import Alert
from shared.units import S_NS

State = Literal["", "pending", "firing", "resolved"]
ABSENT: Final = ""
PENDING: Final = "pending"
FIRING: Final = "firing"
RESOLVED: Final = "resolved"


LONGEST_GAP_NS: Final = 60 * S_NS
"""After a longer time without windows, nobody knows whether the condition has held meanwhile."""


class Event(Enum):
    """
    What a window means for an alert.
    """

    HOLDS = auto()
    """The condition holds, but not yet for long enough."""
    HOLDS_LONG = auto()
    """The condition has held for the template's `for`."""
    GONE = auto()
    """The condition does not hold, but has until lately."""
    GONE_LONG = auto()
    """The condition has not held for the template's `keep_firing_for`."""


NEXT: Final[dict[tuple[State, Event], State]] = {
    ("", Event.HOLDS): "pending",
    ("", Event.HOLDS_LONG): "firing",
    ("", Event.GONE): "",
    ("", Event.GONE_LONG): "",
    ("pending", Event.HOLDS): "pending",
    ("pending", Event.HOLDS_LONG): "firing",
    ("pending", Event.GONE): "",
    ("pending", Event.GONE_LONG): "",
    ("firing", Event.HOLDS): "firing",
    ("firing", Event.HOLDS_LONG): "firing",
    ("firing", Event.GONE): "firing",
    ("firing", Event.GONE_LONG): "resolved",
    ("resolved", Event.HOLDS): "pending",
    ("resolved", Event.HOLDS_LONG): "firing",
    ("resolved", Event.GONE): "resolved",
    ("resolved", Event.GONE_LONG): "resolved",
}


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """
    An alert, and what only alert-manager needs to know of it.
    """

    alert: Alert
    held_ns: int
    """End of the last window in which the condition held."""
    group_key: str = ""
    told: str = ""
    """The state that the channels were last told."""


def alert_id(template: str, entity: str) -> str:
    """
    Return the id that *template* has for *entity*, always the same.
    """
    return hashlib.sha256(f"{template}\0{entity}".encode()).hexdigest()[:16]


def event(template: Template, holds: bool, started_ns: int, held_ns: int, now_ns: int) -> Event:
    """
    Return what a window that ends at *now_ns* means.
    """
    if holds:
        return Event.HOLDS_LONG if now_ns - started_ns >= template.for_s * S_NS else Event.HOLDS
    return Event.GONE_LONG if now_ns - held_ns >= template.keep_firing_s * S_NS else Event.GONE


class Step(msgspec.Struct, frozen=True):
    """
    What became of an alert in one window.
    """

    held: Held | None
    """None when it leaves no trace."""
    was: State
    changed: bool
    """Whether it entered another state."""


def step(
    held: Held | None,
    template: Template,
    entity: str,
    evaluation: Evaluation,
    *,
    start_ns: int,
    end_ns: int,
    group_key: str = "",
) -> Step:
    """
    Return the alert after the window from *start_ns* to *end_ns*.
    """
    was: State = _state(held)
    open_already = held is not None and (
        was == FIRING or (was == PENDING and start_ns - held.held_ns <= LONGEST_GAP_NS)
    )
    started_ns = held.alert.started_ns if held is not None and open_already else start_ns
    held_ns = end_ns if evaluation.holds else (held.held_ns if held is not None else 0)
    state = NEXT[was, event(template, evaluation.holds, started_ns, held_ns, end_ns)]
    if state == ABSENT:
        return _dropped(held, was)
    if held is None or (state == was == RESOLVED):
        if state == RESOLVED:
            return Step(held, was, False)
        return Step(_new(template, entity, evaluation, state, started_ns, end_ns, group_key), was, True)
    return Step(_moved(held, was, state, evaluation, started_ns, held_ns, end_ns), was, state != was)


def _state(held: Held | None) -> State:
    match held.alert.state if held is not None else ABSENT:
        case "pending":
            return "pending"
        case "firing":
            return "firing"
        case "resolved":
            return "resolved"
        case _:
            return ""


def _dropped(held: Held | None, was: State) -> Step:
    """
    Return a pending alert to what it was before: resolved when it has fired once, else nothing.
    """
    if held is None or was == ABSENT:
        return Step(None, was, False)
    if not held.alert.fired_ns:
        return Step(None, was, True)
    alert = msgspec.structs.replace(held.alert, state=RESOLVED)
    return Step(msgspec.structs.replace(held, alert=alert, told=RESOLVED), was, True)


def _new(
    template: Template,
    entity: str,
    evaluation: Evaluation,
    state: str,
    started_ns: int,
    end_ns: int,
    group_key: str,
) -> Held:
    alert = Alert(
        id=alert_id(template.name, entity),
        template=template.name,
        family=template.family,
        severity=template.severity,
        entity=entity,
        kind=template.kind,
        state=state,
        title=evaluation.title,
        meaning=template.meaning,
        next_steps=template.next_steps,
        value=evaluation.value,
        threshold=template.condition.threshold,
        unit=template.condition.unit,
        started_ns=started_ns,
        fired_ns=end_ns if state == FIRING else 0,
        updated_ns=end_ns,
    )
    return Held(alert=alert, held_ns=end_ns, group_key=group_key)


def _moved(
    held: Held, was: State, state: str, evaluation: Evaluation, started_ns: int, held_ns: int, end_ns: int
) -> Held:
    alert = msgspec.structs.replace(held.alert, state=state, started_ns=started_ns, updated_ns=end_ns)
    if evaluation.holds:
        alert = msgspec.structs.replace(alert, value=evaluation.value, title=evaluation.title)
    told = held.told
    if was == RESOLVED:
        # A new occurrence: nobody has taken care of it, and nobody has been told.
        alert = msgspec.structs.replace(alert, acknowledged_by="", acknowledged_ns=0)
        told = ""
    if state == FIRING and was != FIRING:
        again = 1 if held.alert.fired_ns else 0
        alert = msgspec.structs.replace(
            alert, fired_ns=end_ns, resolved_ns=0, occurrences=held.alert.occurrences + again
        )
    if state == RESOLVED:
        alert = msgspec.structs.replace(alert, resolved_ns=end_ns)
    return msgspec.structs.replace(held, alert=alert, held_ns=held_ns, told=told)
