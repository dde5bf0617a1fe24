"""
TLS: what of a handshake is read, and what of it leaves the node.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from shared.protocols import recognise
from shared.protocols._x509 import certificate
from shared.protocols.tls import PROTOCOL

DATA: Final = Path(__file__).parents[2] / "data" / "tls"
HEADER: Final = 5
RANDOM: Final = slice(11, 43)


def captured(case: str) -> tuple[bytes, bytes]:
    """
    Return the request and the response of a capture.
    """
    content = json.loads((DATA / f"{case}.json").read_text(encoding="utf-8"))
    return content["request"].encode("latin-1"), content["response"].encode("latin-1")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("tls13", {"tls.protocol.version": "1.3", "tls.cipher": "TLS_AES_256_GCM_SHA384"}),
        ("tls12_h2", {"tls.protocol.version": "1.2", "tls.next_protocol": "h2"}),
        ("tls12_certificate", {"tls.server.subject": "shop.example.test"}),
        ("gnutls", {"tls.client.server_name": "shop.example.test"}),
        ("refused", {"error.type": "handshake_failure"}),
    ],
)
def test_facts_of_a_handshake(case: str, expected: dict[str, str]) -> None:
    """
    Version, cipher, protocol, certificate and alert are those that both sides named, also after masking.
    """
    attributes = PROTOCOL.parse(*PROTOCOL.mask(*captured(case))).attributes

    assert expected == {name: attributes.get(name) for name in expected}


def test_dates_of_a_certificate() -> None:
    """
    A certificate made for thirty days holds for thirty days.
    """
    attributes = PROTOCOL.parse(*captured("tls12_certificate")).attributes
    begin, end = str(attributes["tls.server.not_before"]), str(attributes["tls.server.not_after"])

    assert len("2026-11-22T19:16:43Z") == len(begin) == len(end)
    assert begin < end
    assert begin[10:] == end[10:]


@pytest.mark.parametrize("case", ["tls13", "ticket", "resumed", "python"])
def test_no_key_material_leaves_the_node(case: str) -> None:
    """
    The randoms of both sides become zeros, and so does all that is encrypted.
    """
    request, response = PROTOCOL.mask(*captured(case))

    assert bytes(32) == request[RANDOM]
    assert bytes(32) == response[RANDOM]
    assert captured(case)[0][RANDOM] != bytes(32)


def test_a_session_ticket_is_masked() -> None:
    """
    The ticket that a client shows to resume its session does not leave the node.
    """
    request = captured("resumed")[0]
    ticket_at = request.index(b"\0\x23\0")
    length = int.from_bytes(request[ticket_at + 2 : ticket_at + 4], "big")
    masked = PROTOCOL.mask(request, b"")[0][ticket_at + 4 : ticket_at + 4 + length]

    assert length > 64
    assert bytes(length) == masked


def test_encrypted_bytes_keep_their_lengths_only() -> None:
    """
    Of application data the headers of the records stay.
    """
    record = b"\x17\3\3\0\x20" + bytes(range(32))

    assert b"\x17\3\3\0\x20" + bytes(32) == PROTOCOL.mask(record, b"")[0]


def test_an_internal_error_is_the_servers() -> None:
    """
    Whoever says that it failed itself is at fault; any other alert blames the caller.
    """
    request = captured("tls13")[0]

    assert Outcome.SERVER_ERROR is PROTOCOL.parse(request, b"\x15\3\3\0\2\2\x50").outcome
    assert Outcome.CLIENT_ERROR is PROTOCOL.parse(request, b"\x15\3\3\0\2\2\x46").outcome


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\3\1\2\0\1\0\1\xfc\7\7" + bytes(60),
        b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(32) + b"\xff" + bytes(60),
        b"\x17\3\3\0\x10" + bytes(16) + b"GET / HTTP/1.1",
        b"\x30\x0c\3\3MQTT\4\2\0\x3c",
    ],
)
def test_what_only_begins_like_tls(head: bytes) -> None:
    """
    A wrong version, an impossible session id or bytes behind a record that are none make it something else.
    """
    assert Protocol.UNKNOWN is recognise(head, b"")[0]


def test_a_certificate_cut_anywhere() -> None:
    """
    Whatever part of a certificate is there, what is read of it is true.
    """
    response = captured("tls12_certificate")[1]
    start = response.index(b"\x30\x82")
    whole = certificate(response, start, len(response))

    for end in range(start, len(response)):
        part = certificate(response[:end], start, end)
        assert part.common_name in ("", whole.common_name)
        assert part.not_after in ("", whole.not_after)
    assert "shop.example.test" == whole.common_name
