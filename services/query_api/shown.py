"""
What travels on the bus about alerts, probes, services and changes, as the API shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from services.query_api import answers, events
from shared.units import S_NS, at, maybe_at

if TYPE_CHECKING:
    from shared.messages.alert import Alert, Silence
    from shared.messages.control import ProbeState, ServiceStatus
    from shared.messages.topology import TopologyChange

SILENT_NS: Final = 10 * S_NS
"""Five heartbeats: a service that was not heard for so long is silent."""
STATES: Final[dict[str, Literal["starting", "ready", "degraded"]]] = {
    "starting": "starting",
    "ready": "ready",
    "degraded": "degraded",
}
ALERT_STATES: Final[dict[str, Literal["pending", "firing", "resolved"]]] = {
    "pending": "pending",
    "firing": "firing",
    "resolved": "resolved",
}
SEVERITIES: Final[dict[str, Literal["critical", "warning", "info"]]] = {
    "critical": "critical",
    "warning": "warning",
    "info": "info",
}
PROBE_STATES: Final[dict[str, Literal["on", "off", "failed"]]] = {"on": "on", "off": "off", "failed": "failed"}


def health(status: ServiceStatus, heard_ns: int, now_ns: int) -> answers.ServiceHealth:
    """
    Return how one of our own services is.
    """
    silent = now_ns - heard_ns > SILENT_NS
    return answers.ServiceHealth(
        service=status.service,
        node=status.node,
        state="silent" if silent else STATES.get(status.state, "degraded"),
        waiting_for=status.waiting_for,
        lag_s=status.lag_s,
        heard=at(heard_ns),
        started=at(status.started_ns),
        version=status.version,
        lost=status.lost,
        counters=status.counters,
        resident_bytes=status.resident_bytes,
        cpu_s=status.cpu_s,
    )


def probe(node: str, state: ProbeState) -> answers.Probe:
    """
    Return one probe of *node*.
    """
    return answers.Probe(
        node=node,
        name=state.name,
        question=state.question,
        state=PROBE_STATES.get(state.state, "failed"),
        hook=state.hook,
        fallback=state.fallback,
        misses=state.misses,
        cost=state.cost,
        error=state.error,
        runs=state.runs,
        run_time_s=state.run_time_ns / S_NS,
        instructions=state.instructions,
    )


def alert(heard: Alert) -> answers.Alert:
    """
    Return an alert as the API shows it.
    """
    return answers.Alert(
        id=heard.id,
        template=heard.template,
        family=heard.family,
        severity=SEVERITIES.get(heard.severity, "info"),
        entity=heard.entity,
        kind=heard.kind,
        state=ALERT_STATES.get(heard.state, "pending"),
        title=heard.title,
        meaning=heard.meaning,
        next_steps=heard.next_steps,
        value=heard.value,
        threshold=heard.threshold,
        unit=heard.unit,
        started=at(heard.started_ns),
        fired=maybe_at(heard.fired_ns),
        resolved=maybe_at(heard.resolved_ns),
        acknowledged_by=heard.acknowledged_by,
        acknowledged=maybe_at(heard.acknowledged_ns),
        silenced=heard.silenced,
        occurrences=heard.occurrences,
    )


def silence(heard: Silence) -> answers.Silence:
    """
    Return a silence as the API shows it.
    """
    return answers.Silence(
        id=heard.id,
        template=heard.template,
        entity=heard.entity,
        until=at(heard.until_ns),
        by=heard.by,
        comment=heard.comment,
    )


def change(heard: TopologyChange) -> events.Change | None:
    """
    Return a change of the map as the API shows it, or None for a kind that it does not know.
    """
    if heard.what not in ("service", "instance", "relation") or heard.change not in ("appeared", "vanished"):
        return None
    return events.Change(
        at=at(heard.at_ns),
        what=heard.what,  # type: ignore[arg-type]  # compared above
        id=heard.id,
        change=heard.change,  # type: ignore[arg-type]  # compared above
    )
