"""
A running query-api over generated figures, while windows close as they do in reality: the page's questions are timed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from deploy.local import ports
from shared.units import S_NS, at

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

ROOT: Final = Path(__file__).parents[2]
LIVE_EVERY_S: Final = 2.0
PAGE: Final = {"last 5 min": 300, "last 15 min": 900, "last 1 h": 3600, "last 6 h": 21_600}
"""What the page's time menu offers beside the live map."""


@contextlib.asynccontextmanager
async def closing(nats_url: str, dsn: str) -> AsyncIterator[None]:
    """
    Let windows close as they do in reality, in a process of its own, whose work is not in what is timed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.benchmarks._closer"),
        cwd=ROOT,
        env={"PATH": os.defpath, "MESHLENS_NATS_URL": nats_url, "MESHLENS_POSTGRES_DSN": dsn},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is None or await asyncio.wait_for(process.stdout.readline(), 120) != b"ready\n":
            raise AssertionError("no window closes")
        yield
        if process.returncode is not None:
            raise AssertionError(f"windows closed no more: status {process.returncode}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


@contextlib.asynccontextmanager
async def asking(nats_url: str, dsn: str) -> AsyncIterator[aiohttp.ClientSession]:
    """
    Start query-api, and yield a client of it.
    """
    port = ports.free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.query_api"),
        cwd=ROOT,
        env={
            "PATH": os.defpath,
            "MESHLENS_NATS_URL": nats_url,
            "MESHLENS_POSTGRES_DSN": dsn,
            "MESHLENS_HTTP_PORT": str(port),
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await _ready(session, "/readyz")
            await _ready(session, "/api/v1/topology?from=-5m")
            yield session
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def _ready(session: aiohttp.ClientSession, path: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(path) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)


async def answered(session: aiohttp.ClientSession, start: str = "", end: str = "") -> float:
    """
    Return the milliseconds until the whole map over a range has come.
    """
    ask = {name: value for name, value in (("from", start), ("to", end)) if value}
    before = time.perf_counter()
    async with session.get("/api/v1/topology", params=ask) as response:
        body = await response.read()
        if response.status != 200 or b'"relation-7"' not in body:
            raise AssertionError(f"{response.status}: {body[:200]!r}")
    return (time.perf_counter() - before) * 1000


async def page(session: aiohttp.ClientSession, seconds: float, dice: random.Random) -> dict[str, list[float]]:
    """
    Return how long the page's questions took, asked at random instants for so many *seconds* while it is open.
    """
    found: dict[str, list[float]] = {"live": [], **{name: [] for name in PAGE}}
    async with session.get("/api/v1/events") as events:
        reading = asyncio.create_task(_read(events))
        await asyncio.sleep(2 * LIVE_EVERY_S)  # the page was opened, and the menu is not: both are there
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            name = dice.choice(list(found))
            found[name].append(await answered(session, f"-{PAGE[name]}s" if name in PAGE else ""))
            await asyncio.sleep(dice.uniform(0.05, 0.25))
        reading.cancel()
    return found


async def _read(events: aiohttp.ClientResponse) -> None:
    async for _ in events.content.iter_any():
        pass


async def elsewhere(
    session: aiohttp.ClientSession, spans: dict[str, int], end_ns: Callable[[int], int], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """
    Return how long the map took over ranges that end at other times, asked for the first time and once more.
    """
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in spans}
    for turn in range(rounds + 1):
        for name, seconds in spans.items():
            till_ns = end_ns(seconds)
            span = at(till_ns - seconds * S_NS).isoformat(), at(till_ns).isoformat()
            took = await answered(session, *span), await answered(session, *span)
            if turn:  # the first turn fills the caches of plans
                found[name][0].append(took[0])
                found[name][1].append(took[1])
    return found
