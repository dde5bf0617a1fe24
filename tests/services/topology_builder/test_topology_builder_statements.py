"""
What the composed statements write, held against the tables' own columns and against plain sums.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from services.topology_builder import rollup
from services.topology_builder.columns import COLUMNS, Columns, Kind, key
from services.topology_builder.packing import from_numeric, numeric
from services.topology_builder.statements import ADD, ROLL_UP, STAGE
from services.topology_builder.store import Store
from shared.units import S_NS, WINDOW_NS, at, window_start_ns
from tests.conftest import with_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
    Figures = dict[str, Any]
    Bucket = tuple[int, int, int]

pytestmark = pytest.mark.mesh
LEVELS = rollup.levels(6, 7, 90)
WIDTHS = [level.resolution_s for level in LEVELS]
NOW_NS = time.time_ns()
BEGIN_NS = window_start_ns(NOW_NS, 3600 * S_NS) - 3600 * S_NS
WINDOWS = 40
"""Between the beginnings of the first and the last lie six minutes and a half: two buckets of five."""
EMPTY: dict[Kind, Any] = {Kind.COUNT: 0, Kind.FLAG: False, Kind.HISTOGRAM: Counter(), Kind.TALLY: None}


@pytest_asyncio.fixture
async def writer(postgres_dsn: str) -> AsyncIterator[Connection]:
    """
    A connection with the service's own role, with partitions for all that is written here.
    """
    dsn = with_role(postgres_dsn, "topology-builder")
    store = await Store.open(dsn, LEVELS, print)
    await store.ensure(rollup.needed(LEVELS, BEGIN_NS, NOW_NS))
    await store.close()
    connection = await asyncpg.connect(dsn)
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    try:
        yield connection
    finally:
        await connection.close()


def thrown(kind: Kind, dice: random.Random) -> Any:
    """
    Return a value of *kind*.
    """
    match kind:
        case Kind.COUNT:
            return dice.choice([0, 1, dice.randrange(10**12)])
        case Kind.FLAG:
            return dice.random() < 0.1
        case Kind.HISTOGRAM:
            return Counter({dice.randrange(100): dice.randrange(1, 10**6) for _ in range(dice.randrange(4))})
        case Kind.TALLY:
            return dice.choice([None, Counter({dice.choice("abc"): dice.randrange(1, 10**6)})])


def merged(kind: Kind, one: Any, other: Any) -> Any:
    """
    Return what two values of *kind* make up.
    """
    match kind:
        case Kind.FLAG:
            return one or other
        case Kind.TALLY:
            return other if one is None else one if other is None else one + other
        case _:
            return one + other


def sent(kind: Kind, value: Any) -> Any:
    """
    Return *value* as PostgreSQL takes it.
    """
    match kind:
        case Kind.HISTOGRAM:
            return numeric(value)
        case Kind.TALLY:
            return None if value is None else json.dumps(value)
        case _:
            return value


def read(kind: Kind, value: Any) -> Any:
    """
    Return what PostgreSQL gave as a value of *kind*.
    """
    match kind:
        case Kind.HISTOGRAM:
            return Counter(from_numeric(value))
        case Kind.TALLY:
            return None if value is None else Counter(json.loads(value))
        case _:
            return value


def generated(columns: Columns, dice: random.Random) -> dict[int, dict[int, Figures]]:
    """
    Return the figures of some entities in each window, in no order.
    """
    starts = [BEGIN_NS + number * WINDOW_NS for number in range(WINDOWS)]
    dice.shuffle(starts)
    return {
        start_ns: {
            entity: {name: thrown(kind, dice) for name, kind in columns.items()}
            for entity in dice.sample(range(1, 6), 3)
        }
        for start_ns in starts
    }


def summed(columns: Columns, windows: dict[int, dict[int, Figures]], widths: list[int]) -> dict[Bucket, Figures]:
    """
    Return the figures of *windows* in each bucket of each width.
    """
    found: dict[Bucket, Figures] = {}
    for start_ns, rows in windows.items():
        for entity, figures in rows.items():
            for width in widths:
                bucket = found.setdefault(
                    (width, window_start_ns(start_ns, width * S_NS), entity),
                    {name: EMPTY[kind] for name, kind in columns.items()},
                )
                bucket |= {name: merged(kind, bucket[name], figures[name]) for name, kind in columns.items()}
    return found


async def add(writer: Connection, family: str, windows: dict[int, dict[int, Figures]], widths: list[int]) -> None:
    """
    Write *windows*, each in a transaction.
    """
    columns = COLUMNS[family]
    for start_ns, rows in windows.items():
        records = [
            (at(start_ns), entity, 10, *(sent(columns[name], value) for name, value in figures.items()))
            for entity, figures in rows.items()
        ]
        async with writer.transaction():
            await writer.execute(STAGE)
            await writer.copy_records_to_table(
                f"staged_{family}_figures", records=records, columns=(*key(family), *columns)
            )
            await writer.execute(ADD[family], at(start_ns), widths)


async def written(writer: Connection, family: str) -> dict[Bucket, Figures]:
    """
    Return what the table of *family* holds.
    """
    columns = COLUMNS[family]
    rows = await writer.fetch(
        f"select resolution, extract(epoch from start)::bigint as start_s, {family}_id, {', '.join(columns)} "
        f"from {family}_figures"
    )
    return {
        (row["resolution"], row["start_s"] * S_NS, row[f"{family}_id"]): {
            name: read(kind, row[name]) for name, kind in columns.items()
        }
        for row in rows
    }


@pytest.mark.parametrize("family", COLUMNS)
async def test_a_family_has_the_columns_of_its_table(writer: Connection, family: str) -> None:
    """
    Each family lists every column of its table, with its type.
    """
    rows = await writer.fetch(
        "select column_name, data_type from information_schema.columns where table_name = $1 order by ordinal_position",
        f"{family}_figures",
    )
    found = {row["column_name"]: row["data_type"] for row in rows}

    assert [*key(family), *COLUMNS[family]] == list(found)
    assert {name: kind.value for name, kind in COLUMNS[family].items()} == {
        name: found[name] for name in COLUMNS[family]
    }


@pytest.mark.parametrize("family", COLUMNS)
async def test_windows_add_up_to_the_digit(writer: Connection, family: str) -> None:
    """
    Whatever windows hold, each bucket of each resolution that they are added to is their plain sum.
    """
    windows = generated(COLUMNS[family], random.Random(family))
    await add(writer, family, windows, WIDTHS)

    assert summed(COLUMNS[family], windows, WIDTHS) == await written(writer, family)


@pytest.mark.parametrize("family", COLUMNS)
async def test_roll_ups_add_up_to_the_digit(writer: Connection, family: str) -> None:
    """
    Minutes that are rolled up range by range make up the same buckets as windows that are added to all of them.
    """
    windows = generated(COLUMNS[family], random.Random(f"roll-up of {family}"))
    await add(writer, family, windows, list(rollup.AT_ONCE))
    for first, last in ((0, 2), (2, 3), (3, 7)):
        span = (at(BEGIN_NS + minute * rollup.MINUTE_NS) for minute in (first, last))
        await writer.execute(ROLL_UP[family], *span, WIDTHS)

    assert summed(COLUMNS[family], windows, WIDTHS) == await written(writer, family)
