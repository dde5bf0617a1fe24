"""
What is published until it is stored.
"""

from __future__ import annotations

from typing import Any

import pytest

from shared import subjects
from shared.errors import Unavailable
from shared.messages.anomaly import Verdicts
from shared.runtime import bus as bus_module


class Full(bus_module.Bus):
    """
    A bus whose stream refuses some messages before it takes one.
    """

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals
        self.stored: list[tuple[str, Any, str]] = []

    async def publish(self, subject: subjects.Subject[Any], message: Any, *, key: str = "") -> None:
        """
        Refuse *message*, or store it.
        """
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("full")
        self.stored.append((subject.name, message, key))


async def test_what_is_refused_is_published_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A message that the stream refuses twice is stored the third time, once, under its key.
    """
    monkeypatch.setattr(bus_module, "RETRY_S", 0)
    bus, message = Full(2), Verdicts(window_start_ns=1, window_end_ns=2, verdicts=[])
    await bus.publish_surely(subjects.VERDICTS, message, key="verdicts-2")

    assert [("mesh.anomaly.verdicts", message, "verdicts-2")] == bus.stored
