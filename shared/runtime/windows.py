"""
The closed windows of the map, for who judges each of them once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shared import subjects
from shared.errors import Malformed
from shared.messages.soundness import check_window
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.messages.topology import TopologyWindow
    from shared.runtime.process import Shell


async def each_closed(shell: Shell, judged_ns: int, judge: Callable[[TopologyWindow], Awaitable[None]]) -> None:
    """
    Have each window that ends after *judged_ns* judged as it comes, and acknowledge it then.

    A window that comes again or is not closed yet is only acknowledged; one that cannot be is counted as lost.
    """
    async for delivery in shell.bus.consume(subjects.WINDOW, shell.health.service):
        window = delivery.message
        if window.final and window.end_ns > judged_ns and _is_sound(window, shell):
            await judge(window)
            judged_ns = window.end_ns
            shell.health.count("windows")
            shell.health.lag_s = max(0.0, (time.time_ns() - window.end_ns) / S_NS)
        await delivery.done()


def _is_sound(window: TopologyWindow, shell: Shell) -> bool:
    try:
        check_window(window)
    except Malformed as error:
        shell.health.lose("malformed_windows")
        shell.log.warning("window_malformed", reason=str(error))
        return False
    return True
