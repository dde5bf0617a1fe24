"""
ZooKeeper: operations, watches, sessions and transactions.
"""

from __future__ import annotations

import struct

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.zookeeper import PROTOCOL


def record(body: bytes) -> bytes:
    """
    Return *body* behind its length.
    """
    return struct.pack(">i", len(body)) + body


def operation(kind: int, path: bytes, number: int = 7) -> bytes:
    """
    Return a request with a path.
    """
    return record(struct.pack(">iii", number, kind, len(path)) + path + b"\0")


def reply(code: int, body: bytes = b"", number: int = 7) -> bytes:
    """
    Return a reply.
    """
    return record(struct.pack(">iqi", number, 99, code) + body)


GET = operation(4, b"/users/4711/alice@example.org")


def test_ids_in_paths_are_collapsed_and_masked() -> None:
    """
    What tells one node from its like neither names the endpoint nor leaves the node.
    """
    masked = PROTOCOL.mask(GET, b"")[0]

    assert "getData /users/{id}/{id}" == PROTOCOL.parse(masked, b"").name
    assert b"alice" not in masked


def test_watches_are_named_by_their_path() -> None:
    """
    What the server says unasked stands where a request should be.
    """
    fired = record(struct.pack(">iqiiii", -1, -1, 0, 3, 3, 4) + b"/app")

    assert "watch /app" == PROTOCOL.parse(*PROTOCOL.mask(fired, b"")).name


@pytest.mark.parametrize(
    ("response", "outcome", "status"),
    [
        (reply(0, b"data"), Outcome.OK, 0),
        (reply(-101), Outcome.CLIENT_ERROR, 101),
        (reply(-4), Outcome.SERVER_ERROR, 4),
        (
            reply(0, b"\xff\xff\xff\xff\0" + bytes(8) + b"\xff\xff\xff\xff\0" + struct.pack(">ii", -110, -110)),
            Outcome.CLIENT_ERROR,
            110,
        ),
        (reply(0, b"\xff\xff\xff\xff" + struct.pack(">qq", 7, 8)), Outcome.OK, 0),
        (record(struct.pack(">iiqi", 0, 0, 0, 16) + bytes(17)), Outcome.CLIENT_ERROR, 112),
        (record(struct.pack(">iiqi", 0, 10000, 5, 16) + b"s3cr3t-password-" + b"\0"), Outcome.OK, 0),
    ],
)
def test_replies_say_how_it_ended(response: bytes, outcome: Outcome, status: int) -> None:
    """
    Codes stand in the reply, in the results of a transaction, and in a session that has no time left.
    """
    masked = PROTOCOL.mask(GET, response)[1]
    parsed = PROTOCOL.parse(GET, masked)

    assert (outcome, status) == (parsed.outcome, parsed.status)
    assert b"s3cr3t" not in masked


@pytest.mark.parametrize(
    "head",
    [
        record(b"\0" * 7),
        record(struct.pack(">ii", 7, 11) + b"x"),
        operation(4, b"no/slash"),
        operation(4, b"/bell\7"),
        operation(99, b"/a"),
        operation(4, b"/a", -3),
        struct.pack(">iiiI", 20, 7, 4, 1 << 30) + b"/a",
    ],
)
def test_what_is_no_request(head: bytes) -> None:
    """
    Impossible lengths, operations, numbers and paths are refused.
    """
    with pytest.raises(Malformed):
        PROTOCOL.parse(head, b"")

    assert 0.0 == PROTOCOL.confidence(head, b"")
