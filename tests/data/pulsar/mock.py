"""
A stand-in for a Pulsar broker that pulsar-client talks to: `python mock.py PORT`. It keeps topics in memory.

It refuses a topic called `forbidden` when a producer comes, and one called `nowhere` when it is looked up.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from typing import Final

CONNECT, SUBSCRIBE, PRODUCER, SEND, FLOW, PING = 2, 4, 5, 6, 11, 18
UNSUBSCRIBE, CLOSE_PRODUCER, CLOSE_CONSUMER, METADATA, LOOKUP, LAST_ID, SCHEMA = 12, 15, 16, 21, 23, 29, 34
AUTHORIZATION_ERROR, TOPIC_NOT_FOUND = 4, 11


def varint(value: int) -> bytes:
    """
    Return a number as protocol buffers have it.
    """
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes | str) -> bytes:
    """
    Return one field.
    """
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def command(type_: int, *fields: bytes, payload: bytes = b"") -> bytes:
    """
    Return a message.
    """
    text = field(1, type_) + field(type_, b"".join(fields))
    return (len(text) + 4 + len(payload)).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text + payload


def read(text: bytes) -> dict[int, int | bytes]:
    """
    Return the fields of a command.
    """
    found: dict[int, int | bytes] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = text[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(text):
        tag = number()
        value = number()
        if tag & 7 == 2:
            found[tag >> 3] = text[at : at + value]
            at += value
        else:
            found[tag >> 3] = value
    return found


class Broker:
    """
    What all connections share: the payloads of each topic.
    """

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self.topics: Final[dict[bytes, list[bytes]]] = {}

    def serve(self, client: socket.socket) -> None:
        """
        Answer one client until it goes.
        """
        producers: dict[int, bytes] = {}
        consumers: dict[int, tuple[bytes, list[int]]] = {}
        got = b""
        with contextlib.suppress(OSError), client:
            while more := client.recv(65536):
                got += more
                while len(got) >= 8 and len(got) >= 4 + int.from_bytes(got[:4], "big"):
                    size = 4 + int.from_bytes(got[:4], "big")
                    one, got = got[:size], got[size:]
                    client.sendall(self.answer(one, producers, consumers))

    def answer(self, one: bytes, producers: dict[int, bytes], consumers: dict[int, tuple[bytes, list[int]]]) -> bytes:
        """
        Return what the broker says to one message.
        """
        end = 8 + int.from_bytes(one[4:8], "big")
        base = read(one[8:end])
        type_ = base[1]
        assert isinstance(type_, int)
        body = base[type_]
        assert isinstance(body, bytes)
        asked = read(body)
        topic = asked.get(1, b"")
        if type_ == CONNECT:
            return command(3, field(1, "mock"), field(2, 19), field(3, 5 << 20))
        if type_ == PING:
            return command(19)
        if type_ == METADATA:
            return command(22, field(1, 0), field(2, asked[2]), field(3, 0))
        if type_ == LOOKUP:
            return self.looked_up(topic, asked[2])
        if type_ == PRODUCER:
            return self.produced(topic, asked, producers)
        if type_ == SEND:
            return self.sent(asked, one[end:], producers, consumers)
        if type_ == SUBSCRIBE:
            assert isinstance(topic, bytes)
            assert isinstance(asked[4], int)
            consumers[asked[4]] = (topic, [0])
            return command(13, field(1, asked[5]))
        if type_ == FLOW:
            return self.pushed(asked[1], consumers)
        if type_ in (UNSUBSCRIBE, CLOSE_PRODUCER, CLOSE_CONSUMER):
            return command(13, field(1, asked[2]))
        if type_ == LAST_ID:
            return command(30, field(1, field(1, 1) + field(2, 0)), field(2, asked[2]))
        if type_ == SCHEMA:
            return command(35, field(1, asked[1]), field(2, TOPIC_NOT_FOUND), field(3, "none"))
        return b""

    def looked_up(self, topic: int | bytes, request: int | bytes) -> bytes:
        """
        Return that this is the broker of *topic*, or that there is none.
        """
        if isinstance(topic, bytes) and topic.endswith(b"nowhere"):
            failed = field(6, TOPIC_NOT_FOUND), field(7, "no s3cr3t topic")
            return command(24, field(3, 2), field(4, request), *failed)
        where = f"pulsar://127.0.0.1:{self.port}"
        return command(24, field(1, where), field(3, 1), field(4, request), field(5, 1), field(8, 0))

    def produced(self, topic: int | bytes, asked: dict[int, int | bytes], producers: dict[int, bytes]) -> bytes:
        """
        Return the new producer's name, or that it may not.
        """
        assert isinstance(topic, bytes)
        assert isinstance(asked[2], int)
        if topic.endswith(b"forbidden"):
            return command(14, field(1, asked[3]), field(2, AUTHORIZATION_ERROR), field(3, "s3cr3t"))
        producers[asked[2]] = topic
        none = (1 << 64) - 1
        return command(17, field(1, asked[3]), field(2, "mock-1"), field(3, none), field(4, b""))

    def sent(
        self,
        asked: dict[int, int | bytes],
        payload: bytes,
        producers: dict[int, bytes],
        consumers: dict[int, tuple[bytes, list[int]]],
    ) -> bytes:
        """
        Keep what was sent, and push it to the consumers of this connection that have been given permits.
        """
        assert isinstance(asked[1], int)
        kept = self.topics.setdefault(producers[asked[1]], [])
        kept.append(payload)
        receipt = field(1, asked[1]), field(2, asked[2]), field(3, field(1, 1) + field(2, len(kept)))
        return command(7, *receipt) + b"".join(
            self.pushed(number, consumers) for number in consumers if consumers[number][1][0] >= 0
        )

    def pushed(self, number: int | bytes, consumers: dict[int, tuple[bytes, list[int]]]) -> bytes:
        """
        Return what the consumer has not seen yet.
        """
        assert isinstance(number, int)
        topic, seen = consumers[number]
        new = self.topics.get(topic, [])[seen[0] :]
        first = seen[0]
        seen[0] += len(new)
        return b"".join(
            command(9, field(1, number), field(2, field(1, 1) + field(2, first + place)), payload=payload)
            for place, payload in enumerate(new)
        )


def main(port: int) -> None:
    """
    Serve for ever.
    """
    broker = Broker(port)
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        client = listener.accept()[0]
        threading.Thread(target=broker.serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
