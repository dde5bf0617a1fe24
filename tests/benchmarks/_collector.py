"""
Who takes, in place of topology-builder, what probe-managers store in NATS, and adds it up.
"""

from __future__ import annotations

import asyncio
import collections
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from services.probe_manager.decode import SAMPLE_CAUSES
from shared import subjects
from shared.messages.control import ProbeCommand
from shared.messages.kernel import OVERFLOW_ENDPOINT, Role
from shared.runtime import bus as bus_module

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

    from shared.messages.control import ProbeState
    from shared.messages.kernel import KernelBatch
    from shared.runtime.bus import Bus
    from shared.subjects import Subject

T = TypeVar("T")

SETTLE_S: Final = 5.0
"""So long nothing new: two ticks of probe-manager and a half to spare."""


class Sums:
    """
    What the batches of one node hold together.
    """

    def __init__(self) -> None:
        self.seen = 0
        """Requests on the server's side."""
        self.overflow = 0
        """The part of *seen* that was counted under `~other`."""
        self.lost: Final[collections.Counter[str]] = collections.Counter()
        self.series: Final[set[tuple[object, ...]]] = set()
        self.most_series = 0
        """In one drain."""
        self.batches = 0
        self._drain: tuple[int, int] = (0, 0)

    def add(self, batch: KernelBatch) -> None:
        """
        Add one batch.
        """
        self.batches += 1
        started, so_far = self._drain
        self._drain = batch.start_ns, len(batch.l7) + (so_far if started == batch.start_ns else 0)
        self.most_series = max(self.most_series, self._drain[1])
        for one in batch.l7:
            self.series.add(
                (one.instance, one.peer, one.role, one.protocol, one.outcome, one.status, one.endpoint, one.remote)
            )
            if one.role is Role.SERVER:
                self.seen += one.requests
                self.overflow += one.requests if one.endpoint == OVERFLOW_ENDPOINT else 0
        self.lost.update(batch.lost)

    @property
    def lost_requests(self) -> int:
        """
        Return how many requests are stated as lost: `endpoint_names` are counted, only without their name.
        """
        named_otherwise = {*SAMPLE_CAUSES, "endpoint_names"}
        return sum(count for cause, count in self.lost.items() if cause not in named_otherwise)


class Connection:
    """
    A connection to NATS in a thread of its own.
    """

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._bus: Bus

    def __enter__(self) -> Self:
        """
        Connect.
        """
        self._thread.start()
        self._bus = self._do(bus_module.connect(self.url, name="benchmark"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """
        Disconnect.
        """
        self._do(self._bus.close())
        self._do(_ended(self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


class Listener(Connection, Generic[T]):
    """
    Listens to one subject.
    """

    def __init__(self, url: str, subject: Subject[T], handle: Callable[[T], Awaitable[None]]) -> None:
        super().__init__(url)
        self._subject: Final = subject
        self._handle: Final = handle

    def __enter__(self) -> Self:
        """
        Connect, and begin to listen.
        """
        super().__enter__()
        self._do(self._bus.listen(self._subject, self._handle))
        return self


class Collector(Connection):
    """
    Takes every batch as a consumer with acknowledgement does.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._sums: Final[dict[str, Sums]] = collections.defaultdict(Sums)

    def __enter__(self) -> Self:
        """
        Connect, and begin to take.
        """
        super().__enter__()
        asyncio.run_coroutine_threadsafe(self._take(), self._loop)
        return self

    def of(self, node: str) -> Sums:
        """
        Return the sums of *node* as they are now.
        """
        return self._sums[node]

    def settled(self, node: str) -> Sums:
        """
        Return the sums of *node* when all that has happened is in them.
        """
        since, before = time.monotonic(), -1
        while time.monotonic() - since < SETTLE_S:
            time.sleep(0.2)
            if self._sums[node].seen != before:
                since, before = time.monotonic(), self._sums[node].seen
        return self._sums[node]

    def probes(self, node: str) -> list[ProbeState]:
        """
        Return the state of the probes of *node* with their figures.
        """
        command = ProbeCommand(probe="socket_l7", on=True, node=node)  # it is on: nothing changes
        reply = self._do(self._bus.ask(subjects.SWITCH_PROBE, command))
        assert reply.probes is not None, reply.error
        return reply.probes.probes

    async def _take(self) -> None:
        async for delivery in self._bus.consume(subjects.KERNEL_BATCH, "topology-builder"):
            self._sums[delivery.message.node].add(delivery.message)
            await delivery.done()


async def _ended(loop: asyncio.AbstractEventLoop) -> None:
    others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    if others:
        await asyncio.wait(others, timeout=20)
