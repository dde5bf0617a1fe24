"""
The service with real NATS and PostgreSQL: samples in, spans and names out, killed and started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from shared import subjects
from shared.messages.kernel import Outcome, Protocol, Sample
from shared.messages.l7 import EndpointNamed
from shared.runtime import bus as bus_module
from tests.services.protocol_parser.samples import COMPLETE, EXECUTE, batch, parse_message, sample
from tests.services.running import DEADLINE_S, fetch, running, until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from deploy.local.nats import NatsServer
    from shared.runtime.bus import Bus

pytestmark = pytest.mark.mesh
SERVICE = "protocol-parser"


def parser(nats_url: str, dsn: str) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """
    Run the service.
    """
    return running("protocol_parser", nats_url, dsn)


@contextlib.asynccontextmanager
async def connected(nats_url: str) -> AsyncIterator[Bus]:
    """
    Open a connection to NATS for the length of a block.
    """
    bus = await bus_module.connect(nats_url, name="test")
    try:
        yield bus
    finally:
        await bus.close()


async def all_acknowledged(bus: Bus) -> None:
    """
    Wait until the service has acknowledged every sample.
    """
    async with asyncio.timeout(DEADLINE_S):
        while await bus.pending(subjects.KERNEL_SAMPLES, SERVICE):  # noqa: ASYNC110 - NATS tells only when asked
            await asyncio.sleep(0.1)


async def names(bus: Bus, wanted: int) -> list[EndpointNamed]:
    """
    Return the next *wanted* names that are published.
    """
    found: list[EndpointNamed] = []
    async with asyncio.timeout(DEADLINE_S):
        async for delivery in bus.consume(subjects.ENDPOINTS, "topology-builder"):
            found += delivery.message.endpoints
            await delivery.done()
            if len(found) >= wanted:
                break
    return found


def now(**changes: Any) -> Sample:
    """
    Return a sample of this moment.
    """
    return sample(observed_ns=time.time_ns(), **changes)


async def test_spans_names_and_verdicts_come_out(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    A batch becomes rows, names and a verdict; delivered again, it changes nothing.
    """
    async with connected(fresh_nats.url) as bus:
        verdict: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def heard(message: Any) -> None:
            if not verdict.done():
                verdict.set_result(message)

        await bus.listen(subjects.PROTOCOL_VERDICT, heard)
        async with parser(fresh_nats.url, service_dsn(SERVICE)):
            samples = (
                now(),
                now(outcome=Outcome.SERVER_ERROR, status=503, response=b"HTTP/1.1 503 \r\n\r\n", why="failed", peer=9),
                now(protocol=Protocol.UNKNOWN, endpoint=0, port=9000, why="unknown"),
            )
            await bus.publish(subjects.KERNEL_SAMPLES, batch(*samples))
            await bus.publish(subjects.KERNEL_SAMPLES, batch(*samples))
            await all_acknowledged(bus)

            assert [named.name for named in await names(bus, 1)] == ["GET /users/{id}"]
            assert (await asyncio.wait_for(verdict, DEADLINE_S)).port == 9000
    rows = await fetch(postgres_dsn, "select * from spans order by started")

    assert len(samples) == len(rows)
    first, failed, unknown = rows
    assert tuple(first[c] for c in ("instance", "peer", "role", "protocol")) == ("alpha/17/7", "", "server", "http")
    assert (
        first["endpoint"],
        first["connection"],
        first["stream_offset"],
    ) == ("fedcba9876543210", 0x8000000000000007 - (1 << 64), 4096)
    assert tuple(failed[c] for c in ("outcome", "status", "why", "peer")) == (
        "server_error",
        503,
        "failed",
        "alpha/17/9",
    )
    assert (unknown["protocol"], unknown["endpoint"], unknown["name"]) == ("http", "", "GET /users/{id}")


WAITING = "select from pg_locks where not granted and relation = 'span_batches'::regclass"


@contextlib.asynccontextmanager
async def held_up(dsn: str) -> AsyncIterator[None]:
    """
    Let no transaction of the block come to its end: who wants to store a batch waits.
    """
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("lock table span_batches in share mode")
            yield
    finally:
        await connection.close()


async def test_a_killed_service_loses_nothing(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    Killed in the middle of a transaction and started again, the service has stored every span once.
    """
    before, batches, each = 101, 211, 5
    async with connected(fresh_nats.url) as bus:

        async def publish(numbers: range) -> None:
            for number in numbers:
                await bus.publish(subjects.KERNEL_SAMPLES, batch(*(now() for _ in range(each)), number=number))

        await publish(range(before))
        async with parser(fresh_nats.url, service_dsn(SERVICE)) as child:
            await until_found(postgres_dsn, "select from span_batches limit 1")
            async with held_up(postgres_dsn):
                await publish(range(before, batches))
                await until_found(postgres_dsn, WAITING)
                child.kill()
                await child.wait()
                applied = len(await fetch(postgres_dsn, "select from span_batches"))
        async with parser(fresh_nats.url, service_dsn(SERVICE)):
            async with asyncio.timeout(DEADLINE_S + 40):
                while len(await fetch(postgres_dsn, "select from span_batches")) < batches:  # noqa: ASYNC110 - rows do not call
                    await asyncio.sleep(0.1)
    counted = await fetch(postgres_dsn, "select count(*) as spans, count(distinct number) as batches from spans")

    assert 0 < applied <= before
    assert [{"spans": batches * each, "batches": batches}] == counted


async def test_names_survive_a_restart(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    A statement whose Parse was seen once still names the spans of its Executes after a restart.
    """
    statement = parse_message(b"select * from orders where id = $1")
    prepare = now(protocol=Protocol.POSTGRESQL, request=statement, response=b"", duration_ns=0)
    execute = now(protocol=Protocol.POSTGRESQL, request=EXECUTE, response=COMPLETE)
    async with connected(fresh_nats.url) as bus:
        for number, one in enumerate((prepare, execute)):
            async with parser(fresh_nats.url, service_dsn(SERVICE)):
                await bus.publish(subjects.KERNEL_SAMPLES, batch(one, number=number))
                await all_acknowledged(bus)

    assert await fetch(postgres_dsn, "select name from spans") == [{"name": "SELECT orders"}]


async def test_odd_numbers_and_texts_end_nothing(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    Samples from 1970 or from the far future are left out; what else is odd is stored all the same.
    """
    huge = (1 << 64) - 1
    odd = (
        sample(observed_ns=1),
        sample(observed_ns=huge),
        now(duration_ns=huge, thread=huge, offset=huge, status=huge, port=huge, endpoint=huge, why="a\0b"),
    )
    async with connected(fresh_nats.url) as bus, parser(fresh_nats.url, service_dsn(SERVICE)):
        await bus.publish(subjects.KERNEL_SAMPLES, batch(*odd, node="a\0b", epoch=huge, number=huge))
        await all_acknowledged(bus)

    assert await fetch(
        postgres_dsn,
        "select count(*) as spans,"
        " (select count(*) from pg_inherits where inhparent = 'spans'::regclass) as days"
        " from spans",
    ) == [{"spans": 1, "days": 1}]


async def test_lost_connections_lose_nothing(
    fresh_nats: NatsServer, postgres_dsn: str, service_dsn: Callable[[str], str]
) -> None:
    """
    PostgreSQL throws the service out again and again, and NATS dies and comes back: every span is stored once.
    """
    batches = 61
    throw_out = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'meshlens_protocol_parser'"
    async with parser(fresh_nats.url, service_dsn(SERVICE)):
        async with connected(fresh_nats.url) as bus:
            for number in range(batches - 1):
                await bus.publish(subjects.KERNEL_SAMPLES, batch(now(), now(), number=number))
                if number % 10 == 0:
                    await fetch(postgres_dsn, throw_out)
        assert fresh_nats.child is not None
        fresh_nats.child.signal(signal.SIGKILL)
        await asyncio.to_thread(fresh_nats.stop)
        await asyncio.to_thread(fresh_nats.start)
        async with connected(fresh_nats.url) as bus:
            await bus.publish(subjects.KERNEL_SAMPLES, batch(now(), now(), number=batches - 1))
            await all_acknowledged(bus)

    assert await fetch(postgres_dsn, "select count(*) as spans, count(distinct number) as batches from spans") == [
        {"spans": 2 * batches, "batches": batches}
    ]
