"""
Batches and windows: each batch is stored once, whatever the wire and the process do.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.topology_builder.ranges import Range, Ranges
from services.topology_builder.window import REDELIVERY_NS, Content, Epoch, Stored, Taken, Windows, sound
from shared.messages.kernel import KernelBatch, Role
from shared.units import S_NS, WINDOW_NS
from tests.services.topology_builder.making import EPOCH, NODE, START_NS, batch, instance, l4, l7

CLOSE_NS = 3 * S_NS
GAP_NS = 120 * S_NS


def windows(max_series: int = 1000) -> Windows[str]:
    """
    Return windows that close 3 s after their end.
    """
    return Windows(close_after_ns=CLOSE_NS, gap_certain_after_ns=GAP_NS, max_series=max_series)


def test_a_window_holds_the_batches_that_end_in_it() -> None:
    """
    A batch that ends exactly with a window belongs to it; the window is due 3 s after its end.
    """
    held = windows()
    for number, end_ns in ((1, START_NS + 1), (2, START_NS + WINDOW_NS), (3, START_NS + WINDOW_NS + 1)):
        assert held.take(batch(number, end_ns=end_ns), f"d{number}", START_NS + WINDOW_NS) is Taken.NEW

    assert held.due(START_NS + WINDOW_NS + CLOSE_NS - 1) is None
    content = held.due(START_NS + WINDOW_NS + CLOSE_NS)
    assert content is not None
    assert (content.start_ns, [each.number for each in content.batches]) == (START_NS, [1, 2])
    assert content.numbers() == {(NODE, EPOCH): [(1, 3)]}
    assert held.stored(content) == ["d1", "d2"]
    assert held.held == 1


def test_a_window_that_is_being_filled_is_not_closed() -> None:
    """
    While old batches are still pouring in, as after a pause, their window waits until it has been quiet.
    """
    held, now_ns = windows(), START_NS + 600 * S_NS
    held.take(batch(1), "d1", now_ns)

    assert held.due(now_ns + S_NS - 1) is None
    assert held.due(now_ns + S_NS) is not None


def test_a_window_waits_for_what_is_missing_before_it() -> None:
    """
    >> numbers 1 and 3: an earlier run held 2, and it comes again
    << the window is not published without it, unless it does not come for half a minute.
    """
    held, end_ns = windows(), START_NS + WINDOW_NS
    for number in (1, 3):
        held.take(batch(number), f"d{number}", START_NS)

    assert held.due(end_ns + 30 * S_NS) is None
    assert held.due(end_ns + CLOSE_NS + REDELIVERY_NS) is not None
    held.take(batch(2), "d2", end_ns + 30 * S_NS)
    content = held.due(end_ns + 31 * S_NS)
    assert content is not None
    assert [each.number for each in content.batches] == [1, 3, 2]


def test_a_repeated_batch_is_held_once_and_its_last_delivery_counts() -> None:
    """
    >> the same batch three times, the last time after it was stored
    << held once, acknowledged by its newest delivery, then recognised as stored.
    """
    held = windows()

    assert held.take(batch(1), "first", START_NS) is Taken.NEW
    assert held.take(batch(1), "second", START_NS) is Taken.HELD
    content = held.due(START_NS + 60 * S_NS)
    assert content is not None
    assert (len(content.batches), held.stored(content)) == (1, ["second"])
    assert held.take(batch(1), "third", START_NS) is Taken.STORED
    assert held.held == 0


def test_a_late_batch_opens_its_window_again() -> None:
    """
    What comes after its window was stored is stored by itself, into the same window.
    """
    held = windows()
    for number in (1, 2):
        held.take(batch(number), f"d{number}", START_NS)
        content = held.due(START_NS + 60 * S_NS)
        assert content is not None
        assert (START_NS, [number]) == (content.start_ns, [each.number for each in content.batches])
        held.stored(content)


def test_a_clock_far_ahead_does_not_hold_a_window_open() -> None:
    """
    A batch from the future belongs to a window of now.
    """
    held = windows()
    held.take(batch(1, end_ns=START_NS + 3600 * S_NS), "d1", START_NS)

    assert held.due(START_NS + 80 * S_NS) is not None


def test_gaps_are_certain_after_a_while() -> None:
    """
    >> numbers 1, 2, 5
    << 3 and 4 are lost once that has been so for two minutes; told once; 3 that arrives after all is told as returned.
    """
    held = windows()
    for number in (1, 2, 5):
        held.take(batch(number), f"d{number}", START_NS)

    assert held.gaps(START_NS + GAP_NS - 1) == {}
    gaps = held.gaps(START_NS + GAP_NS)
    assert gaps == {(NODE, EPOCH): [(3, 5)]}
    held.gaps_stored(gaps)
    assert held.gaps(START_NS + 2 * GAP_NS) == {}
    late = batch(3)
    assert held.take(late, "d3", START_NS) is Taken.NEW
    assert held.returned(Content(START_NS, [late])) == {(NODE, EPOCH): 1}


def test_the_first_number_is_one() -> None:
    """
    What is missing before the first number that was seen is a gap too.
    """
    held = windows()
    held.take(batch(3), "d3", START_NS)

    assert held.gaps(START_NS + GAP_NS) == {(NODE, EPOCH): [(1, 3)]}


def test_after_a_restart_gaps_get_their_time_again() -> None:
    """
    Numbers that an earlier run held are not lost: they are delivered again soon.
    """
    held = windows()
    held.restore({(NODE, EPOCH): Stored([(1, 3), (5, 6)], [])}, START_NS)

    assert held.gaps(START_NS + GAP_NS - 1) == {}
    assert held.gaps(START_NS + GAP_NS) == {(NODE, EPOCH): [(3, 5)]}


def test_what_another_run_stored_is_dropped() -> None:
    """
    When the database turns out to have a held batch, it is dropped and acknowledged, and the others stay.
    """
    held = windows()
    for number in (1, 2):
        held.take(batch(number), f"d{number}", START_NS)

    assert held.restore({(NODE, EPOCH): Stored([(1, 2)], [])}, START_NS) == ["d1"]
    content = held.due(START_NS + 60 * S_NS)
    assert content is not None
    assert [each.number for each in content.batches] == [2]
    assert held.take(batch(2), "again", START_NS) is Taken.HELD


def test_memory_is_bounded() -> None:
    """
    Held series count against a limit; storing them makes room; a full memory does not wait for quiet.
    """
    held = windows(max_series=5)
    held.take(batch(1, *(l7(1, Role.SERVER) for _ in range(4))), "d1", START_NS + 60 * S_NS)

    assert held.full
    content = held.due(START_NS + 60 * S_NS)
    assert content is not None
    held.stored(content)
    assert not held.full


def test_the_last_ten_seconds() -> None:
    """
    The running window holds the batches of the ten seconds up to the newest one, and nothing once that is old.
    """
    held = windows()
    for number in range(1, 9):
        held.take(batch(number, end_ns=START_NS + 2 * number * S_NS), "", START_NS + 2 * number * S_NS)
    recent = held.recent(START_NS + 17 * S_NS)

    assert ([each.number for each in recent.batches], recent.start_ns) == ([4, 5, 6, 7, 8], START_NS + 6 * S_NS)
    assert held.recent(START_NS + 60 * S_NS).batches == []


def test_the_lag_is_that_of_the_oldest_batch() -> None:
    """
    The oldest batch that is not stored is known.
    """
    held = windows()
    assert held.oldest_ns == 0
    held.take(batch(1, end_ns=START_NS + 9), "", START_NS)
    held.take(batch(2, end_ns=START_NS + 7), "", START_NS)
    assert held.oldest_ns == START_NS + 7


DAMAGED = [
    batch(1, node=""),
    batch(-1),
    batch(1, end_ns=-5),
    batch(1, epoch=1 << 63),
    batch(1, lost={"a\0b": 1}),
    batch(1, drops={"x": -1}),
    batch(1, l7(1, Role.SERVER, requests=-1)),
    batch(1, msgspec.structs.replace(l7(1, Role.SERVER), duration=[1])),
    batch(1, msgspec.structs.replace(l7(1, Role.SERVER), duration=[200, 1])),
    batch(1, l4(1, Role.SERVER, bytes_sent=1 << 60)),
    batch(1, l4(1, Role.SERVER, rtt=[3, -1])),
    batch(1, instances=[instance(1, "a\0.py")]),
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_batch_is_told(damaged: KernelBatch) -> None:
    """
    A batch that no kernel can have sent is refused before it can stop the others.
    """
    assert not sound(damaged)


def test_an_honest_batch_is_sound() -> None:
    """
    What a node really sends passes.
    """
    honest = batch(
        1, l7(1, Role.SERVER), l4(1, Role.CLIENT, failed={111: 2}, drops={"tcp_csum": 1}, rtt=[3, 4]),
        instances=[instance(1, "a.py", "0.0.0.0:80")], lost={"ring_full": 1},
    )  # fmt: skip

    assert sound(honest)


class Step(NamedTuple):
    """
    Something that happens: a delivery, or the window that is due is stored, and what goes wrong with it.
    """

    what: str
    which: int = 0


class World:
    """
    A wire that repeats and reorders, a database, and a process that dies.
    """

    def __init__(self, sent: list[KernelBatch]) -> None:
        self.sent = sent
        self.acknowledged: set[int] = set()
        self.rows: dict[int, int] = {}
        """Requests by window, as the database has them."""
        self.applied: dict[Epoch, Ranges] = {}
        self.now_ns = START_NS + 3600 * S_NS
        self.held = windows()
        self.start()

    def start(self) -> None:
        """
        Start the process: nothing in memory but what the database has.
        """
        self.held = windows()
        self.held.restore({epoch: Stored(list(ranges), []) for epoch, ranges in self.applied.items()}, self.now_ns)

    def deliver(self, which: int) -> None:
        """
        Deliver one of the batches that are not acknowledged, or any again.
        """
        one = self.sent[which % len(self.sent)]
        if self.held.take(one, str(one.number), self.now_ns) is Taken.STORED:
            self.acknowledged.add(one.number)

    def store(self, *, die_before: bool = False, die_after: bool = False) -> None:
        """
        Store the window that is due, in one transaction; die just before or just after it.
        """
        self.now_ns += 2 * S_NS
        content = self.held.due(self.now_ns)
        if content is None:
            return
        if die_before:
            self.start()
            return
        numbers = content.numbers()
        for epoch, ranges in numbers.items():
            assert not self._overlaps(epoch, ranges), "the database refuses what it has"
        for each in content.batches:
            self.rows[content.start_ns] = self.rows.get(content.start_ns, 0) + each.l7[0].requests
        for epoch, ranges in numbers.items():
            for low, high in ranges:
                self.applied.setdefault(epoch, Ranges()).add(low, high)
        if die_after:
            self.start()
            return
        self.acknowledged.update(map(int, self.held.stored(content)))

    def settle(self) -> None:
        """
        Deliver what is not acknowledged, and store it, until nothing is left.
        """
        while len(self.acknowledged) < len(self.sent):
            for index, each in enumerate(self.sent):
                if each.number not in self.acknowledged:
                    self.deliver(index)
            while self.held.held:
                self.store()

    def _overlaps(self, epoch: Epoch, ranges: list[Range]) -> bool:
        there = self.applied.get(epoch, Ranges())
        return any(number in there for low, high in ranges for number in range(low, high))


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["deliver"] * 6 + ["store", "die", "die before the commit", "die after the commit"]),
        st.integers(0, 40),
    ),
    max_size=120,
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 1000)), min_size=1, max_size=25), STEPS)
def test_every_batch_is_in_the_tables_exactly_once(sent: list[tuple[int, int]], steps: list[Step]) -> None:
    """
    Whatever order, repetition and death, the rows are the sum of all distinct batches, each in its own window.
    """
    batches = [
        batch(number, l7(1, Role.SERVER, requests), end_ns=START_NS + 1 + second * S_NS)
        for number, (second, requests) in enumerate(sent, 1)
    ]
    world = World(batches)
    for step in steps:
        if step.what == "deliver":
            world.deliver(step.which)
        elif step.what == "die":
            world.start()
        else:
            world.store(die_before="before" in step.what, die_after="after" in step.what)
    world.settle()
    expected: dict[int, int] = {}
    for second, requests in sent:
        start_ns = START_NS + second * S_NS // WINDOW_NS * WINDOW_NS
        expected[start_ns] = expected.get(start_ns, 0) + requests

    assert expected == world.rows
    assert world.held.gaps(world.now_ns + GAP_NS) == {}
