"""
Sums that grow series by series, and the messages that they become.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.histogram import merge, to_flat
from shared.messages.kernel import L4Series, L7Series, Outcome
from shared.messages.topology import Red, Tcp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.histogram import Histogram


class RedSum:
    """
    Rate, errors and duration of some requests, being added up.
    """

    __slots__ = (
        "client_errors", "duration", "duration_sum_ns", "errors", "no_responses", "request_bytes", "requests",
        "response_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.client_errors = 0
        self.no_responses = 0
        self.duration_sum_ns = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.duration: Histogram = {}

    def add(self, series: L7Series) -> None:
        """
        Add the requests of *series*.
        """
        requests = series.requests
        self.requests += requests
        if series.outcome is Outcome.CLIENT_ERROR:
            self.client_errors += requests
        elif series.outcome is not Outcome.OK:
            self.errors += requests
            if series.outcome is Outcome.NO_RESPONSE:
                self.no_responses += requests
        self.duration_sum_ns += series.duration_sum_ns
        self.request_bytes += series.request_bytes
        self.response_bytes += series.response_bytes
        add_flat(self.duration, series.duration)

    def message(self) -> Red:
        """
        Return the sum as it travels.
        """
        return Red(
            requests=self.requests,
            errors=self.errors,
            client_errors=self.client_errors,
            no_responses=self.no_responses,
            duration_sum_ns=self.duration_sum_ns,
            duration=to_flat(self.duration),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
        )


class TcpSum:
    """
    What TCP did, being added up; the fields are those of `Tcp`.
    """

    __slots__ = (
        "bytes_received", "bytes_sent", "closed", "connect", "drops", "failed", "listen_overflows", "opened",
        "resets_received", "resets_sent", "retransmits", "rtt", "segments_sent",
    )  # fmt: skip

    def __init__(self) -> None:
        self.opened = 0
        self.failed: dict[int, int] = {}
        self.closed = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.segments_sent = 0
        self.retransmits = 0
        self.resets_sent = 0
        self.resets_received = 0
        self.listen_overflows = 0
        self.drops: dict[str, int] = {}
        self.connect: Histogram = {}
        self.rtt: Histogram = {}

    def add(self, series: L4Series, *, mirrored: bool = False) -> None:
        """
        Add what *series* saw; *mirrored* tells it from the other end: what one sends, the other receives.
        """
        sent, received = series.bytes_sent, series.bytes_received
        resets_sent, resets_received = series.resets_sent, series.resets_received
        if mirrored:
            sent, received = received, sent
            resets_sent, resets_received = resets_received, resets_sent
        self.opened += series.opened
        self.closed += series.closed
        self.bytes_sent += sent
        self.bytes_received += received
        self.resets_sent += resets_sent
        self.resets_received += resets_received
        merge(self.failed, series.failed)
        add_flat(self.connect, series.connect)
        add_flat(self.rtt, series.rtt)
        self.add_own_segments(series)

    def add_own_segments(self, series: L4Series) -> None:
        """
        Add only what the other end cannot have seen too: the segments that this end sent, drops, a full queue.
        """
        self.segments_sent += series.segments_sent
        self.retransmits += series.retransmits
        self.listen_overflows += series.listen_overflows
        for reason, packets in series.drops.items():
            self.drops[reason] = self.drops.get(reason, 0) + packets

    def message(self) -> Tcp:
        """
        Return the sum as it travels.
        """
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("connect", "rtt")}
        return Tcp(**plain, connect=to_flat(self.connect), rtt=to_flat(self.rtt))


def add_flat(into: Histogram, flat: list[int]) -> None:
    """
    Add the flat histogram *flat* to *into*.
    """
    for index in range(0, len(flat), 2):
        bucket = flat[index]
        into[bucket] = into.get(bucket, 0) + flat[index + 1]


def add_counts(into: dict[tuple[str, str], int], node: str, counts: Mapping[str, int]) -> None:
    """
    Add the *counts* that *node* reports to *into*.
    """
    for cause, count in counts.items():
        into[node, cause] = into.get((node, cause), 0) + count
