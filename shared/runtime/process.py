"""
The life of a service process: settings, logs, the bus, the heartbeat, signals, and how it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web

from shared import subjects
from shared.errors import ConfigError
from shared.runtime import bus as bus_module
from shared.runtime import config as config_module
from shared.runtime import health as health_module
from shared.runtime import logging as logging_module

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from structlog.typing import FilteringBoundLogger

    from shared.runtime.bus import Bus
    from shared.runtime.health import Health

C = TypeVar("C", bound=config_module.Common)

HEARTBEAT_S: Final = 2.0
EXIT_CONFIG: Final = 2
"""The operator must act; starting again will not help."""


class Stopped(Exception):
    """
    A signal asked the process to end.
    """


class Shell:
    """
    What a service's own code works with.
    """

    def __init__(self, bus: Bus, health: Health, log: FilteringBoundLogger, application: web.Application) -> None:
        self.bus: Final = bus
        self.health: Final = health
        self.log: Final = log
        self.application: Final = application
        """The HTTP application; add routes before `serving` is called."""
        self.tasks: asyncio.TaskGroup
        """Background work; a task that fails ends the process."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """
        Run *work* beside the service.
        """
        self.tasks.create_task(work, name=name)


def run(service: str, kind: type[C], serve: Callable[[Shell, C], Awaitable[None]], *, at_once: bool = False) -> int:
    """
    Run *service* until a signal ends it, and return the exit status.

    It serves as soon as NATS is reached; *at_once* even before, for what has work to do without.
    """
    try:
        settings = config_module.load(kind, service, os.environ)
        log = logging_module.configure(service, settings.log_level, settings.log_format)
    except ConfigError as error:
        print(f"{service}: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return EXIT_CONFIG
    status = 0
    try:
        asyncio.run(_live(service, settings, log, serve, at_once=at_once))
    except* Stopped:
        log.info("stopped")
    except* ConfigError as refusals:
        for refusal in refusals.exceptions:
            log.error("cannot_start", reason=str(refusal))
        status = EXIT_CONFIG
    return status


async def _live(
    service: str, settings: C, log: FilteringBoundLogger, serve: Callable[[Shell, C], Awaitable[None]], *, at_once: bool
) -> None:
    health = health_module.Health(service, settings.node_name(), log)
    application = web.Application(client_max_size=1024 * 1024)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_until_signal(), name="signals")
        bus = bus_module.Bus()
        reaching = bus.reach(
            settings.nats_url,
            name=service,
            user=settings.nats_user,
            password=settings.nats_password,
            waiting=lambda what: health.waiting(what, key="nats"),
        )
        if at_once:
            tasks.create_task(reaching, name="nats")
        else:
            await reaching
        shell = Shell(bus, health, log, application)
        shell.tasks = tasks
        tasks.create_task(_heartbeat(shell), name="heartbeat")
        try:
            await serve(shell, settings)
        finally:
            await bus.close()


async def serving(shell: Shell, settings: config_module.Common) -> None:
    """
    Serve HTTP (the health routes, and what the service has added), declare the service ready, and stay.
    """
    shell.application.add_routes(shell.health.routes())
    runner, url = await health_module.start_http(
        shell.application, settings.http_host, settings.http_port, shell.health.service
    )
    shell.health.url = url
    shell.health.ready = True
    shell.log.info("ready", url=url)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _heartbeat(shell: Shell) -> None:
    connected = True
    while True:
        if shell.bus.reached and shell.bus.connected != connected:
            connected = shell.bus.connected
            shell.health.waiting("" if connected else "NATS (connection lost)", key="nats")
        await shell.bus.emit(subjects.STATUS, shell.health.status())
        await asyncio.sleep(HEARTBEAT_S)


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    raise Stopped
