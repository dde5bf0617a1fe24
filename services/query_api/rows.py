"""
Rows of the tables become the structs that the map is drawn from.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from services.query_api import answers, maps, shown
from services.query_api.figures import (
    CONNECT_QUANTILES,
    NO_RATES,
    REQUEST_QUANTILES,
    RTT_QUANTILES,
    quantiles_s,
    rates_of,
    tcp_rates_of,
    unpacked,
)
from shared.messages.alert import Alert
from shared.messages.topology import InstanceInfo, Service, Tcp
from shared.protocols import family_of
from shared.units import S_NS, at, unix_ns

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from services.query_api.answers import Rates, TcpRates
    from services.query_api.requests import Range

    Row = Mapping[str, Any]
    Found = tuple[Iterable[Row], Iterable[Row], Iterable[Row]]

T = TypeVar("T")

ENCODER: Final = msgspec.json.Encoder()
OUTCOMES: Final = ("ok", "client_error", "server_error", "no_response")
REQUESTS: Final = (
    "requests",
    "errors",
    "client_errors",
    "no_responses",
    "duration_sum_ns",
    "request_bytes",
    "response_bytes",
    "duration",
)
RED: Final = {prefix: itemgetter(*(prefix + name for name in REQUESTS)) for prefix in ("", "client_", "server_")}
TCP: Final = itemgetter(
    "opened",
    "failed",
    "closed",
    "bytes_sent",
    "bytes_received",
    "segments_sent",
    "retransmits",
    "resets_sent",
    "resets_received",
    "listen_overflows",
    "drops",
)
RELATION: Final = itemgetter("relation", "source", "target", "protocol", "port", "encrypted")
NONE: Final = "{}"
BY_ERRNO: Final = msgspec.json.Decoder(dict[int, int])
BY_WORD: Final = msgspec.json.Decoder(dict[str, int])
ATTRIBUTES: Final = msgspec.json.Decoder(dict[str, str])
SPAN_ATTRIBUTES: Final = msgspec.json.Decoder(dict[str, str | int])


def provided(row: Row, seconds: float, prefix: str = "") -> Rates:
    """
    Return the rates over *seconds* of the requests in *row*, whose columns begin with *prefix*.
    """
    *sums, duration = RED[prefix](row)
    if not sums[0]:
        return NO_RATES
    return rates_of(quantiles_s(*unpacked(duration), REQUEST_QUANTILES), seconds, *sums)


def tcp(row: Row, seconds: float) -> TcpRates:
    """
    Return the rates of TCP over *seconds* in *row*.
    """
    opened, failed, closed, sent, received, segments, again, resets, been_reset, overflows, drops = TCP(row)
    sums = Tcp(
        opened=opened,
        failed=BY_ERRNO.decode(failed) if failed != NONE else {},
        closed=closed,
        bytes_sent=sent,
        bytes_received=received,
        segments_sent=segments,
        retransmits=again,
        resets_sent=resets,
        resets_received=been_reset,
        listen_overflows=overflows,
        drops=BY_WORD.decode(drops) if drops != NONE else {},
    )
    connect = quantiles_s(*unpacked(row["connect"]), CONNECT_QUANTILES)
    return tcp_rates_of(sums, connect, quantiles_s(*unpacked(row["rtt"]), RTT_QUANTILES), seconds)


def written(value: T) -> T:
    """
    Return *value* as the JSON that it is in every answer: encoding that again is copying.
    """
    return cast("T", msgspec.Raw(ENCODER.encode(value)))


def service_sums(found: Iterable[Row], seconds: float) -> dict[int, maps.ServiceSums]:
    """
    Return what each service did in *seconds*, by its key.
    """
    return {
        row["service_id"]: maps.ServiceSums(
            written(provided(row, seconds)),
            written(tcp(row, seconds)),
            "client" if row["own_side"] is False else "server",
        )
        for row in found
    }


def relation_sums(found: Iterable[Row], seconds: float) -> dict[int, maps.RelationSums]:
    """
    Return what was done over each relation in *seconds*, by its key.
    """
    return {
        row["relation_id"]: maps.RelationSums(
            written(provided(row, seconds, "client_")),
            written(provided(row, seconds, "server_")),
            written(tcp(row, seconds)),
        )
        for row in found
    }


def service(row: Row) -> Service:
    """
    Return a service.
    """
    return Service(
        id=row["service"],
        name=row["name"],
        kind=row["kind"],
        instances=row["running"],
        attributes=ATTRIBUTES.decode(row["attributes"]),
    )


def topology(
    over: Range,
    found: Found,
    figures: maps.Sums,
    states: Mapping[tuple[str, str], answers.State],
) -> answers.Topology:
    """
    Return the map over a range: what was *found* there, with its figures and its colours.
    """
    services, relations, losses = found
    return answers.Topology(
        start=at(over.start_ns),
        end=at(over.end_ns),
        live=False,
        services=[
            maps.node(
                service(row),
                figures.services.get(row["service_id"], maps.NO_SERVICE_SUMS),
                states.get(("service", row["service"]), maps.UNKNOWN),
            )
            for row in services
        ],
        relations=[
            maps.edge(
                figures.relations.get(row["relation_id"], maps.NO_RELATION_SUMS),
                states.get(("relation", row["relation"]), maps.UNKNOWN),
                *RELATION(row),
            )
            for row in relations
        ],
        lost={row["cause"]: row["lost"] for row in losses},
    )


def endpoint(row: Row, seconds: float) -> answers.Endpoint:
    """
    Return an endpoint.
    """
    return answers.Endpoint(
        service=row["service"],
        endpoint=row["endpoint"],
        name=row["name"],
        protocol=row["protocol"],
        rates=provided(row, seconds),
        family=family_of(row["protocol"]),
    )


def instance(row: Row, seconds: float) -> answers.Instance:
    """
    Return an instance.
    """
    info = InstanceInfo(
        id=row["instance"],
        service=row["service"],
        node=row["node"],
        pid=row["pid"],
        executable=row["executable"],
        started_ns=unix_ns(row["started_at"]),
        ended_ns=_ns(row["ended_at"]),
        container=row["container"],
        cgroup=row["cgroup"],
        addresses=row["addresses"],
        listeners=row["listeners"],
        opaque=row["opaque"],
    )
    return maps.instance(info, provided(row, seconds))


def service_point(row: Row, step_s: int) -> answers.Point:
    """
    Return one step of a service's time line.
    """
    return answers.Point(start=row["step"], rates=provided(row, step_s))


def relation_point(row: Row, step_s: int) -> answers.Point:
    """
    Return one step of a relation's time line: as its caller saw it, or its callee where the caller is out of sight.
    """
    end = "client_" if row["client_requests"] else "server_"
    return answers.Point(start=row["step"], rates=provided(row, step_s, end))


def span(row: Row) -> answers.SpanRecord:
    """
    Return a sampled request.
    """
    return answers.SpanRecord(
        started=row["started"],
        duration_s=row["duration_ns"] / S_NS,
        name=row["name"],
        protocol=row["protocol"],
        role="client" if row["role"] == "client" else "server",
        service=row["service"],
        peer=row["peer"] or _address(row["remote"], row["port"]),
        outcome=row["outcome"] if row["outcome"] in OUTCOMES else "no_response",
        status=row["status"],
        why=row["why"],
        trace_id=row["trace_id"],
        attributes=SPAN_ATTRIBUTES.decode(row["attributes"]),
    )


def span_key(row: Row) -> tuple[int | str, ...]:
    """
    Return what orders sampled requests.
    """
    return unix_ns(row["started"]) // 1000, row["connection"], row["stream_offset"], row["instance"]


def anomaly_key(row: Row) -> tuple[int | str, ...]:
    """
    Return what orders times of trouble.
    """
    return unix_ns(row["started"]) // 1000, row["id"]


def alert_key(row: Row) -> tuple[int | str, ...]:
    """
    Return what orders alerts.
    """
    return unix_ns(row["updated"]) // 1000, row["id"]


def _address(remote: str, port: int) -> str:
    if not remote:
        return ""
    return f"[{remote}]:{port}" if ":" in remote else f"{remote}:{port}"


def anomaly(row: Row) -> answers.Anomaly:
    """
    Return a time of trouble.
    """
    return answers.Anomaly(
        entity=row["entity"],
        kind=maps.KINDS[row["kind"]],
        level=maps.level(row["level"]),
        started=row["started"],
        ended=row["ended"],
        reasons=maps.reasons(row["reasons"]),
    )


def state(row: Row) -> tuple[tuple[str, str], answers.State]:
    """
    Return the kind and id of an entity, and its colour.
    """
    wrong = row["own"] >= 2
    return (row["kind"], row["entity"]), answers.State(
        own=maps.level(row["own"]),
        inherited=maps.level(row["inherited"]),
        learning=row["learning"],
        reasons=maps.reasons(row["reasons"]) if wrong else [],
        culprits=row["culprits"],
    )


def alert(row: Row) -> answers.Alert:
    """
    Return an alert.
    """
    return shown.alert(
        Alert(
            id=row["id"],
            template=row["template"],
            family=row["family"],
            severity=row["severity"],
            entity=row["entity"],
            kind=row["kind"],
            state=row["state"],
            title=row["title"],
            meaning=row["meaning"],
            next_steps=row["next_steps"],
            value=row["value"],
            threshold=row["threshold"],
            unit=row["unit"],
            started_ns=unix_ns(row["started"]),
            fired_ns=_ns(row["fired"]),
            resolved_ns=_ns(row["resolved"]),
            updated_ns=unix_ns(row["updated"]),
            acknowledged_by=row["acknowledged_by"],
            acknowledged_ns=_ns(row["acknowledged"]),
            silenced=row["silenced"],
            occurrences=row["occurrences"],
        )
    )


def silence(row: Row) -> answers.Silence:
    """
    Return a silence.
    """
    return answers.Silence(
        id=row["id"],
        template=row["template"],
        entity=row["entity"],
        until=row["until"],
        by=row["by"],
        comment=row["comment"],
    )


def _ns(at: dt.datetime | None) -> int:
    return unix_ns(at) if at else 0
