"""
The webhook against a real HTTP server that misbehaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from services.alert_manager.channels._base import Undelivered
from services.alert_manager.channels.webhook import CHANNEL
from services.alert_manager.config import Settings
from services.alert_manager.convergence import Message
from services.alert_manager.lifecycle import Held
from services.alert_manager.notify import Notifier
from shared.errors import ConfigError
from shared.runtime import logging as logging_module
from shared.runtime.health import Health
from shared.runtime.process import Shell
from tests.services.alert_manager.making import alert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SECRET = "a secret of the tests"
PATH = "/hooks/very-private-token"


class Receiver:
    """
    A server that answers what it is told to, and remembers what it got.
    """

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        """Status codes; `hang` never answers, `break` closes the connection. Then 200 for ever."""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""
        self._more = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        """
        Take one post.
        """
        self.got.append((dict(request.headers), await request.read()))
        self._more.set()
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "hang":
            await asyncio.sleep(30)
        if answer == "break":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer if isinstance(answer, int) else 200, headers={"Location": "/elsewhere"})

    async def wait(self, count: int) -> None:
        """
        Wait until it has got so many.
        """
        async with asyncio.timeout(20):
            while len(self.got) < count:
                self._more.clear()
                await self._more.wait()


@contextlib.asynccontextmanager
async def receiver(*answers: int | str) -> AsyncIterator[Receiver]:
    """
    Run a receiver.
    """
    one = Receiver()
    one.answers = list(answers)
    application = web.Application()
    application.router.add_post(PATH, one.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    try:
        yield one
    finally:
        await runner.cleanup()


def settings(url: str, **more: Any) -> Settings:
    """
    Return settings with quick attempts.
    """
    return Settings(webhook_url=url, webhook_secret=SECRET, webhook_timeout_s=0.5, first_pause_s=0.01, **more)


def message(*entities: str, state: str = "firing") -> Message:
    """
    Return a message on these entities.
    """
    alerts = [
        Held(
            alert=alert(
                entity,
                state,
                id=f"id of {entity}",
                meaning="It is odd.",
                next_steps=["Look.", "Think."],
                value=0.5,
                started_ns=1_700_000_000_000_000_000,
                resolved_ns=1_700_000_060_000_000_000 if state == "resolved" else 0,
            ),
            held_ns=0,
        )
        for entity in entities
    ]
    return Message(group_key="/odd", state=state, alerts=alerts)


async def test_post_is_alertmanagers_form_and_signed() -> None:
    """
    A receiver made for Alertmanager understands the body, and can check who sent it.
    """
    async with receiver() as one:
        await CHANNEL.send(message("web", "shop", state="resolved"), settings(one.url))
    headers, body = one.got[0]
    posted = json.loads(body)

    assert "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest() == headers["X-Meshlens-Signature"]
    assert ("4", "resolved", "/odd") == (posted["version"], posted["status"], posted["groupKey"])
    assert {"alertname": "odd"} == posted["groupLabels"]
    assert "entity" not in posted["commonLabels"]
    first = posted["alerts"][0]
    assert "web is odd" == first["annotations"]["summary"]
    assert ("2023-11-14T22:13:20.000Z", "2023-11-14T22:14:20.000Z") == (first["startsAt"], first["endsAt"])


@pytest.mark.parametrize(
    ("answer", "again"),
    [(500, True), (503, True), (429, True), (400, False), (404, False), (302, False), ("hang", True), ("break", True)],
)
async def test_failure_is_told_without_secrets(answer: int | str, again: bool) -> None:
    """
    A refusal says whether trying again may help, and neither the secret nor the address's path.
    """
    async with receiver(answer) as one:
        with pytest.raises(Undelivered) as failure:
            await CHANNEL.send(message("web"), settings(one.url))

    assert again == failure.value.again
    assert SECRET not in str(failure.value)
    assert "private" not in str(failure.value)
    assert failure.value.__cause__ is None


async def test_server_that_is_not_there() -> None:
    """
    A refused connection may be tried again.
    """
    async with receiver() as one:
        url = one.url
    with pytest.raises(Undelivered) as failure:
        await CHANNEL.send(message("web"), settings(url))

    assert failure.value.again


@pytest.mark.parametrize("url", ["ftp://host/x", "http:///x", "host:80"])
def test_bad_address_is_refused_without_repeating_it(url: str) -> None:
    """
    An address that cannot be posted to stops the start; the sentence names the setting, not its value.
    """
    with pytest.raises(ConfigError) as refusal:
        CHANNEL.is_wanted(settings(url))

    assert "ALERT_MANAGER_WEBHOOK_URL" in str(refusal.value)
    assert url not in str(refusal.value)


def test_no_address_means_no_channel() -> None:
    """
    Without an address nothing is posted.
    """
    assert not CHANNEL.is_wanted(settings(""))
    assert CHANNEL.is_wanted(settings("https://host/x"))


@contextlib.asynccontextmanager
async def notifier(
    configured: Settings, delivered: Callable[[Message], Awaitable[None]]
) -> AsyncIterator[tuple[Notifier, Health]]:
    """
    Run a notifier over the webhook.
    """
    log = logging_module.configure("test", "warning", "json")
    health = Health("alert-manager", "node", log)
    shell = Shell(None, health, log, web.Application())  # type: ignore[arg-type]  # a notifier needs no bus
    one = Notifier("webhook", CHANNEL, configured, shell, delivered)
    task = asyncio.create_task(one.run())
    try:
        yield one, health
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Deliveries:
    """
    Remembers what was delivered.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._more = asyncio.Event()

    async def add(self, one: Message) -> None:
        """
        Take one.
        """
        self.messages.append(one)
        self._more.set()

    async def wait(self, count: int) -> None:
        """
        Wait for so many.
        """
        async with asyncio.timeout(20):
            while len(self.messages) < count:
                self._more.clear()
                await self._more.wait()


async def test_delivery_is_tried_again_until_it_is_accepted() -> None:
    """
    Two server errors, a hang and a broken connection later the message has arrived once, and no log holds a secret.
    """
    deliveries = Deliveries()
    async with receiver(500, "hang", "break", 503) as one:
        with capture_logs() as logs:
            async with notifier(settings(one.url), deliveries.add) as (telling, health):
                telling.offer(message("web"))
                await deliveries.wait(1)

    assert 5 == len(one.got)
    assert (1, 4) == (health.counters["notifications"], health.counters["notification_failures"])
    assert SECRET not in str(logs)
    assert "private" not in str(logs)


async def test_message_on_its_way_is_not_queued_again() -> None:
    """
    What is owed is offered with every window; it is posted once all the same, and what is new beside it too.
    """
    deliveries = Deliveries()
    async with receiver("hang") as one, notifier(settings(one.url), deliveries.add) as (telling, _):
        telling.offer(message("web"))
        await one.wait(1)
        telling.offer(message("web"))
        telling.offer(message("web", "shop"))
        await deliveries.wait(2)

    assert [["web"], ["shop"]] == [[held.alert.entity for held in each.alerts] for each in deliveries.messages]


async def test_queue_is_bounded_and_what_finds_no_room_is_counted() -> None:
    """
    With room for two, a third waiting message is counted as lost; it is owed again later.
    """
    deliveries = Deliveries()
    async with (
        receiver("hang") as one,
        notifier(settings(one.url, queue_messages=2), deliveries.add) as (telling, health),
    ):
        telling.offer(message("a"))
        await one.wait(1)
        for entity in "bcd":
            telling.offer(message(entity))
        assert 1 == health.lost["notifications_without_room"]
        await deliveries.wait(3)
        telling.offer(message("d"))
        await deliveries.wait(4)


async def test_refused_message_is_not_tried_for_ever() -> None:
    """
    A message that the receiver will never take counts as lost and does not block the next one.
    """
    deliveries = Deliveries()
    async with receiver(400) as one, notifier(settings(one.url), deliveries.add) as (telling, health):
        telling.offer(message("web"))
        telling.offer(message("shop"))
        await deliveries.wait(2)

    assert 2 == len(one.got)
    assert 1 == health.lost["notifications_refused"]


async def test_attempts_end_and_the_message_stays_owed() -> None:
    """
    After all attempts nothing is marked as told, so that the next window offers it again.
    """
    deliveries = Deliveries()
    async with (
        receiver(500, 500, 500) as one,
        notifier(settings(one.url, delivery_attempts=3), deliveries.add) as (telling, health),
    ):
        telling.offer(message("web"))
        await one.wait(3)
        async with asyncio.timeout(20):
            while True:
                if health.lost:
                    break
                await asyncio.sleep(0.01)
        assert {"notifications_given_up": 1} == health.lost
        assert [] == deliveries.messages
        telling.offer(message("web"))
        await deliveries.wait(1)
