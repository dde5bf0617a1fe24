"""
Alerts that are over for longer than they are kept.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import structlog
from aiohttp import web

from services.alert_manager.board import Board
from services.alert_manager.config import Settings
from services.alert_manager.lifecycle import Held
from services.alert_manager.service import Work
from shared.runtime import postgres
from shared.runtime.bus import Bus
from shared.runtime.health import Health
from shared.runtime.process import Shell
from shared.units import S_NS
from tests.services.alert_manager.making import alert
from tests.services.running import DEADLINE_S

if TYPE_CHECKING:
    import pytest

    from services.alert_manager.store import Store

DAY_NS = 86_400 * S_NS


class Away:
    """
    A database that is away at first, and remembers what it was asked to drop.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], bool]] = []
        self.dropped = asyncio.Event()

    async def drop(self, alerts: list[str], before_ns: int) -> None:
        """
        Be away the first time.
        """
        self.asked.append((alerts, before_ns < time.time_ns() - 2 * DAY_NS))
        if len(self.asked) == 1:
            raise ConnectionResetError
        self.dropped.set()


async def test_what_could_not_be_dropped_is_dropped_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An alert that is over for long leaves the board once the database has dropped it, and only such an alert.
    """
    monkeypatch.setattr(postgres, "RETRY_S", 0)
    board, away, log = Board({}, 0.99), Away(), structlog.get_logger()
    now_ns = time.time_ns()
    for one in (
        alert("old", "resolved", updated_ns=now_ns - 3 * DAY_NS),
        alert("new", "resolved", updated_ns=now_ns - DAY_NS),
        alert("open", "firing", updated_ns=now_ns - 3 * DAY_NS),
    ):
        board.alerts[one.id] = Held(alert=one, held_ns=0)
    shell = Shell(Bus(), Health("alert-manager", "n1", log), log, web.Application())
    work = Work(shell, Settings(retention_days=2), cast("Store", away), board, {})
    cleaning = asyncio.create_task(work.clean_hourly())
    await asyncio.wait_for(away.dropped.wait(), DEADLINE_S)
    async with asyncio.timeout(DEADLINE_S):
        while "old" in board.alerts:  # noqa: ASYNC110 - it goes within a step or two of the loop
            await asyncio.sleep(0)
    cleaning.cancel()

    assert [(["old"], True), (["old"], True)] == away.asked
    assert ["new", "open"] == list(board.alerts)
