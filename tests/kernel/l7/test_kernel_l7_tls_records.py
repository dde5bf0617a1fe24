"""
TLS of which only the records are seen: one handshake and one turn for each request, however the records are cut.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Protocol

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

CHANGE, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
FINISHED_256, FINISHED_384, ENCRYPTED_ALERT = 53, 69, 19
AES_128, AES_256 = 0x1301, 0x1302
PADDING: Final = 16
"""Of Java."""
TURNS: Final = 5
SCRIPT: Final = """
import json
steps = json.loads({steps!r})
connection = listener.accept()[0]
for count, answer in steps:
    while count:
        count -= len(connection.recv(count))
    if answer:
        connection.sendall(bytes.fromhex(answer))
connection.recv(1)
"""
"""Reads so many bytes and answers with these, step by step."""

Step = tuple[bytes, bytes]
"""What the client sends, and what it waits for."""


def record(kind: int, content: bytes | int, version: int = 0x0303) -> bytes:
    """
    Return a record; of what is encrypted only the length counts.
    """
    content = b"\xaa" * content if isinstance(content, int) else content
    return struct.pack(">BHH", kind, version, len(content)) + content


def handshake(kind: int, content: bytes) -> bytes:
    """
    Return a record with one message of a handshake.
    """
    return record(HANDSHAKE, bytes([kind]) + len(content).to_bytes(3, "big") + content)


def client_hello() -> bytes:
    """
    Return the first record of a real client.
    """
    context, outgoing = ssl.create_default_context(), ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="records.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def server_hello(*extensions: tuple[int, int], session: int = 32, cipher: int = AES_256) -> bytes:
    """
    Return a ServerHello with *extensions*, each a number and a length.
    """
    listed = b"".join(struct.pack(">HH", kind, length) + b"\3" * length for kind, length in extensions)
    middle = struct.pack(">HBH", cipher, 0, len(listed))
    return handshake(2, b"\3\3" + b"\x55" * 32 + bytes([session]) + b"\x66" * session + middle + listed)


CHANGED: Final = record(CHANGE, b"\1")
FLIGHT: Final = record(DATA, 23) + record(DATA, 700) + record(DATA, 281) + record(DATA, FINISHED_384)
TICKETS: Final = record(DATA, 250) * 2
REQUEST, RESPONSE = record(DATA, 120), record(DATA, 260)
SUPPORTED, SHARE_X25519, SHARE_P521, SHARE_HYBRID, PRE_SHARED = (43, 2), (51, 36), (51, 137), (51, 1124), (41, 2)
MODERN: Final = server_hello(SUPPORTED, SHARE_X25519)
MODERN_128: Final = server_hello(SUPPORTED, SHARE_X25519, cipher=AES_128)
OLD: Final = server_hello((65281, 1), (35, 0), (23, 0)) + handshake(11, bytes(700)) + handshake(14, b"")
KEYS: Final = handshake(16, bytes(33)) + CHANGED + record(HANDSHAKE, 40)
ROUNDS: Final = [(REQUEST, RESPONSE)] * TURNS

FINISHED: Final = record(DATA, FINISHED_384)
CASES: Final[dict[str, list[Step]]] = {
    "the usual order": [(b"", MODERN + CHANGED + FLIGHT), (CHANGED + FINISHED, TICKETS), *ROUNDS],
    "no tickets": [
        (b"", MODERN_128 + CHANGED + FLIGHT),
        (CHANGED + record(DATA, FINISHED_256) + REQUEST, RESPONSE),
        *ROUNDS[1:],
    ],
    "tickets when the first request is on its way": [
        (b"", MODERN + CHANGED + FLIGHT),
        (CHANGED + FINISHED + REQUEST, TICKETS),
        (b"", RESPONSE),
        *ROUNDS[1:],
    ],
    "the client changes as soon as the server has said hello": [
        (b"", MODERN),
        (CHANGED, CHANGED + FLIGHT),
        (FINISHED, TICKETS),
        *ROUNDS,
    ],
    "another hello is asked for": [
        (b"", server_hello(SUPPORTED, (51, 2)) + CHANGED),
        (CHANGED + handshake(1, bytes(500)), MODERN + FLIGHT),
        (FINISHED, TICKETS),
        *ROUNDS,
    ],
    "the largest keys come first": [
        (b"", server_hello(SHARE_HYBRID, SUPPORTED)),
        (CHANGED, FLIGHT),
        (FINISHED, TICKETS),
        *ROUNDS,
    ],
    "resumed": [
        (b"", server_hello(PRE_SHARED, SHARE_P521, SUPPORTED, session=0)),
        (CHANGED, FLIGHT),
        (FINISHED, b""),
        *ROUNDS,
    ],
    "a certificate of the client's": [
        (b"", MODERN + CHANGED + FLIGHT),
        (CHANGED + record(DATA, 700) + record(DATA, 280) + FINISHED, TICKETS),
        *ROUNDS,
    ],
    **{
        f"Java with {name}": [
            (b"", hello),
            (CHANGED, CHANGED + FLIGHT),
            (record(DATA, finished + PADDING) + REQUEST, TICKETS),
            (b"", RESPONSE),
            *ROUNDS[1:],
            (record(DATA, ENCRYPTED_ALERT + PADDING) * 2, RESPONSE),
        ]
        for name, hello, finished in (("AES-128", MODERN_128, FINISHED_256), ("AES-256", MODERN, FINISHED_384))
    },
    "an alert at the end": [
        (b"", MODERN + CHANGED + FLIGHT),
        (CHANGED + FINISHED, TICKETS),
        *ROUNDS,
        (record(DATA, ENCRYPTED_ALERT), RESPONSE),
    ],
    "TLS 1.2": [(b"", OLD), (KEYS, CHANGED + record(HANDSHAKE, 40)), *ROUNDS],
    "TLS 1.2, a piece at a time": [
        (b"", OLD),
        (handshake(16, bytes(33)), b""),
        (CHANGED, b""),
        (record(HANDSHAKE, 40), handshake(4, bytes(190)) + CHANGED + record(HANDSHAKE, 40)),
        *ROUNDS,
    ],
    "TLS 1.2, resumed": [
        (b"", server_hello((65281, 1)) + CHANGED + record(HANDSHAKE, 40)),
        (CHANGED + record(HANDSHAKE, 40), b""),
        *ROUNDS,
    ],
}


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
def test_one_turn_for_each_request(lab: Lab, steps: list[Step]) -> None:
    """
    The handshake is counted once, and what follows in as many turns as there are requests.
    """
    hello = client_hello()
    first, *rest = steps
    script = [(len(hello), first[1].hex())] + [(len(sent), back.hex()) for sent, back in rest]
    port = lab.serve(SCRIPT.format(steps=str([list(step) for step in script]).replace("'", '"')))
    client = lab.stream(port)
    for sent, back in [(hello, first[1]), *rest]:
        client.sendall(sent)
        count = len(back)
        while count:
            count -= len(client.recv(count))

    def counted() -> dict[bool, int]:
        found = {True: 0, False: 0}
        for one in lab.served(port, Protocol.TLS):
            found[one.endpoint == Protocol.TLS] += one.requests
        return found

    lab.until(lambda: sum(counted().values()) >= 1 + TURNS, "all to be counted")
    assert {False: 1, True: TURNS} == counted()
    assert {} == lab.lost()
