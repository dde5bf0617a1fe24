"""
A service as a process of its own, and what it has written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEADLINE_S: Final = 40
END_S: Final = 20


@contextlib.asynccontextmanager
async def running(service: str, nats_url: str, dsn: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """
    Run *service* with these *settings*, by their names in the environment; end it with a signal if it still runs.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "MESHLENS_NATS_URL": nats_url,
        "MESHLENS_POSTGRES_DSN": dsn,
        "MESHLENS_LOG_LEVEL": "warning",
        **settings,
    }
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", f"services.{service}", env=environment)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
            assert 0 == await asyncio.wait_for(child.wait(), END_S)


async def fetch(dsn: str, query: str, *parameters: Any) -> list[dict[str, Any]]:
    """
    Return the rows of *query*.
    """
    connection = await asyncpg.connect(dsn)
    try:
        return [dict(row) for row in await connection.fetch(query, *parameters)]
    finally:
        await connection.close()


async def until_found(dsn: str, query: str, *parameters: Any) -> None:
    """
    Wait until *query* yields a row: rows do not call.
    """
    async with asyncio.timeout(DEADLINE_S):
        while not await fetch(dsn, query, *parameters):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)
