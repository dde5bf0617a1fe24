"""
query-api survives the loss of PostgreSQL and of NATS, and says meanwhile what is missing.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from deploy.local import ports
from deploy.local.nats import NatsServer
from deploy.local.postgres import PostgresServer, ensure_database
from shared import subjects
from shared.runtime import bus as bus_module
from shared.runtime import postgres
from tests.services.query_api import shop
from tests.services.query_api.conftest import Running, ready, until

if TYPE_CHECKING:
    from collections.abc import Iterator

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


async def test_it_answers_before_nats_was_ever_there(server_directory: Path, tmp_path: Path) -> None:
    """
    Without NATS and PostgreSQL it lives, says what it waits for, and refuses in the usual form; NATS is heard when it
    comes.
    """
    late = NatsServer(Path(tempfile.mkdtemp(prefix="nats-", dir=server_directory)), ports.free_port())
    nowhere = f"postgresql://meshlens_query_api:secret@127.0.0.1:{ports.free_port()}/meshlens"
    environment = {"MESHLENS_NATS_URL": late.url, "MESHLENS_POSTGRES_DSN": nowhere}
    process = Running(environment, tmp_path / "log")
    try:
        async with aiohttp.ClientSession(process.url) as session:

            async def told() -> dict[str, str] | None:
                async with session.get("/readyz") as response:
                    found: dict[str, str] = await response.json()
                    waits = "NATS" in found["waiting_for"] and "PostgreSQL" in found["waiting_for"]
                    return found if response.status == 503 and waits else None

            waiting = await until(told)
            alive = await answer(session, "GET", "/healthz")
            live = await answer(session, "GET", "/api/v1/topology")
            past = await answer(session, "GET", "/api/v1/topology?from=-5m")
            command = await answer(session, "POST", "/api/v1/silences", {"for_s": 60})
            late.start()
            bus = await bus_module.connect(late.url, name="test")

            async def shown() -> bool:
                await bus.emit(subjects.LIVE_WINDOW, shop.window(time.time_ns()))
                return len((await answer(session, "GET", "/api/v1/topology"))[1]["services"]) == 4

            await until(shown)
            await bus.close()
            async with session.get("/readyz") as response:
                after = (await response.json())["waiting_for"]
    finally:
        process.stop()
        late.stop()

    assert late.url in waiting["waiting_for"]
    assert 200 == alive[0] == live[0]
    assert [] == live[1]["services"]
    assert 503 == past[0] == past[1]["status"] == command[0] == command[1]["status"]
    assert ("PostgreSQL", "NATS") == (past[1]["detail"].split()[0], command[1]["detail"].split()[0])
    assert "NATS" not in after


async def answer(session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """
    Return the status and the JSON of an answer.
    """
    async with session.request(method, path, json=body) as response:
        return response.status, await response.json(content_type=None)
