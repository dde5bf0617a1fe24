"""
The tables of figures: which columns each of them has, and of what kind.

A table is named after its family, `relation_figures`, and holds one row for each `relation_id` and bucket of time at
each resolution. All that is written to it follows from its columns: how a window's rows are put together (`rows`), how
they are added to what is there, and how they are rolled up (`statements`).
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Kind(Enum):
    """
    What a column holds, as PostgreSQL's type: that is also how it adds up.
    """

    COUNT = "bigint"
    FLAG = "boolean"
    """True where it was true once."""
    HISTOGRAM = "numeric"
    """Packed, see `shared.histogram`."""
    TALLY = "jsonb"
    """Counts by word; null for none."""


Columns = dict[str, Kind]
"""By name, those of the key left out, in their order."""

RED: Final = (
    "requests", "errors", "client_errors", "no_responses", "duration_sum_ns", "request_bytes", "response_bytes",
)  # fmt: skip
TCP: Final = (
    "opened", "closed", "bytes_sent", "bytes_received", "segments_sent", "retransmits", "resets_sent",
    "resets_received", "listen_overflows",
)  # fmt: skip
TCP_REST: Final[Columns] = {
    "connect": Kind.HISTOGRAM, "rtt": Kind.HISTOGRAM, "failed": Kind.TALLY, "drops": Kind.TALLY,
}  # fmt: skip


def _counts(names: tuple[str, ...], prefix: str = "") -> Columns:
    return {prefix + name: Kind.COUNT for name in names}


COLUMNS: Final[dict[str, Columns]] = {
    "service": {
        **_counts(RED),
        **_counts(TCP),
        "own_side": Kind.FLAG,
        "duration": Kind.HISTOGRAM,
        **TCP_REST,
    },
    "instance": {**_counts(RED), "duration": Kind.HISTOGRAM},
    "endpoint": {**_counts(RED), "duration": Kind.HISTOGRAM},
    "relation": {
        **_counts(RED, "client_"),
        **_counts(RED, "server_"),
        **_counts(TCP),
        "client_duration": Kind.HISTOGRAM,
        "server_duration": Kind.HISTOGRAM,
        **TCP_REST,
    },
}
"""By family."""


def key(family: str) -> tuple[str, str, str]:
    """
    Return the columns that come first in the table of *family*.
    """
    return "start", f"{family}_id", "resolution"
