"""
A running query-api with real servers, and the shop in its tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from deploy.local import ports
from shared.runtime import bus as bus_module
from tests.services.query_api import shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from shared.runtime.bus import Bus

ROOT = Path(__file__).parents[3]
START_S = 20.0


class Running:
    """
    A query-api process.
    """

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._file = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.query_api"],
            cwd=ROOT,
            env={
                "PATH": os.defpath,
                "MESHLENS_HTTP_PORT": str(self.port),
                "MESHLENS_NODE": "n1",
                **environment,
            },
            stderr=self._file,
        )

    def stop(self) -> int:
        """
        End it and return its status.
        """
        self.process.terminate()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self._file.close()


async def until(found: Callable[[], Awaitable[Any]], *, seconds: float = START_S) -> Any:
    """
    Return what *found* returns as soon as it is true.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(aiohttp.ClientError):
            if result := await found():
                return result
        await asyncio.sleep(0.05)
    raise AssertionError(f"not true within {seconds:g} s")


async def ready(url: str) -> None:
    """
    Wait until the query-api at *url* is ready.
    """
    async with aiohttp.ClientSession() as session:

        async def is_ready() -> bool:
            async with session.get(f"{url}/readyz") as response:
                return response.status == 200

        await until(is_ready)


async def fill(dsn: str) -> None:
    """
    Put the shop into the tables of the database at *dsn*.
    """
    owner = await asyncpg.connect(dsn)
    try:
        now_ns = time.time_ns()
        await shop.fill(owner, now_ns)
        await shop.fill_trouble(owner, now_ns)
    finally:
        await owner.close()


@pytest.fixture(scope="module")
def running(
    nats_url: str,
    postgres_module_dsn: str,
    service_module_dsn: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """
    A query-api on loopback, without tokens, with the shop in its tables.
    """
    asyncio.run(fill(postgres_module_dsn))
    page = tmp_path_factory.mktemp("page")
    (page / "assets").mkdir()
    (page / "index.html").write_text("<!doctype html><title>meshlens</title>")
    (page / "assets" / "app.js").write_text("export {}")
    environment = {
        "MESHLENS_NATS_URL": nats_url,
        "MESHLENS_POSTGRES_DSN": service_module_dsn("query-api"),
        "QUERY_API_EVENT_CLIENTS": "3",
        "QUERY_API_PAGE_DIR": str(page),
    }
    process = Running(environment, tmp_path_factory.mktemp("log") / "query-api.log")
    try:
        asyncio.run(ready(process.url))
        yield process
    finally:
        process.stop()


@pytest_asyncio.fixture
async def session(running: Running) -> AsyncIterator[aiohttp.ClientSession]:
    """
    An HTTP client of it.
    """
    async with aiohttp.ClientSession(running.url) as client:
        yield client


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """
    A connection to NATS.
    """
    connection = await bus_module.connect(nats_url, name="test")
    yield connection
    await connection.close()
