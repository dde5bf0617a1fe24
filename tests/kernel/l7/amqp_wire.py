"""
AMQP as a client writes and reads it, frame by frame: what no client library does on purpose.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from shared.protocols.amqp import GREETING, PROTOCOL

if TYPE_CHECKING:
    import socket


def method(kind: tuple[int, int], arguments: bytes = b"", channel: int = 1) -> bytes:
    """
    Return a method's frame.
    """
    body = struct.pack(">HH", *kind) + arguments
    return struct.pack(">BHI", 1, channel, len(body)) + body + b"\xce"


def short(text: bytes) -> bytes:
    """
    Return a short text.
    """
    return bytes([len(text)]) + text


def publication(exchange: bytes, key: bytes, body: bytes, channel: int = 1) -> bytes:
    """
    Return the frames of a publication.
    """
    header = struct.pack(">HHQH", 60, 0, len(body), 0)
    return (
        method((60, 40), b"\0\0" + short(exchange) + short(key) + b"\0", channel)
        + struct.pack(">BHI", 2, channel, len(header)) + header + b"\xce"
        + struct.pack(">BHI", 3, channel, len(body)) + body + b"\xce"
    )  # fmt: skip


def opening(channels: int = 1) -> bytes:
    """
    Return what a client says until its channels are open.
    """
    start = method((10, 11), struct.pack(">I", 0) + short(b"PLAIN") + b"\0\0\0\x0c\0guest\0guest" + short(b"C"), 0)
    tuned = method((10, 31), struct.pack(">HIH", 100, 131072, 0), 0) + method((10, 40), short(b"/") + b"\0\0", 0)
    return GREETING + start + tuned + b"".join(method((20, 10), b"\0", one + 1) for one in range(channels))


class Wire:
    """
    A connection on which frames are written and read as they are.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection: Final = connection
        self._buffer = b""
        self.last = 0
        """The highest number that was confirmed."""
        self.many = 0
        """How often several were confirmed at once."""

    def hear(self, until: tuple[int, int], times: int = 1) -> list[bytes]:
        """
        Return the methods that arrive, once so many of this kind are among them.
        """
        found = list[bytes]()
        while times:
            length = PROTOCOL.frame(self._buffer, response=True) if self._buffer else None
            if length is None:
                more = self.connection.recv(65536)
                assert more, found[-3:]
                self._buffer += more
                continue
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            if frame[:1] == b"\1":
                found.append(frame)
                kind = struct.unpack(">HH", frame[7:11])
                times -= kind == until
                if kind == (60, 80):
                    self.last, many = struct.unpack(">QB", frame[11:20])
                    self.many += many
        return found

    def confirmed(self, number: int) -> None:
        """
        Wait until all publications of the one channel that confirms are confirmed, up to *number*.
        """
        while self.last < number:
            self.hear((60, 80))


def declared(queue: bytes) -> bytes:
    """
    Return what declares a queue that goes with its connection.
    """
    return method((50, 10), b"\0\0" + short(queue) + b"\4" + bytes(4))
