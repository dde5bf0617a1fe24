"""
Plans for roll-ups and partitions.
"""

from __future__ import annotations

from services.topology_builder import rollup
from services.topology_builder.columns import COLUMNS
from shared.units import S_NS, WINDOW_NS

PLAN = rollup.levels(6, 7, 90)
HOUR_NS = 3600 * S_NS
DAY_NS = 24 * HOUR_NS
NOW_NS = 20_000 * DAY_NS + 3 * HOUR_NS + 7 * 60 * S_NS + 30 * S_NS
MINUTE_NS = NOW_NS - 30 * S_NS


def test_a_minute_is_rolled_up_when_it_has_settled() -> None:
    """
    The minute before is due a while after its end, and not before.
    """
    until_ns = MINUTE_NS - 60 * S_NS
    oldest_ns = until_ns + WINDOW_NS

    assert rollup.due(until_ns, oldest_ns, NOW_NS) == (until_ns, MINUTE_NS)
    assert rollup.due(until_ns, oldest_ns, MINUTE_NS + rollup.SETTLE_NS - 1) is None


def test_a_window_still_being_filled_holds_the_roll_up() -> None:
    """
    Nothing at or after the start of an open window is rolled up.
    """
    open_ns = MINUTE_NS - 20 * S_NS
    settled_ns = open_ns + rollup.SETTLE_NS

    assert rollup.due(MINUTE_NS - 120 * S_NS, MINUTE_NS - 90 * S_NS, settled_ns) == (
        MINUTE_NS - 120 * S_NS,
        MINUTE_NS - 60 * S_NS,
    )


def test_a_long_pause_is_caught_up_in_steps() -> None:
    """
    Hours are rolled up ten minutes at a time, from the oldest window on; an empty time is skipped at once.
    """
    start_ns = MINUTE_NS - 5 * HOUR_NS

    assert rollup.due(0, start_ns + WINDOW_NS, NOW_NS) == (start_ns, start_ns + rollup.STEP_NS)
    assert rollup.due(start_ns, 0, NOW_NS) == (start_ns, MINUTE_NS)


def test_what_is_kept() -> None:
    """
    A resolution keeps a window for its own time.
    """
    assert rollup.kept(PLAN, NOW_NS - HOUR_NS, NOW_NS) == [10, 60, 300, 600, 1800, 3600, 21600]
    assert rollup.kept(PLAN, NOW_NS - 7 * HOUR_NS, NOW_NS) == [60, 300, 600, 1800, 3600, 21600]
    assert rollup.kept(PLAN, NOW_NS - 8 * DAY_NS, NOW_NS) == [1800, 3600, 21600]
    assert rollup.kept(PLAN, NOW_NS - 91 * DAY_NS, NOW_NS) == []


def test_partitions_of_a_window_and_of_the_time_to_come() -> None:
    """
    Each table has the partition that holds a window, and the one after it is made ahead.
    """
    names = {partition.name for partition in rollup.needed(PLAN, NOW_NS, NOW_NS)}
    ahead = {partition.name for partition in rollup.ahead(PLAN, NOW_NS)}

    assert len(PLAN) * len(COLUMNS) + 2 == len(names)
    assert "relation_figures_10_2024100403" in names
    assert "service_figures_60_2024100400" in names
    assert names < ahead
    assert "relation_figures_10_2024100404" in ahead
    assert all(part.start_ns <= NOW_NS < part.end_ns for part in rollup.needed(PLAN, NOW_NS, NOW_NS))


def test_an_old_window_has_a_place_until_it_is_rolled_up() -> None:
    """
    A window of last week finds its partitions where windows are written, which is where it is rolled up from.
    """
    names = {partition.name for partition in rollup.needed(PLAN, NOW_NS - 8 * DAY_NS, NOW_NS)}

    assert "relation_figures_10_2024092603" in names
    assert "relation_figures_60_2024092600" in names
    assert not any(name.startswith("relation_figures_300_") for name in names)


def test_partitions_go_when_they_are_old_and_rolled_up() -> None:
    """
    A partition goes when all of it is older than what is kept; where windows are written only when it is rolled up.
    """
    old = [
        part.name
        for part in rollup.needed(PLAN, NOW_NS - 8 * HOUR_NS, NOW_NS - 8 * HOUR_NS)
        if part.parent.startswith("relation_figures")
    ]
    ours = [part.name for part in rollup.needed(PLAN, NOW_NS, NOW_NS)]

    assert rollup.outdated(PLAN, [*old, *ours], NOW_NS, NOW_NS) == ["relation_figures_10_2024100319"]
    assert rollup.outdated(PLAN, [*old, *ours, "others"], NOW_NS, NOW_NS - 9 * HOUR_NS) == []
    assert sorted(old) == rollup.outdated(PLAN, old, NOW_NS + 120 * DAY_NS, NOW_NS)
