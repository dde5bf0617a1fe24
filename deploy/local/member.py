"""
One process that the supervisor keeps alive.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from deploy.local.child import last_lines
from deploy.local.restart import Backoff
from shared.errors import ConfigError, Unavailable
from shared.runtime.process import EXIT_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.local.child import Child


class Member:
    """
    A process by name, how to start it, and what became of it.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Child],
        say: Callable[[str], None],
        *,
        stop_grace_s: float = 5.0,
        may_give_up: bool = True,
    ) -> None:
        self.name: Final = name
        self.child: Child | None = None
        self.given_up = ""
        """Why it is not started again: the operator must act."""
        self.restarts = 0
        self._start: Final = start
        self._say: Final = say
        self._stop_grace_s: Final = stop_grace_s
        self._may_give_up: Final = may_give_up
        self._backoff: Final = Backoff()
        self._due_at = 0.0
        self.on_start: Callable[[], None] = lambda: None
        """Called after each start."""

    @property
    def runs(self) -> bool:
        """
        Return whether it runs now.
        """
        return self.child is not None and self.child.status() is None

    def start(self) -> None:
        """
        Start it now.

        Raises:
            ConfigError: it cannot start, and trying again will not help.
            Unavailable: it did not come up in time.
        """
        self.child = self._start()
        self.on_start()

    def look(self) -> None:
        """
        Start it again if it ended and its wait is over.
        """
        if self.given_up or self.runs:
            return
        now = time.monotonic()
        if self.child is not None:
            self._bury(self.child, now)
            return
        if now < self._due_at:
            return
        try:
            self.start()
        except (ConfigError, Unavailable) as error:
            self._due_at = now + self._backoff.after(0.0)
            self._say(f"{self.name}: {error}")

    def ask_to_end(self) -> None:
        """
        Ask it to end, and do not wait.
        """
        if self.child is not None:
            self.child.ask_to_end()

    def stop(self) -> None:
        """
        End it and wait for it.
        """
        if self.child is not None:
            self.child.stop(self._stop_grace_s)

    def _bury(self, child: Child, now: float) -> None:
        status = child.status()
        self.child = None
        if status == 0 and self._may_give_up:
            self.given_up = "it ended by itself, as it was asked to"
            self._say(f"{self.name} has ended, as it was asked to")
            return
        if status == EXIT_CONFIG and self._may_give_up:
            self.given_up = reason(child)
            self._say(f"{self.name} needs you: {self.given_up}")
            return
        self.restarts += 1
        wait_s = self._backoff.after(now - child.started_at)
        self._due_at = now + wait_s
        self._say(f"{self.name} ended ({in_words(status)}); it starts again in {wait_s:.1f} s; log: {child.log}")


def in_words(status: int | None) -> str:
    """
    Return an exit status as people say it.
    """
    return f"signal {-status}" if status is not None and status < 0 else f"status {status}"


def reason(child: Child) -> str:
    """
    Return the sentence with which a process said goodbye.
    """
    for line in reversed(last_lines(child.log, 20)):
        try:
            event = json.loads(line)
        except ValueError:
            return line
        if isinstance(event, dict) and event.get("reason"):
            return str(event["reason"])
    return f"see {child.log}"
