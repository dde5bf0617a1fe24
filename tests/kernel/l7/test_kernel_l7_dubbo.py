"""
Dubbo: calls are paired by their ids, named by service and method, and exceptions are failures.

The provider and the consumer are Apache Dubbo 2.7, when its jars are there (see `tests/data/dubbo/lab.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.data.dubbo import lab as dubbo
from tests.kernel.l7.lab import accepts, free_port, requests_of
from tests.kernel.l7.tally import both, exchange, named, served

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(bool(dubbo.missing()), reason=f"optional: {dubbo.missing()}")]

SERVICE = "com.example.Lab$Order"
CAPTURES = Path(__file__).parents[2] / "data" / "dubbo"


def captured(case: str) -> bytes:
    """
    Return the request of a golden capture.
    """
    content = json.loads((CAPTURES / f"{case}.json").read_text(encoding="utf-8"))
    return str(content["request"]).encode("latin-1")


def numbered(request: bytes, number: int) -> bytes:
    """
    Return the call under another id.
    """
    return request[:4] + number.to_bytes(8, "big") + request[12:]


def provider(lab: Lab, *, observed: bool = True) -> tuple[int, int]:
    """
    Start a Dubbo provider, in scope if it is *observed*; return its port and its process.
    """
    port = free_port()
    program = lab.run(*dubbo.command("serve", port), observed=observed)
    lab.until(lambda: accepts(port), "the provider")
    return port, program.pid


def test_calls_of_a_real_consumer(lab: Lab) -> None:
    """
    Calls one by one, at once, one-way and failing ones are counted to the unit at both ends, under their names.
    """
    port, _ = provider(lab)
    consumer = lab.run(*dubbo.command("call", port, "create:53", "fail:7", "parallel:32", "note:5", "absent:4"))
    assert 0 == consumer.wait(60)

    expected = {
        (f"{SERVICE}/create", "OK", 20): 85,
        (f"{SERVICE}/fail", "SERVER_ERROR", 20): 7,
        (f"{SERVICE}/note", "OK", 0): 5,
        ("com.example.Lab$Absent/find", "CLIENT_ERROR", 40): 4,
    }
    assert expected == served(lab, port, Protocol.DUBBO, 101)
    assert (101, 101) == both(lab, port, Protocol.DUBBO)
    assert {} == lab.lost()


def test_calls_cut_and_joined(lab: Lab) -> None:
    """
    Calls that come byte by byte, and many in one write, of three serialisations, are counted once each, on a connection
    that was busy before the provider was watched.
    """
    port, process = provider(lab, observed=False)
    connection = lab.stream(port)
    connection.sendall(numbered(captured("create"), 1))
    exchange(connection, Protocol.DUBBO, 1)
    lab.observe(process, 1000)
    for number in range(3):
        for byte in numbered(captured("create"), number):
            connection.sendall(bytes([byte]))
    exchange(connection, Protocol.DUBBO, 3)
    kinds = [captured(case) for case in ("create", "fastjson", "exception", "heartbeat")]
    connection.sendall(b"".join(numbered(kinds[number % 4], number) for number in range(80)))
    exchange(connection, Protocol.DUBBO, 80)
    connection.sendall(numbered(captured("java"), 7))
    exchange(connection, Protocol.DUBBO, 1)

    found = served(lab, port, Protocol.DUBBO, 64)
    assert 23 + 20 == found[f"{SERVICE}/create", "OK", 20]
    assert 20 == found[f"{SERVICE}/fail", "SERVER_ERROR", 20]
    assert 1 == found["call", "OK", 20]
    assert 64 == sum(found.values())
    assert {} == lab.lost()


def test_calls_without_an_answer(lab: Lab) -> None:
    """
    Calls that are in flight when the connection ends are counted as calls without an answer.
    """
    port = lab.serve(
        "c, _ = listener.accept(); got = b''\n"
        f"while len(got) < {5 * len(captured('create'))}: got += c.recv(65536)\n"
        "c.sendall(bytes.fromhex('dabb0214 0000000000000003 00000001 92')); c.close()\n"
        "time.sleep(30)\n"
    )
    connection = lab.stream(port)
    connection.sendall(b"".join(numbered(captured("create"), number) for number in range(5)))
    while connection.recv(100):
        pass

    lab.until(lambda: requests_of(lab.served(port, Protocol.DUBBO)) == 5, "five calls")
    outcomes = {one.outcome: one.requests for one in lab.served(port, Protocol.DUBBO)}
    assert {Outcome.OK: 1, Outcome.NO_RESPONSE: 4} == outcomes
    assert {f"{SERVICE}/create"} == {name for name, _, _ in named(lab.series(), lab.samples())}
    assert {} == lab.lost()
