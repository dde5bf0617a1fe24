"""
Rows of the database as what they stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from services.topology_builder.graph import RelationRow, ServiceRow
from shared.messages.kernel import Instance, Listener
from shared.units import unix_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.topology_builder.figures import RelationKey
    from services.topology_builder.identity import Key
    from services.topology_builder.window import Epoch, Stored

    Record = Mapping[str, Any]


class Loaded(NamedTuple):
    """
    What the database knows at start.
    """

    epochs: dict[Epoch, Stored]
    services: list[ServiceRow]
    relations: list[RelationRow]
    instances: list[tuple[Key, Instance, str]]
    names: dict[tuple[str, str], str]


def service(row: Record) -> ServiceRow:
    """
    Return the service in *row*.
    """
    return ServiceRow(
        service=row["service"],
        kind=row["kind"],
        attributes=msgspec.json.decode(row["attributes"], type=dict[str, str]),
        first_seen_ns=unix_ns(row["first_seen"]),
        last_seen_ns=unix_ns(row["last_seen"]),
    )


def relation_key(row: Record) -> RelationKey:
    """
    Return the key of the relation in *row*.
    """
    return row["source"], row["target"], row["protocol"]


def relation(row: Record) -> RelationRow:
    """
    Return the relation in *row*.
    """
    return RelationRow(
        key=relation_key(row),
        port=row["port"],
        first_seen_ns=unix_ns(row["first_seen"]),
        last_seen_ns=unix_ns(row["last_seen"]),
        encrypted=row["encrypted"],
    )


def instance_key(row: Record) -> Key:
    """
    Return the key of the instance in *row*.
    """
    return row["node"], row["epoch"], row["kernel_id"]


def instance(row: Record) -> Instance:
    """
    Return the instance in *row*.
    """
    return Instance(
        id=row["kernel_id"],
        pid=row["pid"],
        parent=row["parent"],
        started_ns=unix_ns(row["started_at"]),
        executable=row["executable"],
        arguments=row["arguments"],
        comm=row["comm"],
        cgroup=row["cgroup"],
        container=row["container"],
        network_namespace=row["network_namespace"],
        addresses=row["addresses"],
        listeners=[listener(text) for text in row["listeners"]],
        ended_ns=unix_ns(row["ended_at"]),
        opaque=row["opaque"],
    )


def listener(text: str) -> Listener:
    """
    Return the listener that reads as *text*: `tcp 10.77.0.3:8080`.
    """
    transport, _, place = text.partition(" ")
    address, _, port = place.rpartition(":")
    return Listener(address.strip("[]"), int(port), transport)
