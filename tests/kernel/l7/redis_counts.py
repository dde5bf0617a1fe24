"""
What was counted of Redis, by the names of commands and channels.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from shared.messages.kernel import Protocol
from shared.protocols.redis import PROTOCOL
from tests.kernel.l7.lab import requests_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from shared.messages.kernel import L7Series
    from tests.kernel.l7.lab import Lab

Counts = dict[tuple[str, str, int], int]
"""Requests by name, outcome and status."""


def reads(stream: socket.socket, end: bytes, *, times: int = 1) -> bytes:
    """
    Receive until *end* has come so often, and return what came.
    """
    got = b""
    while got.count(end) < times:
        got += stream.recv(65536)
    return got


def counted(lab: Lab, find: Callable[[], list[L7Series]], total: int, names: dict[int, str]) -> Counts:
    """
    Return what was counted, once it is *total*; *names* are added to from the samples.
    """
    lab.until(lambda: requests_of(find()) + sum(lab.lost().values()) >= total, f"{total} requests")
    for sample in lab.samples():
        if sample.request:
            names[sample.endpoint] = PROTOCOL.parse(sample.request, b"").name
    found: Counter[tuple[str, str, int]] = Counter()
    for one in find():
        found[(names.get(one.endpoint, "?"), one.outcome.name, one.status)] += one.requests
    return dict(found)


def served(lab: Lab, port: int, total: int) -> Counts:
    """
    Return what the server on *port* was counted with.
    """
    return counted(lab, lambda: lab.served(port, Protocol.REDIS), total, {})


def ok(**expected: int) -> Counts:
    """
    Return these counts, all of them successes.
    """
    return {(name.replace("_", " "), "OK", 0): count for name, count in expected.items()}
