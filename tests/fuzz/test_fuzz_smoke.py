"""
The fuzzer itself: it finds what is broken, goes on where it was, and passes a short run over every protocol.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.protocols import WireProtocol, protocols
from shared.protocols.redis import Redis
from tests.fuzz.__main__ import Fuzzer, Progress, State, run
from tests.fuzz.check import broken, costly, hungry, traced

SHORT = 300


class Leaky(Redis):
    """
    A Redis that fails on one byte in its second place.
    """

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Raise now and then.
        """
        if request[1:2] == b"7":
            raise IndexError("planted")
        return super().confidence(request, response)


@pytest.mark.parametrize("number", protocols())
def test_a_short_run_finds_nothing_raised(number: int) -> None:
    """
    Some hundred mutations of each protocol's captures raise nothing but `Malformed`.
    """
    fuzzer = Fuzzer(protocols()[number], Progress(), [b"GET / HTTP/1.1\r\n\r\n"])
    fuzzer.batch(SHORT)

    assert [] == [one for one in fuzzer.findings if one.what.startswith("raises")]
    assert SHORT == fuzzer.progress.inputs


def test_a_planted_fault_is_found() -> None:
    """
    An exception on one byte in one place is found within some thousand inputs.
    """
    fuzzer = Fuzzer(Leaky(), Progress(), [b"GET / HTTP/1.1\r\n\r\n"])
    for _ in range(10):
        fuzzer.batch(500)

    assert "raises IndexError('planted')" in {one.what for one in fuzzer.findings}


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """
    What was done lies in a file, and the next run adds to it.
    """
    path, state = tmp_path / "state.json", State()
    run(state, ["redis"], 100, 60.0, path)
    run(state, ["redis"], 200, 60.0, path)

    assert 200 == state.protocols["redis"].inputs
    assert 200 == json.loads(path.read_text(encoding="utf-8"))["protocols"]["redis"]["inputs"]


def test_costs_are_measured() -> None:
    """
    Lines are counted where the protocols are, and too many of them or too much memory is said.
    """
    redis: WireProtocol = Redis()
    reached, steps = traced(lambda: broken(redis, b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"))

    assert len(reached) > 30
    assert steps >= len(reached)
    assert "" == costly(steps, 22)
    assert costly(10**9, 22)
    assert hungry(lambda: bytearray(1 << 22), 22)
    assert "" == hungry(lambda: bytearray(1 << 12), 22)
