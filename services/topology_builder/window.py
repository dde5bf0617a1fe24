"""
Which batches belong to which window, which are known already, and which are missing.

A batch belongs to the window that holds its end. Each is taken once, told apart by (node, epoch, number), however
often it is delivered: as long as it is held it is not stored, and once it is stored its number is in `applied`, which
the database keeps. A window closes a while after its end, when it has been quiet and nothing before it is missing; what
comes later opens it again, and its rows are added to those that are there.

Batches of an epoch are numbered without gaps, and the wire keeps their order but for redeliveries. So a number that is
still not there long after a greater one was seen is lost.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import msgspec

from services.topology_builder.ranges import Range, Ranges
from shared.histogram import BUCKETS
from shared.units import S_NS, WINDOW_NS, window_start_ns

if TYPE_CHECKING:
    from shared.messages.kernel import KernelBatch

H = TypeVar("H")
FIRST_NUMBER: Final = 1
QUIET_NS: Final = S_NS
REDELIVERY_NS: Final = 35 * S_NS
"""How long a window waits for a missing batch: an earlier run that held it is taken for dead within half a minute."""
MOST: Final = 1 << 58
"""No honest figure of one batch comes near it, and sums of honest figures stay within a bigint."""
LATEST_NS: Final = 1 << 62
"""Instants and epochs, in unix nanoseconds, are greater than figures: this one is in 2116."""
AHEAD_NS: Final = 60 * S_NS
"""How far a node's clock may be ahead before its batches are taken for batches of now."""

Epoch = tuple[str, int]
"""Node and epoch."""


class Taken(Enum):
    """
    What became of a delivered batch.
    """

    NEW = "new"
    HELD = "held"
    """It is held already; the newer delivery is the one to acknowledge."""
    STORED = "stored"
    """It is in the database already: acknowledge at once."""


class Stored(NamedTuple):
    """
    What the database says about an epoch.
    """

    applied: list[Range]
    missing: list[Range]


class _Epoch:
    """
    The numbers of one epoch: stored, given up, and the greatest one seen by when.
    """

    def __init__(self, stored: Stored) -> None:
        self.applied: Final = Ranges(stored.applied)
        self.missing: Final = Ranges(stored.missing)
        self.held: Final = Ranges()
        self.seen: Final[deque[tuple[int, int]]] = deque()
        self.certain_end = FIRST_NUMBER

    def saw(self, number: int, now_ns: int) -> None:
        if not self.seen or number + 1 > self.seen[-1][1]:
            self.seen.append((now_ns, number + 1))

    def lacks(self, end: int) -> list[Range]:
        """
        Return the numbers before *end* that are neither there nor given up.
        """
        return Ranges((*self.applied, *self.missing, *self.held)).missing(FIRST_NUMBER, end)

    def gaps(self, before_ns: int) -> list[Range]:
        """
        Return the numbers that are not there though a greater one was seen before *before_ns*.
        """
        while self.seen and self.seen[0][0] <= before_ns:
            self.certain_end = self.seen.popleft()[1]
        return self.lacks(self.certain_end)


class _Open(Generic[H]):
    """
    The batches of one window that are not stored yet.
    """

    def __init__(self) -> None:
        self.batches: dict[tuple[str, int, int], tuple[KernelBatch, H]] = {}
        self.touched_ns = 0


class Content(NamedTuple):
    """
    What is to be stored of one window.
    """

    start_ns: int
    batches: list[KernelBatch]

    @property
    def end_ns(self) -> int:
        """
        Return the end of the window.
        """
        return self.start_ns + WINDOW_NS

    def numbers(self) -> dict[Epoch, list[Range]]:
        """
        Return the numbers of the batches, by node and epoch.
        """
        found: dict[Epoch, Ranges] = {}
        for batch in self.batches:
            found.setdefault((batch.node, batch.epoch), Ranges()).add(batch.number)
        return {epoch: list(numbers) for epoch, numbers in found.items()}


class Windows(Generic[H]):
    """
    The windows that are being filled; *H* is what is needed to acknowledge a batch.
    """

    def __init__(self, *, close_after_ns: int, gap_certain_after_ns: int, max_series: int) -> None:
        self._close_after_ns: Final = close_after_ns
        self._gap_certain_after_ns: Final = gap_certain_after_ns
        self._max_series: Final = max_series
        self._epochs: Final[dict[Epoch, _Epoch]] = {}
        self._open: Final[dict[int, _Open[H]]] = {}
        self._recent: Final[deque[KernelBatch]] = deque()
        self._series = 0

    def restore(self, epochs: dict[Epoch, Stored], now_ns: int) -> list[H]:
        """
        Take what the database says, drop the held batches that it has already, and return their handles.
        """
        for epoch, stored in epochs.items():
            mine = self._epochs[epoch] = _Epoch(stored)
            mine.saw(mine.applied.end - 1, now_ns)
        dropped: list[H] = []
        for window in self._open.values():
            for key, (batch, handle) in list(window.batches.items()):
                state = self._epochs.get((batch.node, batch.epoch))
                if state is not None and batch.number in state.applied:
                    del window.batches[key]
                    self._series -= weight(batch)
                    dropped.append(handle)
                elif state is not None:
                    state.held.add(batch.number)
        return dropped

    def take(self, batch: KernelBatch, handle: H, now_ns: int) -> Taken:
        """
        Take a delivered *batch*.
        """
        epoch = self._epochs.setdefault((batch.node, batch.epoch), _Epoch(Stored([], [])))
        if batch.number in epoch.applied:
            return Taken.STORED
        start_ns = window_start_ns(min(batch.end_ns, now_ns + AHEAD_NS) - 1)
        key = (batch.node, batch.epoch, batch.number)
        if batch.number in epoch.held:
            for window in self._open.values():
                if key in window.batches:
                    window.batches[key] = (window.batches[key][0], handle)
            return Taken.HELD
        epoch.held.add(batch.number)
        epoch.saw(batch.number, now_ns)
        window = self._open.setdefault(start_ns, _Open())
        window.batches[key] = (batch, handle)
        window.touched_ns = now_ns
        self._series += weight(batch)
        if batch.end_ns > now_ns - 2 * WINDOW_NS:
            self._recent.append(batch)
        return Taken.NEW

    def due(self, now_ns: int) -> Content | None:
        """
        Return the oldest window that is to be stored now.
        """
        for start_ns in sorted(self._open):
            window = self._open[start_ns]
            closed = now_ns >= start_ns + WINDOW_NS + self._close_after_ns
            quiet = now_ns >= window.touched_ns + QUIET_NS and not self._awaits(start_ns, window, now_ns)
            if closed and (quiet or self.full) and window.batches:
                return Content(start_ns, [batch for batch, _ in window.batches.values()])
        return None

    def _awaits(self, start_ns: int, window: _Open[H], now_ns: int) -> bool:
        if now_ns >= start_ns + WINDOW_NS + self._close_after_ns + REDELIVERY_NS:
            return False
        ends: dict[Epoch, int] = {}
        for node, epoch, number in window.batches:
            ends[node, epoch] = max(number, ends.get((node, epoch), 0))
        return any(self._epochs[epoch].lacks(end) for epoch, end in ends.items())

    def stored(self, content: Content) -> list[H]:
        """
        Note that *content* is in the database, and return the handles of its batches.
        """
        window = self._open[content.start_ns]
        handles: list[H] = []
        for batch in content.batches:
            key = (batch.node, batch.epoch, batch.number)
            handles.append(window.batches.pop(key)[1])
            self._series -= weight(batch)
            self._epochs[key[:2]].applied.add(batch.number)
        if not window.batches:
            del self._open[content.start_ns]
        self._forget_held()
        return handles

    def gaps(self, now_ns: int) -> dict[Epoch, list[Range]]:
        """
        Return the numbers that are lost for certain and not yet noted as such.
        """
        before_ns = now_ns - self._gap_certain_after_ns
        found = {epoch: state.gaps(before_ns) for epoch, state in self._epochs.items()}
        return {epoch: gaps for epoch, gaps in found.items() if gaps}

    def gaps_stored(self, gaps: dict[Epoch, list[Range]]) -> None:
        """
        Note that *gaps* are in the database.
        """
        for epoch, ranges in gaps.items():
            for low, high in ranges:
                self._epochs[epoch].missing.add(low, high)

    def returned(self, content: Content) -> dict[Epoch, int]:
        """
        Return how many batches of *content* had been given up as lost.
        """
        found: dict[Epoch, int] = {}
        for batch in content.batches:
            epoch = (batch.node, batch.epoch)
            if batch.number in self._epochs[epoch].missing:
                found[epoch] = found.get(epoch, 0) + 1
        return found

    def recent(self, now_ns: int) -> Content:
        """
        Return the batches of the last ten seconds, up to the newest one; up to *now_ns* when that is long ago.
        """
        newest_ns = max((batch.end_ns for batch in self._recent), default=0)
        end_ns = newest_ns if newest_ns > now_ns - WINDOW_NS else now_ns
        while self._recent and self._recent[0].end_ns <= end_ns - 2 * WINDOW_NS:
            self._recent.popleft()
        return Content(end_ns - WINDOW_NS, [batch for batch in self._recent if batch.end_ns > end_ns - WINDOW_NS])

    @property
    def full(self) -> bool:
        """
        Return whether no more batches should be taken until some are stored.
        """
        return self._series >= self._max_series

    @property
    def oldest_ns(self) -> int:
        """
        Return the end of the oldest batch that is not stored, 0 when all are.
        """
        return min((batch.end_ns for window in self._open.values() for batch, _ in window.batches.values()), default=0)

    @property
    def held(self) -> int:
        """
        Return how many batches are not stored.
        """
        return sum(len(window.batches) for window in self._open.values())

    def _forget_held(self) -> None:
        """
        Make the sets of held numbers anew: ranges only grow, and few are held.
        """
        for state in self._epochs.values():
            state.held.clear()
        for window in self._open.values():
            for node, epoch, number in window.batches:
                self._epochs[node, epoch].held.add(number)


def weight(batch: KernelBatch) -> int:
    """
    Return what *batch* counts for against the limit of what is held.
    """
    return 1 + len(batch.l7) + len(batch.l4) + len(batch.instances)


def sound(batch: KernelBatch) -> bool:
    """
    Return whether *batch* can be what it claims to be: a damaged one must not stop the others.
    """
    if not batch.node or not 0 < batch.end_ns < LATEST_NS:
        return False
    instants = [batch.epoch, batch.start_ns]
    numbers = [batch.number, *batch.lost.values(), *batch.drops.values()]
    words = [batch.node, *batch.lost, *batch.drops]
    for series in batch.l7:
        numbers += (series.instance, series.peer, series.port, series.requests, series.duration_sum_ns)
        numbers += (series.request_bytes, series.response_bytes, *series.duration)
    for connection in batch.l4:
        numbers += (value for value in msgspec.structs.astuple(connection) if isinstance(value, int))
        numbers += (*connection.failed.values(), *connection.drops.values(), *connection.connect, *connection.rtt)
        words += connection.drops
    for info in batch.instances:
        numbers += (info.id, info.pid, info.parent, info.network_namespace)
        instants += (info.started_ns, info.ended_ns)
        words += (info.executable, info.comm, info.cgroup, info.container, *info.arguments, *info.addresses)
        words += (listener.address for listener in info.listeners)
    histograms = [series.duration for series in batch.l7]
    histograms += [flat for connection in batch.l4 for flat in (connection.connect, connection.rtt)]
    return (
        all(0 <= number < MOST for number in numbers)
        and all(0 <= instant < LATEST_NS for instant in instants)
        and not any("\0" in word for word in words)
        and all(len(flat) % 2 == 0 and max(flat[::2], default=0) < BUCKETS for flat in histograms)
    )
