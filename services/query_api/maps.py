"""
The map as the API answers it: a window's figures, joined with the colours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from services.query_api import answers
from services.query_api.figures import NO_RATES, NO_TCP, rates, tcp_rates
from shared.messages.anomaly import Level, Reason, Verdict
from shared.protocols import family_of
from shared.units import S_NS, at, maybe_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.messages.topology import InstanceInfo, Service, ServiceFigures, TopologyWindow

LEVELS: Final[dict[int, answers.LevelName]] = {
    Level.GREY: "grey",
    Level.GREEN: "green",
    Level.YELLOW: "yellow",
    Level.ORANGE: "orange",
    Level.RED: "red",
}
UNKNOWN: Final = answers.State()
FAMILY: Final = lru_cache(maxsize=256)(family_of)
KINDS: Final[dict[str, Literal["service", "relation"]]] = {"service": "service", "relation": "relation"}


class ServiceSums(msgspec.Struct, frozen=True, gc=False):
    """
    What a service did, over a time.
    """

    provided: answers.Rates
    tcp: answers.TcpRates
    seen_from: Literal["server", "client"]


class RelationSums(msgspec.Struct, frozen=True, gc=False):
    """
    What was done over a relation, over a time.
    """

    client: answers.Rates
    server: answers.Rates
    tcp: answers.TcpRates


class Sums(NamedTuple):
    """
    What all of them did, by their keys in the tables.
    """

    services: dict[int, ServiceSums]
    relations: dict[int, RelationSums]


NO_SERVICE_SUMS: Final = ServiceSums(NO_RATES, NO_TCP, "server")
NO_RELATION_SUMS: Final = RelationSums(NO_RATES, NO_RATES, NO_TCP)


def draw(window: TopologyWindow, states: Mapping[tuple[str, str], answers.State]) -> answers.Topology:
    """
    Return the live map: *window* with the colours *states*, by kind and id.
    """
    seconds = (window.end_ns - window.start_ns) / S_NS
    sums = {figures.service: _service_sums(figures, seconds) for figures in window.service_figures}
    return answers.Topology(
        start=at(window.start_ns),
        end=at(window.end_ns),
        live=True,
        services=[
            node(service, sums.get(service.id, NO_SERVICE_SUMS), states.get(("service", service.id), UNKNOWN))
            for service in window.services
        ],
        relations=[
            edge(
                RelationSums(
                    rates(relation.client, seconds), rates(relation.server, seconds), tcp_rates(relation.tcp, seconds)
                ),
                states.get(("relation", relation.id), UNKNOWN),
                relation.id,
                relation.source,
                relation.target,
                relation.protocol,
                relation.port,
                relation.encrypted,
            )
            for relation in window.relations
        ],
        lost=window.lost,
    )


def _service_sums(figures: ServiceFigures, seconds: float) -> ServiceSums:
    seen_from: Literal["server", "client"] = "client" if figures.seen_from == "client" else "server"
    return ServiceSums(rates(figures.provided, seconds), tcp_rates(figures.tcp, seconds), seen_from)


def age_s(window: TopologyWindow, now_ns: int) -> float | None:
    """
    Return how old the newest kernel data in *window* is.
    """
    return max(0.0, (now_ns - window.newest_ns) / S_NS) if window.newest_ns else None


def node(service: Service, sums: ServiceSums, state: answers.State) -> answers.ServiceNode:
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
        provided=sums.provided,
        tcp=sums.tcp,
        seen_from=sums.seen_from,
    )


def edge(
    sums: RelationSums,
    state: answers.State,
    key: str,
    source: str,
    target: str,
    protocol: str,
    port: int,
    encrypted: float,
) -> answers.RelationEdge:
    """
    Return one edge of the map.
    """
    return answers.RelationEdge(
        id=key,
        source=source,
        target=target,
        protocol=protocol,
        port=port,
        encrypted=round(encrypted, 3),
        family=FAMILY(protocol),
        state=state,
        client=sums.client,
        server=sums.server,
        tcp=sums.tcp,
    )


def instance(info: InstanceInfo, provided: answers.Rates) -> answers.Instance:
    """
    Return one instance.
    """
    return answers.Instance(
        id=info.id,
        service=info.service,
        node=info.node,
        pid=info.pid,
        executable=info.executable,
        started=at(info.started_ns),
        ended=maybe_at(info.ended_ns),
        container=info.container,
        cgroup=info.cgroup,
        addresses=info.addresses,
        listeners=info.listeners,
        opaque=info.opaque,
        provided=provided,
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
        since=maybe_at(found.since_ns),
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
