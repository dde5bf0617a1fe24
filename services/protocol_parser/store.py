"""
Spans in PostgreSQL: one partition for each UTC day, each batch applied once.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.messages.kernel import Protocol
from shared.messages.l7 import EndpointNamed
from shared.protocols import protocol_name
from shared.runtime import postgres
from shared.units import S_NS, at

if TYPE_CHECKING:
    import asyncpg

    from shared.messages.kernel import SampleBatch
    from shared.messages.l7 import Span

QUERIES: Final = postgres.queries(Path(__file__).parent / "queries")
COLUMNS: Final = (
    "started", "duration_ns", "node", "epoch", "number", "instance", "peer", "role", "protocol", "name",
    "operation", "endpoint", "outcome", "status", "port", "remote", "connection", "stream_offset", "thread",
    "why", "trace_id", "parent_span_id", "attributes",
)  # fmt: skip

DAY_NS: Final = 86_400 * S_NS
BIGINT: Final = 1 << 63
INTEGER: Final = (1 << 31) - 1


class Store:
    """
    The tables of protocol-parser.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], retention_days: int) -> None:
        self._pool: Final = pool
        self._retention_days: Final = retention_days
        self._days: set[dt.date] = set()
        """Days whose partition is known to be there."""

    async def names(self, most: int) -> list[EndpointNamed]:
        """
        Return the names given last, at most *most*, the oldest first.
        """
        rows = await self._pool.fetch(QUERIES["newest_names"], most)
        return [
            EndpointNamed(
                protocol=Protocol(row["protocol"]),
                endpoint=row["endpoint"] & 2 * BIGINT - 1,
                name=row["name"],
                operation=row["operation"],
            )
            for row in reversed(rows)
        ]

    async def apply(self, batch: SampleBatch, spans: list[Span], names: list[EndpointNamed]) -> bool:
        """
        Write the spans and new names of *batch* in one transaction; return False when they were written before.
        """
        days = {at(span.started_ns).date() for span in spans}
        async with self._pool.acquire() as connection:
            for day in days - self._days:
                await connection.execute(QUERIES["make_partition"], day)
                self._days.add(day)
            async with connection.transaction():
                if await connection.fetchval(QUERIES["claim_batch"], *_key(batch)) is None:
                    return False
                await connection.copy_records_to_table(
                    "spans", records=[_row(batch, span) for span in spans], columns=COLUMNS
                )
                if names:
                    await self._store_names(connection, names)
        return True

    async def _store_names(self, connection: Any, names: list[EndpointNamed]) -> None:
        await connection.execute(
            QUERIES["upsert_names"],
            [int(named.protocol) for named in names],
            [_signed(named.endpoint) for named in names],
            [named.name for named in names],
            [named.operation for named in names],
        )

    async def drop_before(self, now_ns: int, most_names: int) -> int:
        """
        Drop the days older than the retention and the names beyond *most_names*; return how many days there were.
        """
        first = at(now_ns).date() - dt.timedelta(days=self._retention_days)
        dropped: int = await self._pool.fetchval(QUERIES["drop_before"], first)
        self._days = {day for day in self._days if day >= first}
        await self._pool.execute(QUERIES["drop_oldest_names"], most_names)
        return dropped

    def keeps(self, span: Span, now_ns: int) -> bool:
        """
        Return whether the span's time lies within the retention, and not in the future.
        """
        return now_ns - self._retention_days * DAY_NS <= span.started_ns < now_ns + DAY_NS


def _key(batch: SampleBatch) -> tuple[str, int, int]:
    return _text(batch.node), _signed(batch.epoch), _signed(batch.number)


def _row(batch: SampleBatch, span: Span) -> tuple[Any, ...]:
    prefix = _text(f"{span.node}/{span.epoch}")
    return (
        at(span.started_ns),
        _signed(span.duration_ns),
        *_key(batch),
        f"{prefix}/{span.instance}",
        f"{prefix}/{span.peer}" if span.peer else "",
        span.role.name.lower(),
        protocol_name(span.protocol),
        span.name,
        span.operation,
        f"{span.endpoint:016x}" if span.endpoint else "",
        span.outcome.name.lower(),
        min(span.status, INTEGER),
        min(span.port, INTEGER),
        span.remote,
        _signed(span.connection),
        _signed(span.offset),
        _signed(span.thread),
        _text(span.why),
        span.trace_id,
        span.parent_span_id,
        msgspec.json.encode(span.attributes).decode(),
    )


def _signed(number: int) -> int:
    """
    Return an unsigned 64-bit number as the signed one of the same bits.
    """
    return (number & 2 * BIGINT - 1 ^ BIGINT) - BIGINT


def _text(text: str) -> str:
    """
    Return *text* as PostgreSQL takes it: without NUL.
    """
    return text.replace("\0", "")
