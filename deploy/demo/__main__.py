"""
`python -m deploy.demo`: run the demo until a signal, answering on a control socket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from deploy.demo.application import Application
from deploy.local.api import over_socket
from deploy.local.data_directory import DataDirectory
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOK_EVERY_S = 0.5


def routes(demo: Application, stop: asyncio.Event) -> list[web.RouteDef]:
    """
    Return what the control socket answers.
    """

    async def status(_request: web.Request) -> web.Response:
        return web.json_response(demo.status())

    async def fault(request: web.Request) -> web.Response:
        asked = await request.json()
        demo.switch_on(str(asked["kind"]), str(asked["service"]))
        return web.json_response(demo.status())

    async def heal(_request: web.Request) -> web.Response:
        demo.heal()
        return web.json_response(demo.status())

    async def load(request: web.Request) -> web.Response:
        what = request.match_info["what"]
        method = "GET" if what == "totals" else "POST"
        return web.json_response(await asyncio.to_thread(over_socket, str(demo.load_socket()), method, f"/{what}"))

    async def end(_request: web.Request) -> web.Response:
        stop.set()
        return web.json_response({})

    return [
        web.get("/status", status),
        web.post("/fault", fault),
        web.post("/heal", heal),
        web.post("/load/{what:totals|pause|resume}", load),
        web.post("/stop", end),
    ]


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Turn what the operator must know into an answer.
    """
    try:
        return await handler(request)
    except (ConfigError, Unavailable, KeyError, json.JSONDecodeError) as error:
        return web.json_response({"error": str(error)}, status=400)


async def run(demo: Application, control: Path) -> None:
    """
    Keep *demo* running until a signal, or until the socket is told to stop.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    application = web.Application(middlewares=[explain])
    application.add_routes(routes(demo, stop))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.UnixSite(runner, str(control))
    previous = os.umask(0o177)
    await site.start()
    os.umask(previous)
    try:
        demo.start()
        print("started", flush=True)
        while not stop.is_set():
            demo.look()
            try:
                await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue
    finally:
        demo.stop()
        await runner.cleanup()


def say(text: str) -> None:
    """
    Tell the log.
    """
    print(text, flush=True)


def main() -> int:
    """
    Run the demo and return the exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="The demo shop, under load.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder for its state and its cache")
    parser.add_argument("--control", type=Path, required=True, help="path of the control socket")
    parser.add_argument("--user", default="nobody", help="who owns its PostgreSQL when we are root")
    arguments = parser.parse_args()
    try:
        DataDirectory(arguments.data_dir).prepare()
        asyncio.run(
            run(Application(arguments.data_dir.absolute(), arguments.user, print), arguments.control.absolute())
        )
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
