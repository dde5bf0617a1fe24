"""
What the templates are evaluated over: the sums of the last minutes and of the last hour, for each entity.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared import histogram
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.messages.topology import Red, Tcp

KEPT_S: Final = 300
MINUTES: Final = 60
MINUTE_NS: Final = 60 * S_NS
REFUSED: Final = errno.ECONNREFUSED


class Figures(msgspec.Struct, array_like=True):
    """
    One window, or the sum of several.
    """

    requests: int = 0
    errors: int = 0
    no_responses: int = 0
    opened: int = 0
    failed: int = 0
    refused: int = 0
    closed: int = 0
    resets: int = 0
    """Without those that refused a connection."""
    segments: int = 0
    retransmits: int = 0
    listen_overflows: int = 0
    durations: dict[int, int] = {}


def of_window(red: Red, tcp: Tcp, *, with_durations: bool) -> Figures:
    """
    Return the figures of one entity in one window.
    """
    return Figures(
        requests=red.requests,
        errors=red.errors,
        no_responses=red.no_responses,
        opened=tcp.opened,
        failed=sum(tcp.failed.values()),
        refused=tcp.failed.get(REFUSED, 0),
        closed=tcp.closed,
        resets=max(0, tcp.resets_sent + tcp.resets_received - tcp.failed.get(REFUSED, 0)),
        segments=tcp.segments_sent,
        retransmits=tcp.retransmits,
        listen_overflows=tcp.listen_overflows,
        durations=histogram.from_flat(red.duration) if with_durations else {},
    )


NUMBERS: Final = Figures.__struct_fields__[:-1]
"""All fields but the durations."""


def total(parts: Iterable[Figures]) -> Figures:
    """
    Return the sum of *parts*.
    """
    rows = [msgspec.structs.astuple(part) for part in parts]
    if not rows:
        return Figures(durations={})
    *numbers, durations = zip(*rows, strict=True)
    sums: dict[str, Any] = dict(zip(NUMBERS, map(sum, numbers), strict=True))
    return Figures(**sums, durations=histogram.merged(one for one in durations if one))


class Series(msgspec.Struct):
    """
    One entity, endpoint or instance through the last hour.
    """

    windows: list[tuple[int, Figures]] = []
    """End of each of the last windows, with its figures."""
    minutes: list[tuple[int, int, int]] = []
    """Start of each of the last minutes, its requests and errors."""
    asked: int = 0
    """Windows with requests."""
    asked_ns: int = 0
    """End of the last window with requests."""
    gap_s: float = 0.0
    """Usual time between windows with requests."""

    def add(self, end_ns: int, figures: Figures) -> None:
        """
        Add one window.
        """
        self.windows = [one for one in self.windows if one[0] > end_ns - KEPT_S * S_NS]
        self.windows.append((end_ns, figures))
        minute_ns = (end_ns - 1) // MINUTE_NS * MINUTE_NS
        if self.minutes and self.minutes[-1][0] == minute_ns:
            _, requests, errors = self.minutes.pop()
        else:
            requests = errors = 0
        self.minutes.append((minute_ns, requests + figures.requests, errors + figures.errors))
        self.minutes = [one for one in self.minutes if one[0] + MINUTE_NS > end_ns - MINUTES * MINUTE_NS]
        if figures.requests:
            gap_s = (end_ns - self.asked_ns) / S_NS if self.asked_ns else 0.0
            self.gap_s = gap_s if self.asked < 2 else self.gap_s + 0.05 * (gap_s - self.gap_s)
            self.asked += 1
            self.asked_ns = end_ns

    def over(self, end_ns: int, span_s: int) -> Figures:
        """
        Return the sum of the last *span_s* seconds; beyond five minutes only requests and errors are known.
        """
        begin_ns = end_ns - span_s * S_NS
        if span_s <= KEPT_S:
            return total(figures for at, figures in self.windows if at > begin_ns)
        within = [one for one in self.minutes if one[0] + MINUTE_NS > begin_ns]
        return Figures(requests=sum(one[1] for one in within), errors=sum(one[2] for one in within))
