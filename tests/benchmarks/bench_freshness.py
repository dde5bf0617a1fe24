"""
How soon does a user see what happens? `python -m tests.benchmarks.bench_freshness`.

A whole meshlens (NATS, PostgreSQL, six services) observes a launcher. Again and again, at intervals that drift against
every tick in the system, the launcher starts a service that was never seen before, and it is asked once. The time runs
from the moment the request is sent until the service with its request is in the running window on NATS, and on the map
that `/api/v1/topology` answers, which is asked every 50 ms. Then `meshlens up --demo` is started several times with
everything built, and the time until its map has the first colour is taken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from deploy.local import ports
from deploy.local.api import Api
from deploy.local.data_directory import DataDirectory
from services.query_api.answers import Topology
from shared import subjects
from shared.errors import ConfigError, Unavailable
from tests.benchmarks._collector import Listener
from tests.benchmarks._figures import Figure, median, quantile
from tests.benchmarks._lab import REPOSITORY, START_S, end, forget, temporary_folder, until
from tests.benchmarks._run import alone
from tests.mesh.cluster import Cluster
from tests.mesh.conftest import COLOURED

if TYPE_CHECKING:
    from pathlib import Path

    from shared.messages.topology import TopologyWindow

SECTION: Final = "freshness"
TRIALS: Final = 40
EVERY_S: Final = 1.37
LIMIT_S: Final = 10.0
FIRST_MAP_S: Final = 30.0
SERVICE: Final = """\
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
    connection.close()
"""


class Launcher:
    """
    A shell that starts services, so that they are in its tree and nothing else is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder
        self.process: Final = subprocess.Popen(
            ["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, start_new_session=True
        )

    def start(self, name: str) -> int:
        """
        Start the service *name*, and return its port when it listens.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        port = ports.free_port()
        script = self._folder / f"{name}.py"
        script.write_text(SERVICE, encoding="ascii")
        self.process.stdin.write(f"{sys.executable} -S -E {script} {port} &\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "listens\n"
        return port

    def close(self) -> None:
        """
        End the shell and its services: they are a process group of their own.
        """
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate(timeout=20)


class Mesh:
    """
    A whole meshlens without the demo.
    """

    def __init__(self, folder: Path, scope: str) -> None:
        self.data: Final = DataDirectory(folder / "data")
        self.node: Final = f"bench-{os.getpid()}-mesh"
        self._log: Final = folder / "up.log"
        command = [sys.executable, "-m", "deploy.local.cli", "up", "--scope", scope, "--data-dir", str(self.data.path)]
        for option in ("--port", "--nats-port", "--postgres-port"):
            command += [option, str(ports.free_port())]
        with self._log.open("wb") as output:
            self.process: Final = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=REPOSITORY,
                env={**os.environ, "MESHLENS_NODE": self.node},
            )  # fmt: skip
        try:
            until(lambda: self.data.read_runtime() is not None, "meshlens up", START_S)
        except AssertionError:
            self.close()
            raise
        runtime = self.data.read_runtime()
        assert runtime is not None
        self.nats: Final = runtime.nats
        self._api: Final = Api(runtime.api)

    def close(self) -> None:
        """
        End it.
        """
        end(self.process, grace_s=120)
        forget(self.node)

    def shown(self) -> set[str]:
        """
        Return the services that the map shows with a request.
        """
        try:
            topology = self._api.get("/topology", Topology)
        except (Unavailable, ConfigError):
            return set()
        return {service.name for service in topology.services if service.provided.requests}


class Watched:
    """
    When each service was first seen.
    """

    def __init__(self) -> None:
        self.sent: Final[dict[str, float]] = {}
        self.live: Final[dict[str, float]] = {}
        self.page: Final[dict[str, float]] = {}

    async def hear(self, window: TopologyWindow) -> None:
        """
        Take a running window.
        """
        now = time.monotonic()
        asked = {figures.service for figures in window.service_figures if figures.provided.requests}
        for service in window.services:
            if service.id in asked:
                self.live.setdefault(service.name, now)

    def look(self, mesh: Mesh, over: threading.Event) -> None:
        """
        Ask the API again and again.
        """
        while not over.wait(0.05):
            for name in mesh.shown():
                self.page.setdefault(name, time.monotonic())

    def delays(self, seen: dict[str, float]) -> list[float]:
        """
        Return the seconds from each request until it was *seen*; what never was is infinite.
        """
        return [seen.get(name, float("inf")) - at for name, at in self.sent.items()]


def ask(port: int) -> float:
    """
    Send one request, and return when it was sent.
    """
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        sent = time.monotonic()
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        return sent


def trials(number: int) -> Watched:
    """
    Return when each of so many new services was asked and seen.
    """
    watched, over = Watched(), threading.Event()
    with contextlib.ExitStack() as later:
        folder = later.enter_context(temporary_folder())
        launcher = Launcher(folder)
        later.callback(launcher.close)
        mesh = Mesh(folder, f"tree:{launcher.process.pid}")
        later.callback(mesh.close)
        later.enter_context(Listener(mesh.nats, subjects.LIVE_WINDOW, watched.hear))
        looking = threading.Thread(target=watched.look, args=(mesh, over))
        looking.start()
        later.callback(looking.join)
        later.callback(over.set)
        warm = launcher.start("warm")
        until(lambda: bool(ask(warm)) and "warm" in watched.page, "the first service is on the map", START_S)
        for trial in range(number):
            name = f"fresh{trial}"
            watched.sent[name] = ask(launcher.start(name))
            time.sleep(EVERY_S)
        with contextlib.suppress(AssertionError):  # what was not seen is infinite
            until(lambda: watched.sent.keys() <= watched.page.keys(), "all are on the map", 30)
    return watched


def first_map() -> float:
    """
    Return the seconds from the start of `meshlens up --demo` until its map has a colour.
    """
    node = f"bench-{os.getpid()}-demo"
    cluster = Cluster(environment={"MESHLENS_NODE": node})
    try:
        cluster.wait_for(
            "the first coloured map",
            lambda: any(service.state.own in COLOURED for service in cluster.topology().services),
            START_S,
        )
        return time.monotonic() - cluster.started_at
    finally:
        cluster.stop()
        cluster.remove()
        forget(node)


def measure(*, quick: bool) -> list[Figure]:
    """
    Return the figures.
    """
    number, starts = (4, 1) if quick else (TRIALS, 4)
    watched = trials(number)
    figures = []
    for where, seen in (("in the running window on NATS", watched.live), ("on the map of the API", watched.page)):
        delays = watched.delays(seen)
        p95 = quantile(delays, 0.95)
        figures.append(
            Figure(f"from the first request of a new service until it is {where}, {number} trials: p50 / p95",
                   f"{median(delays):.2f} / {p95:.2f} s", f"{min(delays):.2f} to {max(delays):.2f} s",
                   f"p95 at most {LIMIT_S:g} s", p95 <= LIMIT_S)
        )  # fmt: skip
    taken = [first_map() for _ in range(starts)][1 if starts > 1 else 0 :]
    figures.append(
        Figure(f"`meshlens up --demo`, warm: until the first coloured map, median of {len(taken)}",
               f"{median(taken):.1f} s", f"{min(taken):.1f} to {max(taken):.1f} s", f"{FIRST_MAP_S:g} s",
               median(taken) <= FIRST_MAP_S)
    )  # fmt: skip
    return figures


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        alone(SECTION, measure)
