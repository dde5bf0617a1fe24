"""
Figures are added up in slices, and what nobody waits for gives way to answers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from services.query_api.adding import LAST_KEY, MOST_SLICES, Adder, Haste, Turns, slices
from services.query_api.requests import Range
from shared.errors import Unavailable
from shared.units import S_NS

if TYPE_CHECKING:
    import asyncpg

MINUTE = Range(0, 60 * S_NS)


class Tables:
    """
    Stands for PostgreSQL: notes what it is asked, and has no rows.
    """

    def __init__(self, fault_at: int = 0) -> None:
        self.asked: list[tuple[str, tuple[int, ...]]] = []
        self._fault_at = fault_at

    async def __call__(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """
        Note a question; the one at *fault_at* fails.
        """
        self.asked.append((query, values[2:]))
        if len(self.asked) == self._fault_at:
            raise Unavailable("gone")
        await asyncio.sleep(0)
        return []


@pytest.mark.parametrize("newest_key", [0, 1, 124, 125, 126, 1000, 123_457])
def test_slices_hold_every_key_once(newest_key: int) -> None:
    """
    Each slice begins right after the one before it, and the last holds also keys that are newer than the newest.
    """
    found = slices(newest_key)

    assert (0, LAST_KEY) == (found[0][0], found[-1][1])
    assert [last + 1 for _, last in found[:-1]] == [first for first, _ in found[1:]]
    assert all(first <= last for first, last in found)
    assert len(found) <= MOST_SLICES


@pytest.mark.parametrize("at_once", [1, 2, 100])
async def test_every_part_is_asked_for_once(at_once: int) -> None:
    """
    However many connections share the work, each slice and the services are asked for exactly once.
    """
    tables = Tables()
    adder = Adder(tables, Turns(), at_once=at_once)
    await adder.sums(MINUTE, 1000, Haste(urgent=True))
    adder.close()
    expected = [*(("relation_figures", keys) for keys in slices(1000)), ("service_figures", ())]

    assert sorted(expected) == sorted(tables.asked)


async def test_after_a_fault_nothing_more_is_asked() -> None:
    """
    The fault reaches whoever waits, and the parts that are left stay unasked.
    """
    tables = Tables(fault_at=2)
    adder = Adder(tables, Turns(), at_once=1)
    with pytest.raises(Unavailable, match="gone"):
        await adder.sums(MINUTE, 1000, Haste(urgent=True))
    adder.close()

    assert 2 == len(tables.asked)


async def test_what_nobody_waits_for_gives_way() -> None:
    """
    While an answer is in the making nothing is asked; it goes on when the answer is done, or when somebody waits.
    """
    for hurried in (False, True):
        tables, turns, haste = Tables(), Turns(patience_s=3600), Haste(urgent=False)
        adder = Adder(tables, turns, at_once=2)
        with turns.answering():
            adding = asyncio.create_task(adder.sums(MINUTE, 1000, haste))
            for _ in range(20):
                await asyncio.sleep(0)

            assert not tables.asked
            if hurried:
                turns.hurry(haste)
                await adding
        await adding
        adder.close()

        assert len(slices(1000)) + 1 == len(tables.asked)


async def test_two_answers_end_one_after_the_other() -> None:
    """
    The turn comes when the last of the answers is done.
    """
    turns = Turns(patience_s=3600)
    with turns.answering():
        with turns.answering():
            waiting = asyncio.create_task(turns.come(Haste(urgent=False)))
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)

        assert not waiting.done()
    await waiting


async def test_patience_ends() -> None:
    """
    Where answers never end, what gives way goes on after a while.
    """
    tables, turns = Tables(), Turns(patience_s=0.001)
    adder = Adder(tables, turns, at_once=1)
    with turns.answering():
        await adder.sums(MINUTE, 1, Haste(urgent=False))
    adder.close()

    assert 2 == len(tables.asked)
