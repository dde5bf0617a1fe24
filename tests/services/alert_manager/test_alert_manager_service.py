"""
The service with real NATS and PostgreSQL: windows in, alerts, messages and tables out, commands answered, restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from shared import subjects
from shared.errors import Unavailable
from shared.messages.alert import AlertChanged, AlertCommand, Silence
from shared.messages.anomaly import Level, Reason, Verdict, Verdicts
from shared.messages.topology import Red, Service, ServiceFigures, TopologyWindow
from shared.runtime import bus as bus_module
from shared.units import S_NS, WINDOW_NS
from tests.services.running import DEADLINE_S, fetch, running, until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from deploy.local.nats import NatsServer
    from shared.runtime.bus import Bus

pytestmark = pytest.mark.mesh
BEGIN_NS = time.time_ns() // WINDOW_NS * WINDOW_NS - 3600 * S_NS


def manager(
    nats_url: str, dsn: str, webhook_url: str
) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """
    Run the service.
    """
    return running(
        "alert_manager", nats_url, dsn, ALERT_MANAGER_WEBHOOK_URL=webhook_url, ALERT_MANAGER_FIRST_PAUSE_S="0.05"
    )


class Heard:
    """
    Everything that came out: alert changes from NATS, and posts.
    """

    def __init__(self) -> None:
        self.changes: list[AlertChanged] = []
        self.posts: list[dict[str, Any]] = []
        self.refuse = 0
        """So many posts are answered with 503."""
        self._more = asyncio.Event()

    async def change(self, changed: AlertChanged) -> None:
        """
        Take a change.
        """
        self.changes.append(changed)
        self._more.set()

    async def post(self, request: web.Request) -> web.Response:
        """
        Take a post.
        """
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        self.posts.append(json.loads(await request.read()))
        self._more.set()
        return web.Response()

    async def wait(self, *, changes: int = 0, posts: int = 0) -> None:
        """
        Wait for so many of both.
        """
        async with asyncio.timeout(DEADLINE_S):
            while len(self.changes) < changes or len(self.posts) < posts:
                self._more.clear()
                await self._more.wait()

    def states(self) -> list[tuple[str, str]]:
        """
        Return the states of all changes, old and new.
        """
        return [(change.was, change.alert.state) for change in self.changes]


@contextlib.asynccontextmanager
async def listening(nats_url: str) -> AsyncIterator[tuple[Bus, Heard, str]]:
    """
    Connect to NATS and serve a webhook.
    """
    heard = Heard()
    bus = await bus_module.connect(nats_url, name="test")
    await bus.listen(subjects.ALERT, heard.change)
    application = web.Application()
    application.router.add_post("/hook", heard.post)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield bus, heard, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()
        await bus.close()


async def send(bus: Bus, numbers: range, *, errors: int) -> int:
    """
    Publish windows in which `web` had a hundred requests, and return the end of the last.
    """
    end_ns = 0
    for number in numbers:
        start_ns = BEGIN_NS + number * WINDOW_NS
        end_ns = start_ns + WINDOW_NS
        window = TopologyWindow(
            start_ns=start_ns,
            end_ns=end_ns,
            final=True,
            services=[Service(id="web", name="web", kind="service", instances=1)],
            service_figures=[ServiceFigures(service="web", provided=Red(requests=100, errors=errors))],
        )
        await bus.publish(subjects.WINDOW, window)
    return end_ns


async def until_judged(dsn: str, end_ns: int) -> None:
    """
    Wait until the window that ends at *end_ns* is stored as judged.
    """
    await until_found(dsn, "select from alert_progress where window_end >= to_timestamp($1)", end_ns // S_NS)


async def until_notified(dsn: str, state: str) -> None:
    """
    Wait until the channels have told *state* of every alert.
    """
    await until_found(dsn, "select from alerts having bool_and(notified_state = $1) is not false", state)


STATES = "select template, entity, state, occurrences, notified_state from alerts order by template"
HIGH = "high-server-error-ratio"
BURN = "slo-availability-fast-burn"


async def test_alert_lives_through_a_kill_and_is_told_once(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    It is pending, is killed, fires after the restart, is posted once although the receiver fails first, and ends.
    """
    dsn = service_dsn("alert-manager")
    async with listening(fresh_nats.url) as (bus, heard, hook):
        heard.refuse = 2
        async with manager(fresh_nats.url, dsn, hook) as first:
            await until_judged(postgres_dsn, await send(bus, range(3), errors=30))
            await heard.wait(changes=2)
            first.kill()
            await first.wait()
        assert [("", "pending"), ("", "pending")] == heard.states()
        assert ["pending", "pending"] == [row["state"] for row in await fetch(postgres_dsn, STATES)]

        async with manager(fresh_nats.url, dsn, hook):
            await send(bus, range(3, 14), errors=30)
            await heard.wait(changes=4, posts=2)
            await until_notified(postgres_dsn, "firing")

        async with manager(fresh_nats.url, dsn, hook):
            await until_judged(postgres_dsn, await send(bus, range(14, 90), errors=0))
            await heard.wait(changes=6, posts=4)
            await until_notified(postgres_dsn, "resolved")

    assert {HIGH, BURN} == {change.alert.template for change in heard.changes}
    assert sorted([("", "pending"), ("pending", "firing"), ("firing", "resolved")] * 2) == sorted(heard.states())
    assert [(HIGH, "firing"), (HIGH, "resolved"), (BURN, "firing"), (BURN, "resolved")] == sorted(
        (post["groupLabels"]["alertname"], post["status"]) for post in heard.posts
    )
    rows = await fetch(postgres_dsn, STATES)
    assert [("resolved", 1, "resolved")] * 2 == [(r["state"], r["occurrences"], r["notified_state"]) for r in rows]
    steps = await fetch(postgres_dsn, f"select c.state from alert_changes as c join alerts as a on a.id = c.alert "
                                      f"where a.template = '{HIGH}' order by c.at")  # fmt: skip
    assert ["pending", "firing", "resolved"] == [row["state"] for row in steps]


async def test_operators_acknowledge_and_silence(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    A silenced alert fires without being told, is told when the silence ends, and not once it is acknowledged.
    """
    dsn = service_dsn("alert-manager")
    silence = Silence(id="quiet", template="*burn", entity="web", until_ns=time.time_ns() + 3600 * S_NS, comment="work")
    async with listening(fresh_nats.url) as (bus, heard, hook), manager(fresh_nats.url, dsn, hook):
        end_ns = await send(bus, range(1), errors=0)
        await until_judged(postgres_dsn, end_ns)
        assert (await bus.ask(subjects.COMMAND_ALERT, AlertCommand(action="silence", silence=silence, by="ann"))).ok
        await until_judged(postgres_dsn, await send(bus, range(1, 20), errors=30))
        await heard.wait(posts=1)
        assert [HIGH] == [post["groupLabels"]["alertname"] for post in heard.posts]
        rows = await fetch(postgres_dsn, "select template, silenced, id from alerts order by template")
        assert [(HIGH, False), (BURN, True)] == [(row["template"], row["silenced"]) for row in rows]
        assert [("quiet", "ann")] == [
            (r["id"], r["by"]) for r in await fetch(postgres_dsn, "select id, by from silences")
        ]

        done = await bus.ask(subjects.COMMAND_ALERT, AlertCommand(action="unsilence", silence=Silence(id="quiet")))
        assert done.ok
        await heard.wait(posts=2)
        assert BURN == heard.posts[1]["groupLabels"]["alertname"]

        high = rows[0]["id"]
        assert (await bus.ask(subjects.COMMAND_ALERT, AlertCommand(action="acknowledge", alert=high, by="ann"))).ok
        assert "ann" == heard.changes[-1].alert.acknowledged_by
        await until_judged(postgres_dsn, await send(bus, range(20, 90), errors=0))
        await heard.wait(posts=3)
    assert [HIGH, BURN, BURN] == [post["groupLabels"]["alertname"] for post in heard.posts]


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (AlertCommand(action="explode"), "unknown"),
        (AlertCommand(action="acknowledge", alert="nothing"), "no open alert"),
        (AlertCommand(action="silence"), "missing"),
        (AlertCommand(action="silence", silence=Silence(id="x", until_ns=1)), "future"),
        (AlertCommand(action="unsilence", silence=Silence(id="nothing")), "no silence"),
    ],
)
async def test_bad_commands_get_a_sentence(
    fresh_nats: NatsServer, service_dsn: Callable[[str], str], command: AlertCommand, word: str
) -> None:
    """
    A command that makes no sense is refused, and says why.
    """
    async with listening(fresh_nats.url) as (bus, _, hook), manager(fresh_nats.url, service_dsn("alert-manager"), hook):
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(Unavailable):
                    reply = await bus.ask(subjects.COMMAND_ALERT, command)
                    break
                await asyncio.sleep(0.1)

    assert not reply.ok
    assert word in reply.error


async def test_verdicts_raise_alerts(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    A service that is orange for its own latency has a latency regression.
    """
    reason = Reason(signal="latency_p95", detector="latency", level=Level.ORANGE, value=0.9, expected=0.3, unit="s")
    async with (
        listening(fresh_nats.url) as (bus, heard, hook),
        manager(fresh_nats.url, service_dsn("alert-manager"), hook),
    ):
        for number in range(8):
            end_ns = BEGIN_NS + (number + 1) * WINDOW_NS
            verdict = Verdict(
                entity="web", kind="service", at_ns=end_ns, own=Level.ORANGE, inherited=Level.GREEN, reasons=[reason]
            )
            await bus.publish(
                subjects.VERDICTS,
                Verdicts(window_start_ns=end_ns - WINDOW_NS, window_end_ns=end_ns, verdicts=[verdict]),
            )
            await until_drained(bus)
            await until_judged(postgres_dsn, await send(bus, range(number, number + 1), errors=0))
        await heard.wait(posts=1)

    assert "web: requests take 3.0 times as long as usual" == heard.posts[0]["alerts"][0]["annotations"]["summary"]


async def until_drained(bus: Bus) -> None:
    """
    Wait until alert-manager has taken all verdicts.
    """
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if not await bus.pending(subjects.VERDICTS, "alert-manager"):
                return
            await asyncio.sleep(0.05)
