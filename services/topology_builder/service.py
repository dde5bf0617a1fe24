"""
The asyncio shell of topology-builder: takes batches, closes windows, publishes the map, keeps the tables in order.

A batch is acknowledged after the transaction that stores it. While PostgreSQL is away, batches are held up to a limit
and the live map goes on; beyond the limit nothing more is taken, and NATS keeps it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

from services.topology_builder import naming, rollup
from services.topology_builder.config import NAME
from services.topology_builder.folding import fold
from services.topology_builder.graph import Graph, Limits
from services.topology_builder.identity import REMEMBER_NS, Identity
from services.topology_builder.picture import picture, within
from services.topology_builder.rows import Commit
from services.topology_builder.store import AlreadyApplied, Store
from services.topology_builder.window import Content, Taken, Windows, sound
from shared import subjects
from shared.errors import Unavailable
from shared.protocols import protocol_name
from shared.runtime import postgres
from shared.runtime.process import serving
from shared.units import S_NS, WINDOW_NS, window_start_ns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.topology_builder.config import Config
    from services.topology_builder.figures import Figures
    from shared.messages.kernel import KernelBatch
    from shared.messages.topology import TopologyWindow
    from shared.runtime.bus import Delivery
    from shared.runtime.process import Shell
    from shared.subjects import Subject

T = TypeVar("T")

TICK_S: Final = 2.0
POLL_S: Final = 0.25
TIDY_S: Final = 5.0
RETAIN_EVERY: Final = 12
"""Partitions are looked after on every twelfth tidying: once a minute."""
HEADROOM_BYTES: Final = 4096


class Builder:
    """
    What runs beside each other, and what it shares.
    """

    def __init__(self, shell: Shell, config: Config, store: Store) -> None:
        self._shell: Final = shell
        self._config: Final = config
        self._store: Final = store
        self._identity: Final = Identity(naming.overrides(config.names), config.max_instances)
        self._graph: Final = Graph(
            Limits(
                services=config.max_services,
                externals=config.max_externals,
                relations=config.max_relations,
                endpoints=config.max_endpoints,
                service_gone_after_ns=int(config.service_gone_after_s * S_NS),
                relation_gone_after_ns=int(config.relation_gone_after_s * S_NS),
            )
        )
        self._windows: Final[Windows[Delivery[KernelBatch]]] = Windows(
            close_after_ns=int(config.close_after_s * S_NS),
            gap_certain_after_ns=int(config.gap_certain_after_s * S_NS),
            max_series=config.max_held_series,
        )
        self._names: Final[dict[tuple[str, str], str]] = {}
        self._to_publish: Final = asyncio.Event()
        self._unsound = 0

    async def load(self) -> None:
        """
        Take the map out of the database.
        """
        now_ns = time.time_ns()
        loaded = await self._store.load(
            self._config.max_instances, self._config.max_endpoint_names, now_ns - REMEMBER_NS
        )  # fmt: skip
        self._windows.restore(loaded.epochs, now_ns)
        for key, info, service in loaded.instances:
            self._identity.restore(key, info, service, now_ns)
        running = [known.id for known in self._identity if not known.info.ended_ns]
        self._graph.restore(loaded.services, loaded.relations, running)
        self._names.update(loaded.names)
        self._to_publish.set()
        self._shell.log.info(
            "map_loaded", services=len(loaded.services), relations=len(loaded.relations), instances=len(running)
        )

    async def take_batches(self) -> None:
        """
        Take batches for as long as there is room for them.
        """
        async for delivery in self._shell.bus.consume(subjects.KERNEL_BATCH, NAME):
            while self._windows.full:  # noqa: ASYNC110 - a transaction makes room: a quarter of a second is soon
                await asyncio.sleep(POLL_S)
            await self._take(delivery)

    async def _take(self, delivery: Delivery[KernelBatch]) -> None:
        batch = delivery.message
        if not sound(batch):
            self._unsound += 1
            self._shell.log.warning("batch_refused", node=batch.node, epoch=batch.epoch, number=batch.number)
            await delivery.done()
            return
        taken = self._windows.take(batch, delivery, time.time_ns())
        if taken is Taken.STORED:
            await delivery.done()
        self._identity.learn(batch.node, batch.epoch, batch.instances, batch.end_ns)
        if taken is not Taken.NEW:
            self._shell.health.count("batches_repeated")

    async def take_names(self) -> None:
        """
        Store the names of endpoints.
        """
        async for delivery in self._shell.bus.consume(subjects.ENDPOINTS, NAME):
            named = [
                (protocol_name(each.protocol), f"{each.endpoint:016x}", each) for each in delivery.message.endpoints
            ]
            await self._surely(lambda named=named: self._store.add_names(named))  # type: ignore[misc]
            for protocol, endpoint, each in named:
                if len(self._names) < self._config.max_endpoint_names or (protocol, endpoint) in self._names:
                    self._names[protocol, endpoint] = each.name
                else:
                    self._shell.health.lose("endpoint_name_limit")
            await delivery.done()

    async def tell(self) -> None:
        """
        Publish the running map on every tick, and how the service is.
        """
        bus, health = self._shell.bus, self._shell.health
        while True:
            now_ns = time.time_ns()
            content = self._windows.recent(now_ns)
            figures = fold(content.batches, self._identity, self._graph)
            await bus.emit(subjects.LIVE_WINDOW, self._picture(content, figures, subjects.LIVE_WINDOW))
            oldest_ns = self._windows.oldest_ns
            health.lag_s = max(0, now_ns - oldest_ns) / S_NS if oldest_ns else 0.0
            refused = {"malformed": bus.malformed + self._unsound, "instance_limit": self._identity.refused}
            health.lost.update({cause: count for cause, count in refused.items() if count})
            await asyncio.sleep(TICK_S)

    async def close_windows(self) -> None:
        """
        Store each window once it is closed.
        """
        while True:
            content = self._windows.due(time.time_ns())
            if content is None:
                await asyncio.sleep(POLL_S)
            else:
                await self._close(content)

    async def _close(self, content: Content) -> None:
        figures = fold(content.batches, self._identity, self._graph)
        plan = self._graph.apply(figures, self._identity, content.start_ns, content.end_ns)
        window = self._picture(content, figures, subjects.WINDOW, final=True)
        changed = dict(self._identity.changed)
        returned = self._windows.returned(content)
        commit = Commit(
            start_ns=content.start_ns,
            numbers=content.numbers(),
            returned=returned,
            figures=figures,
            plan=plan,
            instances=list(changed.values()),
            message=subjects.WINDOW.encode(window),
        )
        try:
            await self._surely(lambda: self._store.commit(commit, time.time_ns()))
        except AlreadyApplied:
            await self._compare()
            return
        self._graph.stored(plan)
        for key, known in changed.items():
            if self._identity.changed.get(key) is known:
                del self._identity.changed[key]
        health = self._shell.health
        for (_, cause), lost in figures.lost.items():
            health.lose(cause, lost)
        if returned:
            health.lose("batch_missing", -sum(returned.values()))
        health.count("windows_closed")
        health.count("batches_applied", len(content.batches))
        self._to_publish.set()
        for delivery in self._windows.stored(content):
            await delivery.done()
        for change in plan.changes:
            await self._shell.bus.emit(subjects.CHANGE, change)

    async def _compare(self) -> None:
        """
        Drop what the database has already: another run of this service stored it in its last moment.
        """
        for delivery in self._windows.restore(await self._surely(self._store.epochs), time.time_ns()):
            await delivery.done()

    async def publish_windows(self) -> None:
        """
        Publish the closed windows that NATS has not stored yet, also those of an earlier run.
        """
        while True:
            await self._to_publish.wait()
            self._to_publish.clear()
            try:
                for start_ns, message in await self._store.unpublished():
                    window = subjects.WINDOW.decode(message)
                    await self._shell.bus.publish(subjects.WINDOW, window, key=f"window-{start_ns}")
                    await self._store.published(start_ns)
            except (Unavailable, *postgres.GONE):
                self._to_publish.set()
                await asyncio.sleep(TICK_S)

    async def tidy(self) -> None:
        """
        Roll up, state gaps, make and drop partitions, forget what is over.
        """
        round_ = 0
        while True:
            now_ns = time.time_ns()
            if round_ % RETAIN_EVERY == 0:
                await self._surely(self._retain)
            round_ += 1
            oldest_ns = self._windows.oldest_ns
            settled_ns = min(now_ns, window_start_ns(oldest_ns - 1) + rollup.SETTLE_NS) if oldest_ns else now_ns
            while await self._rolled_up(settled_ns):
                self._shell.health.count("roll_ups")
            await self._give_up(now_ns)
            self._identity.forget(now_ns)
            await asyncio.sleep(TIDY_S)

    async def _retain(self) -> None:
        dropped = await self._store.retain(time.time_ns())
        if dropped:
            self._shell.health.count("partitions_dropped", dropped)

    async def _rolled_up(self, settled_ns: int) -> bool:
        return await self._surely(lambda: self._store.roll_up(settled_ns, time.time_ns()))

    async def _give_up(self, now_ns: int) -> None:
        gaps = self._windows.gaps(now_ns)
        if not gaps:
            return
        try:
            await self._surely(lambda: self._store.give_up(gaps, window_start_ns(now_ns), now_ns))
        except AlreadyApplied:
            await self._compare()
            return
        self._windows.gaps_stored(gaps)
        lost = sum(high - low for ranges in gaps.values() for low, high in ranges)
        self._shell.health.lose("batch_missing", lost)
        self._shell.log.warning("batches_missing", lost=lost)

    def _picture(
        self, content: Content, figures: Figures, subject: Subject[TopologyWindow], *, final: bool = False
    ) -> TopologyWindow:
        window = picture(
            figures,
            self._graph,
            self._identity,
            self._names,
            start_ns=content.start_ns,
            end_ns=content.start_ns + WINDOW_NS,
            final=final,
        )
        window, left_out = within(window, self._shell.bus.max_payload_bytes - HEADROOM_BYTES, subject.encode)
        if left_out:
            self._shell.health.count("figures_left_out_of_messages", left_out)
        return window

    async def _surely(self, work: Callable[[], Awaitable[T]]) -> T:
        return await postgres.until_done(work, waiting=self._shell.health.waiting_for("postgres"))


async def serve(shell: Shell, config: Config) -> None:
    """
    Run topology-builder.
    """
    levels = rollup.levels(config.keep_10s_hours, config.keep_1m_days, config.keep_1h_days)
    waiting = shell.health.waiting_for("postgres")
    store = await Store.open(config.postgres_dsn, levels, waiting)
    try:
        builder = Builder(shell, config, store)
        await postgres.until_done(builder.load, waiting=waiting)
        for work in (
            builder.take_batches,
            builder.take_names,
            builder.tell,
            builder.close_windows,
            builder.publish_windows,
            builder.tidy,
        ):
            shell.spawn(work(), work.__name__)
        await serving(shell, config)
    finally:
        await store.close()
