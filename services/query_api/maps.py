"""
The map as the API answers it: a window's figures, joined with the colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from services.query_api import answers
from services.query_api.figures import NO_RATES, NO_TCP, moment, moment_or_none, rates, tcp_rates
from shared.messages.anomaly import Level, Reason, Verdict
from shared.protocols import family_of
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.messages.topology import (
        EndpointFigures,
        InstanceInfo,
        Red,
        RelationFigures,
        Service,
        ServiceFigures,
        TopologyWindow,
    )

LEVELS: Final[dict[int, answers.LevelName]] = {
    Level.GREY: "grey",
    Level.GREEN: "green",
    Level.YELLOW: "yellow",
    Level.ORANGE: "orange",
    Level.RED: "red",
}
UNKNOWN: Final = answers.State()
KINDS: Final[dict[str, Literal["service", "relation"]]] = {"service": "service", "relation": "relation"}


def draw(window: TopologyWindow, states: Mapping[tuple[str, str], answers.State], *, live: bool) -> answers.Topology:
    """
    Return the map of *window* with the colours *states*, by kind and id.
    """
    seconds = (window.end_ns - window.start_ns) / S_NS
    figures = {figure.service: figure for figure in window.service_figures}
    return answers.Topology(
        start=moment(window.start_ns),
        end=moment(window.end_ns),
        live=live,
        services=[
            node(service, figures.get(service.id), states.get(("service", service.id), UNKNOWN), seconds)
            for service in window.services
        ],
        relations=[
            edge(relation, states.get(("relation", relation.id), UNKNOWN), seconds) for relation in window.relations
        ],
        lost=window.lost,
    )


def age_s(window: TopologyWindow, now_ns: int) -> float | None:
    """
    Return how old the newest kernel data in *window* is.
    """
    return max(0.0, (now_ns - window.newest_ns) / S_NS) if window.newest_ns else None


def node(service: Service, figures: ServiceFigures | None, state: answers.State, seconds: float) -> answers.ServiceNode:
    """
    Return one node of the map.
    """
    return answers.ServiceNode(
        id=service.id,
        name=service.name,
        kind=service.kind,
        instances=service.instances,
        attributes=service.attributes,
        state=state,
        provided=rates(figures.provided, seconds) if figures else NO_RATES,
        tcp=tcp_rates(figures.tcp, seconds) if figures else NO_TCP,
        seen_from="client" if figures and figures.seen_from == "client" else "server",
    )


def edge(relation: RelationFigures, state: answers.State, seconds: float) -> answers.RelationEdge:
    """
    Return one edge of the map.
    """
    return answers.RelationEdge(
        id=relation.id,
        source=relation.source,
        target=relation.target,
        protocol=relation.protocol,
        port=relation.port,
        encrypted=round(relation.encrypted, 3),
        family=family_of(relation.protocol),
        state=state,
        client=rates(relation.client, seconds),
        server=rates(relation.server, seconds),
        tcp=tcp_rates(relation.tcp, seconds),
    )


def endpoint(figures: EndpointFigures, seconds: float) -> answers.Endpoint:
    """
    Return one endpoint.
    """
    return answers.Endpoint(
        service=figures.service,
        endpoint=figures.endpoint,
        name=figures.name,
        protocol=figures.protocol,
        rates=rates(figures.provided, seconds),
        family=family_of(figures.protocol),
    )


def instance(info: InstanceInfo, provided: Red, seconds: float) -> answers.Instance:
    """
    Return one instance.
    """
    return answers.Instance(
        id=info.id,
        service=info.service,
        node=info.node,
        pid=info.pid,
        executable=info.executable,
        started=moment(info.started_ns),
        ended=moment_or_none(info.ended_ns),
        container=info.container,
        cgroup=info.cgroup,
        addresses=info.addresses,
        listeners=info.listeners,
        opaque=info.opaque,
        provided=rates(provided, seconds),
    )


def level(number: int) -> answers.LevelName:
    """
    Return the word for a level; what is not known is grey.
    """
    return LEVELS.get(number, "grey")


def reason(found: Reason) -> answers.Reason:
    """
    Return one reason.
    """
    return answers.Reason(
        signal=found.signal,
        detector=found.detector,
        level=level(found.level),
        value=found.value,
        expected=found.expected,
        unit=found.unit,
        score=found.score,
        since=moment_or_none(found.since_ns),
        text=found.text,
    )


def reasons(text: str | bytes) -> list[answers.Reason]:
    """
    Return the reasons in the JSON *text* of a table.
    """
    return [reason(found) for found in msgspec.json.decode(text, type=list[Reason])]


def state(verdict: Verdict) -> answers.State:
    """
    Return the colour of one entity.
    """
    return answers.State(
        own=level(verdict.own),
        inherited=level(verdict.inherited),
        learning=verdict.learning,
        reasons=[reason(found) for found in verdict.reasons],
        culprits=verdict.culprits,
    )


def relations_of(
    topology: answers.Topology, service: str
) -> tuple[list[answers.RelationEdge], list[answers.RelationEdge]]:
    """
    Return the relations that end at *service* (its callers) and that begin there (its dependencies).
    """
    callers = [edge for edge in topology.relations if edge.target == service]
    dependencies = [edge for edge in topology.relations if edge.source == service]
    return callers, dependencies
