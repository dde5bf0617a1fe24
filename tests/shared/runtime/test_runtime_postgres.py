"""
Work that waits for PostgreSQL, and work that is done each hour.
"""

from __future__ import annotations

import asyncio

import pytest

from shared.runtime import postgres


class Fickle:
    """
    Work that fails as often as it is told, and then counts.
    """

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.done = 0
        self.twice = asyncio.Event()

    async def work(self) -> int:
        """
        Fail, or return how often it was done.
        """
        if self.failures:
            self.failures -= 1
            raise ConnectionRefusedError("nobody is there")
        self.done += 1
        if self.done == 2:
            self.twice.set()
        return self.done

    async def silent(self) -> None:
        """
        Do the work.
        """
        await self.work()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Neither a pause nor an hour lasts.
    """
    monkeypatch.setattr(postgres, "RETRY_S", 0)
    monkeypatch.setattr(postgres, "HOUR_S", 0)


async def test_waiting_is_told_once_and_its_end_too() -> None:
    """
    Work that fails three times is repeated until it is done; what it returns is handed on.
    """
    told: list[str] = []

    assert 1 == await postgres.until_done(Fickle(3).work, waiting=told.append, place="PostgreSQL at home")
    assert ["PostgreSQL at home (nobody is there)", ""] == told


async def test_who_need_not_wait_says_nothing() -> None:
    """
    Nothing is told of work that is done at once.
    """
    told: list[str] = []

    assert 1 == await postgres.until_done(Fickle(0).work, waiting=told.append)
    assert [] == told


async def test_our_own_fault_is_not_repeated() -> None:
    """
    What has nothing to do with the server's absence ends the work.
    """

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await postgres.until_done(work, waiting=print)


async def test_hourly_work_comes_again() -> None:
    """
    It is done at once and an hour later, also when the server was away at first.
    """
    fickle, told = Fickle(1), list[str]()
    task = asyncio.create_task(postgres.hourly(fickle.silent, waiting=told.append))
    await asyncio.wait_for(fickle.twice.wait(), 40)
    task.cancel()

    assert ["PostgreSQL (nobody is there)", ""] == told
