"""
A small shop, as messages and as rows: gateway asks cart over HTTP, cart asks redis and, in vain, db.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from shared.histogram import bucket_of, pack
from shared.messages.alert import Alert
from shared.messages.anomaly import Level, Reason, Verdict, Verdicts
from shared.messages.control import Probes, ProbeState, ServiceStatus
from shared.messages.topology import (
    EndpointFigures,
    Red,
    RelationFigures,
    Service,
    ServiceFigures,
    Tcp,
    TopologyWindow,
)
from shared.units import MS_NS, S_NS, WINDOW_NS, at, window_start_ns

if TYPE_CHECKING:
    import asyncpg

REQUESTS = 101
ERRORS = 7
SLOW_NS = 80 * MS_NS
FLAT = [bucket_of(5 * MS_NS), REQUESTS - ERRORS, bucket_of(SLOW_NS), ERRORS]
RED = Red(
    requests=REQUESTS,
    errors=ERRORS,
    client_errors=3,
    no_responses=2,
    duration_sum_ns=REQUESTS * 6 * MS_NS,
    duration=FLAT,
    request_bytes=10_100,
    response_bytes=50_500,
)
TCP = Tcp(
    opened=11,
    closed=10,
    bytes_sent=10_100,
    bytes_received=50_500,
    segments_sent=400,
    retransmits=4,
    rtt=[bucket_of(MS_NS), 20],
    connect=[bucket_of(MS_NS), 11],
)
REFUSED = Tcp(failed={111: 5})
CART = "gateway->cart:http"
REDIS = "cart->redis:redis"
DB = "cart->db:tcp"
HASH = "00000000000000ff"
FIGURES = "requests, errors, client_errors, no_responses, duration_sum_ns, request_bytes, response_bytes"
REASON = Reason(
    signal="error_ratio",
    detector="failures",
    level=Level.RED,
    value=0.07,
    expected=0.001,
    unit="ratio",
    score=9.0,
    since_ns=1_700_000_000 * S_NS,
    text="7 % of the requests fail, usually 0.1 %",
)


def window(end_ns: int, *, final: bool = False, requests: Red = RED) -> TopologyWindow:
    """
    Return the window of ten seconds that ends at *end_ns*.
    """
    return TopologyWindow(
        start_ns=end_ns - WINDOW_NS,
        end_ns=end_ns,
        final=final,
        services=[
            Service(id="gateway", name="gateway", kind="proxy", instances=1),
            Service(id="cart", name="cart", kind="service", instances=2, attributes={"host.name": "n1"}),
            Service(id="redis", name="redis", kind="cache", instances=1),
            Service(id="db", name="db", kind="external"),
        ],
        service_figures=[ServiceFigures(service="cart", provided=requests, tcp=TCP)],
        endpoint_figures=[
            EndpointFigures(service="cart", protocol="http", endpoint=HASH, name="GET /cart/{id}", provided=requests)
        ],
        relations=[
            RelationFigures(
                id=CART,
                source="gateway",
                target="cart",
                protocol="http",
                port=8080,
                client=requests,
                server=requests,
                tcp=TCP,
            ),
            RelationFigures(id=REDIS, source="cart", target="redis", protocol="redis", port=6379, client=requests),
            RelationFigures(id=DB, source="cart", target="db", protocol="tcp", port=5432, tcp=REFUSED),
        ],
        lost={"ring_full": 2},
        newest_ns=end_ns,
    )


def verdicts(end_ns: int) -> Verdicts:
    """
    Return the colours after that window: cart is red, gateway suffers from it.
    """
    return Verdicts(
        window_start_ns=end_ns - WINDOW_NS,
        window_end_ns=end_ns,
        verdicts=[
            Verdict(entity="cart", kind="service", at_ns=end_ns, own=Level.RED, inherited=Level.GREY, reasons=[REASON]),
            Verdict(
                entity="gateway",
                kind="service",
                at_ns=end_ns,
                own=Level.GREEN,
                inherited=Level.RED,
                culprits=["cart"],
            ),
            Verdict(entity=CART, kind="relation", at_ns=end_ns, own=Level.YELLOW, inherited=Level.GREY),
        ],
    )


def status(at_ns: int, **changed: Any) -> ServiceStatus:
    """
    Return a heartbeat of topology-builder.
    """
    facts: dict[str, Any] = {"service": "topology-builder", "node": "n1", "state": "ready", "lost": {"late": 3}}
    return ServiceStatus(at_ns=at_ns, started_ns=at_ns - S_NS, version="1", **{**facts, **changed})


def probes(at_ns: int) -> Probes:
    """
    Return the probes of one node.
    """
    return Probes(
        node="n1",
        at_ns=at_ns,
        scope="tree of pid 4711",
        probes=[
            ProbeState(name="tcp_rtt", question="How far?", state="off"),
            ProbeState(name="socket_l7", question="What is asked?", state="on", hook="raw_tracepoint:x", runs=7),
        ],
    )


def alert(state: str = "firing") -> Alert:
    """
    Return an alert about cart.
    """
    return Alert(
        id="a1",
        template="error_ratio",
        family="application",
        severity="critical",
        entity="cart",
        kind="service",
        state=state,
        title="cart fails",
        started_ns=1_700_000_000 * S_NS,
        fired_ns=1_700_000_060 * S_NS,
    )


async def fill(owner: asyncpg.Connection[asyncpg.Record], now_ns: int) -> None:
    """
    Write the shop's last minute into the tables: six windows, each with the figures of `window`.
    """
    first_ns = window_start_ns(now_ns) - 6 * WINDOW_NS
    await _make_partitions(owner, first_ns)
    for number, (name, kind) in enumerate(
        [("gateway", "proxy"), ("cart", "service"), ("redis", "cache"), ("db", "external")], start=1
    ):
        await owner.execute(
            "insert into services (service_id, service, name, kind, attributes, first_seen, last_seen)"
            " values ($1, $2, $2, $3, '{\"host.name\": \"n1\"}', $4, $4)",
            number, name, kind, at(first_ns),
        )  # fmt: skip
    for number, (relation, source, target, protocol) in enumerate(
        [(CART, 1, 2, "http"), (REDIS, 2, 3, "redis"), (DB, 2, 4, "tcp")], start=1
    ):
        await owner.execute(
            "insert into relations (relation_id, relation, source_id, target_id, protocol, port, first_seen, last_seen)"
            " values ($1, $2, $3, $4, $5, 80, $6, $6)",
            number, relation, source, target, protocol, at(first_ns),
        )  # fmt: skip
    for number in (1, 2, 3):
        await owner.execute(
            "insert into instances values ($1, $2, 2, 'n1', 1, $3, 100, 0, '/usr/bin/cart', '{}', 'cart', '', '', 1,"
            " '{10.0.0.1}', '{tcp 10.0.0.1:8080}', $4, $5)",
            number, f"n1/1/{number}", number, at(first_ns), at(first_ns + 5 * S_NS) if number == 3 else None,
        )  # fmt: skip
    await owner.execute("insert into endpoints values (1, 2, 'http', $1, $2)", HASH, at(first_ns))
    await owner.execute("insert into endpoints values (2, 2, 'http', '00000000000000aa', $1)", at(first_ns))
    await owner.execute("insert into endpoint_names values ('http', $1, 'GET /cart/{id}', 'GET')", HASH)
    for step in range(6):
        await _fill_window(owner, first_ns + step * WINDOW_NS)
    await _fill_minutes(owner)


async def _make_partitions(owner: asyncpg.Connection[asyncpg.Record], first_ns: int) -> None:
    since, till = at(first_ns) - dt.timedelta(days=1), at(first_ns) + dt.timedelta(days=1)
    families = ("service", "instance", "endpoint", "relation")
    parents = [f"topology.{family}_figures_{width}" for family in families for width in (10, 60)]
    for parent in [*parents, "losses"]:
        await owner.execute(
            f"create table {parent}_test partition of {parent} for values from ('{since}') to ('{till}')"
        )
    for day in range(-1, 2):
        await owner.execute("select spans_make_partition($1)", (at(first_ns) + dt.timedelta(days=day)).date())


async def _fill_minutes(owner: asyncpg.Connection[asyncpg.Record]) -> None:
    client = ", ".join(f"client_{name}" for name in FIGURES.split(", "))
    for table, columns, failed in (
        ("service", f"{FIGURES}, duration, opened", ", failed"),
        ("instance", f"{FIGURES}, duration", ""),
        ("endpoint", f"{FIGURES}, duration", ""),
        ("relation", f"{client}, client_duration, opened, rtt", ""),
    ):
        added = ", ".join(f"sum({name})" for name in columns.split(", "))
        await owner.execute(
            f"insert into {table}_figures (start, {table}_id, resolution, {columns}{failed}) "
            f"select bucket_start(start, 60), {table}_id, 60, {added}{', sum_counts(failed)' if failed else ''} "
            f"from {table}_figures where resolution = 10 group by 1, 2"
        )


async def _fill_window(owner: asyncpg.Connection[asyncpg.Record], start_ns: int) -> None:
    start = at(start_ns)
    red = [REQUESTS, ERRORS, 3, 2, RED.duration_sum_ns, 10_100, 50_500]
    packed = pack(FLAT)
    await owner.execute(
        f"insert into service_figures (start, service_id, resolution, {FIGURES}, duration, opened, failed)"
        f" values ($1, 2, 10, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, 11, '{{\"111\": 5}}')",
        start, *red, packed,
    )  # fmt: skip
    for table, key in (("instance", 1), ("endpoint", 1)):
        await owner.execute(
            f"insert into {table}_figures (start, {table}_id, resolution, {FIGURES}, duration)"
            f" values ($1, {key}, 10, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric)",
            start, *red, packed,
        )  # fmt: skip
    await owner.execute(
        f"insert into endpoint_figures (start, endpoint_id, resolution, {FIGURES}, duration)"
        f" values ($1, 2, 10, 5, 0, 0, 0, 5000000, 1, 1, $2::text::numeric)",
        start, pack([bucket_of(MS_NS), 5]),
    )  # fmt: skip
    client = ", ".join(f"client_{name}" for name in FIGURES.split(", "))
    await owner.execute(
        f"insert into relation_figures (start, relation_id, resolution, {client}, client_duration, opened, rtt)"
        f" values ($1, 1, 10, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, 11, $10::text::numeric)",
        start, *red, packed, pack([bucket_of(MS_NS), 20]),
    )  # fmt: skip
    await owner.execute("insert into windows (start, newest_at, batches) values ($1, $1, 1)", start)
    await owner.execute("insert into losses values ($1, 'n1', 'ring_full', 2)", start)


async def fill_trouble(owner: asyncpg.Connection[asyncpg.Record], now_ns: int) -> None:
    """
    Write spans, colours, times of trouble, alerts and a silence.
    """
    for number in range(7):
        await owner.execute(
            "insert into spans values ($1, $2, 'n1', 1, 1, 'n1/1/1', '', 'server', 'http', 'GET /cart/{id}', 'GET', $3,"
            " $4, 500, 8080, '10.0.0.9', $5, 0, 1, 'failed', '', '', '{\"http.request.method\": \"GET\"}')",
            at(now_ns - (number + 1) * S_NS), (number + 1) * 10 * MS_NS, HASH,
            "server_error" if number % 2 else "ok", number,
        )  # fmt: skip
    reasons = (
        '[{"signal": "error_ratio", "detector": "failures", "level": 4, "value": 0.07, "expected": 0.001,'
        ' "unit": "ratio", "text": "7 % fail"}]'
    )
    for level, ended in ((2, at(now_ns - 5 * S_NS)), (4, None)):
        await owner.execute(
            "insert into episodes (entity, kind, level, started, ended, reasons)"
            " values ('cart', 'service', $1, $2, $3, $4)",
            level, at(now_ns - level * 10 * S_NS), ended, reasons,
        )  # fmt: skip
    await owner.execute(
        "insert into colour_changes values ('cart', 'service', $1, 4, 0, false, '{}')", at(now_ns - 40 * S_NS)
    )
    await owner.execute(
        "insert into verdicts values ('cart', 'service', $1, $1, 4, 0, false, $2, '{}')", at(now_ns), reasons
    )
    for number in range(3):
        await owner.execute(
            "insert into alerts (id, template, family, severity, entity, kind, state, title, started, held, updated)"
            " values ($1, 't', 'application', 'critical', 'cart', 'service', $2, 'cart fails', $3, $3, $3)",
            f"a{number}", "resolved" if number else "firing", at(now_ns),
        )  # fmt: skip
    await owner.execute("insert into silences values ('s1', '*', 'cart', $1, 'ann', 'known')", at(now_ns + 3600 * S_NS))
