"""
gRPC's names, statuses and neighbours.
"""

from __future__ import annotations

import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _grpc_status, mask, protocols, recognise
from tests.shared.protocols.test_protocols_http2 import block, frame

GRPC = protocols()[Protocol.GRPC]


def call(path: str, *more: tuple[str, str]) -> bytes:
    """
    Return a call's first frame.
    """
    fields = ((":method", "POST"), (":scheme", "http"), (":path", path), ("content-type", "application/grpc"), *more)
    return frame(1, 4, 1, block(*fields))


def ended(status: str) -> bytes:
    """
    Return a response with trailers.
    """
    return frame(1, 4, 1, block((":status", "200"))) + frame(1, 5, 1, block(("grpc-status", status)))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/etcdserverpb.KV/Range", "etcdserverpb.KV/Range"),
        ("/google.pubsub.v1.Publisher/Publish", "google.pubsub.v1.Publisher/Publish"),
        ("/grpc.health.v1.Health/Check", "grpc.health.v1.Health/Check"),
        ("/acme.billing.v2beta1.InvoiceServiceV2/ListAllInvoicesV2", None),
        ("/svc/AKIAIOSFODNN7EXAMPLE", "svc/{id}"),
        ("/svc/4111111111111111", "svc/{id}"),
        ("/svc/eyJhbGciOiJIUzI1NiJ9", "svc/{id}"),
        ("/bob@example.org/Get", "{id}/Get"),
    ],
)
def test_names_are_services_and_methods(path: str, name: str | None) -> None:
    """
    However long a package is, it stays; what is a token does not, and masking changes nothing about it.
    """
    head = call(path)
    wanted = path[1:] if name is None else name

    assert wanted == GRPC.parse(head, b"").name
    assert wanted == GRPC.parse(*GRPC.mask(head, b"")).name
    assert path[1:] == wanted or path[5:].encode() not in mask(Protocol.GRPC, head, b"")[0]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("0", Outcome.OK),
        ("1", Outcome.CLIENT_ERROR),
        ("4", Outcome.SERVER_ERROR),
        ("5", Outcome.CLIENT_ERROR),
        ("8", Outcome.CLIENT_ERROR),
        ("13", Outcome.SERVER_ERROR),
        ("14", Outcome.SERVER_ERROR),
        ("16", Outcome.CLIENT_ERROR),
        ("77", Outcome.SERVER_ERROR),
    ],
)
def test_the_status_of_the_trailers_says_whose_fault_it_is(status: str, outcome: Outcome) -> None:
    """
    `grpc-status` is the status, also when it is not one that gRPC knows.
    """
    parsed = GRPC.parse(call("/a.B/C"), ended(status))

    assert (int(status), outcome) == (parsed.status, parsed.outcome)
    assert (status != "0") == ("error.type" in parsed.attributes)


def test_a_proxy_s_answer_stands_for_a_status() -> None:
    """
    A response without trailers has the status that gRPC's clients make of HTTP's; so has a stream that was reset.
    """
    assert 14 == GRPC.parse(call("/a.B/C"), frame(1, 5, 1, b"\x08\x03503")).status
    assert 1 == GRPC.parse(call("/a.B/C"), frame(3, 0, 1, b"\0\0\0\x08")).status
    assert 0 == _grpc_status.of_http(200)


def test_a_message_of_the_status_does_not_survive() -> None:
    """
    `grpc-message` and metadata are gone, the status stays.
    """
    trailers = frame(
        1, 5, 1, block(("grpc-status", "5"), ("grpc-message", "no user bob@example.org"), ("x-id", "s3cr3t"))
    )
    masked = GRPC.mask(b"", trailers)[1]

    assert 5 == GRPC.parse(b"", masked).status
    assert b"example" not in masked
    assert block(("x", "s3cr3t"))[4:8] not in masked


def test_http_2_without_its_type_is_not_grpc() -> None:
    """
    The content type tells them apart, on either side.
    """
    plain = frame(1, 5, 1, block((":method", "POST"), (":path", "/a.B/C")))

    assert Protocol.HTTP2 is recognise(plain, b"")[0]
    assert Protocol.GRPC is recognise(call("/a.B/C"), b"")[0]
    assert Protocol.GRPC is recognise(plain, ended("0"))[0]
    assert Protocol.HTTP2 is recognise(plain, frame(1, 5, 1, b"\x88"))[0]


def test_etcd_is_a_database() -> None:
    """
    The package of a service says which system it is.
    """
    parsed = GRPC.parse(call("/etcdserverpb.Watch/Watch"), ended("0"))

    assert ("etcd", "Watch") == (parsed.attributes["db.system.name"], parsed.attributes["db.operation.name"])
    assert ("etcdserverpb.Watch", "Watch") == (parsed.attributes["rpc.service"], parsed.attributes["rpc.method"])
