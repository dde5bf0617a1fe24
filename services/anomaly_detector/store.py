"""
Verdicts, episodes and baselines in PostgreSQL.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.runtime import postgres
from shared.units import at, maybe_at, unix_ns

if TYPE_CHECKING:
    import asyncpg

    from services.anomaly_detector.judge import Judgement
    from shared.messages.anomaly import Reason

QUERIES: Final = postgres.queries(Path(__file__).parent / "queries")


class Store:
    """
    The tables of anomaly-detector.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool: Final = pool

    async def progress_ns(self) -> int:
        """
        Return the end of the last window that was judged, 0 before the first.
        """
        return unix_ns(await self._pool.fetchval(QUERIES["progress"]))

    async def baselines(self) -> list[bytes]:
        """
        Return the history of every entity.
        """
        return [row["state"] for row in await self._pool.fetch(QUERIES["baselines"])]

    async def apply(self, judgement: Judgement, baselines: list[tuple[str, str, bytes]], *, all_verdicts: bool) -> None:
        """
        Write what one window led to, and these baselines (kind, entity, state), in one transaction.

        Without *all_verdicts*, those that say nothing new are left as they are in the table.
        """
        end = at(judgement.verdicts.window_end_ns)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(QUERIES["upsert_verdict"], _verdicts(judgement, all_verdicts))
            await connection.executemany(QUERIES["insert_change"], _changes(judgement))
            await connection.executemany(
                QUERIES["close_other_episodes"],
                [(one.kind, one.entity, at(one.started_ns), end) for one in judgement.episodes],
            )
            await connection.executemany(QUERIES["upsert_episode"], _episodes(judgement))
            await connection.executemany(
                QUERIES["upsert_baseline"], [(entity, kind, end, state) for kind, entity, state in baselines]
            )
            for name in ("forget_baseline", "forget_verdict"):
                await connection.executemany(QUERIES[name], judgement.forgotten)
            await connection.execute(QUERIES["set_progress"], end)

    async def drop_before(self, at_ns: int) -> None:
        """
        Delete episodes and changes that are over since *at_ns*; the newest change of an entity stays.
        """
        async with self._pool.acquire() as connection:
            await connection.execute(QUERIES["drop_episodes"], at(at_ns))
            await connection.execute(QUERIES["drop_changes"], at(at_ns))


def _verdicts(judgement: Judgement, all_verdicts: bool) -> list[tuple[Any, ...]]:
    changed = {(one.kind, one.entity) for one in judgement.changes}
    return [
        (
            one.entity,
            one.kind,
            at(one.at_ns),
            at(judgement.since_ns[one.kind, one.entity]),
            int(one.own),
            int(one.inherited),
            one.learning,
            _json(one.reasons),
            one.culprits,
        )
        for one in judgement.verdicts.verdicts
        if all_verdicts or one.reasons or one.culprits or (one.kind, one.entity) in changed
    ]


def _changes(judgement: Judgement) -> list[tuple[Any, ...]]:
    return [
        (
            one.entity,
            one.kind,
            at(one.at_ns),
            int(one.own),
            int(one.inherited),
            one.learning,
            one.culprits,
        )
        for one in judgement.changes
    ]


def _episodes(judgement: Judgement) -> list[tuple[Any, ...]]:
    return [
        (
            one.entity,
            one.kind,
            int(one.level),
            at(one.started_ns),
            maybe_at(one.ended_ns),
            _json(one.reasons),
        )
        for one in judgement.episodes
    ]


def _json(reasons: list[Reason]) -> str:
    return msgspec.json.encode(reasons).decode()
