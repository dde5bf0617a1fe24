"""
FastCGI: which records are read, what a request is called, and what of it stays.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.fastcgi import BEGIN, END, PARAMS, PROTOCOL, STDIN, STDOUT


def record(kind: int, content: bytes, request: int = 1, padding: int = 0) -> bytes:
    """
    Return a record.
    """
    length = len(content).to_bytes(2, "big")
    return bytes([1, kind]) + request.to_bytes(2, "big") + length + bytes([padding, 0]) + content + bytes(padding)


def pair(name: str, value: str) -> bytes:
    """
    Return a parameter.
    """
    lengths = [
        bytes([len(word)]) if len(word) < 128 else (len(word) | 1 << 31).to_bytes(4, "big") for word in (name, value)
    ]
    return b"".join(lengths) + name.encode() + value.encode()


def asked(**parameters: str) -> bytes:
    """
    Return a whole request.
    """
    content = b"".join(pair(name, value) for name, value in parameters.items())
    return (
        record(BEGIN, b"\0\1\0\0\0\0\0\0")
        + record(PARAMS, content, padding=3)
        + record(PARAMS, b"")
        + record(STDIN, b"")
    )


@pytest.mark.parametrize(
    ("parameters", "expected", "stand_in"),
    [
        ({"REQUEST_METHOD": "GET", "REQUEST_URI": "/a/12?b=c", "SCRIPT_NAME": "/index.php"}, "GET /a/{id}", False),
        ({"REQUEST_URI": "/a", "REQUEST_METHOD": "PUT"}, "PUT /a", False),
        ({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/status"}, "GET /status", True),
        ({"REQUEST_METHOD": "GET"}, "GET", True),
        ({"SCRIPT_FILENAME": "/srv/" + "x" * 200}, "REQUEST", True),
    ],
)
def test_requests_are_named_by_method_and_route(parameters: dict[str, str], expected: str, stand_in: bool) -> None:
    """
    The address that was asked for names the endpoint; without it the name stands in only.
    """
    parsed = PROTOCOL.parse(asked(**parameters), b"")

    assert (expected, stand_in) == (parsed.name, parsed.stand_in)


def test_only_named_parameters_keep_their_values() -> None:
    """
    Ids, queries, other parameters and input are covered, and every length stays.
    """
    request = asked(REQUEST_URI="/a/4111111111111111?b=s3cr3t", HTTP_COOKIE="s3cr3t", REMOTE_USER="s3cr3t")
    expected = asked(REQUEST_URI="/a/****************?b=******", HTTP_COOKIE="******", REMOTE_USER="******")

    assert expected + record(STDIN, b"******") == PROTOCOL.mask(request + record(STDIN, b"s3cr3t"), b"")[0]


def test_only_named_headers_of_the_output_keep_their_values() -> None:
    """
    The status and what HTTP keeps stay; cookies, redirects, own phrases and the body go.
    """
    output = b"Status: 404 Not Found\r\nLocation: /s3cr3t\r\nContent-type: text/html\r\n\r\ns3cr3t"
    expected = b"Status: 404 Not Found\r\nLocation: *******\r\nContent-type: text/html\r\n\r\n******"

    assert record(STDOUT, expected) == PROTOCOL.mask(b"", record(STDOUT, output))[1]
    assert (
        record(STDOUT, b"Status: 400 ** ***\r\n\r\n")
        == PROTOCOL.mask(b"", record(STDOUT, b"Status: 400 No bob\r\n\r\n"))[1]
    )


@pytest.mark.parametrize(
    ("response", "status", "outcome"),
    [
        (record(STDOUT, b"Content-type: a\r\n\r\n"), 200, Outcome.OK),
        (record(STDOUT, b"X: y\r\nStatus: 503 No\r\n\r\n"), 503, Outcome.SERVER_ERROR),
        (record(STDOUT, b"X: y\r\n\r\n") + record(END, b"\0\0\0\1\0\0\0\0"), 200, Outcome.SERVER_ERROR),
        (record(END, b"\0\0\0\0\2\0\0\0"), 2, Outcome.SERVER_ERROR),
        (record(END, b"\0\0\0\0\0\0\0\0"), 0, Outcome.OK),
        (b"", 0, Outcome.NO_RESPONSE),
    ],
)
def test_the_output_and_the_end_tell_the_outcome(response: bytes, status: int, outcome: Outcome) -> None:
    """
    The status is that of the output's headers; an application that fails, or refuses, is at fault.
    """
    parsed = PROTOCOL.parse(asked(REQUEST_METHOD="GET", REQUEST_URI="/"), response)

    assert (status, outcome) == (parsed.status, parsed.outcome)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\1\1\0\1\0\x08\0\0",
        record(BEGIN, b"\0\7\0\0\0\0\0\0"),
        record(BEGIN, b"\0\1\2\0\0\0\0\0"),
        record(BEGIN, b"\0\1\0\0\0\0\0"),
        record(BEGIN, b"\0\1\0\0\0\0\0\0", request=0),
        record(STDOUT, b"abc"),
        b"\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\1",
    ],
)
def test_other_bytes_are_not_claimed(head: bytes) -> None:
    """
    A request begins with its role, a number and zeros where the specification says so.
    """
    assert PROTOCOL.confidence(head, b"") < 0.6


@pytest.mark.parametrize("head", [b"\2", b"\1\6", b"\1\x0c", record(BEGIN, b"\0\1\0\0\0\0\0")])
def test_what_is_no_record_is_refused(head: bytes) -> None:
    """
    A reader is told at once that waiting is in vain.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(head, response=False)
