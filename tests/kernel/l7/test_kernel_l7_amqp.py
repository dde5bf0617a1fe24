"""
AMQP 0-9-1: a client and a server that exchange what RabbitMQ and pika were recorded to say, many times over.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel
DATA = Path(__file__).parents[2] / "data" / "amqp"


def capture(case: str) -> tuple[bytes, bytes]:
    """
    Return what was recorded.
    """
    content = json.loads((DATA / f"{case}.json").read_text(encoding="utf-8"))
    return content["request"].encode("latin-1"), content["response"].encode("latin-1")


@pytest.mark.parametrize("size", [3, 997])
def test_methods_are_paired_and_publications_are_one_way(lab: Lab, size: int) -> None:
    """
    Methods have their answers, a Close is a failure with its code, publications count once, however the bytes are cut.
    """
    cases = ["greeting", "declare", "bind", "get_empty", "qos"]
    said = [capture(case) for case in cases] * 13 + [capture("missing")]
    publish = capture("publish")[0] * 11
    script = [(len(request), answer.hex()) for request, answer in said]
    port = lab.serve(
        "c, _ = listener.accept()\n"
        "def take(n):\n"
        "    while n: n -= len(c.recv(n))\n"
        f"for n, answer in {script!r}: take(n); c.sendall(bytes.fromhex(answer))\n"
        f"take({len(publish)}); c.sendall(b'\\x08\\0\\0\\0\\0\\0\\0\\xce'); c.recv(1)\n"
    )
    connection = lab.stream(port)
    for request, answer in said:
        for at in range(0, len(request), size):
            connection.sendall(request[at : at + size])
        got = b""
        while len(got) < len(answer):
            got += connection.recv(65536)
    for at in range(0, len(publish), size):
        connection.sendall(publish[at : at + size])
    connection.recv(8)

    total = len(said) + 11
    lab.until(lambda: requests_of(lab.served(port, Protocol.AMQP)) >= total, "the last message")
    found = lab.served(port, Protocol.AMQP)
    assert total == requests_of(found)
    assert [(1, 404, Outcome.CLIENT_ERROR)] == [(s.requests, s.status, s.outcome) for s in found if s.status]
    assert sorted([13] * 5 + [11, 1]) == sorted(one.requests for one in found)
    assert {} == lab.lost()
