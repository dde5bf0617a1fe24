"""
The lists beside the invented map: endpoints, instances, sampled requests, time lines, anomalies, probes, health.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Final

import msgspec

from services.query_api import answers as a
from tests.ui import mock_data as m

HTTP: Final = (
    "GET /products",
    "GET /products/{id}",
    "POST /orders",
    "GET /orders/{id}",
    "PUT /basket/{id}",
    "GET /health",
)
SQL: Final = ("SELECT products", "SELECT orders", "INSERT orders", "UPDATE stock", "COMMIT")
REDIS: Final = ("GET", "SET", "HGETALL", "EXPIRE")
OTHER: Final = ("A internal", "AAAA internal")
PROBES: Final = (
    ("socket_l7", "on", "raw_tracepoint:sock_send_length", "Requests and responses on sockets?", 900_000_000, 812.4),
    ("tcp_state", "on", "tracepoint:sock:inet_sock_set_state", "Which connections open, close, fail?", 210_000, 0.31),
    ("tcp_retransmit", "on", "tracepoint:tcp:tcp_retransmit_skb", "Which segments were sent again?", 5_120, 0.004),
    ("packet_drop", "off", "tracepoint:skb:kfree_skb", "Which packets does the kernel drop, and why?", 0, 0.0),
    ("listen_queue", "failed", "kprobe:tcp_v4_syn_recv_sock", "Which accept queues overflow?", 0, 0.0),
)


def endpoints(world: m.World, service: str = "") -> list[a.Endpoint]:
    """
    Return the interfaces of *service*, or of all.
    """
    found = []
    for node in world.services.values():
        if node.kind == "client" or (service and node.id != service):
            continue
        names = {"database": SQL, "cache": REDIS, "dns": OTHER}.get(node.kind, HTTP)
        bad = node.state.own in ("orange", "red")
        for place, name in enumerate(names):
            share = node.provided.requests_per_s / (place + 1.7)
            slow = (node.provided.p50_s or 0.001) * (1 + place)
            failing = 0.31 if bad and place == 2 else 0.0
            found.append(
                a.Endpoint(
                    service=node.id,
                    endpoint=f"{abs(hash((node.id, name))):016x}"[:16],
                    name=name,
                    protocol={"database": "postgresql", "cache": "redis", "dns": "dns"}.get(node.kind, "http"),
                    rates=m.rates(share, slow, failing, over_s=900),
                )
            )
    return found


def instances(world: m.World, service: str = "") -> list[a.Instance]:
    """
    Return the running programs of *service*, or of all.
    """
    now = dt.datetime.now(dt.UTC)
    return [
        a.Instance(
            id=f"node-1/1/{node.id}{number}",
            service=node.id,
            node="node-1",
            pid=4200 + number,
            executable=f"/usr/bin/{node.id}",
            started=now - dt.timedelta(hours=5, minutes=number * 7),
            ended=None,
            container="",
            cgroup=f"/demo/{node.id}",
            addresses=[f"10.77.0.{3 + number}"],
            listeners=[f"tcp 10.77.0.{3 + number}:8080"],
            provided=m.rates(node.provided.requests_per_s / node.instances, node.provided.p50_s or 0.0),
        )
        for node in world.services.values()
        if not service or node.id == service
        for number in range(node.instances)
    ]


def spans(world: m.World, service: str = "", limit: int = 40) -> list[a.SpanRecord]:
    """
    Return sampled requests that *service* saw.
    """
    now = dt.datetime.now(dt.UTC)
    nodes = [node for node in world.services.values() if node.kind != "client" and service in ("", node.id)]
    found = []
    for place in range(limit):
        node = nodes[place % len(nodes)]
        bad = place % 7 == 3
        found.append(
            a.SpanRecord(
                started=now - dt.timedelta(seconds=place * 1.7),
                duration_s=(node.provided.p50_s or 0.001) * (1 + (place * 37 % 23) / 4),
                name=HTTP[place % len(HTTP)],
                protocol="http",
                role="server",
                service=node.id,
                peer=next((r.source for r in world.relations.values() if r.target == node.id), "load"),
                outcome="server_error" if bad else "ok",
                status=503 if bad else 200,
                why="error" if bad else "slow" if place % 5 == 0 else "first",
                trace_id="",
                attributes={"http.request.method": "GET", "url.path": "/orders/{id}", "server.port": 8080},
            )
        )
    return found


def time_line(per_s: float, p50_s: float, start: dt.datetime, end: dt.datetime, step_s: int = 10) -> a.TimeLine:
    """
    Return a wave around *per_s*.
    """
    steps = min(720, max(1, math.ceil((end - start).total_seconds() / step_s)))
    points = []
    for number in range(steps):
        at = start + dt.timedelta(seconds=number * step_s)
        wave = 1 + 0.25 * math.sin(at.timestamp() / 120) + 0.06 * math.sin(at.timestamp() / 7)
        bump = 0.08 if 0.62 < number / steps < 0.7 else 0.0
        figures = m.rates(per_s * wave, p50_s * (1 + bump * 18) * (0.9 + 0.2 * wave), bump, over_s=step_s)
        points.append(a.Point(start=at, rates=figures))
    return a.TimeLine(step_s=step_s, points=points)


def anomalies(world: m.World) -> list[a.Anomaly]:
    """
    Return what is wrong now, and two times of trouble that are over.
    """
    now = dt.datetime.now(dt.UTC)
    past = m.reason("error_ratio", "orange", 0.081, 0.001, "ratio", "8.1 % of requests fail; 0.1 % is usual")
    first = [name for name, node in world.services.items() if node.kind == "service"][:1]
    past_ones: tuple[tuple[a.LevelName, int], ...] = (("orange", 26), ("yellow", 49))
    found = [
        a.Anomaly(
            entity=entity,
            kind="service",
            level=level,
            started=now - dt.timedelta(minutes=ago),
            ended=now - dt.timedelta(minutes=ago - 3),
            reasons=[past],
        )
        for entity in first
        for level, ago in past_ones
    ]
    return [
        a.Anomaly(
            entity=entity,
            kind="relation" if "->" in entity else "service",
            level=state.own,
            started=now - dt.timedelta(seconds=95),
            ended=None,
            reasons=state.reasons,
        )
        for entity, state in world.states.items()
        if state.own in ("yellow", "orange", "red")
    ] + found


def alert(entity: str, severity: str = "critical") -> a.Alert:
    """
    Return an alert that fires for *entity*.
    """
    now = dt.datetime.now(dt.UTC)
    found = a.Alert(
        id=f"fail-{entity}",
        template="service_fails",
        family="application",
        severity="critical",
        entity=entity,
        kind="service",
        state="firing",
        title=f"{entity} fails 31.0 % of its requests",
        meaning="Requests end with a server error or without an answer.",
        next_steps=[
            "Open the endpoints of the service, worst first: one endpoint, or all of them?",
            "Look at its dependencies: is one of them red too?",
        ],
        value=0.31,
        threshold=0.05,
        unit="ratio",
        started=now - dt.timedelta(seconds=95),
        fired=now - dt.timedelta(seconds=75),
        resolved=None,
        acknowledged_by="",
        acknowledged=None,
        silenced=False,
        occurrences=2,
    )
    return msgspec.structs.replace(found, severity=severity)


def probes() -> dict[str, a.Probe]:
    """
    Return the probes of one node: some on, one off, one that failed.
    """
    return {
        name: a.Probe(
            node="node-1",
            name=name,
            question=question,
            state=state,  # type: ignore[arg-type] # the table above holds the three words only
            hook=hook,
            fallback=name == "socket_l7",
            misses="Packets dropped by the kernel." if state == "off" else "",
            cost="one map update a request",
            error="kprobes are not available on this kernel" if state == "failed" else "",
            runs=runs,
            run_time_s=run_time_s,
            instructions=2140,
        )
        for name, state, hook, question, runs, run_time_s in PROBES
    }


def status(world: m.World) -> a.Status:
    """
    Return six healthy services, one of them late.
    """
    now = dt.datetime.now(dt.UTC)
    names = ("probe-manager", "protocol-parser", "topology-builder", "anomaly-detector", "alert-manager", "query-api")
    return a.Status(
        services=[
            a.ServiceHealth(
                service=name,
                node="node-1",
                state="degraded" if name == "alert-manager" else "ready",
                waiting_for="PostgreSQL at localhost" if name == "alert-manager" else "",
                lag_s=0.4 + place,
                heard=now - dt.timedelta(seconds=place),
                started=now - dt.timedelta(hours=5),
                version="0.1.0",
                lost=world.lost if name == "probe-manager" else {},
                counters={"batches": 48_113 * (place + 1)},
                resident_bytes=64_000_000 + place * 9_000_000,
                cpu_s=84.2 + place,
            )
            for place, name in enumerate(names)
        ],
        lost=world.lost,
        scope={"node-1": "tree of pid 4711"},
    )
