"""
NATS: lines, subjects, requests with replies, and what may be said of a connection's opening.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.nats import PROTOCOL

REPLY = b"_INBOX.alapaCFSn2XqsoxHzC6VZu.jAaa22"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"PUB orders.created 0\r\n\r\n", "PUB orders.created"),
        (b"PUB orders.12345.created 0\r\n\r\n", "PUB orders.{id}.created"),
        (b"PUB orders.new %b 0\r\n\r\n" % REPLY, "REQ orders.new"),
        (b"PUB orders.new other.reply 0\r\n\r\n", "PUB orders.new"),
        (b"HPUB orders.new %b 12 12\r\nNATS/1.0\r\n\r\n\r\n" % REPLY, "REQ orders.new"),
        (b"PUB %b 0\r\n\r\n" % REPLY, "PUB _INBOX.*"),
        (b"PUB $JS.ACK.ORDERS.worker.1.7.9.1700000000000000000.0 0\r\n\r\n", "PUB $JS.ACK.ORDERS.worker" + ".{id}" * 5),
        (b"SUB orders.* 1\r\n", "SUB orders.*"),
        (b"SUB orders.>  1\r\n", "SUB orders.>"),
        (b"SUB orders.new workers 1\r\n", "SUB orders.new"),
        (b"UNSUB 1 5\r\n", "UNSUB"),
        (b"MSG orders.new 1 2\r\nhi\r\n", "MSG orders.new"),
        (b"MSG orders.new 1 %b 2\r\nhi\r\n" % REPLY, "MSG orders.new"),
        (b"PING\r\n", "PING"),
        (b'INFO {"server_id":"x"}\r\n', "INFO"),
    ],
)
def test_names(line: bytes, name: str) -> None:
    """
    The verb with the pattern of its subject is the name, before and after masking.
    """
    assert name == PROTOCOL.parse(line, b"").name
    assert name == PROTOCOL.parse(PROTOCOL.mask(line, b"")[0], b"").name


@pytest.mark.parametrize(
    ("message", "outcome", "status"),
    [
        (b"-ERR 'Slow Consumer'\r\n", Outcome.SERVER_ERROR, 0),
        (b"-ERR 'Stale Connection'\r\n", Outcome.SERVER_ERROR, 0),
        (b"-ERR 'maximum connections exceeded'\r\n", Outcome.SERVER_ERROR, 0),
        (b"-ERR 'Secure Connection - TLS Required'\r\n", Outcome.CLIENT_ERROR, 0),
        (b"-ERR 'Authorization Violation'\r\n", Outcome.CLIENT_ERROR, 0),
        (b"HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", Outcome.SERVER_ERROR, 503),
        (b"HMSG a 1 29 29\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n", Outcome.CLIENT_ERROR, 404),
        (b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", Outcome.OK, 0),
        (b"MSG a 1 2\r\nhi\r\n", Outcome.OK, 0),
        (b"+OK\r\n", Outcome.OK, 0),
    ],
)
def test_what_the_server_says_is_judged(message: bytes, outcome: Outcome, status: int) -> None:
    """
    Errors and status headers tell who is at fault, as a response and as a message of their own.
    """
    request = b"PUB a 0\r\n\r\n"

    assert (outcome, status) == (lambda p: (p.outcome, p.status))(PROTOCOL.parse(request, message))
    assert (outcome, status) == (lambda p: (p.outcome, p.status))(PROTOCOL.parse(message, b""))


def test_the_error_is_an_attribute() -> None:
    """
    An alert can ask for slow consumers.
    """
    parsed = PROTOCOL.parse(*PROTOCOL.mask(b"PING\r\n", b"-ERR 'Slow Consumer'\r\n"))

    assert "Slow Consumer" == parsed.attributes["nats.error"]


def test_credentials_are_covered_and_flags_stay() -> None:
    """
    Of CONNECT only flags leave the node.
    """
    line = b'CONNECT {"verbose":true,"user":"shop","pass":"secret"}\r\n'

    masked = PROTOCOL.mask(line, b"")[0]
    assert b'"verbose":true' in masked
    assert b"shop" not in masked
    assert b"secret" not in masked


@pytest.mark.parametrize(
    "head",
    [
        b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
        b"SUBSCRIBE news\r\n",
        b"PUB hello\r\nworld\r\n",
        b"PUBLISH a b\r\n",
        b"MSG hello there\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PING example.org\r\n",
    ],
)
def test_strangers_are_not_recognised(head: bytes) -> None:
    """
    Text of other protocols that begins alike is none of NATS.
    """
    assert PROTOCOL.confidence(head, b"") < 0.6


def test_a_size_that_is_too_large_is_malformed() -> None:
    """
    No server takes payloads of more than 64 MiB.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(b"PUB a 99999999\r\nx", response=False)
