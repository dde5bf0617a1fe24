"""
From the series of some batches to the figures of services, instances, endpoints and relations.

Each series has one end that observed it. The observer's service is certain; the other end is, in this order: the
instance that the kernel joined (`peer`), the owner of the address at that time, or something external. A relation
takes the caller's figures from callers' series and the callee's from callees' series, so nothing counts twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from services.topology_builder.addresses import is_loopback, readable, with_port
from services.topology_builder.figures import (
    EXTERNAL_OTHER,
    OTHER,
    EndpointKey,
    Figures,
    RelationSum,
    out_of_scope,
)
from services.topology_builder.identity import Span
from services.topology_builder.sums import RedSum, TcpSum, add_counts
from shared.messages.kernel import OVERFLOW_ENDPOINT, L4Series, L7Series, Protocol, Role
from shared.protocols import protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from services.topology_builder.graph import Graph
    from services.topology_builder.identity import Identity
    from shared.messages.kernel import KernelBatch

K = TypeVar("K")


class Folding:
    """
    One pass over some batches.
    """

    def __init__(self, identity: Identity, graph: Graph) -> None:
        self._identity: Final = identity
        self._graph: Final = graph
        self._callers: Final[dict[str, set[str]]] = {}
        self._protocols: Final[dict[tuple[str, int], str]] = {}
        self._ends: Final[dict[tuple[str, int, int, int, int, int, bytes], tuple[str, str]]] = {}
        self._fresh_endpoints: Final[dict[str, set[EndpointKey]]] = {}
        self.figures: Final = Figures()

    def run(self, batches: Sequence[KernelBatch]) -> Figures:
        """
        Return what *batches* add up to.
        """
        for role in (Role.CLIENT, Role.SERVER):  # callers first: they tell who may be behind an address
            for batch in batches:
                self._requests(batch, role)
        for role in (Role.CLIENT, Role.SERVER):
            for batch in batches:
                self._connections(batch, role)
        for batch in batches:
            self.figures.batches += 1
            self.figures.newest_ns = max(self.figures.newest_ns, batch.end_ns)
            add_counts(self.figures.lost, batch.node, batch.lost)
            add_counts(self.figures.drops, batch.node, batch.drops)
        return self.figures

    def _requests(self, batch: KernelBatch, role: Role) -> None:
        figures = self.figures
        for series in batch.l7:
            if series.role is not role:
                continue
            source, target = self._resolve(batch, series)
            protocol = protocol_name(series.protocol)
            relation = self._relation(batch.node, source, target, protocol, series.port, series.requests)
            if series.encrypted or series.protocol is Protocol.TLS:
                relation.encrypted += series.requests
            endpoint = self._endpoint(batch.node, target, protocol, series)
            if role is Role.CLIENT:
                self._callers.setdefault(target, set()).add(source)
                relation.client.add(series)
                if out_of_scope(target):
                    _red(figures.called, target).add(series)
                    _red(figures.called_endpoints, endpoint).add(series)
            else:
                relation.server.add(series)
                _red(figures.provided, target).add(series)
                _red(figures.endpoints, endpoint).add(series)
                key = (batch.node, batch.epoch, series.instance)
                if self._identity.get(key) is not None:
                    _red(figures.instances, key).add(series)
            if protocol != "tcp":
                self._protocols[target, series.port] = protocol

    def _connections(self, batch: KernelBatch, role: Role) -> None:
        figures = self.figures
        for series in batch.l4:
            if series.role is not role:
                continue
            if role is Role.SERVER and not series.peer and not series.remote:  # the listener itself: no caller to name
                service = self._service(batch, series.instance)
                _tcp(figures.own_tcp, service).add(series)
                continue
            source, target = self._resolve(batch, series)
            at = (target, series.port)
            protocol = self._protocols.get(at) or self._graph.protocol_at(at)
            relation = self._relation(batch.node, source, target, protocol, series.port, 0)
            if role is Role.CLIENT:
                relation.tcp.add(series)
                if out_of_scope(target):
                    _tcp(figures.called_tcp, target).add(series, mirrored=True)
            else:
                _tcp(figures.own_tcp, target).add(series)
                if out_of_scope(source):
                    relation.tcp.add(series, mirrored=True)
                else:
                    relation.tcp.add_own_segments(series)

    def _resolve(self, batch: KernelBatch, series: L7Series | L4Series) -> tuple[str, str]:
        at = (
            batch.node, batch.epoch, series.instance, series.peer, series.role, series.port, series.remote
        )  # fmt: skip
        found = self._ends.get(at)
        if found is None:
            observer = self._service(batch, series.instance)
            if series.role is Role.CLIENT:
                found = (observer, self._callee(batch, series))
            else:
                found = (self._caller(batch, series, observer), observer)
            self._ends[at] = found
        return found

    def _service(self, batch: KernelBatch, instance: int) -> str:
        known = self._identity.get((batch.node, batch.epoch, instance))
        return self._admit(known.service if known else f"unknown:{batch.node}", batch.node)

    def _callee(self, batch: KernelBatch, series: L7Series | L4Series) -> str:
        if series.peer:
            return self._service(batch, series.peer)
        if not series.remote:
            return self._admit(f"unknown:{series.port}", batch.node)
        address = readable(series.remote)
        caller = self._identity.get((batch.node, batch.epoch, series.instance))
        service = self._identity.listener(caller, address, series.port, Span(batch.start_ns, batch.end_ns))
        if not service:
            place = str(series.port) if is_loopback(address) else with_port(address, series.port)
            service = f"{'unknown' if is_loopback(address) else 'external'}:{place}"
        return self._admit(service, batch.node)

    def _caller(self, batch: KernelBatch, series: L7Series | L4Series, observer: str) -> str:
        if series.peer:
            return self._service(batch, series.peer)
        if not series.remote:
            return self._admit("external:~unknown", batch.node)
        address = readable(series.remote)
        callee = self._identity.get((batch.node, batch.epoch, series.instance))
        owners = self._identity.owners(callee, address, Span(batch.start_ns, batch.end_ns))
        if len(owners) > 1 or is_loopback(address):
            owners &= self._callers.get(observer, set())
        if len(owners) == 1:
            return self._admit(owners.pop(), batch.node)
        return self._admit(f"external:{address}", batch.node)

    def _admit(self, service: str, node: str) -> str:
        services = self.figures.services
        if service in services:
            return service
        if not self._graph.has_room_for(service, services):
            self._lose(node, "service_limit", 1)
            service = EXTERNAL_OTHER if service.startswith(("external:", "unknown:")) else OTHER
        services[service] = None
        return service

    def _relation(self, node: str, source: str, target: str, protocol: str, port: int, requests: int) -> RelationSum:
        relations = self.figures.relations
        key = (source, target, protocol)
        found = relations.get(key)
        if found is None:
            if not self._graph.has_room_for_relation(key, relations):
                self._lose(node, "relation_limit", requests)
                self.figures.services[OTHER] = None
                key = (OTHER, OTHER, protocol)
            found = relations.setdefault(key, RelationSum(port))
        return found

    def _endpoint(self, node: str, service: str, protocol: str, series: L7Series) -> EndpointKey:
        if series.endpoint == OVERFLOW_ENDPOINT:
            return (service, protocol, OTHER)
        key = (service, protocol, f"{series.endpoint:016x}" if series.endpoint else "")
        fresh = self._fresh_endpoints.setdefault(service, set())
        if key in fresh:
            return key
        if self._graph.has_room_for_endpoint(key, len(fresh)):
            fresh.add(key)
            return key
        self._lose(node, "endpoint_limit", series.requests)
        return (service, protocol, OTHER)

    def _lose(self, node: str, cause: str, count: int) -> None:
        add_counts(self.figures.lost, node, {cause: count})


def fold(batches: Iterable[KernelBatch], identity: Identity, graph: Graph) -> Figures:
    """
    Return what *batches* add up to, with what is known of instances and of the map.
    """
    return Folding(identity, graph).run(list(batches))


def _red(sums: dict[K, RedSum], key: K) -> RedSum:
    found = sums.get(key)
    if found is None:
        found = sums[key] = RedSum()
    return found


def _tcp(sums: dict[K, TcpSum], key: K) -> TcpSum:
    found = sums.get(key)
    if found is None:
        found = sums[key] = TcpSum()
    return found
