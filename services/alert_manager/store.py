"""
Alerts, their history and silences in PostgreSQL.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from services.alert_manager.lifecycle import Held
from shared.messages.alert import Alert, Silence
from shared.runtime import postgres
from shared.units import at, maybe_at, unix_ns

if TYPE_CHECKING:
    import asyncpg

    from services.alert_manager.board import Outcome

QUERIES: Final = postgres.queries(Path(__file__).parent / "queries")

SAME: Final = tuple(set(Alert.__struct_fields__) - {name for name in Alert.__struct_fields__ if name.endswith("_ns")})
"""Columns that are named as the message's fields are."""


class Store:
    """
    The tables of alert-manager.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool: Final = pool

    async def progress(self) -> tuple[int, bytes]:
        """
        Return the end of the last window that was judged (0 before the first), and the stored facts.
        """
        row = await self._pool.fetchrow(QUERIES["progress"])
        return (unix_ns(row["window_end"]), row["facts"]) if row is not None else (0, b"")

    async def alerts(self) -> list[Held]:
        """
        Return every alert.
        """
        return [_held(row) for row in await self._pool.fetch(QUERIES["alerts"])]

    async def silences(self, now_ns: int) -> list[Silence]:
        """
        Return the silences that still last.
        """
        return [
            Silence(
                id=row["id"],
                template=row["template"],
                entity=row["entity"],
                until_ns=unix_ns(row["until"]),
                by=row["by"],
                comment=row["comment"],
            )
            for row in await self._pool.fetch(QUERIES["silences"], at(now_ns))
        ]

    async def apply(self, outcome: Outcome, *, window_end_ns: int = 0, facts: bytes | None = None) -> None:
        """
        Write *outcome*, and the progress when it is that of a window, in one transaction.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await self._write(connection, outcome)
            if window_end_ns:
                await connection.execute(QUERIES["set_progress"], at(window_end_ns), facts)

    async def apply_silence(self, silence: Silence, outcome: Outcome) -> None:
        """
        Write *silence* and what it leads to, in one transaction.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                QUERIES["upsert_silence"],
                silence.id,
                silence.template,
                silence.entity,
                at(silence.until_ns),
                silence.by,
                silence.comment,
            )
            await self._write(connection, outcome)

    async def remove_silence(self, silence: str, outcome: Outcome) -> None:
        """
        Remove a silence and write what that leads to, in one transaction.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(QUERIES["delete_silence"], silence)
            await self._write(connection, outcome)

    async def keep(self, alerts: list[Held]) -> None:
        """
        Write these alerts.
        """
        async with self._pool.acquire() as connection:
            await connection.executemany(QUERIES["upsert_alert"], [_row(held) for held in alerts])

    async def drop(self, alerts: list[str], before_ns: int) -> None:
        """
        Delete these alerts, and what is older than *before_ns* of the history and of silences.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(QUERIES["delete_alert"], [(one,) for one in alerts])
            await connection.execute(QUERIES["drop_changes"], at(before_ns))
            await connection.execute(QUERIES["drop_silences"], at(before_ns))

    async def _write(self, connection: Any, outcome: Outcome) -> None:
        await connection.executemany(QUERIES["delete_alert"], [(one,) for one in outcome.dropped])
        await connection.executemany(QUERIES["upsert_alert"], [_row(held) for held in outcome.kept])
        dropped = set(outcome.dropped)
        await connection.executemany(
            QUERIES["insert_change"],
            [
                (one.alert.id, at(one.alert.updated_ns), one.was, one.alert.state, one.alert.value, one.alert.title)
                for one in outcome.changed
                if one.alert.id not in dropped and one.was != one.alert.state
            ],
        )


def _row(held: Held) -> tuple[Any, ...]:
    alert = held.alert
    return (
        alert.id,
        alert.template,
        alert.family,
        alert.severity,
        alert.entity,
        alert.kind,
        alert.state,
        alert.title,
        alert.meaning,
        alert.next_steps,
        alert.value,
        alert.threshold,
        alert.unit,
        at(alert.started_ns),
        at(held.held_ns),
        maybe_at(alert.fired_ns),
        maybe_at(alert.resolved_ns),
        at(alert.updated_ns),
        alert.acknowledged_by,
        maybe_at(alert.acknowledged_ns),
        alert.silenced,
        alert.occurrences,
        held.group_key,
        held.told,
    )


def _held(row: asyncpg.Record) -> Held:
    alert = Alert(
        **{name: row[name] for name in SAME},
        started_ns=unix_ns(row["started"]),
        fired_ns=unix_ns(row["fired"]),
        resolved_ns=unix_ns(row["resolved"]),
        updated_ns=unix_ns(row["updated"]),
        acknowledged_ns=unix_ns(row["acknowledged"]),
    )
    return Held(alert=alert, held_ns=unix_ns(row["held"]), group_key=row["group_key"], told=row["notified_state"])
