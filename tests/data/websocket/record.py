"""
Records the captures beside it: `python -m tests.data.websocket.record`, a `websockets` server and client.

A capture is one message with the message that answers it; of a push the server's message comes first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from tests.data.record import Proxy, free_port, save

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import ServerConnection

TEXT = '{"user":"alice@example.org","token":"s3cr3t-token","card":"4111111111111111"}'


async def answer(socket: ServerConnection) -> None:
    """
    Send back what comes; say something first and fail when asked.
    """
    async for message in socket:
        if message == "push":
            await socket.send(TEXT)
        elif message == "fail":
            await socket.close(1011, "s3cr3t-reason")
        else:
            await socket.send(message)


async def asked(proxy: Proxy, socket: ClientConnection, message: Any, case: str, expected: dict[str, Any]) -> None:
    """
    Send a message, wait for its echo, and keep both.
    """
    proxy.taken()
    await socket.send(message)
    await socket.recv()
    save("websocket", case, joined(proxy), expected)


def joined(proxy: Proxy) -> list[bytes]:
    """
    Return everything the client said and everything the server said.
    """
    exchanges = proxy.taken()
    return [b"".join(e[0] for e in exchanges), b"".join(e[1] for e in exchanges)]


async def opened(proxy: Proxy, **options: Any) -> ClientConnection:
    """
    Return a connection, handshake over and forgotten.
    """
    socket = await connect(f"ws://127.0.0.1:{proxy.port}/chat", ping_interval=None, **options)
    proxy.taken()
    return socket


async def record() -> None:
    """
    Record every case.
    """
    port = free_port()
    async with serve(answer, "127.0.0.1", port, ping_interval=None):
        proxy = Proxy(port)
        plain = await opened(proxy, compression=None)
        await asked(proxy, plain, TEXT, "text", {"name": "send text"})
        await asked(proxy, plain, TEXT.encode(), "binary", {"name": "send binary"})
        await asked(proxy, plain, "gr\u00fc\u00dfe s3cr3t " * 70, "long_text", {"name": "send text"})
        await asked(proxy, plain, ["s3cr3t-one", "s3cr3t-two"], "fragments", {"name": "send text"})
        await (await plain.ping(b"s3cr3t"))
        save("websocket", "ping", joined(proxy), {"name": "send ping"})
        await plain.send("push")
        pushed = [(await plain.recv(), joined(proxy)[1])[1]]
        await plain.send("s3cr3t-thanks")
        await plain.recv()
        save("websocket", "push", [*pushed, joined(proxy)[0]], {"name": "push text"})
        await plain.close(1000, "s3cr3t-bye")
        save("websocket", "close", joined(proxy), {"name": "send close", "status": 1000})
        compressed = await opened(proxy)
        await asked(proxy, compressed, TEXT * 3, "compressed", {"name": "send text"})
        await compressed.send("fail")
        await compressed.wait_closed()
        mine, theirs = joined(proxy)
        close = theirs, mine[-8:] if mine[-8] & 0x8F == 0x88 else mine[mine.rindex(b"\x88") :]
        save("websocket", "failed", list(close), {"name": "push close", "status": 1011})


if __name__ == "__main__":
    asyncio.run(record())
