"""
Which windows are judged, and which are only acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog
from aiohttp import web
from structlog.testing import capture_logs

from shared.messages.topology import TopologyWindow
from shared.runtime.bus import Bus, Delivery
from shared.runtime.health import Health
from shared.runtime.process import Shell
from shared.runtime.windows import each_closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.msg import Msg

    from shared.subjects import Subject


class Raw:
    """
    A message as NATS hands it over, as far as it is acknowledged.
    """

    acknowledged = False

    async def ack(self) -> None:
        """
        Acknowledge it.
        """
        self.acknowledged = True


class Given(Bus):
    """
    A bus that has brought some windows.
    """

    def __init__(self, *windows: TopologyWindow) -> None:
        super().__init__()
        self.raws = [(window, Raw()) for window in windows]
        self.asked: list[tuple[str, str]] = []

    async def consume(self, subject: Subject[Any], service: str, *, most: int = 64) -> AsyncIterator[Delivery[Any]]:
        """
        Yield the windows.
        """
        self.asked.append((subject.name, service))
        for window, raw in self.raws[:most]:
            yield Delivery(window, cast("Msg", raw))

    @property
    def acknowledged(self) -> list[bool]:
        """
        Return of each window whether it was acknowledged.
        """
        return [raw.acknowledged for _, raw in self.raws]


def shell_of(bus: Bus) -> Shell:
    """
    Return the shell of a service on *bus*.
    """
    log = structlog.get_logger()
    return Shell(bus, Health("judge", "n1", log), log, web.Application())


def window(end_ns: int, *, final: bool = True, start_ns: int = 0) -> TopologyWindow:
    """
    Return a window that ends at *end_ns*.
    """
    return TopologyWindow(start_ns=start_ns, end_ns=end_ns, final=final)


async def test_each_closed_window_is_judged_once() -> None:
    """
    What was judged before, comes again or is not closed yet is not judged; all of it is acknowledged.
    """
    bus = Given(window(5), window(7), window(7), window(8, final=False), window(6), window(9))
    shell, judged = shell_of(bus), []

    async def judge(one: TopologyWindow) -> None:
        judged.append(one.end_ns)

    await each_closed(shell, 5, judge)

    assert [7, 9] == judged
    assert [True] * 6 == bus.acknowledged
    assert [("mesh.topology.window", "judge")] == bus.asked
    assert {"windows": 2} == shell.health.counters
    assert shell.health.lag_s > 0


async def test_a_window_that_cannot_be_is_counted_and_said() -> None:
    """
    A window that ends before it begins is acknowledged, counted as lost and logged, and the next one is judged.
    """
    bus = Given(window(7, start_ns=8), window(9))
    judged = []

    async def judge(one: TopologyWindow) -> None:
        judged.append(one.end_ns)

    with capture_logs() as logs:
        shell = shell_of(bus)
        await each_closed(shell, 0, judge)

    assert [9] == judged
    assert [True, True] == bus.acknowledged
    assert {"malformed_windows": 1} == shell.health.lost
    assert ["window_malformed"] == [line["event"] for line in logs]


async def test_a_window_that_was_not_judged_comes_again() -> None:
    """
    When judging fails, the window is not acknowledged.
    """
    bus = Given(window(7))

    async def judge(_: TopologyWindow) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await each_closed(shell_of(bus), 0, judge)

    assert [False] == bus.acknowledged
