"""
What query-api keeps of the tables is what the tables say, to the unit, whatever topology-builder writes meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import pytest_asyncio

from services.query_api.answers import Rates
from services.query_api.requests import Range
from services.query_api.store import KEPT_RANGES, Store
from services.topology_builder.store import Store as BuilderStore
from shared.errors import Unavailable
from shared.units import S_NS, WINDOW_NS, window_start_ns
from tests.conftest import with_role
from tests.services.topology_builder.test_topology_builder_store import LEVELS, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.query_api import maps

pytestmark = pytest.mark.mesh
HOUR_NS = 3600 * S_NS
START_NS = window_start_ns(time.time_ns(), HOUR_NS) - HOUR_NS
HOUR = Range(START_NS, START_NS + HOUR_NS)


@pytest_asyncio.fixture
async def writer(postgres_dsn: str) -> AsyncIterator[Writer]:
    """
    What topology-builder writes with.
    """
    store = await BuilderStore.open(with_role(postgres_dsn, "topology-builder"), LEVELS, print)
    yield Writer(store)
    await store.close()


@pytest_asyncio.fixture
async def store(postgres_dsn: str) -> AsyncIterator[Store]:
    """
    What query-api reads with.
    """
    reading = await opened(postgres_dsn)
    yield reading
    await reading.close()


async def opened(dsn: str) -> Store:
    """
    Return a store that has kept nothing yet.
    """
    reading = Store()
    await reading.open(with_role(dsn, "query-api"), size=4, waiting=print)
    return reading


async def sums(store: Store, over: Range = HOUR) -> maps.Sums:
    """
    Return the figures over a range, as the API asks for them.
    """
    return await store.sums(*await store.whole(over))


def requests(sums: maps.Sums) -> int:
    """
    Return the requests of all relations.
    """
    found = (msgspec.json.decode(msgspec.json.encode(one.client), type=Rates) for one in sums.relations.values())
    return sum(rates.requests for rates in found)


async def test_what_did_not_change_is_added_up_once(store: Store, writer: Writer) -> None:
    """
    Asking again gives the very same figures, also after windows elsewhere were stored.
    """
    await writer.write(START_NS, 7)
    first = await sums(store)
    await writer.write(START_NS + HOUR_NS, 100)

    assert 7 == requests(first)
    assert first is await sums(store)
    assert first is await sums(store)


async def test_a_part_that_comes_late_is_counted(store: Store, writer: Writer, postgres_dsn: str) -> None:
    """
    A late part of a window, a late window, and both before and after they are rolled up, are in the next answer.
    """
    await writer.write(START_NS, 7)
    await writer.write(START_NS + 30 * WINDOW_NS, 11)
    expected, found = [18], [requests(await sums(store))]
    for late_ns, more in ((0, 1), (7 * WINDOW_NS, 2)):
        for _ in range(2):
            await writer.write(START_NS + late_ns, more)
            expected.append(expected[-1] + more)
            found.append(requests(await sums(store)))
            while await writer.store.roll_up(START_NS + HOUR_NS + 300 * S_NS, START_NS + HOUR_NS + 300 * S_NS):
                pass
    fresh = await opened(postgres_dsn)
    whole = await sums(fresh)
    await fresh.close()

    assert expected == found
    assert await sums(store) == whole


async def test_rolling_up_changes_nothing(store: Store, writer: Writer, postgres_dsn: str) -> None:
    """
    What is kept from before a roll-up equals what is added up after it.
    """
    for step in range(0, 40, 3):
        await writer.write(START_NS + step * WINDOW_NS, step + 1)
    before = await sums(store)
    while await writer.store.roll_up(START_NS + HOUR_NS + 300 * S_NS, START_NS + HOUR_NS + 300 * S_NS):
        pass
    fresh = await opened(postgres_dsn)
    after = await sums(fresh)
    await fresh.close()

    assert before is await sums(store)
    assert before == after


async def test_many_who_ask_at_once_are_served_by_one_sum(store: Store, writer: Writer) -> None:
    """
    Those who ask while the same is being added up wait for it, and one who leaves takes it from nobody.
    """
    await writer.write(START_NS, 7)
    asked = [asyncio.create_task(sums(store)) for _ in range(10)]
    while not store.adding_up:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    asked[0].cancel()
    found = await asyncio.gather(*asked[1:])

    assert all(one is found[0] for one in found)
    assert 7 == requests(found[0])


async def test_what_is_kept_is_bounded(store: Store, writer: Writer) -> None:
    """
    The range that was not asked for the longest goes first.
    """
    await writer.write(START_NS, 7)
    first = await sums(store)
    ranges = [Range(START_NS, START_NS + (step + 1) * WINDOW_NS) for step in range(KEPT_RANGES)]
    for over in ranges[:-1]:
        await sums(store, over)
    second = await sums(store, ranges[0])

    assert first is await sums(store)
    await sums(store, ranges[-1])
    assert second is await sums(store, ranges[0])
    third = await sums(store, ranges[1])
    assert third is await sums(store, ranges[1])


@pytest.mark.parametrize("width_ns", [300 * S_NS, HOUR_NS, 6 * HOUR_NS])
async def test_the_page_is_answered_out_of_what_is_ready(store: Store, writer: Writer, width_ns: int) -> None:
    """
    What the page asks for is added up when a window closes; until the next is ready, that one is the answer.
    """
    closed_ns = window_start_ns(time.time_ns())
    await writer.write(closed_ns - WINDOW_NS, 7)
    await store.make_ready([width_ns], closed_ns + S_NS)
    whole, edition = await store.whole(Range(closed_ns + S_NS - width_ns, closed_ns + S_NS))
    ready = await store.sums(whole, edition)
    await writer.write(closed_ns, 11)
    now = Range(closed_ns + 11 * S_NS - width_ns, closed_ns + 11 * S_NS)
    meanwhile, _ = await store.whole(now)
    same = await sums(store, now)
    await store.make_ready([width_ns], now.end_ns)
    newer, _ = await store.whole(now)

    assert (closed_ns, closed_ns, closed_ns + WINDOW_NS) == (whole.end_ns, meanwhile.end_ns, newer.end_ns)
    assert same is ready
    assert (7, 18) == (requests(ready), requests(await sums(store, now)))


async def test_without_a_database_it_says_so() -> None:
    """
    Before the database is there, every question is refused with the reason.
    """
    with pytest.raises(Unavailable, match="PostgreSQL is not there yet"):
        await sums(Store())
