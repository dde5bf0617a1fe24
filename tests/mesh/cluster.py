"""
A whole meshlens with its demo, started by its own command line, and what the tests ask of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import asyncpg
import msgspec
import nats
import nats.errors

from deploy.local import ports, secrets
from deploy.local.api import Api, over_socket
from deploy.local.data_directory import DataDirectory, Runtime
from services.query_api.answers import Page, ServiceNode, Status, Topology
from shared.errors import ConfigError, Unavailable
from shared.subjects import KERNEL_BATCH
from tests.kernel.family import Rest

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REPOSITORY: Final = Path(__file__).parent.parent.parent
NUMBERS: Final = itertools.count()
"""Of the clusters of a session: each is a node of its own, so that one can run beside another."""
NOT_NOW: Final = (Unavailable, ConfigError, OSError, AssertionError, asyncpg.PostgresError, nats.errors.Error)
"""What says that something cannot be asked at the moment."""
REST_S: Final = 5.0
"""So long the demo may take to come to rest once nobody asks it; it does within moments."""
STORED_S: Final = 120.0
"""Until all is stored: a window, and half a minute after which NATS delivers anew what a killed service had taken."""
TOTALS: Final = """
select source.service as source, target.service as target, relations.protocol, t.client_requests, t.server_requests,
    t.server_errors
from relation_totals as t
join relations using (relation_id)
join services as source on source.service_id = relations.source_id
join services as target on target.service_id = relations.target_id
"""
STILL_COUNTED: Final = ("endpoint_names", "sample_rate", "sample_ring_full")
"""Causes that cost a name or a sample, and no request."""
LOST: Final = "select cause, sum(lost)::bigint as lost from losses group by cause having sum(lost) <> 0"


class Total(msgspec.Struct, frozen=True):
    """
    What PostgreSQL holds of one relation, as both ends saw it.
    """

    client: int
    server: int
    server_errors: int

    def since(self, before: Total) -> Total:
        """
        Return what came after *before*.
        """
        return Total(
            self.client - before.client, self.server - before.server, self.server_errors - before.server_errors
        )


class Cluster:
    """
    One `meshlens up`, with the demo unless told otherwise.
    """

    def __init__(self, *extra: str, environment: dict[str, str] | None = None, demo: bool = True) -> None:
        self.folder: Final = Path(tempfile.mkdtemp(prefix="meshlens-mesh-"))
        self.folder.chmod(0o755)
        self.data: Final = DataDirectory(self.folder / "data")
        self.log: Final = self.folder / "up.log"
        self.started_at: Final = time.monotonic()
        _share_the_built_programs(self.data.path)
        command = [sys.executable, "-m", "deploy.local.cli", "up", "--data-dir", str(self.data.path)]
        command += ["--demo"] if demo else []
        for option in ("--port", "--nats-port", "--postgres-port"):
            command += [option, str(ports.free_port())]
        with self.log.open("wb") as output:
            self._process: Final = subprocess.Popen(
                [*command, *extra],
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "MESHLENS_NODE": f"mesh-test-{os.getpid()}-{next(NUMBERS)}",
                    **(environment or {}),
                },
            )

    @property
    def runtime(self) -> Runtime:
        """
        Return what runs now.
        """
        found = self.data.read_runtime()
        assert found is not None, self.said()
        return found

    @property
    def api(self) -> Api:
        """
        Return the API of this cluster.
        """
        return Api(self.runtime.api)

    def said(self) -> str:
        """
        Return what the supervisor printed.
        """
        return self.log.read_text(errors="replace")

    def topology(self) -> Topology:
        """
        Return the live map.
        """
        return self.api.get("/topology", Topology)

    def service(self, name: str) -> ServiceNode | None:
        """
        Return one node of the live map.
        """
        return next((one for one in self.topology().services if one.name == name), None)

    def status(self) -> Status:
        """
        Return how the services are.
        """
        return self.api.get("/status", Status)

    def ready(self) -> bool:
        """
        Return whether all six services are ready.
        """
        services = self.status().services
        return len(services) == 6 and all(service.state == "ready" for service in services)

    def demo(self, method: str, path: str, body: object = None) -> Any:
        """
        Ask the demo.
        """
        return over_socket(self.runtime.demo, method, path, body)

    def quiet_load(self) -> dict[str, Any]:
        """
        Stop the load, wait until nothing is under way and every program of the demo rests, and return what it counted.
        """
        counted: dict[str, Any] = self.demo("POST", "/load/pause")
        Rest().wait([self.runtime.processes["demo"]], REST_S)
        return counted

    def totals(self) -> dict[tuple[str, str, str], Total]:
        """
        Return what PostgreSQL holds, by source, target and protocol.
        """
        rows = asyncio.run(self._rows(TOTALS))
        return {
            (row["source"], row["target"], row["protocol"]): Total(
                row["client_requests"], row["server_requests"], row["server_errors"]
            )
            for row in rows
        }

    def lost(self) -> dict[str, int]:
        """
        Return the requests that PostgreSQL holds as lost, by cause.
        """
        rows = asyncio.run(self._rows(LOST))
        return {row["cause"]: row["lost"] for row in rows if row["cause"] not in STILL_COUNTED}

    def settled_totals(self) -> dict[tuple[str, str, str], Total]:
        """
        Return the totals once all that the kernel has counted until now is in them; the load must be quiet.
        """
        now_ns = time.time_ns()
        self.wait_for("all is stored", lambda: asyncio.run(self._oldest_under_way()) >= now_ns, STORED_S)
        return self.totals()

    def wait_for(self, what: str, condition: Callable[[], T], timeout_s: float) -> T:
        """
        Return the first true answer of *condition*; what cannot be asked at the moment is asked again.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"the supervisor ended\n{self.said()}"
            assert "needs you" not in self.said(), self.said()
            with contextlib.suppress(
                Unavailable, ConfigError, OSError, asyncpg.PostgresError, nats.errors.Error, AssertionError
            ):
                answer = condition()
                if answer:
                    return answer
            time.sleep(0.25)
        raise AssertionError(f"{what}: not within {timeout_s:g} s\n{self.said()}")

    def kill(self, name: str) -> None:
        """
        `kill -9` one process of this cluster, and wait until the supervisor has another one running.
        """
        before = self.runtime.processes[name]
        os.kill(before, signal.SIGKILL)
        self.wait_for(f"{name} runs again", lambda: self.runtime.processes[name] != before, 40)

    def stop(self) -> int:
        """
        End it as Ctrl-C does, and return its exit status.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def remove(self) -> None:
        """
        Forget its data, but for the programs of the demo that had to be built.
        """
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _oldest_under_way(self) -> int:
        """
        Return since when the kernel has counted what is in the oldest batch that is not stored yet.

        NATS keeps a batch until the transaction that stores it, and they are published in order: what was counted
        before has been stored. Without a batch that is under way nothing is known.
        """
        client = await nats.connect(self.runtime.nats, connect_timeout=5, max_reconnect_attempts=0)
        try:
            stream = client.jetstream()
            state = (await stream.stream_info(KERNEL_BATCH.stream)).state
            if not state.messages:
                return 0
            raw = await stream.get_msg(KERNEL_BATCH.stream, seq=state.first_seq)
            return KERNEL_BATCH.decode(raw.data or b"").start_ns
        finally:
            await client.close()

    async def _rows(self, query: str) -> list[asyncpg.Record]:
        password = secrets.load(self.data.path / "secrets.json").postgres_owner
        host = urlsplit(self.runtime.postgres).netloc.rpartition("@")[2]
        connection = await asyncpg.connect(
            f"postgresql://meshlens:{quote(password, safe='')}@{host}/meshlens", timeout=5
        )
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    def pages(self, path: str) -> list[Any]:
        """
        Return the items of a list of the API.
        """
        items: list[Any] = self.api.get(path, Page[Any]).items
        return items


def _share_the_built_programs(data: Path) -> None:
    """
    Take the Go and Java programs that an earlier run has built.
    """
    usual = "/var/tmp/meshlens-demo-cache"  # noqa: S108 - a cache, made by root
    cache = Path(os.environ.get("MESHLENS_DEMO_CACHE", usual))
    cache.mkdir(parents=True, exist_ok=True)
    (data / "demo").mkdir(parents=True)
    (data / "demo" / "cache").symlink_to(cache)


def in_words(counted: dict[str, Any]) -> str:
    """
    Return what the load counted, for a failing test.
    """
    return json.dumps(counted, indent=1)
