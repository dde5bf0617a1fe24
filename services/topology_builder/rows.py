"""
Figures as rows of tables, and the contents of a transaction.
"""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.topology_builder.columns import RED, TCP
from services.topology_builder.packing import numeric
from services.topology_builder.picture import endpoint_sums, own_side, service_sums
from shared.units import WINDOW_S, at, maybe_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.topology_builder.figures import EndpointKey, Figures, RelationKey
    from services.topology_builder.graph import Plan
    from services.topology_builder.identity import Key, Known
    from services.topology_builder.ranges import Range
    from services.topology_builder.sums import RedSum, TcpSum
    from services.topology_builder.window import Epoch

MOST_IDS: Final = 200_000

Row = tuple[Any, ...]

_red: Final[Callable[[RedSum], Row]] = attrgetter(*RED)
_tcp: Final[Callable[[TcpSum], Row]] = attrgetter(*TCP)


class Commit(NamedTuple):
    """
    What one transaction stores: all or nothing.
    """

    start_ns: int
    numbers: dict[Epoch, list[Range]]
    returned: dict[Epoch, int]
    """Batches that had been given up as lost."""
    figures: Figures
    plan: Plan
    instances: list[Known]
    message: bytes


class Ids(NamedTuple):
    """
    The keys of what figures refer to.
    """

    services: dict[str, int]
    relations: dict[RelationKey, int]
    instances: dict[Key, int]
    endpoints: dict[EndpointKey, int]

    def with_more(self, more: Ids) -> Ids:
        """
        Return these keys and *more*.
        """
        return Ids(
            {**self.services, **more.services},
            {**self.relations, **more.relations},
            {**self.instances, **more.instances},
            {**self.endpoints, **more.endpoints},
        )

    def absorb(self, more: Ids) -> None:
        """
        Take in *more*; what can be found again in the database is forgotten when it is too much.
        """
        self.services.update(more.services)
        self.relations.update(more.relations)
        if len(self.instances) > MOST_IDS:
            self.instances.clear()
        if len(self.endpoints) > MOST_IDS:
            self.endpoints.clear()
        self.instances.update(more.instances)
        self.endpoints.update(more.endpoints)


def families(start_ns: int, figures: Figures, ids: Ids) -> dict[str, list[Row]]:
    """
    Return the rows of each figures table.
    """
    start = at(start_ns)
    services: list[Row] = []
    for name in figures.services:
        red, tcp = service_sums(figures, name)
        head = (start, ids.services[name], WINDOW_S, *_red(red), *_tcp(tcp), own_side(figures, name))
        services.append((*head, numeric(red.duration), *_tcp_rest(tcp)))
    return {
        "service": services,
        "instance": [
            (start, ids.instances[key], WINDOW_S, *_red(red), numeric(red.duration))
            for key, red in figures.instances.items()
        ],
        "endpoint": [
            (start, ids.endpoints[key], WINDOW_S, *_red(red), numeric(red.duration))
            for key, red in endpoint_sums(figures).items()
        ],
        "relation": [
            (
                start, ids.relations[key], WINDOW_S, *_red(sums.client), *_red(sums.server),
                *_tcp(sums.tcp), numeric(sums.client.duration), numeric(sums.server.duration),
                *_tcp_rest(sums.tcp),
            )
            for key, sums in figures.relations.items()
        ],
    }  # fmt: skip


def instance_row(known: Known, service_id: int) -> Row:
    """
    Return *known* as its row.
    """
    info = known.info
    node, epoch, kernel_id = known.key
    return (
        known.id, service_id, node, epoch, kernel_id, info.pid, info.parent, info.executable, info.arguments,
        info.comm, info.cgroup, info.container, info.network_namespace, info.addresses, known.listeners(),
        at(info.started_ns), maybe_at(info.ended_ns), info.opaque,
    )  # fmt: skip


def _tcp_rest(tcp: TcpSum) -> Row:
    failed, drops = (json.dumps(counts) if counts else None for counts in (tcp.failed, tcp.drops))
    return numeric(tcp.connect), numeric(tcp.rtt), failed, drops
