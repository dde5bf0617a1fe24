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
        ("/a#frag", "/a*****"),
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
