"""
What protocol-parser makes of samples: the names of endpoints, and spans.
"""

from __future__ import annotations

import msgspec

from shared.messages.kernel import Outcome, Protocol, Role


class EndpointNamed(msgspec.Struct, frozen=True):
    """
    The name behind an endpoint's hash, e.g. `GET /users/{id}` or `SELECT orders`.
    """

    protocol: Protocol
    endpoint: int
    name: str
    operation: str = ""
    """The short verb: `GET`, `SELECT`, `HGET`, `A`."""


class EndpointsNamed(msgspec.Struct, frozen=True):
    """
    Newly named endpoints.
    """

    endpoints: list[EndpointNamed]


class Span(msgspec.Struct, frozen=True):
    """
    One request as one end saw it; attributes carry OpenTelemetry's names.
    """

    node: str
    epoch: int
    instance: int
    peer: int
    role: Role
    protocol: Protocol
    name: str
    started_ns: int
    duration_ns: int
    outcome: Outcome
    status: int
    port: int
    remote: str
    connection: int
    offset: int
    endpoint: int
    why: str
    trace_id: str = ""
    """32 hexadecimal digits when the request carried `traceparent`."""
    parent_span_id: str = ""
    attributes: dict[str, str | int] = {}
    operation: str = ""
    """The short verb: `GET`, `SELECT`, `HGET`, `A`."""
    thread: int = 0
    """Thread that handled the first byte."""


class Spans(msgspec.Struct, frozen=True):
    """
    The spans of one sample batch.
    """

    spans: list[Span]
