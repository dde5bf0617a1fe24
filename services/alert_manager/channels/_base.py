"""
The contract of a channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from services.alert_manager.config import Settings
    from services.alert_manager.convergence import Message


class Undelivered(Exception):
    """
    A message could not be told; *again* says whether trying again may help. The text holds no secret.
    """

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


@runtime_checkable
class Channel(Protocol):
    """
    Tells a message to people or programs outside.
    """

    def is_wanted(self, settings: Settings) -> bool:
        """
        Return whether the operator has set this channel up.

        Raises:
            ConfigError: it is set up wrongly.
        """
        ...

    async def send(self, message: Message, settings: Settings) -> None:
        """
        Deliver *message*, within the time that the settings allow.

        Raises:
            Undelivered: it was not accepted.
        """
        ...
