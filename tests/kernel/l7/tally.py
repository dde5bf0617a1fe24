"""
What the kernel side counted, under the names that the samples give.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from shared.errors import Malformed
from shared.messages.kernel import Role
from shared.protocols import protocols
from tests.kernel.l7.lab import requests_of

if TYPE_CHECKING:
    import socket

    from shared.messages.kernel import L7Series, Protocol, Sample
    from tests.kernel.l7.lab import Lab

Tally = Counter[tuple[str, str, int]]
"""Name, outcome and status, and how many."""


def served(lab: Lab, port: int, protocol: Protocol, requests: int) -> Tally:
    """
    Return what the server on *port* served once there is so much of it, or after a while for the test to compare.

    What an answer ends is counted after it has arrived, and what a closed connection leaves open later still.
    """
    with contextlib.suppress(AssertionError):
        lab.until(
            lambda: requests_of(lab.served(port, protocol)) + sum(lab.lost().values()) >= requests, "what was asked"
        )
    return named(lab.served(port, protocol), lab.samples())


def named(series: list[L7Series], samples: list[Sample]) -> Tally:
    """
    Return the requests of *series* by name, outcome and status; masked samples tell the names.
    """
    names: dict[tuple[Protocol, int], str] = {}
    for one in samples:
        if one.request:
            parser = protocols()[one.protocol]
            with contextlib.suppress(Malformed):
                parsed, endpoint = parser.parse(*parser.mask(one.request, one.response)), (one.protocol, one.endpoint)
                if not parsed.stand_in or endpoint not in names:
                    names[endpoint] = parsed.name
    found: Tally = Counter()
    for each in series:
        found[names.get((each.protocol, each.endpoint), ""), each.outcome.name, each.status] += each.requests
    return found


def both(lab: Lab, port: int, protocol: Protocol) -> tuple[int, int]:
    """
    Return how many requests the server and the clients of *port* have counted.
    """
    return tuple(  # type: ignore[return-value]  # there are two roles
        requests_of([one for one in lab.series() if (one.port, one.protocol, one.role) == (port, protocol, role)])
        for role in (Role.SERVER, Role.CLIENT)
    )


def exchange(connection: socket.socket, protocol: Protocol, messages: int) -> bytes:
    """
    Return what arrives, once it is so many messages.
    """
    parser, buffer, at = protocols()[protocol], b"", 0
    while messages:
        length = parser.frame(buffer[at:], response=True)
        if length is None:
            more = connection.recv(65536)
            assert more, f"closed with {messages} messages to come"
            buffer += more
            continue
        at += length
        messages -= 1
    assert len(buffer) == at
    return buffer
