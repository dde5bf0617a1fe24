"""
Rows of the tables become the structs that the map is drawn from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.query_api import answers, maps, shown
from services.query_api.figures import flat, rates, unix_ns
from shared.messages.alert import Alert
from shared.messages.topology import (
    EndpointFigures,
    InstanceInfo,
    Red,
    RelationFigures,
    Service,
    ServiceFigures,
    Tcp,
    TopologyWindow,
)
from shared.units import S_NS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from services.query_api.requests import Range

    Row = Mapping[str, Any]

OUTCOMES: Final = ("ok", "client_error", "server_error", "no_response")
BY_ERRNO: Final = msgspec.json.Decoder(dict[int, int])
BY_WORD: Final = msgspec.json.Decoder(dict[str, int])
ATTRIBUTES: Final = msgspec.json.Decoder(dict[str, str])
SPAN_ATTRIBUTES: Final = msgspec.json.Decoder(dict[str, str | int])


def red(row: Row, prefix: str = "") -> Red:
    """
    Return the figures of requests in *row*, whose columns begin with *prefix*; without traffic they are null.
    """
    if not row[f"{prefix}requests"]:
        return Red()
    return Red(
        requests=row[f"{prefix}requests"],
        errors=row[f"{prefix}errors"],
        client_errors=row[f"{prefix}client_errors"],
        no_responses=row[f"{prefix}no_responses"],
        duration_sum_ns=row[f"{prefix}duration_sum_ns"],
        duration=flat(row[f"{prefix}duration"]),
        request_bytes=row[f"{prefix}request_bytes"],
        response_bytes=row[f"{prefix}response_bytes"],
    )


def tcp(row: Row) -> Tcp:
    """
    Return the figures of TCP in *row*; without traffic they are null.
    """
    if row["opened"] is None:
        return Tcp()
    return Tcp(
        opened=row["opened"],
        failed=BY_ERRNO.decode(row["failed"]),
        closed=row["closed"],
        bytes_sent=row["bytes_sent"],
        bytes_received=row["bytes_received"],
        segments_sent=row["segments_sent"],
        retransmits=row["retransmits"],
        resets_sent=row["resets_sent"],
        resets_received=row["resets_received"],
        listen_overflows=row["listen_overflows"],
        drops=BY_WORD.decode(row["drops"]),
        connect=flat(row["connect"]),
        rtt=flat(row["rtt"]),
    )


def service(row: Row) -> tuple[Service, ServiceFigures]:
    """
    Return a service and its figures.
    """
    return (
        Service(
            id=row["service"],
            name=row["name"],
            kind=row["kind"],
            instances=row["running"],
            attributes=ATTRIBUTES.decode(row["attributes"]),
        ),
        ServiceFigures(
            service=row["service"],
            provided=red(row),
            tcp=tcp(row),
            seen_from="client" if row["own_side"] is False else "server",
        ),
    )


def relation(row: Row) -> RelationFigures:
    """
    Return a relation.
    """
    return RelationFigures(
        id=row["relation"],
        source=row["source"],
        target=row["target"],
        protocol=row["protocol"],
        port=row["port"],
        encrypted=row["encrypted"],
        client=red(row, "client_"),
        server=red(row, "server_"),
        tcp=tcp(row),
    )


def window(services: Iterable[Row], relations: Iterable[Row], lost: dict[str, int], over: Range) -> TopologyWindow:
    """
    Return the map's figures.
    """
    nodes = [service(row) for row in services]
    return TopologyWindow(
        start_ns=over.start_ns,
        end_ns=over.end_ns,
        final=True,
        services=[node for node, _ in nodes],
        service_figures=[figures for _, figures in nodes],
        relations=[relation(row) for row in relations],
        lost=lost,
    )


def endpoint(row: Row, seconds: float) -> answers.Endpoint:
    """
    Return an endpoint.
    """
    figures = EndpointFigures(
        service=row["service"],
        protocol=row["protocol"],
        endpoint=row["endpoint"],
        name=row["name"],
        provided=red(row),
    )
    return maps.endpoint(figures, seconds)


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
    return maps.instance(info, red(row), seconds)


def service_point(row: Row, step_s: int) -> answers.Point:
    """
    Return one step of a service's time line.
    """
    return answers.Point(start=row["step"], rates=rates(red(row), step_s))


def relation_point(row: Row, step_s: int) -> answers.Point:
    """
    Return one step of a relation's time line: as its caller saw it, or its callee where the caller is out of sight.
    """
    end = "client_" if row["client_requests"] else "server_"
    return answers.Point(start=row["step"], rates=rates(red(row, end), step_s))


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
