"""
query-api survives the loss of PostgreSQL and of NATS, and says meanwhile what is missing.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from deploy.local import ports
from deploy.local.postgres import PostgresServer, ensure_database
from shared import subjects
from shared.runtime import bus as bus_module
from shared.runtime import postgres
from tests.services.query_api import shop
from tests.services.query_api.conftest import Running, ready, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.local.nats import NatsServer

pytestmark = pytest.mark.mesh


@pytest.fixture
def own_postgres(server_directory: Path) -> Iterator[PostgresServer]:
    """
    A PostgreSQL for one test alone, which may be killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=server_directory))
    server = PostgresServer(folder, ports.free_port(), "owner", settings={"fsync": "off"})
    server.start()
    yield server
    server.stop()


async def test_postgres_and_nats_may_be_killed(
    fresh_nats: NatsServer, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    """
    After `kill -9` of each server, questions to it are answered again as soon as it is back.
    """
    await postgres.migrate(await ensure_database(own_postgres), {"meshlens_query_api": "secret"})
    process = Running(
        {
            "MESHLENS_NATS_URL": fresh_nats.url,
            "MESHLENS_POSTGRES_DSN": own_postgres.dsn("meshlens_query_api", "secret"),
        },
        tmp_path / "log",
    )
    try:
        await ready(process.url)
        async with aiohttp.ClientSession(process.url) as client:
            await _spans_are(client, 200)
            _kill(own_postgres)
            await _spans_are(client, 503)
            async with client.get("/api/v1/topology") as response:
                assert response.status == 200
            await asyncio.to_thread(own_postgres.start)
            await _spans_are(client, 200)

            _kill(fresh_nats)
            await until(lambda: _state(client, "degraded"))
            await asyncio.to_thread(fresh_nats.start)
            await until(lambda: _state(client, "ready"))
            await _a_window_arrives(client, fresh_nats.url)
    finally:
        status = process.stop()
    assert status == 0


def _kill(server: PostgresServer | NatsServer) -> None:
    assert server.child
    server.child.signal(signal.SIGKILL)
    server.child.stop()


async def _spans_are(client: aiohttp.ClientSession, status: int) -> None:
    async def found() -> bool:
        async with client.get("/api/v1/spans") as response:
            assert response.status in (200, 503)
            return response.status == status

    await until(found)


async def _state(client: aiohttp.ClientSession, wanted: str) -> bool:
    async with client.get("/readyz") as response:
        found = await response.json()
        return bool(found["state"] == wanted)


async def _a_window_arrives(client: aiohttp.ClientSession, url: str) -> None:
    bus = await bus_module.connect(url, name="test")

    async def shown() -> bool:
        await bus.emit(subjects.LIVE_WINDOW, shop.window(time.time_ns()))
        async with client.get("/api/v1/topology") as response:
            return bool((await response.json())["services"])

    try:
        await until(shown)
    finally:
        await bus.close()
