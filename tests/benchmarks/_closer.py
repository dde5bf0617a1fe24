"""
Does what topology-builder does each ten seconds, but for the figures, which lie there beforehand; for `bench_storage`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING, Final, TypeAlias

from services.topology_builder.store import QUERIES
from shared import subjects
from shared.messages.topology import TopologyWindow
from shared.runtime import bus, postgres
from shared.units import S_NS, WINDOW_NS, at, window_start_ns
from tests.benchmarks.bench_storage import window

if TYPE_CHECKING:
    import asyncpg

    from shared.runtime.bus import Bus

    Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LIVE_EVERY_S: Final = 2.0


class Closer:
    """
    Closes windows, and tells of them.
    """

    def __init__(self, writer: Connection, told: Bus, running: TopologyWindow) -> None:
        self._writer: Final = writer
        self._bus: Final = told
        self._window: Final = running

    async def run(self) -> None:
        """
        Close window after window, and tell of the running one meanwhile, for ever.
        """
        closed_ns = window_start_ns(time.time_ns())
        while True:
            await self._tell(subjects.LIVE_WINDOW, time.time_ns(), final=False)
            if window_start_ns(time.time_ns()) > closed_ns:
                await self.close(closed_ns)
                closed_ns += WINDOW_NS
                await self._tell(subjects.WINDOW, closed_ns, final=True)
            await asyncio.sleep(LIVE_EVERY_S)

    async def close(self, start_ns: int) -> None:
        """
        Note the window from *start_ns* on as closed, and what is a minute old as rolled up.
        """
        await self._writer.execute(QUERIES["upsert_window"], at(start_ns), at(start_ns), 1, None)
        await self._writer.execute("update roll_up set until = $1", at((start_ns // S_NS - 70) // 60 * 60 * S_NS))

    async def _tell(self, subject: subjects.Subject[TopologyWindow], end_ns: int, *, final: bool) -> None:
        message = TopologyWindow(
            start_ns=end_ns - WINDOW_NS,
            end_ns=end_ns,
            final=final,
            services=self._window.services,
            service_figures=self._window.service_figures,
            relations=self._window.relations,
            newest_ns=end_ns,
        )
        await self._bus.emit(subject, message)


async def main() -> None:
    """
    Note the windows of the last hour, say `ready`, and go on until terminated.
    """
    told = await bus.connect(os.environ["MESHLENS_NATS_URL"], name="closer")
    async with postgres.connection(os.environ["MESHLENS_POSTGRES_DSN"]) as writer:
        closer = Closer(writer, told, window(random.Random(1)))
        newest_ns = window_start_ns(time.time_ns())
        for start_ns in range(newest_ns - 3600 * S_NS, newest_ns, WINDOW_NS):
            await closer.close(start_ns)
        print("ready", flush=True)
        await closer.run()


if __name__ == "__main__":
    asyncio.run(main())
