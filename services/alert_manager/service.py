"""
The shell of alert-manager: windows and verdicts in, alerts out, commands answered.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Final

import msgspec

from services.alert_manager import channels, template
from services.alert_manager.board import Board, Outcome
from services.alert_manager.channels._base import Channel
from services.alert_manager.notify import Notifier
from services.alert_manager.silences import refusal
from services.alert_manager.store import Store
from shared import subjects
from shared.discover import extensions
from shared.errors import Malformed
from shared.messages.alert import AlertCommand, CommandReply
from shared.runtime import postgres, process, windows
from shared.units import S_NS

if TYPE_CHECKING:
    from services.alert_manager.config import Settings
    from services.alert_manager.convergence import Message
    from shared.messages.topology import TopologyWindow
    from shared.runtime.process import Shell

SNAPSHOT_S: Final = 60
DAY_S: Final = 86400.0


async def serve(shell: Shell, settings: Settings) -> None:
    """
    Raise and resolve alerts, until the process ends.
    """
    templates = template.load()
    found = extensions(channels, "CHANNEL", Channel)  # type: ignore[type-abstract]  # only used for isinstance
    wanted = {name: channel for name, channel in found.items() if channel.is_wanted(settings)}
    pool = await postgres.open_pool(settings.postgres_dsn, waiting=shell.health.waiting_for("postgres"))
    work = Work(shell, settings, Store(pool), Board(templates, settings.objective_ratio), wanted)
    await work.restore()
    await shell.bus.serve(subjects.COMMAND_ALERT, work.command)
    shell.spawn(work.hear_verdicts(), "verdicts")
    shell.spawn(work.judge_windows(), "windows")
    shell.spawn(work.clean_hourly(), "cleaning")
    for name, notifier in work.notifiers.items():
        shell.spawn(notifier.run(), f"channel {name}")
    shell.log.info("templates_loaded", templates=len(templates), channels=sorted(wanted))
    await process.serving(shell, settings)


class Work:
    """
    The consumer of windows and verdicts, and the answerer of commands; one change at a time.
    """

    def __init__(
        self, shell: Shell, settings: Settings, store: Store, board: Board, wanted: dict[str, Channel]
    ) -> None:
        self._shell: Final = shell
        self._settings: Final = settings
        self._store: Final = store
        self._board: Final = board
        self._judged_ns = 0
        self._saved_ns = 0
        self._changing: Final = asyncio.Lock()
        self._waiting: Final = shell.health.waiting_for("postgres")
        self.notifiers: Final = {
            name: Notifier(name, channel, settings, shell, self._delivered) for name, channel in wanted.items()
        }

    async def restore(self) -> None:
        """
        Take up the alerts, the silences and the last hour where the process before left them.
        """

        async def read() -> None:
            self._judged_ns, facts = await self._store.progress()
            for held in await self._store.alerts():
                self._board.alerts[held.alert.id] = held
            for silence in await self._store.silences(time.time_ns()):
                self._board.silences[silence.id] = silence
            if facts:
                try:
                    self._board.facts.restore(facts)
                except Malformed as error:
                    self._shell.health.lose("damaged_facts")
                    self._shell.log.warning("facts_damaged", reason=str(error))

        await postgres.until_done(read, waiting=self._waiting)
        self._saved_ns = self._judged_ns
        self._offer()

    async def hear_verdicts(self) -> None:
        """
        Keep the newest verdicts for the next window.
        """
        async for delivery in self._shell.bus.consume(subjects.VERDICTS, self._shell.health.service):
            self._board.facts.hear(delivery.message)
            await delivery.done()

    async def judge_windows(self) -> None:
        """
        Judge windows as they come; acknowledge each once its effects are stored.
        """
        await windows.each_closed(self._shell, self._judged_ns, self._take)

    async def _take(self, window: TopologyWindow) -> None:
        async with self._changing:
            outcome = self._board.judge(window)
            facts = None
            if window.end_ns - self._saved_ns >= SNAPSHOT_S * S_NS:
                facts, self._saved_ns = self._board.facts.save(), window.end_ns
            await postgres.until_done(
                lambda: self._store.apply(outcome, window_end_ns=window.end_ns, facts=facts), waiting=self._waiting
            )
        await self._tell(outcome)

    async def _tell(self, outcome: Outcome) -> None:
        for change in outcome.changed:
            await self._shell.bus.emit(subjects.ALERT, change)
            self._shell.health.count("alert_changes")
            if change.was != change.alert.state:
                self._shell.log.info(
                    "alert_changed", alert=change.alert.title, state=change.alert.state, was=change.was or "new"
                )
        self._offer()

    def _offer(self) -> None:
        if self.notifiers:
            for message in self._board.owed():
                for notifier in self.notifiers.values():
                    notifier.offer(message)

    async def _delivered(self, message: Message) -> None:
        async with self._changing:
            held = self._board.told([one.alert.id for one in message.alerts], message.state)
            await postgres.until_done(lambda: self._store.keep(held), waiting=self._waiting)

    async def command(self, command: AlertCommand) -> CommandReply:
        """
        Do what an operator asks.
        """
        match command.action:
            case "acknowledge":
                return await self._acknowledge(command)
            case "silence":
                return await self._silence(command)
            case "unsilence":
                return await self._unsilence(command)
            case other:
                return CommandReply(ok=False, error=f"{other!r} is unknown; use acknowledge, silence or unsilence")

    async def _acknowledge(self, command: AlertCommand) -> CommandReply:
        async with self._changing:
            outcome = self._board.acknowledge(command.alert, command.by or "somebody", time.time_ns())
            if not outcome.changed:
                return CommandReply(ok=False, error=f"no open alert has the id {command.alert!r}")
            await postgres.until_done(lambda: self._store.apply(outcome), waiting=self._waiting)
        await self._tell(outcome)
        return CommandReply(ok=True)

    async def _silence(self, command: AlertCommand) -> CommandReply:
        now_ns = time.time_ns()
        reason = refusal(command, now_ns)
        if reason or command.silence is None:
            return CommandReply(ok=False, error=reason)
        silence = msgspec.structs.replace(
            command.silence, id=command.silence.id or uuid.uuid4().hex[:16], by=command.silence.by or command.by
        )
        async with self._changing:
            outcome = self._board.silence(silence, now_ns)
            await postgres.until_done(lambda: self._store.apply_silence(silence, outcome), waiting=self._waiting)
        await self._tell(outcome)
        return CommandReply(ok=True)

    async def _unsilence(self, command: AlertCommand) -> CommandReply:
        silence = command.silence.id if command.silence is not None else ""
        if silence not in self._board.silences:
            return CommandReply(ok=False, error=f"no silence has the id {silence!r}")
        async with self._changing:
            outcome = self._board.unsilence(silence, time.time_ns())
            await postgres.until_done(lambda: self._store.remove_silence(silence, outcome), waiting=self._waiting)
        await self._tell(outcome)
        return CommandReply(ok=True)

    async def clean_hourly(self) -> None:
        """
        Drop what is older than the retention, each hour.
        """
        await postgres.hourly(self._clean, waiting=self._waiting)

    async def _clean(self) -> None:
        before_ns = time.time_ns() - int(self._settings.retention_days * DAY_S) * S_NS
        async with self._changing:
            old = self._board.resolved_before(before_ns)
            await self._store.drop(old, before_ns)
            self._board.forget(old)
