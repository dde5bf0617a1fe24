"""
What the detectors look at: the figures of one service or relation in one window, and of those that ask it.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import msgspec

from shared import histogram
from shared.messages.topology import EndpointFigures, Red, RelationFigures, Service, Tcp
from shared.protocols import family_of
from shared.units import S_NS

if TYPE_CHECKING:
    from shared.messages.topology import TopologyWindow

SERVICE: Final = "service"
RELATION: Final = "relation"

OWN_JUDGEMENT: Final = frozenset({"database", "cache", "messaging", "directory"})
"""Families of protocols whose error replies may be part of a program's normal work (a unique violation, NOSCRIPT)."""
OWN_JUDGEMENT_KINDS: Final = frozenset({"database", "cache", "queue"})
REFUSED: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
"""The other host answered, and it answered no."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """
    One entity in one window.
    """

    entity: str
    kind: str
    window_s: float
    calls: Red = Red()
    """A service's provided requests; a relation's as the caller saw them."""
    answered: Red = Red()
    """A relation's requests as the callee saw them."""
    tcp: Tcp = Tcp()
    objective: bool = True
    """Errors hurt whoever asks, whatever is usual."""
    present: bool = True
    """A service of which an instance runs, or that is out of sight."""
    attempts: int = 0
    """Requests and connection attempts that callers made of a service; failed connections to a relation's target."""
    unanswered: int = 0
    """Those of *attempts* that got no answer, or no connection."""
    unreached: int = 0
    """Those of *unanswered* for which nothing answered at all, not even to refuse."""
    path_suspect: bool = False
    """Segments to the service are lost on the way: silence may be the path's fault."""
    endpoints: tuple[EndpointFigures, ...] = ()


def failed_connections(tcp: Tcp) -> int:
    """
    Return how many connections could not be opened.
    """
    return sum(tcp.failed.values())


def observe(window: TopologyWindow) -> list[Observation]:
    """
    Return the observation of every service and relation of *window*.
    """
    window_s = max(1.0, (window.end_ns - window.start_ns) / S_NS)
    endpoints: dict[str, list[EndpointFigures]] = {}
    for endpoint in window.endpoint_figures:
        endpoints.setdefault(endpoint.service, []).append(endpoint)
    incoming: dict[str, list[RelationFigures]] = {}
    for relation in window.relations:
        incoming.setdefault(relation.target, []).append(relation)
    figures = {one.service: one for one in window.service_figures}
    kinds = {service.id: service.kind for service in window.services}
    seen = [_relation(relation, window_s, kinds.get(relation.target, "")) for relation in window.relations]
    for service in window.services:
        own = figures.get(service.id)
        seen.append(
            _service(
                service,
                own.provided if own else Red(),
                own.tcp if own else Tcp(),
                incoming.get(service.id, []),
                tuple(endpoints.get(service.id, ())),
                window_s,
            )
        )
    return seen


def _relation(relation: RelationFigures, window_s: float, target_kind: str) -> Observation:
    failed = failed_connections(relation.tcp)
    return Observation(
        entity=relation.id,
        kind=RELATION,
        window_s=window_s,
        calls=relation.client if relation.client.requests else relation.server,
        answered=relation.server if relation.client.requests else Red(),
        tcp=relation.tcp,
        objective=family_of(relation.protocol) not in OWN_JUDGEMENT and target_kind not in OWN_JUDGEMENT_KINDS,
        attempts=failed,
        unanswered=failed,
    )


def _service(
    service: Service,
    provided: Red,
    tcp: Tcp,
    incoming: list[RelationFigures],
    endpoints: tuple[EndpointFigures, ...],
    window_s: float,
) -> Observation:
    attempts = unanswered = unreached = segments = again = 0
    for relation in incoming:
        failed = failed_connections(relation.tcp)
        refused = sum(n for number, n in relation.tcp.failed.items() if number in REFUSED)
        attempts += relation.client.requests + failed
        unanswered += relation.client.no_responses + failed
        unreached += failed - refused
        segments += relation.tcp.segments_sent
        again += relation.tcp.retransmits
    outside = service.kind in ("external", "client")
    return Observation(
        entity=service.id,
        kind=SERVICE,
        window_s=window_s,
        calls=provided,
        tcp=tcp,
        objective=service.kind not in OWN_JUDGEMENT_KINDS,
        present=outside or service.instances > 0,
        attempts=attempts,
        unanswered=unanswered,
        unreached=unreached,
        path_suspect=again >= 3 and again >= 0.2 * max(1, segments),
        endpoints=endpoints,
    )


def mean_ns(red: Red) -> float:
    """
    Return the mean duration, 0 without requests.
    """
    return red.duration_sum_ns / red.requests if red.requests else 0.0


def quantiles_ns(durations: histogram.Histogram) -> tuple[int, int]:
    """
    Return p50 and p95, 0 without durations.
    """
    return histogram.quantile_ns(durations, 0.5) or 0, histogram.quantile_ns(durations, 0.95) or 0
