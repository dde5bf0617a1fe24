"""
Figures that cannot be: what the type of a message cannot say, and its readers rely on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.messages.topology import Red, Tcp, TopologyWindow


def check_window(window: TopologyWindow) -> None:
    """
    Refuse a window with figures that contradict themselves.

    Raises:
        Malformed: the sentence names whose figures, and which.
    """
    if window.end_ns <= window.start_ns:
        raise Malformed(f"a window ends at {window.end_ns}, before it has begun at {window.start_ns}")
    for owner, red in _requests(window):
        for name in _unsound(red):
            raise Malformed(f"{owner}: {name} cannot be ({red.requests} requests, {red.errors} errors)")
    for owner, tcp in _connections(window):
        for name in _unsound_tcp(tcp):
            raise Malformed(f"{owner}: {name} cannot be")


def _requests(window: TopologyWindow) -> Iterator[tuple[str, Red]]:
    for service in window.service_figures:
        yield service.service, service.provided
    for instance in window.instance_figures:
        yield instance.instance, instance.provided
    for endpoint in window.endpoint_figures:
        yield f"{endpoint.service} {endpoint.endpoint}", endpoint.provided
    for relation in window.relations:
        yield relation.id, relation.client
        yield relation.id, relation.server


def _connections(window: TopologyWindow) -> Iterator[tuple[str, Tcp]]:
    for service in window.service_figures:
        yield service.service, service.tcp
    for relation in window.relations:
        yield relation.id, relation.tcp


def _unsound(red: Red) -> Iterator[str]:
    if not 0 <= red.no_responses <= red.errors <= red.requests:
        yield "requests, errors and those without a response"
    if red.duration_sum_ns < 0:
        yield "the sum of durations"
    if _is_no_histogram(red.duration):
        yield "the histogram of durations"


def _unsound_tcp(tcp: Tcp) -> Iterator[str]:
    counts = (
        tcp.opened, tcp.closed, tcp.segments_sent, tcp.retransmits, tcp.resets_sent, tcp.resets_received,
        tcp.listen_overflows, *tcp.failed.values(), *tcp.drops.values(),
    )  # fmt: skip
    if min(counts) < 0:
        yield "a count below 0"
    if _is_no_histogram(tcp.rtt) or _is_no_histogram(tcp.connect):
        yield "a histogram of connections"


def _is_no_histogram(flat: list[int]) -> bool:
    return len(flat) % 2 == 1 or min(flat, default=0) < 0
