"""
Messages on their way to the channels: a bounded queue for each, attempts with growing pauses.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from services.alert_manager.channels._base import Undelivered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.alert_manager.channels._base import Channel
    from services.alert_manager.config import Settings
    from services.alert_manager.convergence import Message
    from shared.runtime.process import Shell

LONGEST_PAUSE_S: Final = 60.0


class Notifier:
    """
    Delivers messages over one channel, one after the other.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        settings: Settings,
        shell: Shell,
        delivered: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._name: Final = name
        self._channel: Final = channel
        self._settings: Final = settings
        self._shell: Final = shell
        self._delivered: Final = delivered
        self._queue: Final[asyncio.Queue[Message]] = asyncio.Queue(settings.queue_messages)
        self._waiting: Final[set[tuple[str, str]]] = set()

    def offer(self, message: Message) -> None:
        """
        Queue what of *message* is not on its way already; what finds no room is counted, and owed again later.
        """
        news = [held for held in message.alerts if (held.alert.id, message.state) not in self._waiting]
        if not news:
            return
        try:
            self._queue.put_nowait(type(message)(group_key=message.group_key, state=message.state, alerts=news))
        except asyncio.QueueFull:
            self._shell.health.lose("notifications_without_room")
            return
        self._waiting.update((held.alert.id, message.state) for held in news)

    async def run(self) -> None:
        """
        Deliver for ever.
        """
        while True:
            message = await self._queue.get()
            try:
                if await self._deliver(message):
                    await self._delivered(message)
            finally:
                self._waiting.difference_update((held.alert.id, message.state) for held in message.alerts)

    async def _deliver(self, message: Message) -> bool:
        pause_s = self._settings.first_pause_s
        for attempt in range(1, self._settings.delivery_attempts + 1):
            try:
                await self._channel.send(message, self._settings)
            except Undelivered as failure:
                self._shell.health.count("notification_failures")
                self._shell.log.warning(
                    "notification_failed", channel=self._name, attempt=attempt, again=failure.again, reason=str(failure)
                )
                if not failure.again:
                    self._shell.health.lose("notifications_refused")
                    return True  # asking again for ever would not help
                if attempt < self._settings.delivery_attempts:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._shell.health.count("notifications")
                return True
        self._shell.health.lose("notifications_given_up")
        return False
