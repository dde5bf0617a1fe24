"""
A small Redis client: pipelines of commands over a few connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


class Redis:
    """
    A pool of connections to one server.
    """

    def __init__(self, address: str, size: int = 4) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._slots = asyncio.Semaphore(size)

    async def pipeline(self, commands: list[list[str]]) -> list[Any]:
        """
        Send *commands* at once and return their answers in order.

        Raises:
            ConnectionError: the server is away.
        """
        async with self._slots, asyncio.timeout(3):
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
            try:
                writer.write(b"".join(_encode(command) for command in commands))
                answers = [await _answer(reader) for _ in commands]
            except BaseException:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                raise
            self._idle.append((reader, writer))
            return answers


def _encode(command: list[str]) -> bytes:
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


async def _answer(reader: asyncio.StreamReader) -> Any:
    line = await reader.readline()
    if not line:
        raise ConnectionError("Redis closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"$":
        size = int(rest)
        return None if size < 0 else (await reader.readexactly(size + 2))[:-2]
    if kind == b"*":
        return [await _answer(reader) for _ in range(int(rest))]
    if kind == b":":
        return int(rest)
    return rest
