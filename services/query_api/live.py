"""
Live updates: what comes over the bus goes into the mirror, and on to every client that follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec

from services.query_api import answers, shown
from services.query_api.adding import Haste
from services.query_api.mailbox import Event, Mailbox, frame
from shared import subjects
from shared.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.query_api.adding import Turns
    from services.query_api.mirror import Mirror
    from services.query_api.prometheus import Totals
    from shared.messages.alert import AlertChanged
    from shared.messages.anomaly import Verdicts
    from shared.messages.control import Probes, ServiceStatus
    from shared.messages.topology import TopologyChange, TopologyWindow
    from shared.runtime.bus import Bus

HEARTBEAT_S: Final = 10.0
STATUS_S: Final = 2.0
WAITS: Final = Haste(urgent=False)
ENCODER: Final = msgspec.json.Encoder()


class Client:
    """
    One follower.
    """

    def __init__(self) -> None:
        self.mailbox: Final = Mailbox()
        self.woken: Final = asyncio.Event()
        self.task: Final = asyncio.current_task()

    def put(self, event: Event) -> None:
        """
        Let *event* wait for this client.
        """
        self.mailbox.put(event)
        self.woken.set()

    async def next(self) -> bytes:
        """
        Return the frames that wait; a heartbeat when nothing came for a while.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_S):
                await self.woken.wait()
        self.woken.clear()
        return b"".join(map(frame, self.mailbox.take())) or b": heartbeat\n\n"


class Hub:
    """
    All followers, and what they follow.
    """

    def __init__(self, mirror: Mirror, totals: Totals, turns: Turns, max_clients: int) -> None:
        self._mirror: Final = mirror
        self._totals: Final = totals
        self._turns: Final = turns
        self._max_clients: Final = max_clients
        self._clients: set[Client] = set()
        self._number = time.time_ns() // 1_000_000
        self._status_sent = 0.0
        self.stirred: Final = asyncio.Event()
        """Set when a window closed, and when somebody begins to follow."""

    async def listen(self, bus: Bus) -> None:
        """
        Listen to everything that the API shows.
        """
        await bus.listen(subjects.LIVE_WINDOW, self._live_window)
        await bus.listen(subjects.WINDOW, self._window)
        await bus.listen(subjects.VERDICTS, self._verdicts)
        await bus.listen(subjects.ALERT, self._alert)
        await bus.listen(subjects.CHANGE, self._change)
        await bus.listen(subjects.STATUS, self._status)
        await bus.listen(subjects.PROBES, self._probes)

    @property
    def clients(self) -> int:
        """
        Return how many follow now.
        """
        return len(self._clients)

    @contextlib.contextmanager
    def following(self) -> Iterator[Client]:
        """
        Open a client, whose first events are the newest snapshots.

        Raises:
            Unavailable: there are too many.
        """
        if len(self._clients) >= self._max_clients:
            raise Unavailable(
                f"{self._max_clients} clients follow already, which is the limit (QUERY_API_EVENT_CLIENTS); try later"
            )
        client = Client()
        for kind, content in self._snapshots():
            client.put(self._event(kind, content))
        self._clients.add(client)
        self.stirred.set()
        try:
            yield client
        finally:
            self._clients.discard(client)

    def end(self) -> None:
        """
        Let all clients go, because the service stops.
        """
        for client in self._clients:
            if client.task is not None:
                client.task.cancel()

    def _snapshots(self) -> list[tuple[str, object]]:
        now_ns = time.time_ns()
        return [
            ("topology", self._mirror.topology(now_ns)),
            ("verdicts", self._mirror.verdicts()),
            ("status", self._mirror.status(now_ns)),
            ("probes", answers.Page(items=self._mirror.probes())),
        ]

    def _event(self, kind: str, content: object) -> Event:
        self._number += 1
        return Event(self._number, kind, ENCODER.encode(content))

    def _tell(self, kind: str, content: Callable[[], object]) -> None:
        """
        Give an event to every client; without clients nothing is made.
        """
        if self._clients:
            event = self._event(kind, content())
            for client in self._clients:
                client.put(event)

    async def _live_window(self, window: TopologyWindow) -> None:
        if not self._clients:
            self._mirror.hear_window(window)  # it is drawn when somebody asks
            return
        await self._turns.come(WAITS)
        drawn = await asyncio.to_thread(self._mirror.drawing(window))  # with 1,000 relations it takes a while
        self._mirror.hear_window(window, drawn)
        self._tell("topology", lambda: self._mirror.topology(time.time_ns()))

    async def _window(self, window: TopologyWindow) -> None:
        self.stirred.set()
        for _ in self._totals.adding(window):
            await asyncio.sleep(0)

    async def _verdicts(self, verdicts: Verdicts) -> None:
        self._mirror.hear_verdicts(verdicts)
        self._tell("verdicts", self._mirror.verdicts)

    async def _alert(self, changed: AlertChanged) -> None:
        self._tell("alert", lambda: shown.alert(changed.alert))

    async def _change(self, change: TopologyChange) -> None:
        known = shown.change(change)
        if known is not None:
            self._tell("change", lambda: known)

    async def _status(self, status: ServiceStatus) -> None:
        self._mirror.hear_status(status, time.time_ns())
        now = time.monotonic()
        if now - self._status_sent >= STATUS_S:
            self._status_sent = now
            self._tell("status", lambda: self._mirror.status(time.time_ns()))

    async def _probes(self, probes: Probes) -> None:
        self.hear_probes(probes)

    def hear_probes(self, probes: Probes) -> None:
        """
        Take the probes of a node, and tell.
        """
        self._mirror.hear_probes(probes, time.time_ns())
        self._tell("probes", lambda: answers.Page(items=self._mirror.probes()))
