"""
When what is rolled up, and which partitions there must be: pure plans, carried out by the store.

Figures are written at 10 s and 1 min. Each minute, what is older is added to the rows of all wider resolutions in one
transaction, which also moves `roll_up.until`; a window that comes after that is added to all of them by itself. So at
any time the wider resolutions hold exactly what lies before `until`, and the last minutes cost few rows to read.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

from services.topology_builder.columns import COLUMNS
from shared.units import S_NS, WINDOW_S, window_start_ns

if TYPE_CHECKING:
    from collections.abc import Collection

AT_ONCE: Final = (WINDOW_S, 60)
"""The resolutions that a window is written at when it closes, in seconds."""
LISTS: Final = ("losses", "packet_drops")
MINUTE_NS: Final = 60 * S_NS
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
STEP_NS: Final = 600 * S_NS
"""The most that one transaction rolls up."""
SETTLE_NS: Final = 4 * S_NS
"""How long after its end a minute is rolled up: its last window is being filled by then, or stored."""


class Level(NamedTuple):
    """
    One resolution of the figures.
    """

    resolution_s: int
    keep_s: int
    partition_s: int


class Partition(NamedTuple):
    """
    A range of time of one table.
    """

    parent: str
    name: str
    start_ns: int
    end_ns: int


def levels(keep_10s_hours: int, keep_1m_days: int, keep_1h_days: int) -> list[Level]:
    """
    Return the resolutions, finest first.
    """
    return [
        Level(WINDOW_S, keep_10s_hours * HOUR_S, HOUR_S),
        Level(60, keep_1m_days * DAY_S, DAY_S),
        Level(300, keep_1m_days * DAY_S, DAY_S),
        Level(600, keep_1m_days * DAY_S, DAY_S),
        Level(1800, keep_1h_days * DAY_S, 10 * DAY_S),
        Level(HOUR_S, keep_1h_days * DAY_S, 10 * DAY_S),
        Level(6 * HOUR_S, keep_1h_days * DAY_S, 10 * DAY_S),
    ]


def due(until_ns: int, oldest_ns: int, settled_ns: int) -> tuple[int, int] | None:
    """
    Return the next range to roll up, or None when there is none.

    Args:
        until_ns: how far the roll-up has come.
        oldest_ns: start of the oldest window from there on, 0 when there is none.
        settled_ns: no window that starts before it is still being filled.
    """
    end_ns = window_start_ns(settled_ns - SETTLE_NS, MINUTE_NS)
    if end_ns <= until_ns:
        return None
    if not oldest_ns or oldest_ns >= end_ns:
        return until_ns, end_ns
    start_ns = window_start_ns(max(oldest_ns, until_ns), MINUTE_NS)
    return start_ns, min(end_ns, start_ns + STEP_NS)


def kept(plan: list[Level], start_ns: int, now_ns: int) -> list[int]:
    """
    Return the resolutions that still keep a window that starts at *start_ns*.
    """
    return [level.resolution_s for level in plan if start_ns >= now_ns - level.keep_s * S_NS]


def tables(plan: list[Level]) -> list[tuple[str, Level]]:
    """
    Return every table that is cut into ranges of time, with how it is cut.
    """
    found = [(f"{family}_figures_{level.resolution_s}", level) for level in plan for family in COLUMNS]
    return [*found, *((name, plan[-1]) for name in LISTS)]


def needed(plan: list[Level], start_ns: int, now_ns: int) -> list[Partition]:
    """
    Return the partitions for a window that starts at *start_ns*, as far as it is kept.

    Where windows are written at once it always has one, because it may not be rolled up yet.
    """
    found: list[Partition] = []
    for table, level in tables(plan):
        width_ns = level.partition_s * S_NS
        at_ns = window_start_ns(start_ns, width_ns)
        always = level.resolution_s in AT_ONCE or table in LISTS
        if always or at_ns + width_ns > now_ns - level.keep_s * S_NS:
            found.append(Partition(table, f"{table}_{_stamp(at_ns)}", at_ns, at_ns + width_ns))
    return found


def ahead(plan: list[Level], now_ns: int) -> list[Partition]:
    """
    Return the partitions of now and of the range that comes next.
    """
    found = needed(plan, now_ns, now_ns)
    for table, level in tables(plan):
        width_ns = level.partition_s * S_NS
        at_ns = window_start_ns(now_ns, width_ns) + width_ns
        found.append(Partition(table, f"{table}_{_stamp(at_ns)}", at_ns, at_ns + width_ns))
    return found


def outdated(plan: list[Level], existing: Collection[str], now_ns: int, until_ns: int) -> list[str]:
    """
    Return which of the *existing* partitions hold only what is no longer kept; nothing that is not rolled up goes.
    """
    found: list[str] = []
    for table, level in tables(plan):
        for name in existing:
            stamp = name.removeprefix(f"{table}_")
            if stamp == name or not stamp.isdecimal() or len(stamp) != 10:
                continue
            end_ns = _unix_ns(stamp) + level.partition_s * S_NS
            if end_ns <= now_ns - level.keep_s * S_NS and (level.resolution_s not in AT_ONCE or end_ns <= until_ns):
                found.append(name)
    return sorted(found)


def _stamp(at_ns: int) -> str:
    return dt.datetime.fromtimestamp(at_ns // S_NS, dt.UTC).strftime("%Y%m%d%H")


def _unix_ns(stamp: str) -> int:
    return int(dt.datetime.strptime(stamp, "%Y%m%d%H").replace(tzinfo=dt.UTC).timestamp()) * S_NS
