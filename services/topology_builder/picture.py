"""
The map with its figures, as one message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from services.topology_builder.figures import OTHER, EndpointKey, Figures, out_of_scope
from services.topology_builder.graph import relation_id
from services.topology_builder.sums import RedSum, TcpSum
from shared.messages.topology import (
    EndpointFigures,
    InstanceFigures,
    RelationFigures,
    ServiceFigures,
    TopologyWindow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.topology_builder.graph import Graph
    from services.topology_builder.identity import Identity

NOTHING: Final = RedSum()
NO_TCP: Final = TcpSum()


def picture(
    figures: Figures,
    graph: Graph,
    identity: Identity,
    names: Mapping[tuple[str, str], str],
    *,
    start_ns: int,
    end_ns: int,
    final: bool,
) -> TopologyWindow:
    """
    Return the map with *figures*; *names* are those of endpoints, by protocol and hash.
    """
    return TopologyWindow(
        start_ns=start_ns,
        end_ns=end_ns,
        final=final,
        services=graph.message_services(figures, identity, end_ns),
        service_figures=[_service(figures, name) for name in figures.services],
        instance_figures=_instances(figures, identity),
        endpoint_figures=_endpoints(figures, names) if final else [],
        relations=_relations(figures, graph),
        lost=_by_cause(figures),
        newest_ns=figures.newest_ns,
    )


def own_side(figures: Figures, service: str) -> bool:
    """
    Return whether the figures of *service* come from its own side.
    """
    return service in figures.provided or not out_of_scope(service)


def service_sums(figures: Figures, service: str) -> tuple[RedSum, TcpSum]:
    """
    Return what *service* provided, from its own side where that is seen.
    """
    if own_side(figures, service):
        return figures.provided.get(service, NOTHING), figures.own_tcp.get(service, NO_TCP)
    return figures.called.get(service, NOTHING), figures.called_tcp.get(service, NO_TCP)


def endpoint_sums(figures: Figures) -> dict[EndpointKey, RedSum]:
    """
    Return what each endpoint provided, from its service's own side where that is seen.
    """
    called = {key: red for key, red in figures.called_endpoints.items() if not own_side(figures, key[0])}
    return {**called, **figures.endpoints}


def within(
    window: TopologyWindow, limit_bytes: int, encode: Callable[[TopologyWindow], bytes]
) -> tuple[TopologyWindow, int]:
    """
    Return *window* as far as its encoded form stays within *limit_bytes*, and how many figures were left out of it.

    The endpoints with the fewest requests go first, then instances; services and relations always stay.
    """
    left_out = 0
    while len(encode(window)) > limit_bytes:
        endpoints, instances = window.endpoint_figures, window.instance_figures
        if not endpoints and not instances:
            break
        left_out += _half(len(endpoints)) if endpoints else _half(len(instances))
        ranked = sorted(endpoints, key=lambda item: (item.provided.errors, item.provided.requests), reverse=True)
        window = msgspec.structs.replace(
            window,
            endpoint_figures=ranked[: len(ranked) // 2],
            instance_figures=instances if endpoints else instances[: len(instances) // 2],
        )
    return window, left_out


def _half(length: int) -> int:
    return length - length // 2


def _service(figures: Figures, name: str) -> ServiceFigures:
    red, tcp = service_sums(figures, name)
    return ServiceFigures(
        service=name,
        provided=red.message(),
        tcp=tcp.message(),
        seen_from="server" if own_side(figures, name) else "client",
    )


def _instances(figures: Figures, identity: Identity) -> list[InstanceFigures]:
    found = ((identity.get(key), red) for key, red in figures.instances.items())
    return [
        InstanceFigures(instance=known.id, service=known.service, provided=red.message())
        for known, red in found
        if known is not None
    ]


def _endpoints(figures: Figures, names: Mapping[tuple[str, str], str]) -> list[EndpointFigures]:
    return [
        EndpointFigures(
            service=service,
            protocol=protocol,
            endpoint=endpoint,
            name=OTHER if endpoint == OTHER else names.get((protocol, endpoint), endpoint),
            provided=red.message(),
        )
        for (service, protocol, endpoint), red in endpoint_sums(figures).items()
    ]


def _relations(figures: Figures, graph: Graph) -> list[RelationFigures]:
    pictured: list[RelationFigures] = []
    for key in dict.fromkeys((*graph.relations, *figures.relations)):
        source, target, protocol = key
        row, sums = graph.relations.get(key), figures.relations.get(key)
        bare = RelationFigures(
            id=relation_id(key),
            source=source,
            target=target,
            protocol=protocol,
            port=row.port if row else sums.port if sums else 0,
            encrypted=row.encrypted if row else 0.0,
        )
        if sums is not None:
            bare = msgspec.structs.replace(
                bare, client=sums.client.message(), server=sums.server.message(), tcp=sums.tcp.message()
            )
            if sums.client.requests + sums.server.requests:
                bare = msgspec.structs.replace(bare, encrypted=sums.encrypted_share)
        pictured.append(bare)
    return pictured


def _by_cause(figures: Figures) -> dict[str, int]:
    lost: dict[str, int] = {}
    for (_, cause), count in figures.lost.items():
        lost[cause] = lost.get(cause, 0) + count
    return lost
