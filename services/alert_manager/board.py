"""
All alerts: every template against every entity, window by window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from services.alert_manager.convergence import group_key, namespaces, owed
from services.alert_manager.facts import FactBook
from services.alert_manager.lifecycle import FIRING, PENDING, RESOLVED, Held, alert_id, step
from services.alert_manager.silences import is_silenced
from services.alert_manager.template import Evaluation, Template, evaluate
from shared.messages.alert import Alert, AlertChanged, Silence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.alert_manager.convergence import Message
    from shared.messages.topology import TopologyWindow

OPEN: Final = frozenset({PENDING, FIRING})


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What must be stored and told after something happened.
    """

    changed: list[AlertChanged] = []
    """Alerts that entered another state, or that an operator touched."""
    kept: list[Held] = []
    """Alerts whose row must be written."""
    dropped: list[str] = []
    """Ids of alerts that left no trace."""


class Board:
    """
    The alerts and the silences; pure: time comes with the windows and commands.
    """

    def __init__(self, templates: Iterable[Template], objective_ratio: float) -> None:
        self._templates: Final = list(templates)
        self._by_name: Final = {template.name: template for template in self._templates}
        self.facts: Final = FactBook(self._templates, objective_ratio)
        self.alerts: Final[dict[str, Held]] = {}
        self.silences: Final[dict[str, Silence]] = {}

    def judge(self, window: TopologyWindow) -> Outcome:
        """
        Return what became of all alerts in *window*.
        """
        facts = self.facts.take(window)
        spaces = namespaces(window)
        evaluations: dict[tuple[str, str], Evaluation] = {}
        for (kind, entity), known in facts.items():
            for template in self._templates:
                if template.kind == kind:
                    evaluation = evaluate(template, known)
                    if evaluation.holds:
                        evaluations[template.name, entity] = evaluation
        for held in self.alerts.values():
            if held.alert.state in OPEN:
                evaluations.setdefault((held.alert.template, held.alert.entity), Evaluation(False))
        return self._step(evaluations, spaces, window)

    def _step(
        self,
        evaluations: dict[tuple[str, str], Evaluation],
        spaces: dict[tuple[str, str], str],
        window: TopologyWindow,
    ) -> Outcome:
        changed, kept, dropped = [], [], []
        for (name, entity), evaluation in evaluations.items():
            template = self._by_name.get(name)
            held = self.alerts.get(alert_id(name, entity))
            if template is None:  # it was removed while its alert was open
                if held is not None:
                    dropped.append(self._remove(held))
                continue
            done = step(
                held,
                template,
                entity,
                evaluation,
                start_ns=window.start_ns,
                end_ns=window.end_ns,
                group_key=group_key(name, spaces.get((template.kind, entity), "")),
            )
            if done.held is None:
                if held is not None:
                    dropped.append(self._remove(held))
                    gone = msgspec.structs.replace(held.alert, state=RESOLVED, updated_ns=window.end_ns)
                    changed.append(AlertChanged(alert=gone, was=PENDING))
                continue
            silenced = is_silenced(done.held.alert, self.silences.values(), window.end_ns)
            after = _silenced(done.held, silenced)
            self.alerts[after.alert.id] = after
            kept.append(after)
            if done.changed:
                changed.append(AlertChanged(alert=after.alert, was=done.was))
        return Outcome(changed=changed, kept=kept, dropped=dropped)

    def _remove(self, held: Held) -> str:
        del self.alerts[held.alert.id]
        return held.alert.id

    def owed(self) -> list[Message]:
        """
        Return what the channels have still to be told.
        """
        return owed(self.alerts.values())

    def told(self, ids: Iterable[str], state: str) -> list[Held]:
        """
        Remember that the channels were told *state* of these alerts, and return them.
        """
        found = []
        for one in ids:
            held = self.alerts.get(one)
            if held is not None:
                self.alerts[one] = msgspec.structs.replace(held, told=state)
                found.append(self.alerts[one])
        return found

    def acknowledge(self, alert: str, by: str, now_ns: int) -> Outcome:
        """
        Remember that *by* takes care of *alert*; nothing comes of an alert that is not open.
        """
        held = self.alerts.get(alert)
        if held is None or held.alert.state not in OPEN:
            return Outcome()
        after = msgspec.structs.replace(held.alert, acknowledged_by=by, acknowledged_ns=now_ns, updated_ns=now_ns)
        self.alerts[alert] = msgspec.structs.replace(held, alert=after)
        return Outcome(changed=[AlertChanged(alert=after, was=held.alert.state)], kept=[self.alerts[alert]])

    def silence(self, silence: Silence, now_ns: int) -> Outcome:
        """
        Add *silence*.
        """
        self.silences[silence.id] = silence
        return self.mark_silenced(now_ns)

    def unsilence(self, silence: str, now_ns: int) -> Outcome:
        """
        Remove the silence with this id.
        """
        self.silences.pop(silence, None)
        return self.mark_silenced(now_ns)

    def mark_silenced(self, now_ns: int) -> Outcome:
        """
        Mark every open alert as silenced or not, and return those for which that changed.
        """
        changed, kept = [], []
        for held in list(self.alerts.values()):
            after = _silenced(held, is_silenced(held.alert, self.silences.values(), now_ns))
            if after is not held and held.alert.state in OPEN:
                self.alerts[held.alert.id] = after
                changed.append(AlertChanged(alert=after.alert, was=held.alert.state))
                kept.append(after)
        return Outcome(changed=changed, kept=kept)

    def resolved_before(self, before_ns: int) -> list[str]:
        """
        Return the ids of the alerts that are over since before *before_ns*.
        """
        return [
            id_
            for id_, held in self.alerts.items()
            if held.alert.state == RESOLVED and held.alert.updated_ns < before_ns
        ]

    def forget(self, ids: Iterable[str]) -> None:
        """
        Drop these alerts.
        """
        for id_ in ids:
            del self.alerts[id_]


def _silenced(held: Held, silenced: bool) -> Held:
    alert: Alert = held.alert
    if alert.silenced == silenced:
        return held
    return msgspec.structs.replace(held, alert=msgspec.structs.replace(alert, silenced=silenced))
