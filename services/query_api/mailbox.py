"""
What waits for one live client: bounded, and honest about what it left out.

A snapshot replaces an older one of its type, at the newer one's place; facts queue up to a limit, beyond which the
oldest goes. What was replaced or dropped is counted, and told before the next event.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.query_api.events import SNAPSHOTS, Gap

MAX_FACTS: Final = 256


class Event(msgspec.Struct, frozen=True):
    """
    One event, encoded once for all clients.
    """

    number: int
    type: str
    data: bytes


class Mailbox:
    """
    The queue of one client.
    """

    def __init__(self, max_facts: int = MAX_FACTS) -> None:
        self._waiting: list[Event] = []
        self._max_facts: Final = max_facts
        self._skipped = 0
        self._dropped = 0

    def put(self, event: Event) -> None:
        """
        Let *event* wait.
        """
        if event.type in SNAPSHOTS:
            kept = [waiting for waiting in self._waiting if waiting.type != event.type]
            self._skipped += len(self._waiting) - len(kept)
            self._waiting = kept
        elif self._facts() >= self._max_facts:
            oldest = next(at for at, waiting in enumerate(self._waiting) if waiting.type not in SNAPSHOTS)
            del self._waiting[oldest]
            self._dropped += 1
        self._waiting.append(event)

    def _facts(self) -> int:
        return sum(waiting.type not in SNAPSHOTS for waiting in self._waiting)

    def take(self) -> list[Event]:
        """
        Return all that waits, preceded by a `gap` when something was left out since the last time.
        """
        taken, self._waiting = self._waiting, []
        if taken and (self._skipped or self._dropped):
            gap = Gap(skipped=self._skipped, dropped=self._dropped)
            taken.insert(0, Event(taken[0].number, "gap", msgspec.json.encode(gap)))
            self._skipped = self._dropped = 0
        return taken


def frame(event: Event) -> bytes:
    """
    Return *event* as it goes over the wire: https://html.spec.whatwg.org/multipage/server-sent-events.html.
    """
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.number, event.type.encode(), event.data)
