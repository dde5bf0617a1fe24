"""
Samples to spans: one request as one end saw it, parsed, named, and described in OpenTelemetry's words.

A sample without duration and response is no request: it brings the text that names an endpoint whose requests do not
hold it, such as the Parse message of a prepared statement.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol, ProtocolVerdict, Role
from shared.messages.l7 import EndpointNamed, Span
from shared.protocols import protocol_name, protocols, recognise

if TYPE_CHECKING:
    from services.protocol_parser.detect import Detector
    from services.protocol_parser.endpoints import EndpointNames
    from shared.messages.kernel import Sample, SampleBatch
    from shared.protocols import Parsed

NO_RESPONSE: Final = "no_response"
OTHER: Final = "_OTHER"
"""OpenTelemetry's word for a kind of error that has no name of its own."""


class Reading(msgspec.Struct, frozen=True):
    """
    What one batch of samples led to.
    """

    spans: list[Span]
    endpoints: list[EndpointNamed]
    """Those that had no name before."""
    verdicts: list[ProtocolVerdict]
    malformed: dict[str, int]
    """Samples that were not what the kernel took them for, by protocol."""


def read(batch: SampleBatch, names: EndpointNames, detector: Detector) -> Reading:
    """
    Return the spans of *batch*, the endpoints that it names, and verdicts for the kernel.
    """
    reading = Reading([], [], [], {})
    for sample in batch.samples:
        verdict = detector.observe(batch, sample)
        if verdict is not None:
            reading.verdicts.append(verdict)
        protocol = spoken(batch, sample, detector)
        parsed = _parsed(protocol, sample, reading.malformed)
        named = names.learn(protocol, sample.endpoint, parsed) if parsed is not None else None
        if named is not None:
            reading.endpoints.append(named)
        if sample.duration_ns or sample.response or sample.outcome is not Outcome.OK:
            reading.spans.append(span_of(batch, sample, protocol, parsed, names.find(protocol, sample.endpoint)))
    return reading


def spoken(batch: SampleBatch, sample: Sample, detector: Detector) -> Protocol:
    """
    Return the sample's protocol: the kernel's word, else the verdict on its port, else what its own bytes say.
    """
    if sample.protocol is not Protocol.UNKNOWN:
        return sample.protocol
    verdict = detector.verdict(batch, sample)
    return verdict if verdict is not Protocol.UNKNOWN else recognise(sample.request, sample.response)[0]


def _parsed(protocol: Protocol, sample: Sample, malformed: dict[str, int]) -> Parsed | None:
    known = protocols().get(protocol)
    if known is None:
        return None
    try:
        return known.parse(sample.request, sample.response)
    except Malformed:
        malformed[known.name] = malformed.get(known.name, 0) + 1
        return None


def span_of(
    batch: SampleBatch, sample: Sample, protocol: Protocol, parsed: Parsed | None, named: EndpointNamed | None
) -> Span:
    """
    Return the span of one sample; a request whose own bytes tell no name has its endpoint's.
    """
    called = named or parsed
    remote = address(sample.remote)
    return Span(
        node=batch.node,
        epoch=batch.epoch,
        instance=sample.instance,
        peer=sample.peer,
        role=sample.role,
        protocol=protocol,
        name=(called.name if called else "") or protocol_name(protocol),
        operation=called.operation if called else "",
        started_ns=sample.observed_ns,
        duration_ns=sample.duration_ns,
        outcome=sample.outcome,
        status=sample.status,
        port=sample.port,
        remote=remote,
        connection=sample.connection,
        offset=sample.offset,
        endpoint=sample.endpoint,
        why=sample.why,
        thread=sample.thread,
        trace_id=parsed.trace_id if parsed else "",
        parent_span_id=parsed.parent_span_id if parsed else "",
        attributes=_attributes(sample, protocol, parsed, remote),
    )


def _attributes(sample: Sample, protocol: Protocol, parsed: Parsed | None, remote: str) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "network.transport": "udp" if protocol is Protocol.DNS else "tcp",
        "server.port": sample.port,
        **(parsed.attributes if parsed else {}),
    }
    if remote:
        attributes["network.peer.address"] = remote
        if sample.role is Role.CLIENT:
            attributes["network.peer.port"] = sample.port
    if sample.outcome is Outcome.NO_RESPONSE:
        attributes["error.type"] = NO_RESPONSE
    elif sample.outcome is Outcome.SERVER_ERROR:
        attributes.setdefault("error.type", OTHER)
    return attributes


def address(raw: bytes) -> str:
    """
    Return sixteen bytes as text, IPv4 in its own form; an empty text for anything else.
    """
    if len(raw) != 16 or not any(raw):
        return ""
    six = ipaddress.IPv6Address(raw)
    return str(six.ipv4_mapped or six)
