"""
The service with real NATS and PostgreSQL, killed and starved: the tables hold the sum of all batches, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from deploy.local import ports
from deploy.local.postgres import PostgresServer, ensure_database
from shared import subjects
from shared.messages.kernel import KernelBatch, Protocol, Role
from shared.messages.l7 import EndpointNamed, EndpointsNamed
from shared.messages.topology import TopologyChange, TopologyWindow
from shared.runtime import bus as bus_module
from shared.runtime import postgres
from shared.units import S_NS
from tests.conftest import with_role
from tests.services.topology_builder.making import batch, instance, l4, l7

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from deploy.local.nats import NatsServer
    from shared.runtime.bus import Bus

pytestmark = pytest.mark.mesh
CLIENT, SERVER = Role.CLIENT, Role.SERVER
DEADLINE_S = 60
REDELIVER_S = 3
PROGRAMS = [instance(1, "gateway.py", "0.0.0.0:80"), instance(2, "cart.py", "0.0.0.0:8080")]


class Builder:
    """
    The service as a process that can be killed.
    """

    def __init__(self, nats_url: str, dsn: str) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "MESHLENS_NATS_URL": nats_url,
            "MESHLENS_POSTGRES_DSN": dsn,
            "MESHLENS_LOG_LEVEL": "error",
            "TOPOLOGY_BUILDER_CLOSE_AFTER_S": "0.5",
            "TOPOLOGY_BUILDER_GAP_CERTAIN_AFTER_S": "8",
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """
        Start it.
        """
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.topology_builder", env=self._environment
        )

    async def kill(self) -> None:
        """
        Kill it without warning.
        """
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """
        Ask it to end, and return its status.
        """
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)


@contextlib.asynccontextmanager
async def running(nats_url: str, dsn: str) -> AsyncIterator[Builder]:
    """
    Run the service; it ends cleanly.
    """
    builder = Builder(nats_url, dsn)
    await builder.start()
    try:
        yield builder
    finally:
        status = await builder.stop()
    assert 0 == status


@pytest.fixture
async def bus(fresh_nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bus]:
    """
    A connection that has made the streams, so that what was not acknowledged comes again after three seconds.
    """
    monkeypatch.setattr(bus_module, "ACK_WAIT_S", REDELIVER_S)
    connected = await bus_module.connect(fresh_nats.url, name="test")
    yield connected
    await connected.close()


def batches(count: int, seed: int) -> tuple[list[KernelBatch], int]:
    """
    Return numbered batches of the last minutes, in which gateway asks cart, and the number of requests in them.
    """
    dice, now_ns, sent, requests = random.Random(seed), time.time_ns(), [], 0
    for number in range(1, count + 1):
        asked = dice.randrange(1, 1000)
        requests += asked
        sent.append(
            batch(
                number,
                l7(1, CLIENT, asked, peer=2),
                l7(2, SERVER, asked, peer=1),
                l4(1, CLIENT, peer=2, opened=1),
                end_ns=now_ns - (count - number) * S_NS // 2,
                instances=PROGRAMS if number % 20 == 1 else [],
            )
        )
    return sent, requests


async def totals(dsn: str) -> tuple[int, int, int]:
    """
    Return what cart provided, and what both sides of the relation counted.
    """
    connection = await asyncpg.connect(dsn)
    try:
        provided = await connection.fetchval(
            "select requests from service_totals join services using (service_id) where service = 'cart'"
        )
        sides = await connection.fetchrow(
            "select client_requests, server_requests from relation_totals join relations using (relation_id) "
            "where relation = 'gateway->cart:http'"
        )
    finally:
        await connection.close()
    return (provided or 0, *(tuple(sides) if sides else (0, 0)))


async def value(dsn: str, query: str) -> Any:
    """
    Return the one value that *query* asks for.
    """
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until(expected: object, ask: Callable[[], Awaitable[object]]) -> None:
    """
    Wait until *ask* answers *expected*, and fail with its last answer.
    """
    deadline = time.monotonic() + DEADLINE_S
    while (found := await ask()) != expected and time.monotonic() < deadline:  # noqa: ASYNC110 - the tables tell nobody
        await asyncio.sleep(0.2)
    assert expected == found


async def test_killed_again_and_again_the_totals_are_exact(
    bus: Bus, fresh_nats: NatsServer, postgres_dsn: str
) -> None:  # fmt: skip
    """
    >> 400 batches, out of order, some twice, while the service is killed five times
    << every request is in the tables once, no batch is lost, and each window was published.
    """
    sent, requests = batches(400, seed=1)
    dice = random.Random(2)
    order = [*sent, *dice.sample(sent, 80)]
    order.sort(key=lambda each: each.number + dice.randrange(30))
    async with running(fresh_nats.url, with_role(postgres_dsn, "topology-builder")) as builder:
        for index, each in enumerate(order):
            await bus.publish(subjects.KERNEL_BATCH, each)
            await asyncio.sleep(0.02)
            if index % 80 == 79:
                await builder.kill()
                await builder.start()
        await until((requests,) * 3, lambda: totals(postgres_dsn))
        await until(0, lambda: bus.pending(subjects.KERNEL_BATCH, "topology-builder"))
        await until(0, lambda: value(postgres_dsn, "select count(*) from windows where message is not null"))
    applied = await value(postgres_dsn, "select applied::text from kernel_epochs")

    assert "{[1,401)}" == applied
    assert (requests,) * 3 == await totals(postgres_dsn)
    assert None is await value(postgres_dsn, "select sum(lost) from losses")


@pytest.fixture
def own_postgres(server_directory: Path) -> Iterator[PostgresServer]:
    """
    A PostgreSQL that one test may kill.
    """
    directory = Path(tempfile.mkdtemp(prefix="postgres-", dir=server_directory))
    server = PostgresServer(directory, ports.free_port(), "owner", settings={"checkpoint_timeout": "30s"})
    server.start()
    yield server
    server.stop()


async def test_without_postgresql_batches_wait_and_the_map_goes_on(
    bus: Bus, fresh_nats: NatsServer, own_postgres: PostgresServer
) -> None:
    """
    >> PostgreSQL is killed under way, and comes back
    << meanwhile the running map is published; afterwards every request is in the tables once.
    """
    dsn = await ensure_database(own_postgres)
    await postgres.migrate(dsn, {"meshlens_topology_builder": "test password of topology-builder"})
    sent, requests = batches(200, seed=3)
    live: list[TopologyWindow] = []
    await bus.listen(subjects.LIVE_WINDOW, _keep(live))
    async with running(fresh_nats.url, with_role(dsn, "topology-builder")):
        for each in sent[:100]:
            await bus.publish(subjects.KERNEL_BATCH, each)
        await until(True, lambda: value(dsn, "select count(*) > 0 from windows"))
        assert own_postgres.child is not None
        own_postgres.child.signal(signal.SIGKILL)
        own_postgres.child.stop()
        live.clear()
        for each in sent[100:]:
            await bus.publish(subjects.KERNEL_BATCH, each)
        await until(True, lambda: _any(window.relations for window in live))
        await asyncio.to_thread(own_postgres.start)
        await until((requests,) * 3, lambda: totals(dsn))
        await until(0, lambda: bus.pending(subjects.KERNEL_BATCH, "topology-builder"))


async def test_the_map_is_told(bus: Bus, fresh_nats: NatsServer, postgres_dsn: str) -> None:
    """
    >> batches and the name of an endpoint
    << the running map, what appeared, and the closed window with the endpoint's name and the losses by cause.
    """
    live: list[TopologyWindow] = []
    changes: list[TopologyChange] = []
    closed: list[TopologyWindow] = []
    await bus.listen(subjects.LIVE_WINDOW, _keep(live))
    await bus.listen(subjects.CHANGE, _keep(changes))
    await bus.listen(subjects.WINDOW, _keep(closed))
    named = EndpointNamed(Protocol.HTTP1, 0xAB, "GET /cart", "GET")
    await bus.publish(subjects.ENDPOINTS, EndpointsNamed([named]))
    async with running(fresh_nats.url, with_role(postgres_dsn, "topology-builder")):
        await until("GET /cart", lambda: value(postgres_dsn, "select name from endpoint_names"))
        for number in (1, 2, 4):
            now_ns = time.time_ns()
            series = (l7(1, CLIENT, 5, peer=2), l7(2, SERVER, 5, peer=1))
            one = batch(number, *series, end_ns=now_ns, instances=PROGRAMS, lost={"ring_full": 1})
            await bus.publish(subjects.KERNEL_BATCH, one)
        await until(True, lambda: _any(window.relations for window in live))
        await until(True, lambda: _any(closed))
        await until(1, lambda: value(postgres_dsn, "select sum(lost) from losses where cause = 'batch_missing'"))
    relation = next(window.relations[0] for window in live if window.relations)

    assert ("gateway->cart:http", 15, 15) == (relation.id, relation.client.requests, relation.server.requests)
    assert {"gateway", "cart", "gateway->cart:http"} <= {change.id for change in changes}
    assert [("cart", "GET /cart", 15)] == [
        (each.service, each.name, each.provided.requests) for each in closed[0].endpoint_figures
    ]
    assert (True, {"ring_full": 3}) == (closed[0].final, closed[0].lost)


def _keep(into: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def keep(message: Any) -> None:
        into.append(message)

    return keep


async def _any(values: Any) -> bool:
    return any(values)
