"""
The buyers: a steady stream of requests with a day-like wave, every one of them counted.

Answers on a unix socket: GET /totals; POST /pause stops sending and returns once nothing is under way; POST /resume.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from deploy.demo.services.common import State

RATE_PER_S = float(os.environ.get("DEMO_RATE", "40"))
WAVE = 0.4
"""How far the rate swings around its mean, as a ratio."""
PERIOD_S = 240.0
MOST_UNDER_WAY = 128
NEWCOMERS = 0.1
"""Share of the requests that come over a connection of their own."""
BUYERS = 200
ENDPOINTS = {
    "GET /static/logo.svg": 0.20,
    "GET /shop/": 0.15,
    "GET /shop/products/{id}": 0.45,
    "POST /shop/carts/{buyer}/{id}": 0.13,
    "POST /shop/orders/{buyer}": 0.07,
}


@dataclass
class Totals:
    """
    What was sent and what came back, by endpoint.
    """

    sent: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    no_response: Counter[str] = field(default_factory=Counter)
    held_back: int = 0
    """Requests not sent since too many were under way."""
    seconds: float = 0.0
    """Sum of the durations."""

    def answered(self, endpoint: str, status: int) -> None:
        """
        Count an answer.
        """
        self.statuses.setdefault(endpoint, Counter())[str(status)] += 1


class Load:
    """
    The generator.
    """

    def __init__(self, rate_per_s: float) -> None:
        self.totals = Totals()
        self.rate_per_s = rate_per_s
        self.sending = asyncio.Event()
        self.sending.set()
        self.under_way: set[asyncio.Task[None]] = set()
        self._random = random.Random(4711)  # noqa: S311 - no secret
        self._state = State()

    async def run(self, regular: ClientSession, newcomer: ClientSession) -> None:
        """
        Send requests for ever.
        """
        started = due = time.monotonic()
        while True:
            await self.sending.wait()
            now = time.monotonic()
            due = max(due, now - 1)
            wave = 1 + WAVE * math.sin(2 * math.pi * (now - started) / PERIOD_S)
            due += 1 / (self.rate_per_s * wave)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not self.sending.is_set():
                continue
            if len(self.under_way) >= MOST_UNDER_WAY:
                self.totals.held_back += 1
                continue
            session = newcomer if self._random.random() < NEWCOMERS else regular
            task = asyncio.get_running_loop().create_task(self._one(session))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)

    async def _one(self, session: ClientSession) -> None:
        endpoint = self._random.choices(list(ENDPOINTS), list(ENDPOINTS.values()))[0]
        method, _, path = endpoint.partition(" ")
        path = path.replace("{id}", str(self._random.randint(1, 500)))
        path = path.replace("{buyer}", str(self._random.randint(1, BUYERS)))
        totals = self.totals
        totals.sent[endpoint] += 1
        started = time.monotonic()
        try:
            async with session.request(method, f"http://{self._state.peer('front')}{path}") as response:
                await response.read()
                totals.answered(endpoint, response.status)
        except (ClientError, TimeoutError, OSError):
            totals.no_response[endpoint] += 1
        totals.seconds += time.monotonic() - started

    async def pause(self) -> None:
        """
        Stop sending, and return once nothing is under way.
        """
        self.sending.clear()
        while self.under_way:
            await asyncio.wait(set(self.under_way))

    def report(self) -> dict[str, object]:
        """
        Return the totals.
        """
        return {
            "sent": dict(self.totals.sent),
            "sent_total": sum(self.totals.sent.values()),
            "statuses": {endpoint: dict(counts) for endpoint, counts in self.totals.statuses.items()},
            "no_response": dict(self.totals.no_response),
            "held_back": self.totals.held_back,
            "seconds": self.totals.seconds,
            "under_way": len(self.under_way),
            "sending": self.sending.is_set(),
            "rate_per_s": self.rate_per_s,
        }


async def main() -> None:
    """
    Send requests, and answer on the socket, until a signal ends it.
    """
    load = Load(RATE_PER_S)

    async def totals(_request: web.Request) -> web.Response:
        return web.json_response(load.report())

    async def pause(_request: web.Request) -> web.Response:
        await load.pause()
        return web.json_response(load.report())

    async def resume(_request: web.Request) -> web.Response:
        load.sending.set()
        return web.json_response(load.report())

    application = web.Application()
    application.add_routes([web.get("/totals", totals), web.post("/pause", pause), web.post("/resume", resume)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, os.environ["DEMO_SOCKET"]).start()
    timeout = ClientTimeout(total=10)
    keeps = TCPConnector(limit=MOST_UNDER_WAY, ttl_dns_cache=5, keepalive_timeout=10)
    closes = TCPConnector(limit=MOST_UNDER_WAY, ttl_dns_cache=2, force_close=True)
    async with (
        ClientSession(connector=keeps, timeout=timeout) as regular,
        ClientSession(connector=closes, timeout=timeout) as newcomer,
    ):
        await load.run(regular, newcomer)


if __name__ == "__main__":
    asyncio.run(main())
