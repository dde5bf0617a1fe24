"""
RED and TCP figures for Prometheus, with OpenTelemetry's names.

Counters begin at zero when query-api starts, and each closed window is added once, so a counter never falls while the
process lives; a restart is a counter reset, which `rate()` and `increase()` understand. Totals out of the tables would
fall whenever retention drops a partition, which looks like a reset in the middle of the history.

Histogram limits are those of our own buckets at powers of two (131 us to 17 s), so every `le` is exact. What finds no
room under *max_series* is added to one series whose names are `~other`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from services.query_api.figures import errno_words
from shared.histogram import BUCKETS, SUB_BUCKETS, lower_bound_ns
from shared.protocols import family_of
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from services.query_api.answers import State
    from shared.messages.topology import EndpointFigures, Red, RelationFigures, TopologyWindow

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, str, float]
"""Suffix of the name, labels, upper limit of a bucket (empty elsewhere), value."""

OTHER: Final = "~other"
LIMITS: Final = tuple(bucket for bucket in range(5 * SUB_BUCKETS, BUCKETS, SUB_BUCKETS) if bucket <= 22 * SUB_BUCKETS)
"""The buckets at which a `le` lies: one for each power of two."""
LIMIT_TEXTS: Final = tuple(repr(lower_bound_ns(bucket) / S_NS) for bucket in LIMITS)
REMEMBERED: Final = 1000
LEVEL_NUMBERS: Final = {"grey": 0, "green": 1, "yellow": 2, "orange": 3, "red": 4}

HTTP_SERVER: Final = "http_server_request_duration_seconds"
HTTP_CLIENT: Final = "http_client_request_duration_seconds"
DB_SERVER: Final = "meshlens_db_server_operation_duration_seconds"
DB_CLIENT: Final = "db_client_operation_duration_seconds"
RPC_SERVER: Final = "rpc_server_call_duration_seconds"
RPC_CLIENT: Final = "rpc_client_call_duration_seconds"
MESSAGING: Final = "messaging_client_operation_duration_seconds"
MESSAGING_SERVER: Final = "meshlens_messaging_server_operation_duration_seconds"
DNS: Final = "dns_lookup_duration_seconds"
REQUESTS: Final = "meshlens_requests_total"
HELP: Final = {
    HTTP_SERVER: "Duration of HTTP requests as the server saw them.",
    HTTP_CLIENT: "Duration of HTTP requests as the caller saw them.",
    DB_SERVER: "Duration of database operations as the database saw them.",
    DB_CLIENT: "Duration of database operations as the caller saw them.",
    RPC_SERVER: "Duration of remote procedure calls as the server saw them.",
    RPC_CLIENT: "Duration of remote procedure calls as the caller saw them.",
    MESSAGING: "Duration of operations on a message broker as the caller saw them; 0 for messages that nobody answers.",
    MESSAGING_SERVER: "Duration of operations on a message broker as the broker saw them.",
    DNS: "Duration of DNS lookups as the caller saw them.",
    "meshlens_server_request_duration_seconds": "Duration of other requests as the server saw them.",
    "meshlens_client_request_duration_seconds": "Duration of other requests as the caller saw them.",
    REQUESTS: "Requests that a service answered, by outcome.",
    "meshlens_relation_requests_total": "Requests of one service to another, by outcome, as the caller saw them.",
    "meshlens_relation_io_bytes_total": "Bytes of requests and responses.",
    "meshlens_tcp_connections_opened_total": "TCP connections opened.",
    "meshlens_tcp_connections_closed_total": "TCP connections closed.",
    "meshlens_tcp_connections_failed_total": "TCP connections that could not be opened, by errno.",
    "meshlens_tcp_io_bytes_total": "Bytes over TCP, as the caller counts them.",
    "meshlens_tcp_segments_sent_total": "TCP segments sent.",
    "meshlens_tcp_retransmits_total": "TCP segments sent again.",
    "meshlens_tcp_resets_total": "TCP resets.",
    "meshlens_tcp_listen_overflows_total": "Connections that a full listen queue turned away.",
    "meshlens_tcp_dropped_packets_total": "Packets that the kernel dropped, by its reason.",
    "meshlens_tcp_connect_duration_seconds": "Time from connect to established.",
    "meshlens_tcp_rtt_seconds": "Smoothed round-trip time.",
    "meshlens_uncounted_total": "What could not be counted in full, by cause.",
    "meshlens_windows_total": "Closed windows that are in these counters.",
    "meshlens_windows_missed_total": "Closed windows that query-api did not hear of: they are not in these counters.",
    "meshlens_service_level": "Colour of a service: 0 grey, 1 green, 2 yellow, 3 orange, 4 red.",
    "meshlens_relation_level": "Colour of a relation: 0 grey, 1 green, 2 yellow, 3 orange, 4 red.",
}
STEP: Final = 50
"""After so many endpoints or relations a window lets others go on."""
SMALL_LABELS: Final = (
    "outcome", "direction", "cause", "protocol", "db_system_name", "rpc_system", "messaging_system",
)  # fmt: skip
"""Labels with few values, which also the overflow series keeps."""
CLIENT_METRICS: Final = {
    "database": (DB_CLIENT, "db_system_name"), "cache": (DB_CLIENT, "db_system_name"),
    "rpc": (RPC_CLIENT, "rpc_system"), "messaging": (MESSAGING, "messaging_system"),
}  # fmt: skip
"""By family of protocols: the metric of callers, and the label that names the system."""


class Family(msgspec.Struct, frozen=True):
    """
    One metric with its samples.
    """

    name: str
    kind: str
    says: str
    samples: list[Sample]


class _Durations:
    """
    One cumulative histogram.
    """

    __slots__ = ("buckets", "count", "sum_ns")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.sum_ns = 0

    def add(self, flat: list[int], sum_ns: int) -> None:
        for at in range(0, len(flat), 2):
            self.buckets[flat[at]] = self.buckets.get(flat[at], 0) + flat[at + 1]
            self.count += flat[at + 1]
        self.sum_ns += sum_ns

    def samples(self, labels: Labels) -> Iterator[Sample]:
        ordered = sorted(self.buckets.items())
        at = below = 0
        for limit, text in zip(LIMITS, LIMIT_TEXTS, strict=True):
            while at < len(ordered) and ordered[at][0] < limit:
                below += ordered[at][1]
                at += 1
            yield "_bucket", labels, text, below
        yield "_bucket", labels, "+Inf", self.count
        yield "_sum", labels, "", self.sum_ns / S_NS
        yield "_count", labels, "", self.count


class Totals:
    """
    Everything that the closed windows said since query-api started.
    """

    def __init__(self, max_series: int) -> None:
        self._max_series: Final = max_series
        self._durations: dict[str, dict[Labels, _Durations]] = {}
        self._counters: dict[str, dict[Labels, int]] = {}
        self._applied: deque[int] = deque(maxlen=REMEMBERED)
        self._series = 0

    def add(self, window: TopologyWindow) -> None:
        """
        Add a closed window; one that was added before changes nothing.
        """
        for _ in self.adding(window):
            pass

    def adding(self, window: TopologyWindow) -> Iterator[None]:
        """
        Add a closed window in small steps, between which others may go on.
        """
        if not window.final or window.start_ns in self._applied:
            return
        width_ns = window.end_ns - window.start_ns
        if self._applied and width_ns > 0 and window.start_ns > max(self._applied):
            missed = (window.start_ns - max(self._applied)) // width_ns - 1
            self._count("meshlens_windows_missed_total", {}, missed)
        self._applied.append(window.start_ns)
        self._count("meshlens_windows_total", {}, 1)
        for cause, lost in window.lost.items():
            self._count("meshlens_uncounted_total", {"cause": cause}, lost)
        for number, endpoint in enumerate(window.endpoint_figures):
            self._add_endpoint(endpoint)
            if number % STEP == 0:
                yield
        for number, relation in enumerate(window.relations):
            self._add_relation(relation)
            if number % STEP == 0:
                yield

    def _add_endpoint(self, endpoint: EndpointFigures) -> None:
        red = endpoint.provided
        if not red.requests:
            return
        labels = {"service_name": endpoint.service}
        self._outcomes(REQUESTS, {**labels, "protocol": endpoint.protocol}, red)
        name, named = _server_metric(endpoint)
        self._observe(name, {**labels, **named}, red.duration, red.duration_sum_ns)

    def _add_relation(self, relation: RelationFigures) -> None:
        labels = {"service_name": relation.source, "peer_service": relation.target}
        red = relation.client if relation.client.requests else relation.server
        if red.requests:
            whole = {**labels, "protocol": relation.protocol}
            self._outcomes("meshlens_relation_requests_total", whole, red)
            self._count("meshlens_relation_io_bytes_total", {**whole, "direction": "request"}, red.request_bytes)
            self._count("meshlens_relation_io_bytes_total", {**whole, "direction": "response"}, red.response_bytes)
            name, named = _client_metric(relation.protocol)
            self._observe(name, {**labels, **named}, red.duration, red.duration_sum_ns)
        self._add_tcp(relation, {**labels, "server_port": str(relation.port)})

    def _add_tcp(self, relation: RelationFigures, labels: dict[str, str]) -> None:
        tcp = relation.tcp
        sent, received = {**labels, "direction": "sent"}, {**labels, "direction": "received"}
        self._count("meshlens_tcp_connections_opened_total", labels, tcp.opened)
        self._count("meshlens_tcp_connections_closed_total", labels, tcp.closed)
        self._count("meshlens_tcp_io_bytes_total", sent, tcp.bytes_sent)
        self._count("meshlens_tcp_io_bytes_total", received, tcp.bytes_received)
        self._count("meshlens_tcp_segments_sent_total", labels, tcp.segments_sent)
        self._count("meshlens_tcp_retransmits_total", labels, tcp.retransmits)
        self._count("meshlens_tcp_resets_total", sent, tcp.resets_sent)
        self._count("meshlens_tcp_resets_total", received, tcp.resets_received)
        self._count("meshlens_tcp_listen_overflows_total", labels, tcp.listen_overflows)
        for word, failed in errno_words(tcp.failed).items():
            self._count("meshlens_tcp_connections_failed_total", {**labels, "error_type": word}, failed)
        for reason, packets in tcp.drops.items():
            self._count("meshlens_tcp_dropped_packets_total", {**labels, "reason": reason}, packets)
        self._observe("meshlens_tcp_connect_duration_seconds", labels, tcp.connect, _middle_sum_ns(tcp.connect))
        self._observe("meshlens_tcp_rtt_seconds", labels, tcp.rtt, _middle_sum_ns(tcp.rtt))

    def _outcomes(self, name: str, labels: dict[str, str], red: Red) -> None:
        ok = red.requests - red.errors - red.client_errors
        self._count(name, {**labels, "outcome": "ok"}, max(0, ok))
        self._count(name, {**labels, "outcome": "client_error"}, red.client_errors)
        self._count(name, {**labels, "outcome": "server_error"}, red.errors - red.no_responses)
        self._count(name, {**labels, "outcome": "no_response"}, red.no_responses)

    def _count(self, name: str, labels: dict[str, str], more: int) -> None:
        if more <= 0:
            return
        series = self._counters.setdefault(name, {})
        key = self._key(series, labels)
        series[key] = series.get(key, 0) + more

    def _observe(self, name: str, labels: dict[str, str], flat: list[int], sum_ns: int) -> None:
        if not flat:
            return
        series = self._durations.setdefault(name, {})
        key = self._key(series, labels)
        if key not in series:
            series[key] = _Durations()
        series[key].add(flat, sum_ns)

    def _key(self, known: Container[Labels], labels: dict[str, str]) -> Labels:
        """
        Return the series for *labels*: their own, or beyond the limit the one that all others share.
        """
        key = tuple(labels.items())
        if key in known:
            return key
        if self._series < self._max_series:
            self._series += 1
            return key
        return tuple((name, text if name in SMALL_LABELS else OTHER) for name, text in key)

    def families(self, states: Iterable[tuple[tuple[str, str], State]]) -> Iterator[Family]:
        """
        Yield every metric that has a sample, and the colours *states*.
        """
        for name, counters in sorted(self._counters.items()):
            yield Family(name, "counter", HELP[name], [("", key, "", value) for key, value in counters.items()])
        for name, durations in sorted(self._durations.items()):
            samples = [sample for key, found in durations.items() for sample in found.samples(key)]
            yield Family(name, "histogram", HELP[name], samples)
        levels: dict[str, list[Sample]] = {}
        for (kind, entity), state in states:
            label = (("service_name" if kind == "service" else "relation", entity),)
            levels.setdefault(f"meshlens_{kind}_level", []).append(("", label, "", LEVEL_NUMBERS[state.own]))
        for name, found in levels.items():
            yield Family(name, "gauge", HELP[name], found)


def _server_metric(endpoint: EndpointFigures) -> tuple[str, dict[str, str]]:
    protocol, family = endpoint.protocol, family_of(endpoint.protocol)
    verb, _, rest = endpoint.name.partition(" ")
    if family == "http":
        return HTTP_SERVER, {"http_request_method": verb, "http_route": rest} if rest else {"http_route": verb}
    if family in ("database", "cache"):
        return DB_SERVER, {"db_system_name": protocol, "db_query_summary": endpoint.name}
    if family == "rpc":
        return RPC_SERVER, {"rpc_system": protocol, "rpc_method": endpoint.name}
    if family == "messaging":
        named = {"messaging_operation_name": verb, "messaging_destination_name": rest}
        return MESSAGING_SERVER, {"messaging_system": protocol, **named}
    return "meshlens_server_request_duration_seconds", {"protocol": protocol, "endpoint": endpoint.name}


def _client_metric(protocol: str) -> tuple[str, dict[str, str]]:
    family = family_of(protocol)
    if family == "http":
        return HTTP_CLIENT, {}
    if family == "dns":
        return DNS, {}
    if family in CLIENT_METRICS:
        name, system = CLIENT_METRICS[family]
        return name, {system: protocol}
    return "meshlens_client_request_duration_seconds", {"protocol": protocol}


def _middle_sum_ns(flat: list[int]) -> int:
    """
    Return the sum that a histogram without one stands for: every value taken as the middle of its bucket.
    """
    return sum(
        (lower_bound_ns(flat[at]) + lower_bound_ns(flat[at] + 1)) // 2 * flat[at + 1] for at in range(0, len(flat), 2)
    )
