"""
Samples to spans, names and verdicts.
"""

from __future__ import annotations

import pytest

from services.protocol_parser.detect import Detector
from services.protocol_parser.endpoints import EndpointNames
from services.protocol_parser.spans import Reading, address, read
from shared.messages.kernel import Outcome, Protocol, Role, Sample
from tests.services.protocol_parser.samples import COMPLETE, EXECUTE, START_NS, batch, parse_message, sample


def reading(*samples: Sample) -> Reading:
    """
    Return what fresh eyes read out of *samples*.
    """
    return read(batch(*samples), EndpointNames(100), Detector(100))


def test_a_span_tells_what_the_sample_tells() -> None:
    """
    Measured figures come from the kernel, words from the bytes.
    """
    span = reading(sample()).spans[0]

    assert (span.node, span.epoch, span.instance, span.role) == ("alpha", 17, 7, Role.SERVER)
    assert (span.name, span.operation, span.outcome, span.status) == ("GET /users/{id}", "GET", Outcome.OK, 200)
    assert (span.started_ns, span.duration_ns) == (START_NS, 1_500_000)
    assert (span.remote, span.port, span.thread) == ("10.77.0.3", 8080, 4711)
    assert (span.connection, span.offset, span.endpoint) == (0x8000000000000007, 4096, 0xFEDCBA9876543210)


def test_attributes_have_opentelemetrys_names() -> None:
    """
    Request, response and network are described in the field's own words.
    """
    expected = {
        "network.transport": "tcp",
        "network.peer.address": "10.77.0.3",
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.path": "/users/12",
        "url.template": "/users/{id}",
        "server.address": "shop",
        "server.port": 8080,
    }

    assert expected == reading(sample()).spans[0].attributes


def test_an_endpoint_is_named_by_its_first_sample() -> None:
    """
    Two samples of one endpoint name it once.
    """
    found = reading(sample(), sample(request=b"GET /users/13 HTTP/1.1\r\n\r\n"))

    assert [named.name for named in found.endpoints] == ["GET /users/{id}"]


def test_a_request_whose_head_was_not_kept_has_its_endpoints_name() -> None:
    """
    Of pipelined requests only one has a head; the others are named by the hash.
    """
    found = reading(sample(), sample(request=b""))

    assert [span.name for span in found.spans] == ["GET /users/{id}"] * 2
    assert found.malformed == {}


def test_a_prepared_statement_is_named_by_its_parse() -> None:
    """
    Execute tells nothing, so its spans wait for the Parse of the same endpoint, which itself is no span.
    """
    execute = sample(protocol=Protocol.POSTGRESQL, request=EXECUTE, response=COMPLETE)
    prepare = sample(
        protocol=Protocol.POSTGRESQL,
        request=parse_message(b"select * from orders where id = $1"),
        response=b"",
        duration_ns=0,
    )
    found = reading(execute, prepare, execute)

    assert [span.name for span in found.spans] == ["EXECUTE", "SELECT orders"]
    assert [named.name for named in found.endpoints] == ["SELECT orders"]


def test_bytes_that_are_not_the_protocol_are_counted() -> None:
    """
    The span stays, with the protocol for its name; the sample is counted as malformed.
    """
    found = reading(sample(request=b"\x01\x02\x03"))

    assert found.malformed == {"http": 1}
    assert [span.name for span in found.spans] == ["http"]
    assert found.endpoints == []


def test_an_unknown_connection_is_read_by_its_own_bytes() -> None:
    """
    A sample that the kernel could not name becomes a span of the protocol that it speaks, and a verdict.
    """
    found = reading(sample(protocol=Protocol.UNKNOWN, endpoint=0))

    assert [span.protocol for span in found.spans] == [Protocol.HTTP1]
    assert [verdict.protocol for verdict in found.verdicts] == [Protocol.HTTP1]


def test_what_nobody_recognises_is_tcp() -> None:
    """
    A request of no known protocol is a span all the same.
    """
    found = reading(sample(protocol=Protocol.UNKNOWN, request=b"\x80\x81", response=b"\x82", endpoint=0))

    assert [span.name for span in found.spans] == ["tcp"]
    assert [span.protocol for span in found.spans] == [Protocol.UNKNOWN]


@pytest.mark.parametrize(
    ("outcome", "response", "expected"),
    [
        (Outcome.OK, b"HTTP/1.1 200 OK\r\n\r\n", None),
        (Outcome.CLIENT_ERROR, b"HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (Outcome.SERVER_ERROR, b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "503"),
        (Outcome.SERVER_ERROR, b"", "_OTHER"),
        (Outcome.NO_RESPONSE, b"", "no_response"),
    ],
)
def test_a_failure_says_its_type(outcome: Outcome, response: bytes, expected: str | None) -> None:
    """
    `error.type` is the protocol's own code, and is there for every failure.
    """
    span = reading(sample(outcome=outcome, response=response)).spans[0]

    assert expected == span.attributes.get("error.type")


def test_a_trace_context_travels_into_the_span() -> None:
    """
    The ids of a `traceparent` are the span's.
    """
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    request = f"GET / HTTP/1.1\r\ntraceparent: 00-{trace}-{parent}-01\r\n\r\n".encode()
    span = reading(sample(request=request)).spans[0]

    assert (trace, parent) == (span.trace_id, span.parent_span_id)


def test_addresses_are_text() -> None:
    """
    IPv4 is shown in its own form; what is no address is empty.
    """
    assert address(bytes(10) + b"\xff\xff\x7f\x00\x00\x01") == "127.0.0.1"
    assert address(b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07") == "2001:db8::7"
    assert address(b"") == address(bytes(16)) == address(b"abc") == ""
