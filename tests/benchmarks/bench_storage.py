"""
How much a day of figures takes in PostgreSQL, and how fast the map comes out of it.

Generates a day of a system of 100 services and 1,000 relations at every resolution, as long as each is kept, with the
schema and the partitions of topology-builder. Then windows close every ten seconds, and a real query-api is asked for
the map over HTTP: by an open page, for the live map and for the last 5 min to 6 h, which query-api adds up when a
window closes; and over ranges from a minute to six hours (a day) that end at random times, each asked for the first
time, which nothing has prepared, and once more. Times are until the last byte of the whole map, 1.4 MB of JSON.
`python -m tests.benchmarks.bench_storage`
"""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from deploy.local import ports
from deploy.local.nats import NatsServer
from deploy.local.postgres import PostgresServer, ensure_database
from services.query_api.store import QUERIES, SETTINGS
from services.topology_builder import rollup
from services.topology_builder.columns import COLUMNS, RED, TCP
from services.topology_builder.packing import from_numeric, numeric
from services.topology_builder.store import Store
from shared.histogram import BUCKETS, lower_bound_ns, to_flat
from shared.messages.topology import Red, RelationFigures, Service, ServiceFigures, Tcp, TopologyWindow
from shared.runtime import postgres
from shared.units import MS_NS, S_NS, WINDOW_NS, WINDOW_S, at
from tests.benchmarks import _questions
from tests.benchmarks._figures import Figure
from tests.benchmarks._run import alone

if TYPE_CHECKING:
    from collections.abc import Callable

    Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SERVICES: Final = 100
RELATIONS: Final = 1000
INSTANCES: Final = 300
ENDPOINTS: Final = 2000
VARIANTS: Final = 3
"""How many different rows each entity has at each resolution; windows take turns."""
REQUESTS_PER_S: Final = 20
"""Of one relation."""
LIMIT_P99_MS: Final = 50.0
RANGES: Final = {"1 min": 60, "5 min": 300, "15 min": 900, "1 h": 3600, "6 h": 21_600, "24 h": 86_400}
TRIES: Final = 15
AHEAD_NS: Final = 1200 * S_NS
"""The figures of the time in which questions are asked lie there beforehand."""
ROWS: Final = (
    "select count(*) from buckets_between($1, $2) as p cross join lateral (select from relation_figures as g "
    "where g.resolution = p.resolution and g.start = p.start offset 0) as f"
)
LEVELS: Final = rollup.levels(6, 7, 90)
QUICK_FILL: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "4GB"}
"""Does not change what is stored, nor how it is read."""
SECTION: Final = "storage"
PASSWORD: Final = "benchmark"
COUNTS: Final[dict[str, int]] = {
    "service": SERVICES, "relation": RELATIONS, "instance": INSTANCES, "endpoint": ENDPOINTS,
}  # fmt: skip
ENTITIES: Final = (
    "insert into services (service, name, kind, first_seen, last_seen) "
    f"select 'service-' || n, 'service-' || n, 'service', $1, $2 from generate_series(1, {SERVICES}) as n",
    "insert into relations (relation, source_id, target_id, protocol, port, first_seen, last_seen) "
    f"select 'relation-' || n, 1 + n % {SERVICES}, 1 + (n * 7 + n / {SERVICES}) % {SERVICES}, 'http', 8080, $1, $2 "
    f"from generate_series(1, {RELATIONS}) as n",
    "insert into endpoints (service_id, protocol, endpoint, first_seen) "
    f"select 1 + n % {SERVICES}, 'http', lpad(to_hex(n), 16, '0'), least($1::timestamptz, $2) "
    f"from generate_series(1, {ENDPOINTS}) as n",
    "insert into instances (instance, service_id, node, epoch, kernel_id, pid, parent, executable, arguments, comm, "
    "cgroup, container, network_namespace, addresses, listeners, started_at) "
    f"select 'n1/1/' || n, 1 + n % {SERVICES}, 'n1', 1, n, n, 0, '/usr/bin/python3', '{{}}', 'python3', '/', '', 1, "
    f"'{{10.0.0.1}}', '{{}}', least($1::timestamptz, $2) from generate_series(1, {INSTANCES}) as n",
)


def spread(requests: float, median_ns: float, sigma: float, dice: random.Random) -> dict[int, int]:
    """
    Return the histogram of *requests* durations that are log-normal around *median_ns*.
    """
    found: dict[int, int] = {}
    below = 0.0
    for bucket in range(BUCKETS - 1):
        upper = 0.5 * (1 + math.erf(math.log(lower_bound_ns(bucket + 1) / median_ns) / (sigma * math.sqrt(2))))
        inside = int(requests * (upper - below) + dice.random())
        below = upper
        if inside:
            found[bucket] = inside
        if upper > 1 - 1e-9:
            break
    return found


def figures(family: str, width_s: int, share: float, dice: random.Random) -> dict[str, Any]:
    """
    Return the figures of one entity in one bucket of *width_s*; *share* is its part of a relation's requests.
    """
    requests = max(1, int(REQUESTS_PER_S * width_s * share * dice.uniform(0.5, 1.5)))
    median_ns, sigma = 2 * MS_NS * dice.lognormvariate(0, 1), dice.uniform(0.3, 0.9)
    red = dict(zip(RED, (requests, requests // 200, requests // 50, 0, int(requests * median_ns), requests * 400,
                         requests * 3000), strict=True))  # fmt: skip
    tcp = dict(zip(TCP, (requests // 10, requests // 10, requests * 400, requests * 3000, requests * 4, requests // 500,
                         0, 0, 0), strict=True))  # fmt: skip
    few = numeric(spread(width_s / 2, MS_NS, 0.4, dice))
    rest: dict[str, Any] = {**tcp, "connect": few, "rtt": few, "failed": None, "drops": None, "own_side": True}
    sides = ("client_", "server_") if family == "relation" else ("",)
    for side in sides:
        rest |= {side + name: value for name, value in red.items()}
        rest[f"{side}duration"] = numeric(spread(requests, median_ns, sigma, dice))
    return rest


async def generate(connection: Connection, family: str, level: rollup.Level, start_ns: int, end_ns: int) -> None:
    """
    Fill one table at one resolution from *start_ns* to *end_ns*.
    """
    dice = random.Random(f"{family} {level.resolution_s}")
    share = {"service": RELATIONS / SERVICES, "instance": RELATIONS / INSTANCES, "endpoint": RELATIONS / ENDPOINTS}
    columns = COLUMNS[family]
    records = []
    for variant in range(VARIANTS):
        for entity in range(1, COUNTS[family] + 1):
            row = figures(family, level.resolution_s, share.get(family, 1.0), dice)
            records.append((at(0), entity, variant, *(row[name] for name in columns)))
    await connection.execute(f"create temporary table sample (like {family}_figures)")
    await connection.copy_records_to_table(
        "sample", records=records, columns=("start", f"{family}_id", "resolution", *columns)
    )
    names = ", ".join(columns)
    step_ns = level.resolution_s * S_NS
    await connection.execute(
        f"insert into {family}_figures (start, {family}_id, resolution, {names}) "
        f"select to_timestamp(bucket * {level.resolution_s}), {family}_id, {level.resolution_s}, {names} "
        f"from generate_series($1::bigint, $2::bigint - 1) as bucket "
        f"join sample on sample.resolution = bucket % {VARIANTS}",
        start_ns // step_ns,
        -(-end_ns // step_ns),
        timeout=1200,
    )
    await connection.execute("drop table sample")


async def fill(store: Store, connection: Connection, hours: int, now_ns: int) -> None:
    """
    Make the day.
    """
    start_ns, until_ns = now_ns - hours * 3600 * S_NS, now_ns + AHEAD_NS
    for statement in ENTITIES:
        await connection.execute(statement, at(start_ns), at(now_ns))
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    for level in LEVELS:
        first_ns = max(start_ns, now_ns - level.keep_s * S_NS)
        for at_ns in range(first_ns, until_ns + level.partition_s * S_NS, level.partition_s * S_NS):
            await store.ensure(rollup.needed(LEVELS, at_ns, now_ns))
        for family in COUNTS:
            await generate(connection, family, level, first_ns, until_ns)
    await connection.execute("update roll_up set until = $1", at(now_ns - 70 * S_NS))
    await connection.execute("vacuum analyze", timeout=600)


async def sizes(connection: Connection) -> dict[str, float]:
    """
    Return the megabytes of each table at each resolution, indexes included.
    """
    rows = await connection.fetch(
        "select parents.relname::text as name, sum(pg_total_relation_size(children.oid))::bigint as bytes "
        "from pg_inherits join pg_class as parents on parents.oid = inhparent "
        "join pg_class as children on children.oid = inhrelid where children.relkind = 'r' group by 1 order by 2 desc"
    )
    return {row["name"]: round(row["bytes"] / 1e6, 1) for row in rows}


def window(dice: random.Random) -> TopologyWindow:
    """
    Return the running window of the system.
    """
    services = [
        ServiceFigures(service=f"service-{number}", provided=red(RELATIONS / SERVICES, dice))
        for number in range(1, SERVICES + 1)
    ]
    relations = []
    for number in range(1, RELATIONS + 1):
        source, target = 1 + number % SERVICES, 1 + (number * 7 + number // SERVICES) % SERVICES
        relations.append(
            RelationFigures(
                id=f"relation-{number}",
                source=f"service-{source}",
                target=f"service-{target}",
                protocol="http",
                client=red(1.0, dice),
                server=red(1.0, dice),
                tcp=Tcp(opened=20, rtt=to_flat(spread(WINDOW_S / 2, MS_NS, 0.4, dice))),
            )
        )
    nodes = [Service(id=one.service, name=one.service, kind="service", instances=3) for one in services]
    return TopologyWindow(
        start_ns=0, end_ns=WINDOW_NS, final=False, services=nodes, service_figures=services, relations=relations
    )


def red(share: float, dice: random.Random) -> Red:
    """
    Return the figures of requests in one window; *share* is their part of a relation's.
    """
    row = figures("service", WINDOW_S, share, dice)
    return Red(
        requests=row["requests"],
        errors=row["errors"],
        duration_sum_ns=row["duration_sum_ns"],
        duration=to_flat(from_numeric(row["duration"])),
    )


def summary(values: list[float]) -> str:
    """
    Return the median and the 99th percentile of *values* in words.
    """
    return f"p50 {statistics.median(values):.1f} ms, p99 {p99(values):.1f} ms"


def p99(values: list[float]) -> float:
    """
    Return the 99th percentile of *values*; of few, it is the largest.
    """
    return sorted(values)[min(len(values) - 1, math.ceil(len(values) * 0.99) - 1)]


async def summed(reader: Connection, spans: dict[str, int], end_ns: Callable[[int], int]) -> dict[str, str]:
    """
    Return how many rows the map's figures are the sum of, over each range, and how long PostgreSQL takes for them.
    """
    await reader.set_type_codec("numeric", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    for name, value in SETTINGS.items():
        await reader.execute(f"set {name} = '{value}'")
    found: dict[str, str] = {}
    for name, seconds in spans.items():
        took: list[float] = []
        many = 0
        for _ in range(TRIES):
            till_ns = end_ns(seconds)
            span = at(till_ns - seconds * S_NS), at(till_ns)
            many += await reader.fetchval(ROWS, *span)
            before = time.perf_counter()
            await reader.fetch(QUERIES["relation_figures"], *span, 0, RELATIONS)
            took.append((time.perf_counter() - before) * 1000)
        found[name] = f"{many // TRIES} rows of relations, summed by PostgreSQL in p50 {statistics.median(took):.1f} ms"
    return found


async def noise(reader: Connection) -> str:
    """
    Return how long the same small query takes.
    """
    took: list[float] = []
    for _ in range(TRIES * 4):
        before = time.perf_counter()
        await reader.fetchval("select sum(n) from generate_series(1, 100000) as n")
        took.append((time.perf_counter() - before) * 1000)
    return f"the same small query: {summary(took)}"


async def ask(server: PostgresServer, nats_url: str, hours: int, seconds: float, rounds: int) -> list[Figure]:
    """
    Return how long the questions of the page took, and others.
    """
    dice, now_ns = random.Random(1), time.time_ns()
    spans = {name: width for name, width in RANGES.items() if width < hours * 3600}

    def past(width: int) -> int:
        return now_ns - (120 + int(dice.random() * (hours * 3600 - width - 120))) * S_NS

    asking = server.dsn("meshlens_query_api", PASSWORD)
    async with (
        postgres.connection(asking) as reader,
        _questions.closing(nats_url, server.dsn("meshlens_topology_builder", PASSWORD)),
        _questions.asking(nats_url, asking) as session,
    ):
        page = await _questions.page(session, seconds, dice)
        others = await _questions.elsewhere(session, spans, past, rounds)
        rows = await summed(reader, spans, past)
        told_noise = await noise(reader)
    return shown(page, others, rows, told_noise)


def shown(
    page: dict[str, list[float]], others: dict[str, tuple[list[float], list[float]]], rows: dict[str, str], told: str
) -> list[Figure]:
    """
    Return the figures of all answers.
    """
    found = []
    kinds = {
        "as the open page asks it": [one for took in page.values() for one in took],
        "at any other time, asked again": [one for _, took in others.values() for one in took],
        "at any other time, asked first": [one for took, _ in others.values() for one in took],
    }
    for kind, took in kinds.items():
        slowest = p99(took)
        found.append(
            Figure(f"map, {kind}, p99", f"{slowest:.1f} ms", told, f"< {LIMIT_P99_MS:g} ms", slowest < LIMIT_P99_MS)
        )
    found += [Figure(f"map, open page, {name}", f"{summary(took)} ({len(took)} times)") for name, took in page.items()]
    for name, (first, again) in others.items():
        found.append(Figure(f"map, {name} at any time, first", f"{summary(first)} ({len(first)} times)", rows[name]))
        found.append(Figure(f"map, {name} at any time, again", summary(again)))
    return found


async def run(directory: Path, hours: int, seconds: float, rounds: int) -> tuple[dict[str, float], list[Figure]]:
    """
    Return the megabytes of each table, and how long the map took.
    """
    server = PostgresServer(directory / "postgres", ports.free_port(), PASSWORD, settings=QUICK_FILL)
    nats = NatsServer(directory / "nats", ports.free_port())
    server.start()
    nats.start()
    try:
        dsn = await ensure_database(server)
        await postgres.migrate(dsn, {"meshlens_topology_builder": PASSWORD, "meshlens_query_api": PASSWORD})
        now_ns = time.time_ns() // (10 * S_NS) * (10 * S_NS)
        store = await Store.open(server.dsn("meshlens_topology_builder", PASSWORD), LEVELS, print)
        async with postgres.connection(dsn) as owner:
            await fill(store, owner, hours, now_ns)
            by_table = await sizes(owner)
        await store.close()
        return by_table, await ask(server, nats.url, hours, seconds, rounds)
    finally:
        nats.stop()
        server.stop()


def measure(*, quick: bool = False) -> list[Figure]:
    """
    Return the size of a day (of two hours when *quick*) by table, and how fast the map is over each range.
    """
    hours, seconds, rounds = (2, 45.0, 12) if quick else (24, 180.0, 60)
    directory = Path(tempfile.mkdtemp(prefix="meshlens-storage-"))
    directory.chmod(0o755)
    try:
        by_table, answers = asyncio.run(run(directory, hours, seconds, rounds))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    system = f"{SERVICES} services, {RELATIONS} relations, {ENDPOINTS} endpoints, {INSTANCES} instances"
    return [
        Figure(f"{hours} h of {system}", f"{sum(by_table.values()) / 1000:.1f} GB"),
        *(Figure(f"of it {table}", f"{megabytes:.0f} MB") for table, megabytes in by_table.items() if megabytes > 1),
        *answers,
    ]


if __name__ == "__main__":
    alone(SECTION, measure)
