"""
Which alerts are told together.

Alerts are deduplicated by template and entity (`lifecycle.alert_id`), and those of one template in one namespace that
change in the same window are one message. The namespace is that of Kubernetes, or of the service as OpenTelemetry has
it, or none. Folding alerts into one incident with its cause takes this place: it replaces `group_key` by the incident's
root, which the verdicts' culprits already name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from services.alert_manager.lifecycle import FIRING, RESOLVED, Held

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.messages.topology import TopologyWindow

NAMESPACE_ATTRIBUTES: Final = ("k8s.namespace.name", "service.namespace")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a channel is asked to tell: alerts of one group that entered the same state.
    """

    group_key: str
    state: str
    """`firing` or `resolved`"""
    alerts: list[Held]


def namespaces(window: TopologyWindow) -> dict[tuple[str, str], str]:
    """
    Return the namespace of each entity, by kind and name; a relation has its target's.
    """
    found: dict[tuple[str, str], str] = {}
    for service in window.services:
        found["service", service.id] = next(
            (service.attributes[name] for name in NAMESPACE_ATTRIBUTES if name in service.attributes), ""
        )
    for relation in window.relations:
        found["relation", relation.id] = found.get(("service", relation.target), "")
    return found


def group_key(template: str, namespace: str) -> str:
    """
    Return the key of the group that alerts of *template* in *namespace* form.
    """
    return f"{namespace}/{template}"


def owed(alerts: Iterable[Held]) -> list[Message]:
    """
    Return what has still to be told: alerts that fire, or that were told and are over; never silenced or acknowledged.
    """
    groups: dict[tuple[str, str], list[Held]] = {}
    for held in alerts:
        alert = held.alert
        news = (alert.state == FIRING and held.told != FIRING) or (alert.state == RESOLVED and held.told == FIRING)
        if news and not alert.silenced and not alert.acknowledged_by:
            groups.setdefault((held.group_key, alert.state), []).append(held)
    return [
        Message(group_key=key, state=state, alerts=sorted(members, key=lambda one: one.alert.entity))
        for (key, state), members in sorted(groups.items())
    ]
