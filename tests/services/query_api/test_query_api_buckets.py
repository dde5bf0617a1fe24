"""
A range that is read as few wide buckets has the figures of all its narrow ones, to the unit and the digit.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from services.topology_builder.store import Store as BuilderStore
from shared.units import S_NS, WINDOW_NS, at, window_start_ns
from tests.conftest import with_role
from tests.services.topology_builder.test_topology_builder_store import LEVELS, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

pytestmark = pytest.mark.mesh
HOURS_NS = 3 * 3600 * S_NS
START_NS = window_start_ns(time.time_ns(), 3600 * S_NS) - HOURS_NS
FAMILIES = ("service", "instance", "endpoint", "relation")
ADDED = {
    "bigint": "sum(f.{0})::bigint as {0}",
    "numeric": "sum(f.{0}) as {0}",
    "jsonb": "sum_counts(f.{0}) as {0}",
    "boolean": "bool_or(f.{0}) as {0}",
}
ONE_BY_ONE = (
    "select f.{family}_id, {columns} from pieces_between($1, $2) as p join {family}_figures as f "
    "on f.resolution = p.resolution and f.start >= p.lower and f.start < p.upper group by f.{family}_id order by 1"
)


@pytest_asyncio.fixture
async def writer(postgres_dsn: str) -> AsyncIterator[Writer]:
    """
    What topology-builder writes with, and three hours of windows, some of them empty.
    """
    store = await BuilderStore.open(with_role(postgres_dsn, "topology-builder"), LEVELS, print)
    writer = Writer(store)
    dice = random.Random(1)
    for start_ns in range(START_NS, START_NS + HOURS_NS, 23 * WINDOW_NS):
        if dice.random() < 0.8:
            await writer.write(start_ns, dice.randint(1, 20_000))
    yield writer
    await store.close()


@pytest_asyncio.fixture
async def reader(postgres_dsn: str) -> AsyncIterator[Connection]:
    """
    A connection with the role of query-api.
    """
    connection = await asyncpg.connect(with_role(postgres_dsn, "query-api"))
    yield connection
    await connection.close()


def ranges(dice: random.Random, many: int) -> list[tuple[dt.datetime, dt.datetime]]:
    """
    Return ranges of any width from ten seconds to three hours, most of them in whole windows or minutes.
    """
    found = []
    for _ in range(many):
        grid_s = dice.choice((1, 10, 60, 300))
        first, last = sorted(dice.sample(range(HOURS_NS // S_NS // grid_s + 1), 2))
        width = dice.choice((last - first, min(last - first, 60), min(last - first, 7)))
        begin_ns = START_NS + first * grid_s * S_NS
        found.append((at(begin_ns), at(begin_ns + width * grid_s * S_NS)))
    return found


def end_of(bucket: asyncpg.Record, until: dt.datetime) -> dt.datetime:
    """
    Return the end of what is in a *bucket*: a wide one holds nothing from *until* on.
    """
    end: dt.datetime = bucket["start"] + dt.timedelta(seconds=bucket["resolution"])
    return min(end, until) if bucket["resolution"] > 60 else end


async def one_by_one(reader: Connection, family: str) -> str:
    """
    Return the query that adds up a range out of its pieces, as they are.
    """
    columns = await reader.fetch(
        "select column_name as name, data_type as kind from information_schema.columns where table_name = $1 "
        f"and column_name not in ('start', 'resolution', '{family}_id') order by column_name",
        f"{family}_figures",
    )
    added = ", ".join(ADDED[column["kind"]].format(column["name"]) for column in columns)
    return ONE_BY_ONE.format(family=family, columns=added)


@pytest.mark.parametrize("rolled_up", [0, 9, 1000])
async def test_few_wide_buckets_are_many_narrow_ones(writer: Writer, reader: Connection, rolled_up: int) -> None:
    """
    Whatever is rolled up, each family's figures over any range are the sum of the pieces, column by column.
    """
    for _ in range(rolled_up):
        if not await writer.store.roll_up(START_NS + HOURS_NS, START_NS + HOURS_NS):
            break
    spans = ranges(random.Random(rolled_up), 30)
    expected, found = [], []
    for family in FAMILIES:
        query = await one_by_one(reader, family)
        for span in spans:
            expected.append([dict(row) for row in await reader.fetch(query, *span)])
            found.append([dict(row) for row in await reader.fetch(f"select * from {family}s_between($1, $2)", *span)])

    assert any(expected)
    assert expected == found


@pytest.mark.parametrize("rolled_up", [0, 9, 1000])
async def test_buckets_cover_a_range_once(writer: Writer, reader: Connection, rolled_up: int) -> None:
    """
    The buckets of a range in whole windows do not overlap, leave nothing out, and are fewer than its pieces have.
    """
    for _ in range(rolled_up):
        if not await writer.store.roll_up(START_NS + HOURS_NS, START_NS + HOURS_NS):
            break
    until = await reader.fetchval("select until from roll_up")
    narrow = wide = 0
    for span in ranges(random.Random(rolled_up), 40):
        pieces = await reader.fetch("select * from pieces_between($1, $2) order by lower", *span)
        buckets = await reader.fetch("select * from buckets_between($1, $2) order by start", *span)
        ends = [end_of(one, until) for one in buckets]
        narrow += sum(-(-(one["upper"] - one["lower"]) // dt.timedelta(seconds=one["resolution"])) for one in pieces)
        wide += len(buckets)

        assert ends[:-1] == [one["start"] for one in buckets[1:]]
        assert pieces[0]["lower"] == buckets[0]["start"]
        assert pieces[-1]["upper"] <= ends[-1] < pieces[-1]["upper"] + dt.timedelta(seconds=buckets[-1]["resolution"])
    assert wide < narrow


async def test_the_keys_of_relations_can_be_chosen(writer: Writer, reader: Connection) -> None:
    """
    Figures of relations whose key lies outside the given ones are left out, and both ends count as inside.
    """
    await writer.write(START_NS, 7)
    (key,) = [row["relation_id"] for row in await reader.fetch("select relation_id from relations")]
    span = at(START_NS), at(START_NS + HOURS_NS)
    query = "select count(*) from relations_between($1, $2, $3, $4)"

    assert [1, 0, 0] == [
        await reader.fetchval(query, *span, *keys) for keys in ((key, key), (key + 1, key + 9), (0, key - 1))
    ]
