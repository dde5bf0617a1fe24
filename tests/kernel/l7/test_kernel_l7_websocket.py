"""
WebSocket: every message of either side is counted once, by its kind, behind the request that opened the connection.

The server is aiohttp's, the client that of the `websockets` package; where the cut of the bytes matters, plain sockets.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import pytest
from websockets.sync.client import connect

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    import socket

    from shared.messages.kernel import L7Series
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

AIOHTTP: Final = """
from aiohttp import WSMsgType, web

async def chat(request):
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    await socket.send_str('welcome')
    async for message in socket:
        if message.type == WSMsgType.TEXT and message.data.startswith('close'):
            await socket.close(code=int(message.data[5:]))
        elif message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket

application = web.Application()
application.router.add_get('/chat/{room}', chat)
web.run_app(application, host='127.0.0.1', port=PORT, print=None)
"""
UPGRADE: Final = (
    b"GET /chat/7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def chat(lab: Lab) -> int:
    """
    Start aiohttp in scope and return its port.
    """
    port = free_port()
    lab.run(sys.executable, "-c", AIOHTTP.replace("PORT", str(port)))
    lab.until(lambda: accepts(port), "aiohttp")
    return port


def opened(lab: Lab, port: int) -> socket.socket:
    """
    Return a plain socket behind the handshake and the server's first message.
    """
    made = lab.stream(port)
    made.sendall(UPGRADE)
    read_until(made, b"welcome")
    return made


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """
    Return what comes until *end*.
    """
    got = b""
    while not got.endswith(end):
        piece = connection.recv(65536)
        assert piece, "the server closed the connection"
        got += piece
    return got


def messages(series: list[L7Series]) -> list[tuple[str, int, int]]:
    """
    Return of each series who sent, with which status, and how many messages.
    """
    sides = {True: "client", False: "server"}
    return sorted((sides[one.request_bytes > 0], one.status, one.requests) for one in series)


def frame(opcode: int, payload: bytes, *, final: bool = True, key: bytes = b"\x11\x9c\x53\xe0") -> bytes:
    """
    Return a client's frame.
    """
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    hidden = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return bytes([opcode | (0x80 if final else 0)]) + length + key + hidden


def echoed(opcode: int, payload: bytes) -> bytes:
    """
    Return a server's frame.
    """
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + payload


def test_messages_of_both_sides_are_counted(lab: Lab) -> None:
    """
    103 texts, 53 binaries and 7 pings are as many each way; the greeting and the closes are counted too, at both ends.
    """
    port = chat(lab)
    lab.observe(os.getpid(), 7)
    try:
        with connect(f"ws://127.0.0.1:{port}/chat/12", compression=None, ping_interval=None, max_size=None) as client:
            assert "welcome" == client.recv()
            for number in range(103):
                client.send("word " * number)
                client.recv()
            for number in range(53):
                client.send(b"\0" * 7919 * number)
                client.recv()
            for _ in range(7):
                client.ping().wait(DEADLINE_S)
    finally:
        lab.ignore(os.getpid())

    lab.until(lambda: 2 * (103 + 53 + 7 + 1) < requests_of(lab.served(port, Protocol.WEBSOCKET)), "the last message")
    expected = sorted([("client", 0, n) for n in (103, 53, 7)] + [("server", 0, n) for n in (104, 53, 7)])
    for series in (lab.served(port, Protocol.WEBSOCKET), lab.called(port, Protocol.WEBSOCKET)):
        assert [*expected[:3], ("client", 1000, 1), *expected[3:], ("server", 1000, 1)] == messages(series)
        assert {0} == {one.duration_sum_ns for one in series}
    (opening,) = lab.served(port, Protocol.HTTP1)
    assert (1, 101, Outcome.OK) == (opening.requests, opening.status, opening.outcome)
    assert {} == lab.lost()


def test_any_cut_of_the_bytes(lab: Lab) -> None:
    """
    Messages byte by byte, many in one write, and one in many frames with a ping between them, with all their bytes.
    """
    port = chat(lab)
    client = opened(lab, port)
    long = b"x" * 70_000
    parts = frame(TEXT, b"in ", final=False) + frame(0, b"many ", final=False) + frame(PING, b"") + frame(0, b"parts")
    batch = frame(TEXT, b"one") + frame(BINARY, long[:300]) + frame(TEXT, b"") + parts
    for size in (1, 5, len(batch)):
        for at in range(0, len(batch), size):
            client.sendall(batch[at : at + size])
        read_until(client, echoed(TEXT, b"in many parts"))
    client.sendall(frame(TEXT, b"a") * 101)
    read_until(client, echoed(TEXT, b"a") * 101)

    found = lab.served(port, Protocol.WEBSOCKET)
    assert sorted(
        [("client", 0, n) for n in (101 + 9, 3, 3)] + [("server", 0, n) for n in (102 + 9, 3, 3)]
    ) == messages(found)
    assert 3 * len(batch) + 101 * len(frame(TEXT, b"a")) == sum(one.request_bytes for one in found)
    assert {} == lab.lost()


def test_compressed_messages(lab: Lab) -> None:
    """
    Frames whose payload is compressed are frames.
    """
    port = chat(lab)
    with connect(f"ws://127.0.0.1:{port}/chat/12", ping_interval=None) as client:
        client.recv()
        for number in range(31):
            client.send("word " * number)
            client.recv()

    found = messages(lab.served(port, Protocol.WEBSOCKET))
    assert [("client", 0, 31), ("client", 1000, 1), ("server", 0, 32), ("server", 1000, 1)] == found


@pytest.mark.parametrize(
    ("code", "expected"),
    [(1001, Outcome.OK), (1008, Outcome.CLIENT_ERROR), (1011, Outcome.SERVER_ERROR), (4401, Outcome.OK)],
)
def test_how_a_connection_ends(lab: Lab, code: int, expected: Outcome) -> None:
    """
    The code of a close is its status, and tells whose fault it was.
    """
    port = chat(lab)
    client = opened(lab, port)
    client.sendall(frame(TEXT, f"close{code}".encode()))
    read_until(client, code.to_bytes(2, "big"))
    client.close()

    found = {one.status: one.outcome for one in lab.served(port, Protocol.WEBSOCKET)}
    assert {0: Outcome.OK, code: expected} == found


def test_connections_from_before(lab: Lab) -> None:
    """
    A connection whose handshake nobody saw is known by its first text.
    """
    port = chat(lab)
    held = {key: lab.kernel.map("instances").read(key) for key in list(lab.kernel.map("instances").keys())}
    for key in held:
        lab.kernel.map("instances").delete(key)
    client = opened(lab, port)
    for key, value in held.items():
        lab.kernel.map("instances").write(key, value or b"")
    for number in range(13):
        client.sendall(frame(TEXT, b"some words %d" % number))
        read_until(client, b"some words %d" % number)

    assert [("client", 0, 13), ("server", 0, 13)] == messages(lab.served(port, Protocol.WEBSOCKET))


def test_what_is_no_websocket_is_found_out(lab: Lab) -> None:
    """
    A server that goes on with something else is no longer taken for one that speaks WebSocket.
    """
    port = lab.serve(
        "while True:\n"
        "    c, _ = listener.accept(); c.recv(1000)\n"
        "    c.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n\\r\\nwelcome')\n"
        "    while c.recv(1000): c.sendall(b'something else')\n"
        "    c.close()\n"
    )
    client = opened(lab, port)
    for _ in range(5):
        client.sendall(b"something")
        read_until(client, b"else")

    assert [] == lab.served(port, Protocol.WEBSOCKET)
    assert 5 == requests_of(lab.served(port, Protocol.UNKNOWN))
