"""
What the HTTP API answers: the schema of `/api/v1`, from which the OpenAPI document and the page's types are made.

Times are RFC 3339 in UTC, durations are seconds, ratios are 0 to 1, rates are per second; a figure that is not known
is null, never 0.
"""

from __future__ import annotations

import datetime as dt
from typing import Generic, Literal, TypeVar

import msgspec

from shared.protocols import Family

T = TypeVar("T")
LevelName = Literal["grey", "green", "yellow", "orange", "red"]


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """
    One signal that deviates.
    """

    signal: str
    detector: str
    level: LevelName
    value: float
    expected: float
    unit: str
    score: float
    since: dt.datetime | None
    text: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """
    A colour with its reasons: *own* fills the node, *inherited* rings it.
    """

    own: LevelName = "grey"
    inherited: LevelName = "grey"
    learning: bool = False
    reasons: list[Reason] = []
    culprits: list[str] = []


class Rates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    Rate, errors and duration over the asked time.
    """

    requests: int = 0
    requests_per_s: float = 0.0
    errors: int = 0
    error_ratio: float | None = None
    client_errors: int = 0
    no_responses: int = 0
    mean_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    request_bytes_per_s: float = 0.0
    response_bytes_per_s: float = 0.0


class TcpRates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What TCP did underneath over the asked time.
    """

    opened: int = 0
    opened_per_s: float = 0.0
    closed: int = 0
    failed: dict[str, int] = {}
    """Errno word (`ECONNREFUSED`) to count."""
    bytes_sent_per_s: float = 0.0
    bytes_received_per_s: float = 0.0
    retransmits: int = 0
    retransmit_ratio: float | None = None
    resets_sent: int = 0
    resets_received: int = 0
    listen_overflows: int = 0
    drops: dict[str, int] = {}
    connect_p95_s: float | None = None
    rtt_p50_s: float | None = None
    rtt_p95_s: float | None = None


class ServiceNode(msgspec.Struct, frozen=True, kw_only=True):
    """
    A node of the map.
    """

    id: str
    name: str
    kind: str
    instances: int
    attributes: dict[str, str]
    state: State
    provided: Rates
    tcp: TcpRates
    seen_from: Literal["server", "client"]


class RelationEdge(msgspec.Struct, frozen=True, kw_only=True):
    """
    An edge of the map: one service asks another, over one protocol.
    """

    id: str
    source: str
    target: str
    protocol: str
    port: int
    state: State
    client: Rates
    server: Rates
    tcp: TcpRates
    encrypted: float = 0.0
    """Share of the requests whose bytes were encrypted on the wire, 0 to 1."""
    family: Family = "other"
    """What kind of conversation its protocol is."""


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """
    The map at a time or over a range.
    """

    start: dt.datetime
    end: dt.datetime
    live: bool
    """True when it is the newest there is, and will change."""
    services: list[ServiceNode]
    relations: list[RelationEdge]
    lost: dict[str, int]
    """What could not be counted in full in this time, by cause."""
    age_s: float | None = None
    """How old the newest kernel data in it is."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """
    One interface that a service provides.
    """

    service: str
    endpoint: str
    name: str
    protocol: str
    rates: Rates
    family: Family = "other"
    """What kind of conversation its protocol is."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """
    One running program of a service.
    """

    id: str
    service: str
    node: str
    pid: int
    executable: str
    started: dt.datetime
    ended: dt.datetime | None
    container: str
    cgroup: str
    addresses: list[str]
    listeners: list[str]
    provided: Rates
    opaque: str = ""
    """Why the content of its encrypted connections cannot be seen; empty when nothing is known to stand in the way."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """
    One step of a time line.
    """

    start: dt.datetime
    rates: Rates


class TimeLine(msgspec.Struct, frozen=True, kw_only=True):
    """
    How the figures of a service or a relation went.
    """

    step_s: int
    points: list[Point]


class ServiceDetail(msgspec.Struct, frozen=True, kw_only=True):
    """
    A node's own panel.
    """

    service: ServiceNode
    callers: list[RelationEdge]
    dependencies: list[RelationEdge]
    endpoints: list[Endpoint]
    instances: list[Instance]


class SpanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """
    One sampled request.
    """

    started: dt.datetime
    duration_s: float
    name: str
    protocol: str
    role: Literal["client", "server"]
    service: str
    peer: str
    outcome: Literal["ok", "client_error", "server_error", "no_response"]
    status: int
    why: str
    trace_id: str
    attributes: dict[str, str | int]


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """
    A time during which a service or a relation was not green.
    """

    entity: str
    kind: Literal["service", "relation"]
    level: LevelName
    """The worst level it reached."""
    started: dt.datetime
    ended: dt.datetime | None
    reasons: list[Reason]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """
    One template that fires, or fired, for one entity.
    """

    id: str
    template: str
    family: str
    severity: Literal["critical", "warning", "info"]
    entity: str
    kind: str
    state: Literal["pending", "firing", "resolved"]
    title: str
    meaning: str
    next_steps: list[str]
    value: float
    threshold: float
    unit: str
    started: dt.datetime
    fired: dt.datetime | None
    resolved: dt.datetime | None
    acknowledged_by: str
    acknowledged: dt.datetime | None
    silenced: bool
    occurrences: int


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """
    For a time, alerts that match are kept but not notified.
    """

    id: str
    template: str
    entity: str
    until: dt.datetime
    by: str
    comment: str


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """
    One probe on one node.
    """

    node: str
    name: str
    question: str
    state: Literal["on", "off", "failed"]
    hook: str
    fallback: bool
    misses: str
    cost: str
    error: str
    runs: int
    run_time_s: float
    instructions: int


class ServiceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """
    How one of meshlens' own services is.
    """

    service: str
    node: str
    state: Literal["starting", "ready", "degraded", "silent"]
    waiting_for: str
    lag_s: float
    heard: dt.datetime
    """When its last heartbeat came."""
    started: dt.datetime
    version: str
    lost: dict[str, int]
    counters: dict[str, int]
    resident_bytes: int
    cpu_s: float


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """
    How meshlens itself is.
    """

    services: list[ServiceHealth]
    lost: dict[str, int]
    """Everything that was lost since start, by cause."""
    scope: dict[str, str]
    """Node to the scope it observes, in words."""


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """
    A part of a list; *next* is the cursor of the part after it, null at the end.
    """

    items: list[T]
    next: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    An error, as RFC 9457 has it.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who asks: without tokens everybody on this machine is admin.
    """

    role: Literal["viewer", "operator", "admin"]
    needs_token: bool
    """True when tokens are in use: the page then offers to sign in and out."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command was carried out.
    """

    ok: bool = True
