"""
Samples as probe-manager would send them, with values that a test need not name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.messages.kernel import Outcome, Protocol, Role, Sample, SampleBatch

START_NS = 1_790_000_000_000_000_000
PLAIN = Sample(
    observed_ns=START_NS,
    instance=7,
    peer=0,
    role=Role.SERVER,
    protocol=Protocol.HTTP1,
    outcome=Outcome.OK,
    status=200,
    port=8080,
    remote=bytes(10) + b"\xff\xff\x0a\x4d\x00\x03",
    endpoint=0xFEDCBA9876543210,
    duration_ns=1_500_000,
    request_bytes=80,
    response_bytes=120,
    connection=0x8000000000000007,
    offset=4096,
    thread=4711,
    why="first",
    request=b"GET /users/12 HTTP/1.1\r\nHost: shop:8080\r\n\r\n",
    response=b"HTTP/1.1 200 OK\r\n\r\n",
)
EXECUTE = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
COMPLETE = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I"


def sample(**changes: Any) -> Sample:
    """
    Return a sample of one answered request, with *changes*.
    """
    return msgspec.structs.replace(PLAIN, **changes)


def batch(*samples: Sample, number: int = 1, node: str = "alpha", epoch: int = 17) -> SampleBatch:
    """
    Return a batch of *samples*.
    """
    return SampleBatch(node=node, epoch=epoch, number=number, samples=list(samples))


def parse_message(sql: bytes) -> bytes:
    """
    Return PostgreSQL's Parse of the unnamed statement.
    """
    return b"P" + (len(sql) + 8).to_bytes(4, "big") + b"\0" + sql + b"\0\0\0"
