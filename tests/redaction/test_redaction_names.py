"""
Secrets in the places of names: they are covered, and what is covered is called as it was.
"""

from __future__ import annotations

import struct

import pytest

from shared.messages.kernel import Protocol
from shared.protocols import protocols
from tests.redaction.secrets import SECRETS

TOLD = ("card", "card, grouped", "e-mail address", "JSON web token", "access key", "personal token", "session")
"""Secrets that can be told from the words that name tables and hosts."""


def masked(protocol: Protocol, request: bytes) -> bytes:
    """
    Return *request* as it leaves; it must be called as before, and nothing more of it be covered the next time.
    """
    known = protocols()[protocol]
    out, _ = known.mask(request, b"")
    assert known.parse(request, b"").name == known.parse(out, b"").name
    assert out == known.mask(out, b"")[0]
    return out


@pytest.mark.parametrize("kind", TOLD)
def test_values_in_the_quotes_of_names(kind: str) -> None:
    """
    A value that was put into a name's quotes is covered; a name stays.
    """
    sql = b'select "%b" from "First orders_2024"' % SECRETS[kind]
    query = b"Q" + struct.pack("!I", len(sql) + 5) + sql + b"\0"
    statement = sql.replace(b'"', b"`")
    for protocol, request in (
        (Protocol.POSTGRESQL, query),
        (Protocol.MYSQL, struct.pack("<I", len(statement) + 1) + b"\3" + statement),
    ):
        out = masked(protocol, request)
        assert SECRETS[kind][:6] not in out
        assert b"First orders_2024" in out


@pytest.mark.parametrize("kind", TOLD)
def test_labels_of_hosts(kind: str) -> None:
    """
    A label that is a token or a person is covered; those of shards and zones stay.
    """
    labels = [*SECRETS[kind].split(b"."), b"10-0-0-7", b"shop", b"test"]
    if kind == "e-mail address":
        labels[0] = SECRETS[kind]
    name = b"".join(bytes([len(label)]) + label for label in labels)
    out = masked(Protocol.DNS, struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + name + b"\0\0\1\0\1")

    assert SECRETS[kind][:6] not in out
    assert out.endswith(b"\x0810-0-0-7\4shop\4test\0\0\1\0\1")


def test_what_follows_a_fragment() -> None:
    """
    Nothing of a path stays that comes after a `#`, slashes or not.
    """
    out = masked(Protocol.HTTP1, b"GET /callback#token=wJalrXUtnFEMI/K7MDENG/bPx/end HTTP/1.1\r\n\r\n")

    assert b"K7MDENG" not in out
    assert b"end" not in out


def test_names_of_clients() -> None:
    """
    A ClickHouse client that is called by a token is called something else.
    """
    name = b"ClickHouse ghp_16C7e42F292c6912E7710c838347Ae178B4a"
    out = masked(Protocol.CLICKHOUSE, b"\0" + bytes([len(name)]) + name + b"\x14\x0a\xc4\xa9\x03")

    assert b"ClickHouse x" in out
    assert b"ghp_16" not in out
