"""
The embedded NATS starts, keeps its streams over `kill -9`, and explains what it cannot mend.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from deploy.local.nats import NatsServer
from shared import subjects
from shared.errors import ConfigError
from shared.runtime import bus

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.mesh


async def test_keeps_streams_over_kill(fresh_nats: NatsServer) -> None:
    """
    A stream is there after the server was killed and started again.
    """
    first = await bus.connect(fresh_nats.url, name="test")
    await first.close()
    assert fresh_nats.child is not None
    os.kill(fresh_nats.child.pid, signal.SIGKILL)
    fresh_nats.child.stop()

    fresh_nats.start()

    second = await bus.connect(fresh_nats.url, name="test")
    try:
        assert await second.pending(subjects.KERNEL_BATCH, "topology-builder") == 0
    finally:
        await second.close()


def test_port_in_use_is_explained(nats_server: NatsServer, server_directory: Path) -> None:
    """
    A port that is taken gives a sentence with the remedy.
    """
    late = NatsServer(server_directory / "late", nats_server.port)

    with pytest.raises(ConfigError, match=rf"port {nats_server.port} .* is in use.*--nats-port"):
        late.start()


async def test_credentials_are_asked(fresh_nats: NatsServer) -> None:
    """
    With credentials set, a client without them is refused and told which settings it lacks.
    """
    fresh_nats.stop()
    guarded = NatsServer(fresh_nats.directory, fresh_nats.port, user="meshlens", password="let me in")
    guarded.start()
    try:
        with pytest.raises(ConfigError, match="MESHLENS_NATS_USER"):
            await bus.connect(guarded.url, name="test")
        member = await bus.connect(guarded.url, name="test", user="meshlens", password="let me in")
        await member.close()
    finally:
        guarded.stop()
