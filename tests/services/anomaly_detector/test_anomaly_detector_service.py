"""
The service with real NATS and PostgreSQL: windows in, verdicts and tables out, restarts between.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from typing import TYPE_CHECKING

import pytest

from shared import subjects
from shared.messages.anomaly import Level, Verdicts
from shared.runtime import bus as bus_module
from shared.units import S_NS
from tests.services.anomaly_detector.simulation import Shop
from tests.services.running import DEADLINE_S, fetch, running, until_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.local.nats import NatsServer
    from shared.runtime.bus import Bus

pytestmark = pytest.mark.mesh


def detector(nats_url: str, dsn: str) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """
    Run the service.
    """
    return running(
        "anomaly_detector",
        nats_url,
        dsn,
        ANOMALY_DETECTOR_LEARNING_S="90",
        ANOMALY_DETECTOR_RETENTION_DAYS="36500",
    )


class Listener:
    """
    Collects verdicts.
    """

    def __init__(self) -> None:
        self.heard: dict[int, list[Verdicts]] = {}
        self._more = asyncio.Event()

    async def hear(self, verdicts: Verdicts) -> None:
        """
        Take one message.
        """
        self.heard.setdefault(verdicts.window_end_ns, []).append(verdicts)
        self._more.set()

    async def wait(self, windows: int) -> None:
        """
        Wait until there are verdicts of as many *windows*.
        """
        async with asyncio.timeout(DEADLINE_S):
            while len(self.heard) < windows:
                self._more.clear()
                await self._more.wait()


async def send(bus: Bus, shop: Shop, windows: int) -> int:
    """
    Publish the next *windows* of *shop*, and return the end of the last.
    """
    end_ns = 0
    for _ in range(windows):
        window = shop.step()
        end_ns = window.end_ns
        await bus.publish(subjects.WINDOW, window, key=f"window-{window.end_ns}")
    return end_ns


def colours(verdicts: Verdicts) -> dict[str, tuple[Level, Level]]:
    """
    Return own and inherited colour by entity.
    """
    return {one.entity: (one.own, one.inherited) for one in verdicts.verdicts}


async def until_judged(dsn: str, end_ns: int) -> None:
    """
    Wait until the window that ends at *end_ns* is stored as judged.
    """
    await until_found(dsn, "select from anomaly_progress where window_end >= to_timestamp($1)", end_ns // S_NS)


async def test_fault_is_published_stored_and_survives_a_kill(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    A fault turns red, is one episode, keeps its history over a kill -9, and ends when it is healed; nothing doubles.
    """
    bus = await bus_module.connect(fresh_nats.url, name="test")
    listener = Listener()
    await bus.listen(subjects.VERDICTS, listener.hear)
    shop = Shop(random.Random(1), rate=10)
    dsn = service_dsn("anomaly-detector")

    async with detector(fresh_nats.url, dsn) as first:
        await send(bus, shop, 20)
        shop.slow_ms["payments"] = 400
        end_ns = await send(bus, shop, 4)
        await listener.wait(24)
        assert colours(listener.heard[end_ns][0])["payments"] == (Level.RED, Level.GREEN)
        assert colours(listener.heard[end_ns][0])["web"] == (Level.GREEN, Level.RED)
        await until_judged(postgres_dsn, end_ns)
        first.kill()
        await first.wait()

    open_now = await fetch(postgres_dsn, "select entity, level, reasons from episodes where ended is null")
    assert [(row["entity"], row["level"]) for row in open_now] == [("payments", 4)]
    assert json.loads(open_now[0]["reasons"])[0]["signal"].startswith("latency_")

    async with detector(fresh_nats.url, dsn):
        end_ns = await send(bus, shop, 2)
        await listener.wait(26)
        assert colours(listener.heard[end_ns][0])["payments"] == (Level.RED, Level.GREEN)
        shop.heal()
        end_ns = await send(bus, shop, 12)
        await listener.wait(38)
        await until_judged(postgres_dsn, end_ns)

    assert {(Level.GREEN, Level.GREEN)} == {
        state for entity, state in colours(listener.heard[end_ns][0]).items() if entity != "load"
    }
    episodes = await fetch(postgres_dsn, "select entity, ended - started as lasted from episodes")
    assert [row["entity"] for row in episodes] == ["payments"]
    assert {1} == {len(messages) for messages in listener.heard.values()}
    stored = await fetch(postgres_dsn, "select entity, own, inherited from verdicts where entity = 'payments'")
    assert stored == [{"entity": "payments", "own": 1, "inherited": 1}]
    assert await bus.pending(subjects.WINDOW, "anomaly-detector") == 0
    await bus.close()


async def test_redelivered_and_running_windows_change_nothing(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    A window that comes twice is judged once, and one that is not closed yet not at all.
    """
    bus = await bus_module.connect(fresh_nats.url, name="test")
    listener = Listener()
    await bus.listen(subjects.VERDICTS, listener.hear)
    shop = Shop(random.Random(2), rate=5)
    async with detector(fresh_nats.url, service_dsn("anomaly-detector")):
        windows = [shop.step() for _ in range(3)]
        for window in (windows[0], windows[1], windows[1], windows[0], windows[2]):
            await bus.publish(subjects.WINDOW, window)
        await until_judged(postgres_dsn, windows[2].end_ns)
        await listener.wait(3)

    assert [len(listener.heard[window.end_ns]) for window in windows] == [1, 1, 1]
    changes = await fetch(postgres_dsn, "select count(*) as n, count(distinct (kind, entity)) as e from colour_changes")
    assert changes[0]["n"] == changes[0]["e"]
    await bus.close()


async def test_nats_may_go_and_come_back(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    NATS is killed and started again: the windows after it are judged, once each, in the same process.
    """
    bus = await bus_module.connect(fresh_nats.url, name="test")
    shop = Shop(random.Random(3), rate=5)
    async with detector(fresh_nats.url, service_dsn("anomaly-detector")) as child:
        await until_judged(postgres_dsn, await send(bus, shop, 2))
        assert fresh_nats.child is not None
        fresh_nats.child.signal(signal.SIGKILL)
        await asyncio.to_thread(fresh_nats.stop)
        await asyncio.to_thread(fresh_nats.start)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                if bus.connected:
                    break
                await asyncio.sleep(0.05)
        await until_judged(postgres_dsn, await send(bus, shop, 2))
        assert child.returncode is None

    changes = await fetch(postgres_dsn, "select count(*) as n, count(distinct (kind, entity)) as e from colour_changes")
    assert changes[0]["n"] == changes[0]["e"]
    await bus.close()
