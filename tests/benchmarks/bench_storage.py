"""
How much a day of figures takes in PostgreSQL, and how fast the map comes out of it.

Generates a day of a system of 100 services and 1,000 relations at every resolution, as long as each is kept, with the
schema and the partitions of topology-builder, and asks what query-api asks, over ranges from a minute to the day that
end at random times. `python -m tests.benchmarks.bench_storage`
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
from deploy.local.postgres import PostgresServer, ensure_database
from services.topology_builder import rollup
from services.topology_builder.packing import numeric
from services.topology_builder.rows import COLUMNS, RED, TCP, at
from services.topology_builder.store import Store
from shared.histogram import BUCKETS, lower_bound_ns
from shared.runtime import postgres
from shared.units import MS_NS, S_NS
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
QUERIES: Final = postgres.queries(Path(__file__).parents[2] / "services" / "query_api" / "queries")
LEVELS: Final = rollup.levels(6, 7, 90)
QUICK_FILL: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "4GB"}
"""Does not change what is stored, nor how it is read."""
NOISE: Final = "noise"
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
    start_ns = now_ns - hours * 3600 * S_NS
    for statement in ENTITIES:
        await connection.execute(statement, at(start_ns), at(now_ns))
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    for level in LEVELS:
        first_ns = max(start_ns, now_ns - level.keep_s * S_NS)
        for at_ns in range(first_ns, now_ns + level.partition_s * S_NS, level.partition_s * S_NS):
            await store.ensure(rollup.needed(LEVELS, at_ns, now_ns))
        end_ns = now_ns if level.resolution_s in rollup.AT_ONCE else now_ns - 70 * S_NS
        for family in COUNTS:
            await generate(connection, family, level, first_ns, end_ns)
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


async def timed(connections: list[Connection], queries: list[str], *arguments: object) -> float:
    """
    Return the milliseconds that *queries* take, each on a connection of its own as query-api asks, answers included.
    """
    before = time.perf_counter()
    await asyncio.gather(*(one.fetch(query, *arguments) for one, query in zip(connections, queries, strict=False)))
    return (time.perf_counter() - before) * 1000


def summary(values: list[float]) -> dict[str, float]:
    """
    Return the median and the 99th percentile of *values*.
    """
    return {"p50_ms": round(statistics.median(values), 1), "p99_ms": round(statistics.quantiles(values, n=100)[98], 1)}


async def ask(connections: list[Connection], hours: int, now_ns: int, rounds: int) -> dict[str, dict[str, float]]:
    """
    Ask for the map over each range, as it was at random times and as it is now, and return how long it took.
    """
    dice = random.Random(1)
    spans = {name: seconds for name, seconds in RANGES.items() if seconds <= hours * 3600}
    kinds: dict[str, Callable[[int], int]] = {
        "ending now": lambda _: now_ns,
        "at any time": lambda seconds: now_ns - int(dice.random() * (hours * 3600 - seconds)) * S_NS,
    }
    found: dict[str, list[float]] = {"all": []}
    noise: list[float] = []
    for turn in range(rounds + 1):
        noise.append(await timed(connections, ["select sum(n) from generate_series(1, 100000) as n"]))
        for name, seconds in spans.items():
            for kind, end in kinds.items():
                till_ns = end(seconds)
                span = (at(till_ns - seconds * S_NS), at(till_ns))
                took = await timed(connections, [QUERIES["relations"], QUERIES["services"]], *span)
                if turn:  # the first turn fills the cache of plans
                    found.setdefault(f"{name} {kind}", []).append(took)
                    found["all"].append(took)
    answers = {name: summary(values) for name, values in found.items()}
    answers[NOISE] = summary(noise[1:])
    return answers


async def run(directory: Path, hours: int, rounds: int) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """
    Return the megabytes of each table, and how long the map took over each range.
    """
    server = PostgresServer(directory, ports.free_port(), PASSWORD, settings=QUICK_FILL)
    server.start()
    try:
        dsn = await ensure_database(server)
        await postgres.migrate(dsn, {"meshlens_topology_builder": PASSWORD, "meshlens_query_api": PASSWORD})
        now_ns = time.time_ns() // (10 * S_NS) * (10 * S_NS)
        store = await Store.open(server.dsn("meshlens_topology_builder", PASSWORD), LEVELS, print)
        async with postgres.connection(dsn) as owner:
            await fill(store, owner, hours, now_ns)
            by_table = await sizes(owner)
        await store.close()
        reading = server.dsn("meshlens_query_api", PASSWORD)
        async with postgres.connection(reading) as reader, postgres.connection(reading) as another:
            return by_table, await ask([reader, another], hours, now_ns, rounds)
    finally:
        server.stop()


def measure(*, quick: bool = False) -> list[Figure]:
    """
    Return the size of a day (of two hours when *quick*) by table, and how fast the map is over each range.
    """
    hours, rounds = (2, 20) if quick else (24, 60)
    directory = Path(tempfile.mkdtemp(prefix="meshlens-storage-"))
    directory.chmod(0o755)
    try:
        by_table, answers = asyncio.run(run(directory / "postgres", hours, rounds))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    system = f"{SERVICES} services, {RELATIONS} relations, {ENDPOINTS} endpoints, {INSTANCES} instances"
    figures = [Figure(f"{hours} h of {system}", f"{sum(by_table.values()) / 1000:.1f} GB")]
    figures += [
        Figure(f"of it {table}", f"{megabytes:.0f} MB") for table, megabytes in by_table.items() if megabytes > 1
    ]
    noise = answers.pop(NOISE)
    whole = answers.pop("all")
    told = f"the same small query: p50 {noise['p50_ms']} ms, p99 {noise['p99_ms']} ms"
    met = whole["p99_ms"] < LIMIT_P99_MS
    figures.append(Figure("topology, all ranges, p99", f"{whole['p99_ms']} ms", told, f"< {LIMIT_P99_MS:g} ms", met))
    figures += [
        Figure(f"topology, {name}", f"p50 {took['p50_ms']} ms, p99 {took['p99_ms']} ms")
        for name, took in answers.items()
    ]
    return figures


if __name__ == "__main__":
    alone(SECTION, measure)
