"""
Requests of Kafka made by hand, and what other protocols say first that also begin with a length.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from shared.protocols._kafka_walk import request_header, request_parts

if TYPE_CHECKING:
    import socket

HERE = Path(__file__).parent


def message(key: int, version: int, correlation: int, body: bytes, client: bytes = b"shop") -> bytes:
    """
    Return a request with a header of the first kind.
    """
    head = key.to_bytes(2, "big") + version.to_bytes(2, "big") + correlation.to_bytes(4, "big")
    rest = head + len(client).to_bytes(2, "big") + client + body
    return len(rest).to_bytes(4, "big") + rest


def produce(correlation: int, topic: bytes, acks: int = 1) -> bytes:
    """
    Return a Produce of version 7 with one batch, which a client has made.
    """
    capture = json.loads((HERE / "produce.json").read_text(encoding="utf-8"))["request"].encode("latin-1")
    (batch,) = (part for part in request_parts(capture, request_header(capture)) if part.kind == "batch")
    records = (batch.end - batch.start).to_bytes(4, "big") + capture[batch.start : batch.end]
    where = len(topic).to_bytes(2, "big") + topic + b"\0\0\0\1\0\0\0\0" + records
    return message(0, 7, correlation, b"\xff\xff" + acks.to_bytes(2, "big") + b"\0\0\x05\xdc\0\0\0\1" + where)


def fetch(correlation: int, topic: bytes, wait_ms: int, offset: int = 0) -> bytes:
    """
    Return a Fetch of version 4 from the first partition.
    """
    where = len(topic).to_bytes(2, "big") + topic + b"\0\0\0\1\0\0\0\0" + offset.to_bytes(8, "big") + b"\0\1\0\0"
    start = b"\xff\xff\xff\xff" + wait_ms.to_bytes(4, "big") + b"\0\0\0\1\0\1\0\0\0"
    return message(1, 4, correlation, start + b"\0\0\0\1" + where)


GROUP = b"\0\4shop\0\0\0\1\0\2me"
"""A group, a generation and a member that nobody knows."""
METADATA = b"\xff\xff\xff\xff"
"""Of version 1: all topics."""


def answers(client: socket.socket, count: int) -> list[bytes]:
    """
    Read *count* responses.
    """
    got = b""
    found: list[bytes] = []
    while len(found) < count:
        more = client.recv(65536)
        assert more, f"closed after {len(found)} responses"
        got += more
        while len(got) >= 4 and len(got) >= 4 + int.from_bytes(got[:4], "big"):
            length = 4 + int.from_bytes(got[:4], "big")
            found.append(got[:length])
            got = got[length:]
    return found


NEIGHBOURS = {
    "clickhouse": b"\0\x11ClickHouse client\x15\x0b\xb4\xa9\x03\0\4shop\7default\6s3cr3t",
    "zookeeper": b"\0\0\0\x2d" + bytes(12) + b"\0\0\x75\x30" + bytes(8) + b"\0\0\0\x10" + bytes(17),
    "zookeeper_get": b"\0\0\0\x0e\0\0\0\1\0\0\0\4\0\0\0\1/\0",
    "thrift": b"\0\0\0\x11\0\0\0\4ping\1\0\0\0\1\0\0\0\0",
    "thrift_strict": b"\0\0\0\x11\x80\1\0\1\0\0\0\4ping\0\0\0\1\0",
    "postgresql": b"\0\0\0\x22\0\3\0\0user\0postgres\0database\0shop\0\0",
    "pulsar": b"\0\0\0\x09\0\0\0\5\x08\x12\x92\1\0",
    "rocketmq": b"\0\0\0\x24\0\0\0\x20" + b'{"code":34,"opaque":1,"flag":0} ',
    "cassandra": b"\4\0\0\1\1\0\0\0\x16\0\1\0\x0bCQL_VERSION\0\x053.0.0",
    "fastcgi": b"\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\0\0\0",
    "mongodb": b"\x3f\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0\x2a\0\0\0",
    "tls": b"\x16\3\1\0\x50\1\0\0\x4c\3\3" + bytes(70),
}
