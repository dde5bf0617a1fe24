"""
The tables of topology-builder: what is loaded at start, and the transactions that write.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from services.topology_builder import loading, rollup, statements
from services.topology_builder.columns import COLUMNS, key
from services.topology_builder.graph import ServiceRow, relation_id
from services.topology_builder.rows import Commit, Ids, families, instance_row
from services.topology_builder.window import Stored
from shared.runtime import postgres
from shared.units import S_NS, at, maybe_at, unix_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from services.topology_builder.graph import Plan
    from services.topology_builder.ranges import Range
    from services.topology_builder.window import Epoch
    from shared.messages.l7 import EndpointNamed

QUERIES: Final = postgres.queries(Path(__file__).parent / "queries")
LOST_BATCH: Final = "batch_missing"
DDL_WAIT: Final = "set local lock_timeout = '2s'"

Connection = Any
"""A connection of the pool; asyncpg's proxy type is not generic at run time."""


class AlreadyApplied(Exception):
    """
    Some of the batches are in the database by now: what is held must be compared with it again.
    """


class Store:
    """
    The only part that talks to PostgreSQL.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], levels: list[rollup.Level]) -> None:
        self._pool: Final = pool
        self._levels: Final = levels
        self._ids: Final = Ids({}, {}, {}, {})
        self._partitions: set[str] = set()

    @classmethod
    async def open(cls, dsn: str, levels: list[rollup.Level], waiting: Callable[[str], None]) -> Store:
        """
        Return the store once the server is there and its schema is as new as this code.
        """
        return cls(await postgres.open_pool(dsn, size=4, waiting=waiting), levels)

    async def close(self) -> None:
        """
        Close all connections.
        """
        await self._pool.close()

    async def load(self, most_instances: int, most_names: int, ended_after_ns: int) -> loading.Loaded:
        """
        Return what the database knows, and write down how long it is to keep figures.
        """
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            for level in self._levels:
                keep = dt.timedelta(seconds=level.keep_s)
                await connection.execute(QUERIES["keep"], level.resolution_s, keep)
            services = await connection.fetch(QUERIES["services"])
            relations = await connection.fetch(QUERIES["relations"])
            instances = await connection.fetch(QUERIES["instances"], at(ended_after_ns), most_instances)
            names = await connection.fetch(QUERIES["endpoint_names"], most_names)
            epochs = await self._epochs(connection)
        self._ids.services.update((row["service"], row["service_id"]) for row in services)
        self._ids.relations.update((loading.relation_key(row), row["relation_id"]) for row in relations)
        self._ids.instances.update((loading.instance_key(row), row["instance_id"]) for row in instances)
        return loading.Loaded(
            epochs=epochs,
            services=[loading.service(row) for row in services],
            relations=[loading.relation(row) for row in relations],
            instances=[(loading.instance_key(row), loading.instance(row), row["service"]) for row in instances],
            names={(row["protocol"], row["endpoint"]): row["name"] for row in names},
        )

    async def epochs(self) -> dict[Epoch, Stored]:
        """
        Return which batches are in the database.
        """
        async with self._pool.acquire() as connection:
            return await self._epochs(connection)

    async def commit(self, commit: Commit, now_ns: int) -> None:
        """
        Store one window: its rows and the numbers of its batches, all or nothing.

        Raises:
            AlreadyApplied: one of the batches is in the database by now.
        """
        await self.ensure(rollup.needed(self._levels, commit.start_ns, now_ns))
        ids = Ids({}, {}, {}, {})
        async with self._pool.acquire() as connection:
            await connection.set_type_codec(
                "numeric", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary"
            )  # fmt: skip
            async with connection.transaction():
                until_ns = unix_ns(await connection.fetchval(QUERIES["until"]))
                await self._apply_numbers(connection, commit)
                await self._write_entities(connection, commit, ids)
                late = commit.start_ns < until_ns
                widths = rollup.kept(self._levels, commit.start_ns, now_ns) if late else list(rollup.AT_ONCE)
                await self._write_figures(connection, commit, self._ids.with_more(ids), widths)
                await self._write_losses(connection, commit)
                newest = at(commit.figures.newest_ns)
                await connection.execute(
                    QUERIES["upsert_window"], at(commit.start_ns), newest, commit.figures.batches, commit.message
                )
        self._ids.absorb(ids)

    async def give_up(self, gaps: dict[Epoch, list[Range]], start_ns: int, now_ns: int) -> None:
        """
        Note batches as lost.

        Raises:
            AlreadyApplied: one of the batches is in the database by now.
        """
        await self.ensure(rollup.needed(self._levels, start_ns, now_ns))
        async with self._pool.acquire() as connection, connection.transaction():
            for (node, epoch), ranges in gaps.items():
                if not await connection.fetchval(QUERIES["give_up_numbers"], node, epoch, _multirange(ranges)):
                    raise AlreadyApplied
                lost = sum(high - low for low, high in ranges)
                await connection.execute(QUERIES["add_loss"], at(start_ns), node, LOST_BATCH, lost)

    async def add_names(self, endpoints: Iterable[tuple[str, str, EndpointNamed]]) -> None:
        """
        Store names of endpoints, given with protocol and hash.
        """
        rows = {(protocol, endpoint): named for protocol, endpoint, named in endpoints}
        await self._pool.execute(
            QUERIES["upsert_endpoint_names"],
            [protocol for protocol, _ in rows],
            [endpoint for _, endpoint in rows],
            [named.name.replace("\0", "") for named in rows.values()],
            [named.operation.replace("\0", "") for named in rows.values()],
        )

    async def unpublished(self) -> list[tuple[int, bytes]]:
        """
        Return the windows that NATS has not stored yet: start and message, oldest first.
        """
        return [(unix_ns(row["start"]), row["message"]) for row in await self._pool.fetch(QUERIES["unpublished"])]

    async def published(self, start_ns: int) -> None:
        """
        Note a window as published.
        """
        await self._pool.execute(QUERIES["published"], at(start_ns))

    async def roll_up(self, settled_ns: int, now_ns: int) -> bool:
        """
        Roll up the next range that starts before *settled_ns*; return whether there was one.
        """
        state = await self._pool.fetchrow(QUERIES["roll_up_state"])
        if state is None:
            return False
        until_ns = unix_ns(state["until"])
        found = rollup.due(until_ns, unix_ns(state["oldest"]), settled_ns)
        if found is None:
            return False
        start_ns, end_ns = found
        await self.ensure(rollup.needed(self._levels, start_ns, now_ns))
        widths = rollup.kept(self._levels, start_ns, now_ns)
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(QUERIES["rolled_up"], at(until_ns), at(end_ns)):
                return False
            for statement in statements.ROLL_UP.values():
                await connection.execute(statement, at(start_ns), at(end_ns), widths)
        return True

    async def ensure(self, partitions: Iterable[rollup.Partition]) -> None:
        """
        Make the *partitions* that are not there.
        """
        missing = [partition for partition in partitions if partition.name not in self._partitions]
        if not missing:
            return
        self._partitions = {row["name"] for row in await self._pool.fetch(QUERIES["partitions"])}
        for partition in missing:
            if partition.name not in self._partitions:
                await self._make(partition)

    async def retain(self, now_ns: int) -> int:
        """
        Make the partitions of the time to come, drop those that are no longer kept, and return how many went.
        """
        await self.ensure(rollup.ahead(self._levels, now_ns))
        state = await self._pool.fetchrow(QUERIES["roll_up_state"])
        existing = {row["name"] for row in await self._pool.fetch(QUERIES["partitions"])}
        gone = rollup.outdated(self._levels, existing, now_ns, unix_ns(state["until"]) if state else 0)
        dropped = 0
        for name in gone:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(DDL_WAIT)
                try:
                    await connection.execute(f"drop table topology.{name}")
                except asyncpg.LockNotAvailableError:  # somebody reads it: next time
                    continue
            dropped += 1
        self._partitions = existing - set(gone)
        keep_ns = self._levels[1].keep_s * S_NS
        forget_ns = self._levels[-1].keep_s * S_NS
        await self._pool.execute(QUERIES["forget_windows"], at(now_ns - keep_ns), at(now_ns - forget_ns))
        return dropped

    async def _make(self, partition: rollup.Partition) -> None:
        """
        Make a table and attach it: unlike `partition of`, that does not wait for readers of the parent.
        """
        schema = "public" if partition.parent in rollup.LISTS else "topology"
        start, end = at(partition.start_ns).isoformat(), at(partition.end_ns).isoformat()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_partitions"])
            if await connection.fetchval(QUERIES["has_partition"], partition.name):
                self._partitions.add(partition.name)
                return
            await connection.execute(
                f"create table topology.{partition.name} (like {schema}.{partition.parent} including all)"
            )
            await connection.execute(
                f"alter table {schema}.{partition.parent} attach partition topology.{partition.name} "
                f"for values from ('{start}') to ('{end}')"
            )
        self._partitions.add(partition.name)

    async def _epochs(self, connection: Connection) -> dict[Epoch, Stored]:
        return {
            (row["node"], row["epoch"]): Stored(_ranges(row["applied"]), _ranges(row["missing"]))
            for row in await connection.fetch(QUERIES["epochs"])
        }

    async def _apply_numbers(self, connection: Connection, commit: Commit) -> None:
        newest = at(commit.figures.newest_ns)
        for (node, epoch), ranges in sorted(commit.numbers.items()):
            if not await connection.fetchval(QUERIES["apply_numbers"], node, epoch, _multirange(ranges), newest):
                raise AlreadyApplied

    async def _write_entities(self, connection: Connection, commit: Commit, ids: Ids) -> None:
        plan, start_ns = commit.plan, commit.start_ns
        known = self._ids.services
        homes = {instance.service for instance in commit.instances} - known.keys()
        homes -= {row.service for row in plan.services}
        await self._write_services(connection, plan, homes, start_ns, ids)
        known = {**known, **ids.services}
        await self._write_relations(connection, plan, known, ids)
        for instance in commit.instances:
            await connection.execute(QUERIES["upsert_instance"], *instance_row(instance, known[instance.service]))
        wanted = {"/".join(map(str, key)): key for key in commit.figures.instances if key not in self._ids.instances}
        for row in await connection.fetch(QUERIES["instance_ids"], list(wanted)):
            ids.instances[wanted[row["instance"]]] = row["instance_id"]
        await self._write_endpoints(connection, commit, known, ids)

    async def _write_services(
        self, connection: Connection, plan: Plan, homes: set[str], start_ns: int, ids: Ids
    ) -> None:  # fmt: skip
        """
        Write services; those in *homes* have instances but are not on the map: they are stored as vanished.
        """
        rows = [*plan.services, *(ServiceRow(name, "service", {}, start_ns, start_ns, start_ns) for name in homes)]
        written = await connection.fetch(
            QUERIES["upsert_services"],
            [row.service for row in rows],
            [row.kind for row in rows],
            [msgspec.json.encode(row.attributes).decode() for row in rows],
            [at(row.first_seen_ns) for row in rows],
            [at(row.last_seen_ns) for row in rows],
            [maybe_at(row.vanished_ns) for row in rows],
        )
        ids.services.update((row["service"], row["service_id"]) for row in written)

    async def _write_relations(
        self, connection: Connection, plan: Plan, services: dict[str, int], ids: Ids
    ) -> None:  # fmt: skip
        rows = {relation_id(row.key): row for row in plan.relations}
        written = await connection.fetch(
            QUERIES["upsert_relations"],
            list(rows),
            [services[row.key[0]] for row in rows.values()],
            [services[row.key[1]] for row in rows.values()],
            [row.key[2] for row in rows.values()],
            [row.port for row in rows.values()],
            [at(row.first_seen_ns) for row in rows.values()],
            [at(row.last_seen_ns) for row in rows.values()],
            [maybe_at(row.vanished_ns) for row in rows.values()],
            [row.encrypted for row in rows.values()],
        )
        ids.relations.update((rows[row["relation"]].key, row["relation_id"]) for row in written)

    async def _write_endpoints(
        self, connection: Connection, commit: Commit, services: dict[str, int], ids: Ids
    ) -> None:  # fmt: skip
        fresh = [key for key in commit.plan.endpoints if key not in self._ids.endpoints]
        if not fresh:
            return
        names = {number: name for name, number in services.items()}
        found = await connection.fetch(
            QUERIES["upsert_endpoints"],
            [services[service] for service, _, _ in fresh],
            [protocol for _, protocol, _ in fresh],
            [endpoint for _, _, endpoint in fresh],
            at(commit.start_ns),
        )
        for row in found:
            ids.endpoints[names[row["service_id"]], row["protocol"], row["endpoint"]] = row["endpoint_id"]

    async def _write_figures(self, connection: Connection, commit: Commit, ids: Ids, widths: list[int]) -> None:
        await connection.execute(statements.STAGE)
        for family, rows in families(commit.start_ns, commit.figures, ids).items():
            columns = (*key(family), *COLUMNS[family])
            await connection.copy_records_to_table(f"staged_{family}_figures", records=rows, columns=columns)
            await connection.execute(statements.ADD[family], at(commit.start_ns), widths)

    async def _write_losses(self, connection: Connection, commit: Commit) -> None:
        start = at(commit.start_ns)
        losses = [(start, node, cause, lost) for (node, cause), lost in commit.figures.lost.items()]
        losses += [(start, node, LOST_BATCH, -count) for (node, _), count in commit.returned.items()]
        await connection.executemany(QUERIES["add_loss"], losses)
        drops = [(start, node, reason, packets) for (node, reason), packets in commit.figures.drops.items()]
        await connection.executemany(QUERIES["add_packet_drop"], drops)


def _multirange(ranges: list[Range]) -> list[asyncpg.Range]:
    return [asyncpg.Range(low, high) for low, high in ranges]


def _ranges(multirange: list[asyncpg.Range]) -> list[Range]:
    return [(part.lower, part.upper) for part in multirange]
