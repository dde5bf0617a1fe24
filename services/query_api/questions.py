"""
What the HTTP API may be asked: one struct for each kind of question, every field bounded.

The parameters of the OpenAPI document are made from these structs, and a request is read with them: nothing that is
not declared here is accepted. Times are RFC 3339, `now`, or relative to now (`-15m`).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

MAX_LIMIT: Final = 1000
PLAIN: Final = r"^[^\x00-\x1f\x7f]*$"

When = Annotated[
    str,
    msgspec.Meta(
        max_length=40,
        description="RFC 3339 (`2026-01-31T12:00:00Z`), `now`, or relative to now (`-90s`, `-15m`, `-6h`, `-2d`).",
        examples=["-15m", "2026-01-31T12:00:00Z"],
    ),
]
Text = Annotated[str, msgspec.Meta(max_length=256, pattern=PLAIN)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern=PLAIN)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT, description="How many items at most.")]
CursorText = Annotated[
    str, msgspec.Meta(max_length=4096, description="*next* of the page before; it also keeps that page's time range.")
]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A question without parameters.
    """


class Listing(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A list in pages.
    """

    limit: Limit = 100
    cursor: CursorText = ""


class Ranged(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A question about a time range; without `from` and `to` it is about the last ten seconds, live.
    """

    start: When = msgspec.field(name="from", default="")
    end: When = msgspec.field(name="to", default="")


class RangedListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A list about a time range; without `from` and `to` it is about the last ten seconds, live.
    """

    start: When = msgspec.field(name="from", default="")
    end: When = msgspec.field(name="to", default="")


class Map(Ranged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The map now, `at` a time, or over a range.
    """

    at: When = ""


class ServiceList(RangedListing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Services, by part of the name and by kind.
    """

    q: Text = ""
    kind: Text = ""


class OneService(Ranged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    One service, by its id.
    """

    service: Name


class RelationList(RangedListing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Relations, by either end and by protocol.
    """

    source: Text = ""
    target: Text = ""
    protocol: Text = ""


class OneRelation(Ranged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    One relation, by its id (percent-encoded: `cart-%3Eredis%3Aredis`).
    """

    relation: Name


class TimeLineOf(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A time line; *step* 0 chooses the finest that stays readable.
    """

    start: When = msgspec.field(name="from", default="-15m")
    end: When = msgspec.field(name="to", default="now")
    step: Annotated[int, msgspec.Meta(ge=0, le=86_400, description="Seconds, a multiple of 10; 0 chooses.")] = 0


class ServiceTimeLine(TimeLineOf, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The time line of one service.
    """

    service: Name


class RelationTimeLine(TimeLineOf, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The time line of one relation, as its caller saw it, or its callee where the caller is out of sight.
    """

    relation: Name


EndpointSort = Literal["requests", "errors", "error_ratio", "client_errors", "mean", "p50", "p95", "p99", "name"]


class EndpointList(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Endpoints over any window: those that fail, those that are slow, worst first.
    """

    start: When = msgspec.field(name="from", default="-15m")
    end: When = msgspec.field(name="to", default="now")
    service: Text = ""
    q: Text = ""
    protocol: Text = ""
    failing: Annotated[bool, msgspec.Meta(description="Only those with errors.")] = False
    slow_s: Annotated[Seconds, msgspec.Meta(description="Only those whose p95 is at or above this.")] = 0.0
    sort: Annotated[EndpointSort, msgspec.Meta(description="Descending; `name` ascends.")] = "requests"


class ServiceEndpointList(EndpointList, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The endpoints of one service.
    """

    service: Name


class InstanceList(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Instances that ran in a window.
    """

    start: When = msgspec.field(name="from", default="-15m")
    end: When = msgspec.field(name="to", default="now")
    service: Text = ""
    running: Annotated[bool, msgspec.Meta(description="Only those that run now.")] = False


class ServiceInstanceList(InstanceList, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The instances of one service.
    """

    service: Name


class SpanList(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Sampled requests, newest first.
    """

    start: When = msgspec.field(name="from", default="-15m")
    end: When = msgspec.field(name="to", default="now")
    service: Annotated[Text, msgspec.Meta(description="Id of the service that observed it.")] = ""
    endpoint: Annotated[
        str, msgspec.Meta(pattern="^([0-9a-f]{16})?$", description="`endpoint` of an endpoint (its hash).")
    ] = ""
    role: Literal["", "client", "server"] = ""
    protocol: Text = ""
    failed: Annotated[bool, msgspec.Meta(description="Only server errors and requests without an answer.")] = False
    slow_s: Annotated[Seconds, msgspec.Meta(description="Only those that took at least this.")] = 0.0
    trace_id: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{32})?$")] = ""


class AnomalyList(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Times of trouble that touch a window, newest first.
    """

    start: When = msgspec.field(name="from", default="-24h")
    end: When = msgspec.field(name="to", default="now")
    entity: Text = ""
    level: Annotated[Literal["yellow", "orange", "red"], msgspec.Meta(description="At least this.")] = "yellow"
    open: Annotated[bool, msgspec.Meta(description="Only those that last.")] = False


class AlertList(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Alerts, the newest change first.
    """

    state: Literal["", "pending", "firing", "resolved"] = ""
    severity: Literal["", "critical", "warning", "info"] = ""
    entity: Text = ""


class OneAlert(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    One alert, by its id.
    """

    alert: Name


class Acknowledge(OneAlert, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Say that somebody looks after an alert.
    """

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=PLAIN)] = "operator"


class NewSilence(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Keep alerts that match quiet for a time; *template* and *entity* may hold `*`.
    """

    template: Name = "*"
    entity: Name = "*"
    for_s: Annotated[int, msgspec.Meta(ge=60, le=30 * 86_400, description="How long, in seconds.")]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=PLAIN)] = "operator"
    comment: Annotated[str, msgspec.Meta(max_length=1000, pattern=PLAIN)] = ""


class OneSilence(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    One silence, by its id.
    """

    silence: Name


class SwitchProbe(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Switch a probe on or off, on one node or on all.
    """

    probe: Name
    on: bool
    node: Text = ""


class SignIn(Nothing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Exchange a token for a cookie that the page can use.
    """

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern=PLAIN)]
