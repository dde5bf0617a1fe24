"""
What the API reads from PostgreSQL; it never writes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from services.query_api import rows
from services.query_api.figures import moment, unix_ns
from services.query_api.requests import RESOLUTIONS_S, Range, aligned
from shared.errors import Unavailable
from shared.runtime import postgres
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncpg

    from services.query_api import answers, questions
    from shared.messages.topology import TopologyWindow

QUERIES: Final = postgres.queries(Path(__file__).parent / "queries")
LEVEL_NUMBERS: Final = {"yellow": 2, "orange": 3, "red": 4}
STILL_OPEN_NS: Final = 60 * S_NS
"""A range that ends so shortly after the newest closed window ends with it."""


class Store:
    """
    The tables of all services, read only.
    """

    def __init__(self) -> None:
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self, dsn: str, *, size: int, waiting: Callable[[str], None]) -> None:
        """
        Wait for the server and its schema; until then every question is `Unavailable`.
        """
        pool = await postgres.open_pool(dsn, size=size, waiting=waiting)
        await postgres.wait_for_schema(pool, waiting)
        self._pool = pool

    async def _rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        if self._pool is None:
            raise Unavailable("PostgreSQL is not there yet: see /readyz")
        try:
            found: list[asyncpg.Record] = await self._pool.fetch(QUERIES[query], *values, timeout=20)
        except postgres.GONE as error:
            raise Unavailable(f"PostgreSQL does not answer: {str(error) or type(error).__name__}") from error
        return found

    async def whole(self, over: Range) -> Range:
        """
        Return a range in whole buckets, as fine as they are kept, that ends with the newest closed window.
        """
        kept = (await self._rows("pieces", moment(over.start_ns), moment(over.end_ns)))[0]
        whole = aligned(over, kept["resolution"])
        closed_ns = unix_ns(kept["closed"]) if kept["closed"] else 0
        if whole.start_ns < closed_ns < whole.end_ns < closed_ns + STILL_OPEN_NS:
            return Range(whole.start_ns, closed_ns)
        return whole

    async def window(self, whole: Range) -> TopologyWindow:
        """
        Return the map's figures over *whole* buckets.
        """
        since, till = moment(whole.start_ns), moment(whole.end_ns)
        services, relations, losses = await asyncio.gather(
            *(self._rows(query, since, till) for query in ("services", "relations", "losses"))
        )
        lost = {row["cause"]: row["lost"] for row in losses}
        return await asyncio.to_thread(rows.window, services, relations, lost, whole)

    async def finest_s(self, over: Range) -> int:
        """
        Return the finest resolution at which the figures of a range are kept, in seconds.
        """
        width: int = (await self._rows("finest", moment(over.start_ns)))[0]["resolution"]
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
        return dict(map(rows.state, await self._rows("states", moment(over.start_ns), moment(over.end_ns))))

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
            moment(over.start_ns),
            moment(over.end_ns),
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
        found = await self._rows(
            "instances", moment(over.start_ns), moment(over.end_ns), ask.service, ask.running, after, most
        )
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
            moment(over.start_ns),
            moment(over.end_ns),
            ask.service,
            ask.endpoint,
            ask.role,
            ask.protocol,
            ask.failed,
            int(ask.slow_s * S_NS),
            ask.trace_id,
            None if started_us is None else moment(started_us * 1000),
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
            moment(over.start_ns),
            moment(over.end_ns),
            ask.entity,
            LEVEL_NUMBERS[ask.level],
            ask.open,
            None if started_us is None else moment(started_us * 1000),
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
            None if updated_us is None else moment(updated_us * 1000),
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
        return [rows.silence(row) for row in await self._rows("silences", moment(now_ns))]


def _steps(over: Range, step_s: int) -> tuple[dt.datetime, dt.datetime, dt.timedelta, int]:
    """
    Return a range in whole steps, the step, and the coarsest resolution that it is a multiple of.
    """
    whole = aligned(over, step_s)
    width_s = max(width for width in RESOLUTIONS_S if step_s % width == 0)
    return moment(whole.start_ns), moment(whole.end_ns), dt.timedelta(seconds=step_s), width_s
