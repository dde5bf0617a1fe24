"""
The map as it is remembered: which services and relations there are, since when, and what appeared or vanished.

`apply` says what a closed window changes and what is to be stored; `stored` makes it so once it is in the database, so
a window that has to be applied again gives the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from services.topology_builder import naming
from services.topology_builder.figures import EXTERNAL_OTHER, OTHER, EndpointKey, RelationKey, out_of_scope
from shared.messages.topology import Service, TopologyChange
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from services.topology_builder.figures import Figures, RelationSum
    from services.topology_builder.identity import Identity, Known

REFRESH_NS: Final = 60 * S_NS
"""How often the time at which something was last seen is written anew."""
ENDPOINT_IDLE_NS: Final = 3600 * S_NS
"""How long an endpoint keeps its place among the most that a service may have."""
TCP: Final = "tcp"
ENCRYPTED_STEP: Final = 0.05
"""A smaller change of the encrypted share is no news."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """
    How much the map may hold, and how long what is idle stays on it.
    """

    services: int = 2000
    externals: int = 300
    relations: int = 10_000
    endpoints: int = 500
    service_gone_after_ns: int = 600 * S_NS
    relation_gone_after_ns: int = 3600 * S_NS


class ServiceRow(msgspec.Struct, frozen=True):
    """
    A service as it is stored.
    """

    service: str
    kind: str
    attributes: dict[str, str]
    first_seen_ns: int
    last_seen_ns: int
    vanished_ns: int = 0


class RelationRow(msgspec.Struct, frozen=True):
    """
    A relation as it is stored.
    """

    key: RelationKey
    port: int
    first_seen_ns: int
    last_seen_ns: int
    vanished_ns: int = 0
    encrypted: float = 0.0
    """Share of its requests that were encrypted when it was last seen, 0 to 1."""


class Plan(msgspec.Struct, frozen=True):
    """
    What a closed window changes on the map.
    """

    services: list[ServiceRow]
    """To be written: new, changed, vanished, or not written for a minute."""
    relations: list[RelationRow]
    changes: list[TopologyChange]
    instances: set[str]
    """The instances that run, by id."""
    endpoints: dict[EndpointKey, int]


class Graph:
    """
    The services and relations on the map.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits: Final = limits
        self.services: Final[dict[str, ServiceRow]] = {}
        self.relations: Final[dict[RelationKey, RelationRow]] = {}
        self._instances: set[str] = set()
        self._endpoints: Final[dict[str, dict[EndpointKey, int]]] = {}
        self._served: Final[dict[str, set[str]]] = {}
        self._protocols: Final[dict[tuple[str, int], str]] = {}

    def restore(
        self, services: Iterable[ServiceRow], relations: Iterable[RelationRow], instances: Iterable[str]
    ) -> None:
        """
        Take the map out of the database.
        """
        self.services.update((row.service, row) for row in services)
        for row in relations:
            self._keep_relation(row)
        self._instances = set(instances)

    def protocol_at(self, at: tuple[str, int]) -> str:
        """
        Return the protocol that a service speaks on a port, `tcp` where no request was recognised.
        """
        return self._protocols.get(at, TCP)

    def has_room_for(self, service: str, more: Collection[str]) -> bool:
        """
        Return whether *service* may be on the map besides what is there and the *more* that are to come.
        """
        if service in self.services or service in (OTHER, EXTERNAL_OTHER):
            return True
        alike = out_of_scope(service)
        limit = self._limits.externals if alike else self._limits.services
        if len(self.services) + len(more) < limit:
            return True
        names = {name for name in (*self.services, *more) if out_of_scope(name) is alike}
        return len(names) < limit

    def has_room_for_relation(self, key: RelationKey, more: Collection[RelationKey]) -> bool:
        """
        Return whether the relation *key* may be on the map besides what is there and the *more* that are to come.
        """
        return key in self.relations or len(self.relations) + len(more) < self._limits.relations

    def has_room_for_endpoint(self, key: EndpointKey, more: int) -> bool:
        """
        Return whether a service may have the endpoint *key* besides those that it has and the *more* to come.
        """
        known = self._endpoints.get(key[0], {})
        return key in known or len(known) + more < self._limits.endpoints

    def apply(self, figures: Figures, identity: Identity, start_ns: int, end_ns: int) -> Plan:
        """
        Return what the figures of a window change.
        """
        self._note_protocols(figures)
        groups = by_service(identity)
        running = {
            name: [known for known in group if identity.runs(known, end_ns)] for name, group in groups.items()
        }  # fmt: skip
        services = self._service_rows(figures, groups, running, start_ns, end_ns)
        gone = {row.service for row in services if row.vanished_ns}
        relations = self._relation_rows(figures, gone, start_ns, end_ns)
        shown = (self.services.keys() | {row.service for row in services}) - gone
        instances = {known.id for name in shown for known in running.get(name, ())}
        return Plan(
            services=services,
            relations=relations,
            changes=self._changes(services, relations, instances, end_ns),
            instances=instances,
            endpoints=dict.fromkeys((*figures.endpoints, *figures.called_endpoints), end_ns),
        )

    def stored(self, plan: Plan) -> None:
        """
        Make *plan* the map.
        """
        for service in plan.services:
            if service.vanished_ns:
                self.services.pop(service.service, None)
                self._endpoints.pop(service.service, None)
                self._served.pop(service.service, None)
            else:
                self.services[service.service] = service
        for relation in plan.relations:
            if relation.vanished_ns:
                self.relations.pop(relation.key, None)
            else:
                self._keep_relation(relation)
        self._instances = plan.instances
        for key, at_ns in plan.endpoints.items():
            if key[2] != OTHER:
                self._endpoints.setdefault(key[0], {})[key] = at_ns
        for name in {key[0] for key in plan.endpoints}:
            self._make_room(name, max(plan.endpoints.values()))

    def message_services(self, figures: Figures, identity: Identity, at_ns: int) -> list[Service]:
        """
        Return every service of the map, and those that *figures* bring.
        """
        self._note_protocols(figures)
        groups = by_service(identity)
        names = dict.fromkeys((*self.services, *figures.services))
        return [self._message(name, groups.get(name, []), identity, at_ns) for name in names]

    def _message(self, name: str, group: list[Known], identity: Identity, at_ns: int) -> Service:
        return Service(
            id=name,
            name=name,
            kind=self._kind(name, group),
            instances=sum(identity.runs(known, at_ns) for known in group),
            attributes=attributes(group) or (self.services[name].attributes if name in self.services else {}),
        )

    def _service_rows(
        self,
        figures: Figures,
        groups: dict[str, list[Known]],
        running: dict[str, list[Known]],
        start_ns: int,
        end_ns: int,
    ) -> list[ServiceRow]:
        rows: list[ServiceRow] = []
        listening = (name for name, group in running.items() if any(known.info.listeners for known in group))
        for name in dict.fromkeys((*self.services, *figures.services, *listening)):
            before = self.services.get(name)
            alive = name in figures.services or bool(running.get(name))
            last_ns = before.last_seen_ns if before else end_ns
            if alive:
                last_ns = max(last_ns, end_ns)
            row = ServiceRow(
                service=name,
                kind=self._kind(name, groups.get(name, [])),
                attributes=attributes(groups.get(name, [])) or (before.attributes if before else {}),
                first_seen_ns=before.first_seen_ns if before else start_ns,
                last_seen_ns=last_ns,
                vanished_ns=end_ns if last_ns <= end_ns - self._limits.service_gone_after_ns else 0,
            )
            if before is None or _news(before, row):
                rows.append(row)
        return rows

    def _relation_rows(self, figures: Figures, gone: set[str], start_ns: int, end_ns: int) -> list[RelationRow]:
        rows: list[RelationRow] = []
        recognised = self._recognised(figures)
        for key in dict.fromkeys((*self.relations, *figures.relations)):
            before = self.relations.get(key)
            seen = figures.relations.get(key)
            last_ns = before.last_seen_ns if before else end_ns
            if seen is not None:
                last_ns = max(last_ns, end_ns)
            idle = last_ns <= end_ns - self._limits.relation_gone_after_ns
            port = before.port if before else _port(seen)
            if key[2] == TCP and seen is None and (key[0], key[1], port) in recognised:
                idle = True  # its connections are counted under the protocol that their first request was of
            row = RelationRow(
                key=key,
                port=port,
                first_seen_ns=before.first_seen_ns if before else start_ns,
                last_seen_ns=last_ns,
                vanished_ns=end_ns if idle or key[0] in gone or key[1] in gone else 0,
                encrypted=_encrypted(before, seen),
            )
            if before is None or _news(before, row):
                rows.append(row)
        return rows

    def _recognised(self, figures: Figures) -> set[tuple[str, str, int]]:
        """
        Return source, target and port of each relation whose protocol is known.
        """
        known = {(*key[:2], row.port) for key, row in self.relations.items() if key[2] != TCP}
        return known | {(*key[:2], sums.port) for key, sums in figures.relations.items() if key[2] != TCP}

    def _kind(self, name: str, group: list[Known]) -> str:
        before = self.services.get(name)
        if out_of_scope(name):
            return "external"
        if not group and before is not None:
            return before.kind
        programs = sorted({known.program for known in group})
        listens = any(known.info.listeners for known in group)
        return naming.kind(programs, self._served.get(name, ()), listens=listens)

    def _note_protocols(self, figures: Figures) -> None:
        for _, target, protocol in figures.relations:
            self._served.setdefault(target, set()).add(protocol)

    def _changes(
        self, services: list[ServiceRow], relations: list[RelationRow], instances: set[str], at_ns: int
    ) -> list[TopologyChange]:
        found: list[tuple[str, str, bool]] = [
            ("service", row.service, not row.vanished_ns)
            for row in services
            if row.vanished_ns or row.service not in self.services
        ]
        found += [
            ("relation", relation_id(row.key), not row.vanished_ns)
            for row in relations
            if row.vanished_ns or row.key not in self.relations
        ]
        found += [("instance", name, True) for name in sorted(instances - self._instances)]
        found += [("instance", name, False) for name in sorted(self._instances - instances)]
        return [
            TopologyChange(at_ns=at_ns, what=what, id=name, change="appeared" if appeared else "vanished")
            for what, name, appeared in found
        ]

    def _keep_relation(self, row: RelationRow) -> None:
        self.relations[row.key] = row
        _, target, protocol = row.key
        if protocol != TCP and row.port:
            self._protocols[target, row.port] = protocol
            self._served.setdefault(target, set()).add(protocol)

    def _make_room(self, service: str, at_ns: int) -> None:
        known = self._endpoints.get(service, {})
        if len(known) >= self._limits.endpoints:
            for key in [key for key, last_ns in known.items() if last_ns < at_ns - ENDPOINT_IDLE_NS]:
                del known[key]


def relation_id(key: RelationKey) -> str:
    """
    Return `<source>-><target>:<protocol>`.
    """
    source, target, protocol = key
    return f"{source}->{target}:{protocol}"


def by_service(identity: Identity) -> dict[str, list[Known]]:
    """
    Return the known instances of each service.
    """
    groups: dict[str, list[Known]] = {}
    for known in identity:
        groups.setdefault(known.service, []).append(known)
    return groups


def attributes(group: list[Known]) -> dict[str, str]:
    """
    Return what all instances of a service have in common, under OpenTelemetry's names.
    """
    shared: dict[str, str] = {}
    for attribute, values in (
        ("process.executable.name", {known.program for known in group}),
        ("process.executable.path", {known.info.executable for known in group}),
        ("host.name", {known.node for known in group}),
        ("container.id", {known.info.container for known in group}),
    ):
        value = values.pop() if len(values) == 1 else ""
        if value:
            shared[attribute] = value
    return shared


def _news(before: ServiceRow | RelationRow, row: ServiceRow | RelationRow) -> bool:
    if row.last_seen_ns - before.last_seen_ns >= REFRESH_NS:
        return True
    return msgspec.structs.replace(row, last_seen_ns=before.last_seen_ns) != before


def _encrypted(before: RelationRow | None, seen: RelationSum | None) -> float:
    known = before.encrypted if before else 0.0
    if seen is None or not seen.client.requests + seen.server.requests:
        return known
    now = seen.encrypted_share
    return known if before and now not in (0.0, 1.0) and abs(now - known) < ENCRYPTED_STEP else now


def _port(seen: RelationSum | None) -> int:
    return seen.port if seen else 0
