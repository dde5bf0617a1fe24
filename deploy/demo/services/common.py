"""
What the Python programs of the shop share: where to serve, whom to ask, and the fault to commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LEAK_LIMIT = 2000
GONE = (OSError, TimeoutError, asyncio.TimeoutError, ClientError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a dependency that is away or slow makes us raise."""


class State:
    """
    The state file, read again when it changed.
    """

    def __init__(self) -> None:
        self._path = Path(os.environ["DEMO_STATE"])
        self._changed = -1.0
        self._content: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """
        Return what the file holds now.
        """
        changed = self._path.stat().st_mtime
        if changed != self._changed:
            self._content = json.loads(self._path.read_bytes())
            self._changed = changed
        return self._content

    def peer(self, name: str) -> str:
        """
        Return `host:port` of *name*, empty when it does not run.
        """
        return str(self.read()["peers"].get(name, ""))


def client(*, keeps: bool = True) -> ClientSession:
    """
    Return a client that keeps its connections or makes one for each request, and soon forgets names.
    """
    connector = TCPConnector(limit=64, ttl_dns_cache=2, force_close=not keeps)
    return ClientSession(connector=connector, timeout=ClientTimeout(total=5))


@web.middleware
async def _commit_fault(request: web.Request, handler: Handler) -> web.StreamResponse:
    state = request.app["state"].read()
    if state["extra_s"]:
        await asyncio.sleep(state["extra_s"])
    if state["error_ratio"] and random.random() < state["error_ratio"]:  # noqa: S311 - no secret
        return web.json_response({"error": "out of luck"}, status=500)
    try:
        return await handler(request)
    except GONE as error:
        return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=503)


async def _leak(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(_leak_for_ever(app["state"]))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _leak_for_ever(state: State) -> None:
    held: list[asyncio.StreamWriter] = []
    while True:
        per_s = state.read()["leak_per_s"]
        await asyncio.sleep(1 / per_s if per_s else 0.5)
        if not per_s:
            for writer in held:
                writer.close()
            held.clear()
            continue
        peers = [peer for peer in state.read()["peers"].values() if peer]
        if not peers or len(held) >= LEAK_LIMIT:
            continue
        host, _, port = peers[0].rpartition(":")
        with contextlib.suppress(OSError):
            held.append((await asyncio.open_connection(host, int(port)))[1])


def serve(application: web.Application) -> None:
    """
    Serve *application* until a signal ends it.
    """
    host, _, port = os.environ["DEMO_LISTEN"].rpartition(":")
    web.run_app(application, host=host, port=int(port), print=None, access_log=None, keepalive_timeout=120)


def new_application() -> web.Application:
    """
    Return an application that commits the faults of its state file.
    """
    application = web.Application(middlewares=[_commit_fault])
    application["state"] = State()
    application.cleanup_ctx.append(_leak)
    return application
