"""
Everything that leaves the services about one request: messages of NATS, and rows of PostgreSQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.probe_manager.service import masked
from services.protocol_parser.detect import Detector
from services.protocol_parser.endpoints import EndpointNames
from services.protocol_parser.spans import read
from services.protocol_parser.store import _row
from shared.messages.kernel import Outcome, Protocol, Role, Sample, SampleBatch
from shared.messages.l7 import EndpointsNamed, Spans
from tests.redaction.secrets import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator


def sample(protocol: Protocol, request: bytes, response: bytes) -> Sample:
    """
    Return what the kernel sends up of a request.
    """
    return Sample(
        observed_ns=1_700_000_000_000_000_000,
        instance=7,
        peer=0,
        role=Role.SERVER,
        protocol=protocol,
        outcome=Outcome.OK,
        status=0,
        port=4000,
        remote=bytes(10) + b"\xff\xff\x0a\x4d\0\3",
        endpoint=0x1234567,
        duration_ns=1000,
        request_bytes=len(request),
        response_bytes=len(response),
        connection=77,
        offset=0,
        thread=4711,
        why="first",
        request=request,
        response=response,
    )


def leaving(protocol: Protocol, request: bytes, response: bytes) -> Iterator[tuple[str, bytes]]:
    """
    Yield what leaves, each with where it goes: as probe-manager masks it, and as protocol-parser reads that.
    """
    batch = SampleBatch("alpha", 17, 1, [masked(sample(protocol, request, response))])
    yield "mesh.kernel.samples", msgspec.msgpack.encode(batch)
    reading = read(batch, EndpointNames(100), Detector(100))
    yield "mesh.l7.spans", msgspec.msgpack.encode(Spans(reading.spans))
    yield "mesh.l7.endpoints", msgspec.msgpack.encode(EndpointsNamed(reading.endpoints))
    yield "mesh.l7.verdict", msgspec.msgpack.encode(reading.verdicts)
    for span in reading.spans:
        yield "row of spans", repr(_row(batch, span)).encode()
        yield "answer of the API", msgspec.json.encode(span)


def leak(secret: bytes, said: bytes) -> bytes:
    """
    Return the first piece of *secret* that is in *said*, empty when none is.
    """
    for at in range(max(1, len(secret) - PIECE + 1)):
        if secret[at : at + PIECE] in said:
            return secret[at : at + PIECE]
    return b""
