"""
Start everything on this machine and keep it running.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final

import msgspec

from deploy.local.api import Api
from deploy.local.console import Console
from deploy.local.data_directory import default_path
from deploy.local.options import Options
from deploy.local.supervisor import LOOK_EVERY_S, Supervisor, start_or_stop
from services.query_api.answers import Topology
from services.query_api.security import is_loopback
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    import argparse
    from types import FrameType

SAYS = "start NATS, PostgreSQL, the six services and perhaps a demo, and keep them running"

TIDY_EVERY_S: Final = 60.0
ASK_EVERY_S: Final = 1.0
COLOURS: Final = ("green", "yellow", "orange", "red")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare its arguments.
    """
    parser.add_argument("--demo", action="store_true", help="also start the demo application, and observe it")
    parser.add_argument(
        "--scope", default="", metavar="WHAT",
        help="what to observe: tree:PID, cgroup:PATH, netns:NAME, or host",
    )  # fmt: skip
    parser.add_argument("--nats", default="", metavar="URL", help="use this NATS instead of an embedded one")
    parser.add_argument("--postgres", default="", metavar="DSN", help="use this database (as its owner) instead of an "
                        "embedded one")  # fmt: skip
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="address of the page; wider than "
                        "loopback asks for tokens (default: 127.0.0.1)")  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="port of the page (default: 8800, else a free one)")
    parser.add_argument("--nats-port", type=int, default=0, help="port of the embedded NATS (default: 4222, else free)")
    parser.add_argument("--postgres-port", type=int, default=0, help="port of the embedded PostgreSQL (default: 5432, "
                        "else free)")  # fmt: skip
    parser.add_argument("--user", default="nobody", help="owner of the embedded servers when we are root (default: "
                        "nobody)")  # fmt: skip
    parser.add_argument("--exit-after", type=float, default=0.0, metavar="SECONDS", help="stop by itself after so long")
    parser.add_argument("--quiet", action="store_true", help="say only what you must know")


def run(arguments: argparse.Namespace) -> int:
    """
    Start everything, and stay until a signal ends it.
    """
    options = Options(
        data_dir=arguments.data_dir or default_path(),
        demo=arguments.demo,
        nats=arguments.nats,
        nats_user=os.environ.get("MESHLENS_NATS_USER", ""),
        nats_password=os.environ.get("MESHLENS_NATS_PASSWORD", ""),
        postgres=arguments.postgres,
        scope=arguments.scope,
        listen=arguments.listen,
        page_port=arguments.port,
        nats_port=arguments.nats_port,
        postgres_port=arguments.postgres_port,
        user=arguments.user,
        exit_after_s=arguments.exit_after,
        quiet=arguments.quiet,
    )
    console = Console(quiet=options.quiet)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    supervisor = Supervisor(options, console)
    start_or_stop(supervisor)
    try:
        _greet(supervisor)
        _stay(supervisor)
    except KeyboardInterrupt:
        console.step("stopping")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        supervisor.stop()
        console.step("stopped; nothing is left running")
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _greet(supervisor: Supervisor) -> None:
    lines = [f"meshlens: {supervisor.url}", "Ctrl-C stops everything and cleans up."]
    if not is_loopback(supervisor.options.listen):
        lines.append(f"The page asks for a token; they are in {supervisor.data.tokens_file()}")
    supervisor.console.banner(lines)


def _stay(supervisor: Supervisor) -> None:
    started = time.monotonic()
    waits = _FirstMap(supervisor)
    asked = tidied = started
    while not supervisor.options.exit_after_s or time.monotonic() - started < supervisor.options.exit_after_s:
        supervisor.watch()
        now = time.monotonic()
        if now - asked >= ASK_EVERY_S:
            asked = now
            waits.look()
        if now - tidied >= TIDY_EVERY_S:
            tidied = now
            supervisor.tidy_logs()
        time.sleep(LOOK_EVERY_S / 10)


class _FirstMap:
    """
    Tells once when the map has services, and once when it has colours.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._console = supervisor.console
        self._api = Api(supervisor.url, _token(supervisor))
        self._told: set[str] = set()

    def look(self) -> None:
        """
        Ask for the map if something is still to be told.
        """
        if {"map", "colours"} <= self._told:
            return
        try:
            topology = self._api.get("/topology", Topology)
        except (Unavailable, ConfigError, msgspec.DecodeError):
            return
        self._tell("page", "the page answers")
        if topology.age_s is None or topology.age_s > self._console.elapsed_s:
            return  # what an earlier run has stored
        counts = f"{len(topology.services)} services, {len(topology.relations)} relations"
        if topology.services:
            self._tell("map", f"first map: {counts}")
        if any(service.state.own in COLOURS for service in topology.services):
            self._tell("colours", f"first coloured map: {counts}")

    def _tell(self, what: str, text: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._console.step(text)


def _token(supervisor: Supervisor) -> str:
    return "" if is_loopback(supervisor.options.listen) else supervisor.data.secrets().admin_token()
