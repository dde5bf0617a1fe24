"""
The tables of topology-builder in a real PostgreSQL: all or nothing, exact at every resolution, found again.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from services.topology_builder import rollup
from services.topology_builder.folding import fold
from services.topology_builder.graph import Graph, Limits
from services.topology_builder.identity import Identity
from services.topology_builder.rows import Commit
from services.topology_builder.store import AlreadyApplied, Store
from services.topology_builder.window import Content
from shared.histogram import from_packed
from shared.messages.kernel import KernelBatch, Protocol, Role
from shared.messages.l7 import EndpointNamed
from shared.units import S_NS, WINDOW_NS, window_start_ns
from tests.conftest import with_role
from tests.services.topology_builder.making import EPOCH, NODE, batch, instance, l4, l7

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Reader: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

pytestmark = pytest.mark.mesh
CLIENT, SERVER = Role.CLIENT, Role.SERVER
LEVELS = rollup.levels(6, 7, 90)
HOUR_NS = 3600 * S_NS
NOW_NS = window_start_ns(time.time_ns(), HOUR_NS)


class Writer:
    """
    A store, and the map that goes with it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.identity = Identity()
        self.graph = Graph(Limits())
        self.identity.learn(NODE, EPOCH, [instance(1, "gateway.py"), instance(2, "cart.py", "0.0.0.0:8080")], NOW_NS)
        self.number = 0

    def make(self, start_ns: int, requests: int, **more: Any) -> tuple[Commit, int]:
        """
        Return the commit of a window in which gateway asks cart so many *requests*.
        """
        self.number += 1
        return self.commit(
            batch(
                self.number,
                l7(1, CLIENT, requests, peer=2),
                l7(2, SERVER, requests, peer=1),
                l4(1, CLIENT, peer=2, opened=1, failed={111: 2}, drops={"tcp_csum": 1}, rtt=[40, 1]),
                end_ns=start_ns + S_NS,
                **more,
            )
        ), start_ns

    def commit(self, *batches: KernelBatch) -> Commit:
        """
        Return the commit of the window that *batches* make up.
        """
        content = Content(window_start_ns(batches[0].end_ns - 1), list(batches))
        figures = fold(batches, self.identity, self.graph)
        plan = self.graph.apply(figures, self.identity, content.start_ns, content.end_ns)
        known = list(self.identity.changed.values())
        return Commit(content.start_ns, content.numbers(), {}, figures, plan, known, b"message")

    async def write(self, start_ns: int, requests: int, **more: Any) -> None:
        """
        Store a window.
        """
        commit, _ = self.make(start_ns, requests, **more)
        await self.store.commit(commit, NOW_NS)
        self.graph.stored(commit.plan)
        self.identity.changed.clear()


@pytest_asyncio.fixture
async def writer(postgres_dsn: str) -> AsyncIterator[Writer]:
    """
    A writer with the service's own role.
    """
    store = await Store.open(with_role(postgres_dsn, "topology-builder"), LEVELS, print)
    try:
        yield Writer(store)
    finally:
        await store.close()


@pytest_asyncio.fixture
async def reader(postgres_dsn: str) -> AsyncIterator[Reader]:
    """
    A connection with the role of query-api, which may only read.
    """
    connection = await asyncpg.connect(with_role(postgres_dsn, "query-api"))
    try:
        yield connection
    finally:
        await connection.close()


async def total(reader: Reader, service: str = "cart") -> int:
    """
    Return all requests that *service* ever provided.
    """
    found: int = await reader.fetchval(
        "select coalesce(sum(requests), 0)::bigint from service_totals join services using (service_id) "
        "where service = $1",
        service,
    )
    return found


async def test_a_window_is_readable_where_it_belongs(writer: Writer, reader: Reader) -> None:
    """
    A stored window is in every table, with the role of query-api.
    """
    await writer.write(NOW_NS, 7, lost={"ring_full": 3}, drops={"no_socket": 5})
    relation = await reader.fetchrow(
        "select relation, client_requests, server_requests, client_duration::text as duration, failed, drops, opened "
        "from relations_between(to_timestamp($1), to_timestamp($1 + 10)) join relations using (relation_id)",
        NOW_NS / S_NS,
    )
    endpoint = await reader.fetchrow("select endpoint, protocol from endpoints join services using (service_id)")
    lost = await reader.fetch("select cause, lost from losses union all select reason, packets from packet_drops")
    runs = await reader.fetchrow("select instance, service, listeners from instances join services using (service_id) "
                                 "where service = 'cart'")  # fmt: skip

    assert relation is not None
    assert ("gateway->cart:http", 7, 7, 1) == (relation[0], relation[1], relation[2], relation["opened"])
    assert ({55: 7}, '{"111": 2}', '{"tcp_csum": 1}') == (
        from_packed(relation["duration"]),
        relation["failed"],
        relation["drops"],
    )
    assert (f"{0xAB:016x}", "http") == tuple(endpoint or ())
    assert {("ring_full", 3), ("no_socket", 5)} == {tuple(row) for row in lost}
    assert (f"{NODE}/{EPOCH}/2", "cart", ["tcp 0.0.0.0:8080"]) == tuple(runs or ())
    assert 7 == await total(reader)


async def test_what_is_applied_is_refused_as_a_whole(writer: Writer, reader: Reader) -> None:
    """
    A commit with one batch that the database has leaves no trace of the others.
    """
    await writer.write(NOW_NS, 5)
    again = writer.commit(
        batch(1, l7(2, SERVER, 5, peer=1), end_ns=NOW_NS + S_NS), batch(2, l7(2, SERVER, 9, peer=1), end_ns=NOW_NS + 1)
    )

    with pytest.raises(AlreadyApplied):
        await writer.store.commit(again, NOW_NS)
    assert 5 == await total(reader)
    assert {(NODE, EPOCH): [(1, 2)]} == {key: each.applied for key, each in (await writer.store.epochs()).items()}


async def test_roll_ups_and_late_windows_keep_every_total(writer: Writer, reader: Reader) -> None:
    """
    Whatever the order of windows and roll-ups, each resolution holds what is rolled up, and the total all there is.
    """
    dice = random.Random(7)
    start_ns, sent = NOW_NS - 3 * HOUR_NS, 0
    for _ in range(40):
        at_ns = start_ns + dice.randrange(720) * WINDOW_NS
        requests = dice.randrange(1, 1000)
        await writer.write(at_ns, requests)
        sent += requests
        if dice.random() < 0.3:
            await writer.store.roll_up(start_ns + dice.randrange(720) * WINDOW_NS, NOW_NS)
        assert sent == await total(reader)
    while await writer.store.roll_up(NOW_NS, NOW_NS):
        pass
    rows = await reader.fetch(
        "select resolution, sum(requests)::bigint, sum(duration)::text from service_figures "
        "join services using (service_id) where service = 'cart' group by 1 order by 1"
    )

    assert [(width, sent, {55: sent}) for width in (10, 60, 300, 600, 1800, 3600, 21600)] == [
        (row[0], row[1], from_packed(row[2])) for row in rows
    ]


async def test_a_range_is_the_sum_of_its_windows(writer: Writer, reader: Reader) -> None:
    """
    However a range is put together from wide and narrow buckets, it counts each window in it once.
    """
    windows = {NOW_NS - (1 + step * 7) * WINDOW_NS: 1 + step for step in range(150)}
    for start_ns, requests in windows.items():
        await writer.write(start_ns, requests)
    while await writer.store.roll_up(NOW_NS - 10 * 60 * S_NS, NOW_NS):
        pass
    for minutes, align_s in ((1, 10), (5, 60), (29, 60), (55, 300), (75, 600), (120, 600), (170, 600)):
        since_ns = NOW_NS - minutes * 60 * S_NS
        since_ns -= since_ns % (align_s * S_NS)  # longer ranges begin at wider buckets
        found = await reader.fetchval(
            "select server_requests from relations_between(to_timestamp($1), to_timestamp($2))",
            since_ns / S_NS,
            NOW_NS / S_NS,
        )

        assert sum(requests for start_ns, requests in windows.items() if start_ns >= since_ns) == found, minutes


async def test_old_partitions_go_and_the_totals_stay(writer: Writer, reader: Reader) -> None:
    """
    Figures at 10 s go after six hours, once they are rolled up; what they counted is still counted.
    """
    await writer.write(NOW_NS - 9 * HOUR_NS, 11)
    kept = await writer.store.retain(NOW_NS)
    while await writer.store.roll_up(NOW_NS, NOW_NS):
        pass
    dropped = await writer.store.retain(NOW_NS)
    await writer.write(NOW_NS - 9 * HOUR_NS, 4)  # late: 10 s are gone, the others take it
    fine = await reader.fetchval("select count(*) from service_figures where resolution = 10")

    assert (0, 4, 0, 15) == (kept, dropped, fine, await total(reader))


async def test_what_was_stored_is_loaded_again(writer: Writer, postgres_dsn: str) -> None:
    """
    A restarted service knows the map, the running instances, the names, and which batches are stored.
    """
    await writer.write(NOW_NS, 3)
    await writer.store.add_names(
        [("http", f"{0xAB:016x}", EndpointNamed(Protocol.HTTP1, 0xAB, "GET /cart", "GET"))]
    )  # fmt: skip
    await writer.store.give_up({(NODE, EPOCH): [(2, 4)]}, NOW_NS, NOW_NS)
    again = await Store.open(with_role(postgres_dsn, "topology-builder"), LEVELS, print)
    try:
        loaded = await again.load(100, 100, NOW_NS - HOUR_NS)
    finally:
        await again.close()

    assert {"gateway", "cart"} == {row.service for row in loaded.services}
    assert [("gateway", "cart", "http")] == [row.key for row in loaded.relations]
    assert {(NODE, EPOCH, 1): "gateway", (NODE, EPOCH, 2): "cart"} == {key: name for key, _, name in loaded.instances}
    assert instance(2, "cart.py", "0.0.0.0:8080") in [info for _, info, _ in loaded.instances]
    assert {("http", f"{0xAB:016x}"): "GET /cart"} == loaded.names
    assert ([(1, 2)], [(2, 4)]) == loaded.epochs[NODE, EPOCH]


async def test_a_window_is_unpublished_until_it_is_said(writer: Writer) -> None:
    """
    The message of a window is kept with it until NATS has it; a late part brings no second one.
    """
    await writer.write(NOW_NS, 3)

    assert [(NOW_NS, b"message")] == await writer.store.unpublished()
    await writer.store.published(NOW_NS)
    await writer.write(NOW_NS, 4)
    assert [] == await writer.store.unpublished()


async def test_a_returned_batch_takes_its_loss_back(writer: Writer, reader: Reader) -> None:
    """
    A batch that was given up and comes after all leaves no loss.
    """
    await writer.write(NOW_NS, 3)
    await writer.store.give_up({(NODE, EPOCH): [(2, 3)]}, NOW_NS, NOW_NS)
    commit, _ = writer.make(NOW_NS, 4)
    await writer.store.commit(commit._replace(returned={(NODE, EPOCH): 1}), NOW_NS)

    assert 0 == await reader.fetchval("select sum(lost) from losses where cause = 'batch_missing'")
    assert ([(1, 3)], []) == (await writer.store.epochs())[NODE, EPOCH]
