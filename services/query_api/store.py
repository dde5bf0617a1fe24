"""
What the API reads from PostgreSQL; it never writes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.query_api import rows
from services.query_api.adding import Adder, Haste, Turns
from services.query_api.requests import RESOLUTIONS_S, Range, aligned
from shared.errors import Unavailable
from shared.runtime import postgres
from shared.units import S_NS, WINDOW_NS, at, unix_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import asyncpg

    from services.query_api import answers, maps, questions

QUERIES: Final = postgres.queries(Path(__file__).parent / "queries")
LEVEL_NUMBERS: Final = {"yellow": 2, "orange": 3, "red": 4}
SETTINGS: Final = {"work_mem": "32MB", "enable_hashagg": "off", "jit": "off"}
"""
Histograms are added up one entity after the other, in half the time of all at once: they stay in the caches. Compiling
takes longer than any of these queries.
"""
KEPT_RANGES: Final = 12
"""Of how many ranges the figures are kept; a thousand relations take about 1.5 MB."""
STILL_OPEN_NS: Final = 60 * S_NS
"""A range that ends so shortly after the newest closed window ends with it."""


class Kept:
    """
    The figures of a range, and the edition of the map that they are known to hold.
    """

    def __init__(self, sums: maps.Sums, edition: int) -> None:
        self.sums: Final = sums
        self.edition = edition


class Flight(NamedTuple):
    """
    Figures that are being added up.
    """

    task: asyncio.Task[maps.Sums]
    haste: Haste


class Store:
    """
    The tables of all services, read only.
    """

    def __init__(self) -> None:
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._kept: dict[Range, Kept] = {}
        self._flights: dict[tuple[Range, int], Flight] = {}
        self._ready: dict[int, Range] = {}
        self._former: dict[int, Range] = {}
        self._newest_key = 0
        self.turns: Final = Turns()
        self._adder = Adder(self._rows, self.turns, at_once=1)

    async def open(self, dsn: str, *, size: int, waiting: Callable[[str], None]) -> None:
        """
        Wait for the server and its schema; until then every question is `Unavailable`.
        """
        pool = await postgres.open_pool(
            dsn, size=size, waiting=waiting, settings=SETTINGS, prepare=_prepare, reset=_leave_as_it_is
        )
        self._adder = Adder(self._rows, self.turns, at_once=max(1, size // 2))
        self._pool = pool

    async def close(self) -> None:
        """
        Close all connections.
        """
        self._adder.close()
        if self._pool is not None:
            await self._pool.close()

    @property
    def adding_up(self) -> int:
        """
        Return for how many ranges the figures are being added up now.
        """
        return len(self._flights)

    async def _rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        if self._pool is None:
            raise Unavailable("PostgreSQL is not there yet: see /readyz")
        try:
            found: list[asyncpg.Record] = await self._pool.fetch(QUERIES[query], *values, timeout=20)
        except postgres.GONE as error:
            self._kept.clear()  # another database may come back
            raise Unavailable(f"PostgreSQL does not answer: {str(error) or type(error).__name__}") from error
        return found

    async def whole(self, over: Range, *, behind_ns: int = WINDOW_NS) -> tuple[Range, int]:
        """
        Return a range in whole buckets, as fine as they are kept, and the newest edition of the map.

        What would end in a window that is not closed ends, and begins, as much earlier. While the newest of those that
        are made ready is in the making, the one before is taken: it may end up to *behind_ns* before the newest.
        """
        kept = (await self._rows("pieces", at(over.start_ns), at(over.end_ns)))[0]
        whole = aligned(over, kept["resolution"])
        self._newest_key = kept["newest_key"]
        closed_ns = unix_ns(kept["closed"]) if kept["closed"] else 0
        if whole.start_ns < closed_ns < whole.end_ns and over.end_ns < closed_ns + STILL_OPEN_NS:
            open_ns = max(0, over.end_ns - closed_ns)
            ready = self._ready.get(over.end_ns - over.start_ns)
            if ready and open_ns and 0 <= closed_ns - ready.end_ns <= behind_ns:
                whole = ready
            else:
                earlier = Range(over.start_ns - open_ns, closed_ns)
                whole = Range(aligned(earlier, kept["resolution"]).start_ns, closed_ns)
        return whole, kept["edition"]

    async def make_ready(self, widths_ns: Iterable[int], now_ns: int) -> None:
        """
        Add up the last *widths_ns* before they are asked for.
        """
        for width_ns in widths_ns:
            whole, edition = await self.whole(Range(now_ns - width_ns, now_ns), behind_ns=0)
            await self.sums(whole, edition, urgent=False)
            before = self._ready.get(width_ns, whole)
            if before != whole:  # somebody may be about to read that one: the one before goes
                if width_ns in self._former:
                    self._kept.pop(self._former[width_ns], None)
                self._former[width_ns] = before
            self._ready[width_ns] = whole

    async def sums(self, whole: Range, edition: int, *, urgent: bool = True) -> maps.Sums:
        """
        Return the map's figures over *whole* buckets, at least as new as *edition*.

        They are kept: what is closed changes only where a part comes late, and that has a newer edition. What is not
        *urgent* gives way to answers.
        """
        kept = self._kept.get(whole)
        if kept is not None and (kept.edition >= edition or not await self._changed(kept.edition, whole)):
            kept.edition = max(kept.edition, edition)
            self._kept.pop(whole, None)  # the one that was asked for last goes last
            self._kept[whole] = kept
            return kept.sums
        flight = self._flights.get((whole, edition))
        if flight is None:
            haste = Haste(urgent=urgent)
            flight = Flight(asyncio.get_running_loop().create_task(self._add_up(whole, edition, haste)), haste)
            self._flights[whole, edition] = flight
            flight.task.add_done_callback(lambda done: self._landed(whole, edition, done))
        if urgent:
            self.turns.hurry(flight.haste)
        return await asyncio.shield(flight.task)

    async def _changed(self, edition: int, whole: Range) -> bool:
        found = await self._rows("changed", edition, at(whole.start_ns), at(whole.end_ns))
        return bool(found[0]["changed"])

    async def _add_up(self, whole: Range, edition: int, haste: Haste) -> maps.Sums:
        sums = await self._adder.sums(whole, self._newest_key, haste)
        self._kept.pop(whole, None)
        if len(self._kept) >= KEPT_RANGES:
            del self._kept[next(iter(self._kept))]
        self._kept[whole] = Kept(sums, edition)
        return sums

    def _landed(self, whole: Range, edition: int, flight: asyncio.Task[maps.Sums]) -> None:
        del self._flights[whole, edition]
        if not flight.cancelled():
            flight.exception()  # those who wait have it too, if they still do

    async def map(self, whole: Range, edition: int) -> tuple[maps.Sums, rows.Found]:
        """
        Return the map over *whole* buckets: its figures, and the rows of its services, relations and losses.
        """
        sums, found = await asyncio.gather(self.sums(whole, edition), self._found(whole, [], []))
        services, relations, _ = found
        there = {row["service_id"] for row in services}, {row["relation_id"] for row in relations}
        if not (sums.services.keys() <= there[0] and sums.relations.keys() <= there[1]):
            found = await self._found(whole, list(sums.services), list(sums.relations))
        return sums, found

    async def _found(self, whole: Range, services: list[int], relations: list[int]) -> rows.Found:
        """
        Return the rows of what was there, and of the keys of those that have figures all the same.
        """
        span = at(whole.start_ns), at(whole.end_ns)
        found: rows.Found = await asyncio.gather(
            self._rows("services", *span, services),
            self._rows("relations", *span, relations),
            self._rows("losses", *span),
        )
        return found

    async def finest_s(self, over: Range) -> int:
        """
        Return the finest resolution at which the figures of a range are kept, in seconds.
        """
        width: int = (await self._rows("finest", at(over.start_ns)))[0]["resolution"]
        return width

    async def knows(self, name: str) -> bool:
        """
        Return whether the map ever had a service or a relation of this *name*.
        """
        return bool((await self._rows("known", name))[0]["known"])

    async def states(self, over: Range) -> dict[tuple[str, str], answers.State]:
        """
        Return the colours at the end of a range, by kind and id.
        """
        return dict(map(rows.state, await self._rows("states", at(over.start_ns), at(over.end_ns))))

    async def newest_states(self) -> dict[tuple[str, str], answers.State]:
        """
        Return the newest colours, by kind and id.
        """
        return dict(map(rows.state, await self._rows("verdicts")))

    async def endpoints(self, ask: questions.EndpointList, over: Range) -> list[asyncpg.Record]:
        """
        Return the rows of the endpoints that had traffic.
        """
        return await self._rows(
            "endpoints",
            at(over.start_ns),
            at(over.end_ns),
            ask.service,
            ask.protocol,
            ask.q,
            ask.failing,
        )

    async def instances(
        self, ask: questions.InstanceList, over: Range, after: str, most: int
    ) -> list[answers.Instance]:
        """
        Return the instances that ran.
        """
        found = await self._rows("instances", at(over.start_ns), at(over.end_ns), ask.service, ask.running, after, most)
        return [rows.instance(row, over.seconds) for row in found]

    async def service_timeline(self, service: str, over: Range, step_s: int) -> list[answers.Point]:
        """
        Return the steps of a service's time line that had traffic.
        """
        found = await self._rows("service_timeline", service, *_steps(over, step_s))
        return [rows.service_point(row, step_s) for row in found]

    async def relation_timeline(self, relation: str, over: Range, step_s: int) -> list[answers.Point]:
        """
        Return the steps of a relation's time line that had traffic.
        """
        found = await self._rows("relation_timeline", relation, *_steps(over, step_s))
        return [rows.relation_point(row, step_s) for row in found]

    async def spans(
        self, ask: questions.SpanList, over: Range, after: tuple[Any, ...] | None, most: int
    ) -> list[asyncpg.Record]:
        """
        Return the rows of sampled requests.
        """
        started_us, connection, offset, instance = after or (None, None, None, None)
        return await self._rows(
            "spans",
            at(over.start_ns),
            at(over.end_ns),
            ask.service,
            ask.endpoint,
            ask.role,
            ask.protocol,
            ask.failed,
            int(ask.slow_s * S_NS),
            ask.trace_id,
            None if started_us is None else at(started_us * 1000),
            connection,
            offset,
            instance,
            most,
        )

    async def anomalies(
        self, ask: questions.AnomalyList, over: Range, after: tuple[Any, ...] | None, most: int
    ) -> list[asyncpg.Record]:
        """
        Return the rows of times of trouble.
        """
        started_us, number = after or (None, None)
        return await self._rows(
            "anomalies",
            at(over.start_ns),
            at(over.end_ns),
            ask.entity,
            LEVEL_NUMBERS[ask.level],
            ask.open,
            None if started_us is None else at(started_us * 1000),
            number,
            most,
        )

    async def alerts(self, ask: questions.AlertList, after: tuple[Any, ...] | None, most: int) -> list[asyncpg.Record]:
        """
        Return the rows of alerts.
        """
        updated_us, key = after or (None, None)
        return await self._rows(
            "alerts",
            ask.state,
            ask.severity,
            ask.entity,
            None if updated_us is None else at(updated_us * 1000),
            key,
            most,
        )

    async def alert(self, key: str) -> answers.Alert | None:
        """
        Return one alert.
        """
        found = await self._rows("alert", key)
        return rows.alert(found[0]) if found else None

    async def silences(self, now_ns: int) -> list[answers.Silence]:
        """
        Return the silences that last.
        """
        return [rows.silence(row) for row in await self._rows("silences", at(now_ns))]


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")


async def _leave_as_it_is(_connection: Any) -> None:
    """
    Spare a round trip: single queries leave nothing behind.
    """


def _steps(over: Range, step_s: int) -> tuple[dt.datetime, dt.datetime, dt.timedelta, int]:
    """
    Return a range in whole steps, the step, and the coarsest resolution that it is a multiple of.
    """
    whole = aligned(over, step_s)
    width_s = max(width for width in RESOLUTIONS_S if step_s % width == 0)
    return at(whole.start_ns), at(whole.end_ns), dt.timedelta(seconds=step_s), width_s
