"""
HTTP/1: what is kept of a head, what it is called, and which bytes are no HTTP.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.http1 import HEAD_LIMIT, PROTOCOL


def masked(request: bytes) -> bytes:
    """
    Return the masked request.
    """
    return PROTOCOL.mask(request, b"")[0]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/users/12/orders", "/users/12/orders"),
        ("/reset/eyJhbGciOiJIUzI1NiJ9", "/reset/********************"),
        ("/a?b=c&d=&e&f=g=h", "/a?b=*&d=&*&f=***"),
        ("/a;jsessionid=1A2B/b", "/***************/b".replace("*" * 15, "*" * 17)),
        ("http://u:p@h:1/a", "http://***@h:1/a"),
        ("*", "*"),
        ("/a#frag", "/a#****"),
    ],
)
def test_targets_are_masked(target: str, expected: str) -> None:
    """
    Words and short numbers of the path stay; values, tokens and credentials go.
    """
    verb = "OPTIONS" if target == "*" else "GET"

    assert f"{verb} {expected} HTTP/1.1\r\n\r\n".encode() == masked(f"{verb} {target} HTTP/1.1\r\n\r\n".encode())


def test_only_named_headers_keep_their_values() -> None:
    """
    Values, continuation lines, lines without a name and bodies are covered; names and line ends stay.
    """
    request = (
        b"POST /a HTTP/1.1\r\nHost: shop\r\nCookie: a=b\r\n folded\r\nno name\r\nX-Key:secret\r\n"
        b"Content-Length: 6\r\n\r\nsecret"
    )
    expected = (
        b"POST /a HTTP/1.1\r\nHost: shop\r\nCookie: ***\r\n*******\r\n*******\r\nX-Key:******\r\n"
        b"Content-Length: 6\r\n\r\n******"
    )

    assert expected == masked(request)


def test_a_cut_target_hides_its_last_segment() -> None:
    """
    The beginning of what may be a token does not leave the node.
    """
    assert masked(b"GET /reset/abc") == b"GET /reset/***"
    assert PROTOCOL.parse(b"GET /reset/abc", b"").name == "GET /reset/{id}"


def test_an_own_reason_phrase_is_masked() -> None:
    """
    A standard phrase stays, an application's own does not.
    """
    assert PROTOCOL.mask(b"", b"HTTP/1.1 404 Not Found\r\n\r\n")[1] == b"HTTP/1.1 404 Not Found\r\n\r\n"
    assert PROTOCOL.mask(b"", b"HTTP/1.1 400 No bob\r\n\r\n")[1] == b"HTTP/1.1 400 ** ***\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET / HTTP/1.1", "GET /"),
        ("GET //a/ HTTP/1.1", "GET //a/"),
        ("OPTIONS * HTTP/1.1", "OPTIONS *"),
        ("CONNECT shop:443 HTTP/1.1", "CONNECT shop:443"),
        ("GET http://h/a/7 HTTP/1.0", "GET /a/{id}"),
        ("GET http://h HTTP/1.0", "GET /"),
        ("PROPFIND /dav HTTP/1.1", "PROPFIND /dav"),
    ],
)
def test_requests_have_names(line: str, expected: str) -> None:
    """
    The name is the method with the route, without host and query.
    """
    assert expected == PROTOCOL.parse(f"{line}\r\n\r\n".encode(), b"").name


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, Outcome.OK), (302, Outcome.OK), (404, Outcome.CLIENT_ERROR), (500, Outcome.SERVER_ERROR)],
)
def test_the_status_tells_who_is_at_fault(status: int, expected: Outcome) -> None:
    """
    4xx is the caller's fault, 5xx the service's.
    """
    parsed = PROTOCOL.parse(b"GET / HTTP/1.1\r\n\r\n", f"HTTP/1.1 {status} x\r\n\r\n".encode())

    assert (expected, status) == (parsed.outcome, parsed.status)


@pytest.mark.parametrize(
    "request_line",
    [b"", b"get / HTTP/1.1\r\n", b"GET foo\r\n", b"HELLO / HTTP/1.1\r\n", b"GET / RTSP/1.0\r\n", b"PRI * HTTP/2.0\r\n"],
)
def test_what_is_no_request_is_refused(request_line: bytes) -> None:
    """
    Other protocols' words do not pass for HTTP/1.
    """
    assert PROTOCOL.confidence(request_line, b"") == 0.0
    if request_line:
        with pytest.raises(Malformed):
            PROTOCOL.parse(request_line, b"")


@pytest.mark.parametrize(
    "buffer", [b"\x16\x03\x01", b"FOO", b"GET a HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n" + b"a" * HEAD_LIMIT]
)
def test_frames_that_never_come_are_refused(buffer: bytes) -> None:
    """
    A reader is told at once that waiting is in vain.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(buffer, response=False)


@pytest.mark.parametrize(
    ("line", "name", "operation", "collection"),
    [
        ("GET /orders/_search?q=a", "GET /orders/_search", "search", "orders"),
        ("POST /_search", "POST /_search", "search", ""),
        ("POST /logs-2024.05.01,other/_search", "POST /{id}/_search", "search", ""),
        ("POST /_bulk", "POST /_bulk", "bulk", ""),
        ("PUT /orders/_doc/bob", "PUT /orders/_doc/{id}", "index", "orders"),
        ("GET /orders/_doc/12", "GET /orders/_doc/{id}", "get", "orders"),
        ("HEAD /orders/_doc/12", "HEAD /orders/_doc/{id}", "exists", "orders"),
        ("DELETE /orders/_doc/bob", "DELETE /orders/_doc/{id}", "delete", "orders"),
        ("POST /orders/_update/bob", "POST /orders/_update/{id}", "update", "orders"),
        ("POST /_search/scroll", "POST /_search/scroll", "scroll", ""),
        ("GET /_cluster/health", "GET /_cluster/health", "cluster.health", ""),
        ("GET /_cat/indices", "GET /_cat/indices", "cat.indices", ""),
    ],
)
def test_elasticsearch_is_known_by_its_addresses(line: str, name: str, operation: str, collection: str) -> None:
    """
    What is asked of which index is told, ids of documents are no part of the name, and no id leaves the node.
    """
    head = f"{line} HTTP/1.1\r\n\r\n".encode()
    parsed = PROTOCOL.parse(masked(head), b"")
    attributes = {key: value for key, value in parsed.attributes.items() if key.startswith("db.")}
    expected = {"db.system.name": "elasticsearch", "db.operation.name": operation, "db.collection.name": collection}

    assert name == parsed.name == PROTOCOL.parse(head, b"").name
    assert {key: value for key, value in expected.items() if value} == attributes
    assert b"bob" not in masked(head)


@pytest.mark.parametrize(
    "line",
    ["POST /Patient/_search", "GET /users/12", "GET /_health", "POST /shop/_all_docs", "GET /", "GET /_update/1"],
)
def test_addresses_of_others_are_not_elasticsearch(line: str) -> None:
    """
    What FHIR, CouchDB and everybody's own routes look like says nothing of a database.
    """
    assert "db.system.name" not in PROTOCOL.parse(f"{line} HTTP/1.1\r\n\r\n".encode(), b"").attributes


def test_elasticsearch_says_its_name() -> None:
    """
    A server that says so is Elasticsearch, whatever was asked.
    """
    answer = PROTOCOL.mask(b"", b"HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\n\r\n")[1]
    found = {
        path: PROTOCOL.parse(f"GET {path} HTTP/1.1\r\n\r\n".encode(), answer).attributes
        for path in ("/", "/orders", "/_new/thing")
    }

    assert ["info", "indices.get", None] == [attributes.get("db.operation.name") for attributes in found.values()]
    assert {"elasticsearch"} == {attributes["db.system.name"] for attributes in found.values()}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/graphql?query=%7Bme%7D&operationName=GetUser&variables=1", "GetUser"),
        ("/api/graphql?operationName=GetUser", "GetUser"),
        ("/graphql?operationName=4111111111111111", None),
        ("/graphql?operationName=eyJhbGciOiJIUzI1NiJ9", None),
        ("/search?operationName=GetUser", None),
    ],
)
def test_graphql_operations_are_named_where_no_value_tells_them(target: str, expected: str | None) -> None:
    """
    An operation's name in the address is an attribute; the endpoint stays what it is.
    """
    parsed = PROTOCOL.parse(masked(f"GET {target} HTTP/1.1\r\n\r\n".encode()), b"")

    assert expected == parsed.attributes.get("graphql.operation.name")
    assert f"GET {target.partition('?')[0]}" == parsed.name
