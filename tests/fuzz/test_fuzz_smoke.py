"""
The fuzzer itself: it finds what is broken, goes on where it was, and passes a short run over every protocol.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import msgspec
import pytest

from shared.protocols import Parsed, WireProtocol, protocols
from shared.protocols._collapse import may_stay
from shared.protocols.redis import Redis
from tests.fuzz.__main__ import Run, State, report
from tests.fuzz.check import broken, costly, grows, hungry, slow
from tests.fuzz.coverage import Coverage, steps
from tests.fuzz.fuzzer import Fuzzer, Progress
from tests.fuzz.mutate import fitted

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


class Square(Redis):
    """
    A Redis whose parser takes the square of what it is given.
    """

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Ask something small as often as the square, in code that lies where protocols do.
        """
        for _ in range((len(request) // 40) ** 2):
            may_stay(b"a")
        return super().parse(request, response)


@pytest.mark.parametrize("number", protocols())
def test_a_short_run_finds_nothing(number: int) -> None:
    """
    Some hundred mutations of each protocol's captures, the same each time, break nothing that must hold.
    """
    fuzzer = Fuzzer(protocols()[number], Progress(), [b"GET / HTTP/1.1\r\n\r\n"])
    fuzzer.batch(SHORT)

    assert [] == fuzzer.findings
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
    path = tmp_path / "state.json"
    Run(State(), ["redis"], path).to(100, 600.0, 1)
    state = msgspec.json.decode(path.read_bytes(), type=State)
    Run(state, ["redis"], path).to(200, 600.0, 2)

    assert 200 == json.loads(path.read_text(encoding="utf-8"))["protocols"]["redis"]["inputs"]


def test_processes_share_the_work(tmp_path: Path) -> None:
    """
    Several protocols in two processes get their inputs, and the numbers come to what was asked for.
    """
    names, state = ["dubbo", "ldap", "redis"], State()
    run = Run(state, names, tmp_path / "state.json")
    run.to(900, 600.0, 2)

    assert 900 == sum(state.protocols[name].inputs for name in names)
    assert set(names) == {name for name, lines in state.lines.items() if lines > 50}
    assert "ldap" in report(state, names)


def test_costs_are_measured() -> None:
    """
    Lines are counted where the protocols are, and too many of them, too much memory or too much time is said.
    """
    redis: WireProtocol = Redis()
    work = functools.partial(broken, redis, b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")
    coverage = Coverage()

    assert coverage.grows(work)
    assert coverage.lines > 30
    assert not coverage.grows(work)
    assert steps(work) >= coverage.lines
    assert "" == costly(work, 22)
    assert hungry(lambda: bytearray(1 << 22), 22)
    assert "" == hungry(lambda: bytearray(1 << 12), 22)
    assert "" == slow(work)


def test_what_grows_too_fast_is_found() -> None:
    """
    A parser that takes the square of the length is told from one that takes the length.
    """
    assert "" == grows(Redis(), b"*1\r\n$4\r\nPING\r\n", 0, 4)
    assert grows(Square(), b"*1\r\n$4\r\nPING\r\n", 0, 4)
    assert slow(functools.partial(re.match, r"(a|a)*b", "a" * 18), 0.001)


def test_lengths_are_put_right_again() -> None:
    """
    A number that tells an input's length tells the length of what became of it.
    """
    assert b"\0\0\0\6abcdef" == fitted(b"\0\0\0\4abcd", b"\0\0\0\4abcdef")
    assert b"Q\0\0\0\6ab" == fitted(b"Q\0\0\0\x0aselect", b"Q\0\0\0\x0aab")
    assert b"GET /" == fitted(b"GET / HTTP", b"GET /")
