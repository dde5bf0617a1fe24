"""
What the live updates carry, by type: `topology`, `verdicts`, `alert`, `change`, `status`, `probes`, `gap`.

The first four kinds of snapshot (`topology`, `verdicts`, `status`, `probes`) are whole: a newer one replaces an older
one. `alert` and `change` are facts: each is sent once.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal

import msgspec

from services.query_api import answers
from services.query_api.answers import State


class EntityState(msgspec.Struct, frozen=True, kw_only=True):
    """
    The colour of one service or relation.
    """

    entity: str
    kind: Literal["service", "relation"]
    state: State


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """
    The colours after one window, of every service and relation: the event `verdicts`.
    """

    start: dt.datetime
    end: dt.datetime
    states: list[EntityState]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """
    Something appeared on the map or vanished: the event `change`.
    """

    at: dt.datetime
    what: Literal["service", "instance", "relation"]
    id: str
    change: Literal["appeared", "vanished"]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """
    The client read too slowly: the event `gap`, sent before the events that it follows.
    """

    skipped: int
    """Snapshots (topology, verdicts, status, probes) that a newer one of the same kind replaced."""
    dropped: int
    """Facts (alert, change) that found no room: ask for the lists again."""


TYPES: Final[dict[str, type]] = {
    "topology": answers.Topology,
    "verdicts": Verdicts,
    "status": answers.Status,
    "probes": answers.Page[answers.Probe],
    "alert": answers.Alert,
    "change": Change,
    "gap": Gap,
}
SNAPSHOTS: Final = frozenset({"topology", "verdicts", "status", "probes"})
"""The types of which only the newest counts."""
