"""
Tokens, names, and origins.
"""

from __future__ import annotations

import pytest

from services.query_api.security import (
    MAX_SESSIONS,
    SESSION_S,
    Role,
    Sessions,
    bearer,
    host_allowed,
    host_of,
    is_loopback,
    origin_allowed,
    read_tokens,
    role_of,
)
from shared.errors import ConfigError

TOKEN = "t" * 32


def test_a_token_has_the_role_of_the_file() -> None:
    """
    The file gives each token one role; what is not in it has none.
    """
    tokens = read_tokens(f'{{"{TOKEN}": "operator"}}'.encode(), "x")

    assert role_of(TOKEN, tokens) == Role.OPERATOR
    assert role_of(TOKEN + "t", tokens) is None
    assert role_of("", tokens) is None
    assert role_of("\ud800é", tokens) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"short": "admin"}',
        b'{"%s": "king"}' % TOKEN.encode(),
        b'{"%s": "nobody"}' % TOKEN.encode(),
        b'{"' + "é".encode() * 30 + b'": "admin"}',
    ],
)
def test_a_bad_token_file_stops_the_service(text: bytes) -> None:
    """
    An empty file, an unknown role and a token that could be guessed are refused with a sentence.
    """
    with pytest.raises(ConfigError, match=r"tokens\.json"):
        read_tokens(text, "tokens.json")


@pytest.mark.parametrize(
    ("header", "expected"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("", ""), ("Bearer", "")],
)
def test_a_bearer_token_is_read(header: str, expected: str) -> None:
    """
    Only the scheme Bearer carries a token.
    """
    assert expected == bearer(header)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    """
    Only addresses that nobody else can reach count as loopback.
    """
    assert expected == is_loopback(host)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("localhost:8080", "localhost"), ("[::1]:80", "::1"), ("A.Example", "a.example"), ("[", ""), ("", "")],
)
def test_the_name_in_a_host_header(header: str, expected: str) -> None:
    """
    The name is read without its port, in lower case; what is malformed is no name.
    """
    assert expected == host_of(header)


def test_only_known_names_may_be_called() -> None:
    """
    Without tokens only loopback and named hosts are answered; tokens alone make every name good.
    """
    assert host_allowed("localhost:1", "127.0.0.1", (), has_tokens=False)
    assert host_allowed("[::1]:1", "::1", (), has_tokens=False)
    assert host_allowed("mesh.example", "127.0.0.1", ("mesh.example",), has_tokens=False)
    assert not host_allowed("evil.example", "127.0.0.1", (), has_tokens=False)
    assert not host_allowed("", "127.0.0.1", (), has_tokens=False)
    assert host_allowed("any.example", "0.0.0.0", (), has_tokens=True)
    assert not host_allowed("any.example", "0.0.0.0", ("mesh.example",), has_tokens=True)


@pytest.mark.parametrize(
    ("method", "origin", "site", "expected"),
    [
        ("GET", "http://evil.example", "cross-site", True),
        ("POST", None, None, True),
        ("POST", "http://a:1", None, True),
        ("POST", "http://a:1", "same-origin", True),
        ("POST", "http://a:2", None, False),
        ("DELETE", "null", None, False),
        ("PUT", None, "cross-site", False),
        ("POST", "http://a:1", "same-site", False),
        ("POST", "http://[", None, False),
    ],
)
def test_only_our_own_page_changes_things(method: str, origin: str | None, site: str | None, expected: bool) -> None:
    """
    A command comes from our own page, or from no page at all.
    """
    assert expected == origin_allowed(method, origin, site, "a:1")


def test_sessions_end_and_are_bounded() -> None:
    """
    A session ends after its time and when it is signed out; beyond the limit the oldest goes.
    """
    sessions = Sessions()
    sessions.add("a", Role.VIEWER, 100)

    assert sessions.role("a", 100 + SESSION_S - 1) == Role.VIEWER
    assert sessions.role("a", 100 + SESSION_S) is None
    for number in range(MAX_SESSIONS + 1):
        sessions.add(str(number), Role.VIEWER, 0)
    assert sessions.role("0", 1) is None
    assert sessions.role("1", 1) == Role.VIEWER
    sessions.end("1")
    assert sessions.role("1", 1) is None
