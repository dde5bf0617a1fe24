"""
Fuzzes every protocol of `shared/protocols`: `python -m tests.fuzz --inputs 10000000`.

Mutations of the golden captures, guided by coverage: one input in some is traced, and what reaches a line that none
reached before is kept and mutated further. An input is a request with a response, put to all four questions of one
protocol. The numbers and what was kept lie in a file, so a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import base64
import functools
import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from shared.protocols import protocols
from tests.fuzz.check import Finding, broken, costly, hungry, traced
from tests.fuzz.mutate import mutated

if TYPE_CHECKING:
    from shared.protocols import WireProtocol

DATA: Final = Path(__file__).parents[1] / "data"
BATCH: Final = 2_000
"""Inputs of one protocol before it is the next one's turn; each batch draws its own numbers, so it can be repeated."""
TRACED_EVERY: Final = 40
WEIGHED_EVERY: Final = 2_000
POOL: Final = 4_000
"""The most inputs that are kept for one protocol."""
FINDINGS: Final = 3
"""The most that are kept of one kind of finding in one protocol."""


class Progress(msgspec.Struct):
    """
    What was done for one protocol.
    """

    inputs: int = 0
    seconds: float = 0.0
    kept: list[str] = []
    """Inputs that reached something new, in base 64: requests and responses in turn."""


class State(msgspec.Struct):
    """
    What lies in the file.
    """

    protocols: dict[str, Progress] = {}
    findings: list[Finding] = []


class Fuzzer:
    """
    Fuzzes one protocol.
    """

    def __init__(self, protocol: WireProtocol, progress: Progress, strangers: list[bytes]) -> None:
        self.progress: Final = progress
        self.findings: Final[list[Finding]] = []
        self.protocol: Final = protocol
        self._pool: Final = captures(protocol.name) or [(b"", b"")]
        kept = [base64.b64decode(text) for text in progress.kept]
        self._pool.extend(zip(kept[::2], kept[1::2], strict=True))
        self._parts: Final = [part for pair in self._pool for part in pair] + strangers
        self._reached: Final = set[tuple[str, int]]()
        for request, response in self._pool:
            self._reached.update(traced(functools.partial(broken, protocol, request, response))[0])

    @property
    def lines(self) -> int:
        """
        How many lines of the protocols' code were reached.
        """
        return len(self._reached)

    def batch(self, inputs: int = BATCH) -> None:
        """
        Try so many inputs.
        """
        dice = random.Random(f"{self.protocol.name} {self.progress.inputs}")
        began = time.perf_counter()
        for number in range(inputs):
            pair = dice.choice(self._pool)
            request, response = (mutated(dice, part, self._parts) if dice.random() < 0.8 else part for part in pair)
            self._try(number, request, response)
        self.progress.seconds += time.perf_counter() - began
        self.progress.inputs += inputs

    def _try(self, number: int, request: bytes, response: bytes) -> None:
        size = len(request) + len(response)
        work = functools.partial(broken, self.protocol, request, response)
        if number % WEIGHED_EVERY == 0:
            what = hungry(work, size)
        elif number % TRACED_EVERY == 0:
            reached, steps = traced(work)
            what = costly(steps, size)
            if not reached <= self._reached and len(self._pool) < POOL:
                self._reached.update(reached)
                self._pool.append((request, response))
                self._parts.extend((request, response))
                self.progress.kept += [base64.b64encode(part).decode() for part in (request, response)]
        else:
            what = work()
        if what:
            self.findings.append(Finding(self.protocol.name, what, request.hex(), response.hex()))


def captures(name: str) -> list[tuple[bytes, bytes]]:
    """
    Return the requests with their responses that were recorded of a protocol.
    """
    found = []
    for path in sorted((DATA / name).glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found.append((content["request"].encode("latin-1")[:1024], content["response"].encode("latin-1")[:1024]))
    return found


def still(finding: Finding, protocol: WireProtocol) -> bool:
    """
    Return whether what was found is still so; costs are found anew, if they are.
    """
    return bool(broken(protocol, bytes.fromhex(finding.request), bytes.fromhex(finding.response)))


def run(state: State, wanted: list[str], inputs: int, seconds: float, path: Path | None) -> list[Fuzzer]:
    """
    Fuzz the *wanted* protocols in turn until all together have had so many inputs, or the time is over.
    """
    known = {protocol.name: protocol for protocol in protocols().values()}
    names = wanted or sorted(known)
    state.findings = [one for one in state.findings if one.protocol in known and still(one, known[one.protocol])]
    strangers = [part for name in known for pair in captures(name)[:2] for part in pair]
    fuzzers = [Fuzzer(known[name], state.protocols.setdefault(name, Progress()), strangers) for name in names]
    ends, saved = time.monotonic() + seconds, time.monotonic()
    while (left := inputs - sum(one.progress.inputs for one in fuzzers)) > 0 and time.monotonic() < ends:
        least = min(fuzzers, key=lambda one: one.progress.inputs)
        least.batch(min(BATCH, left))
        new, least.findings[:] = list(least.findings), []
        for one in new:
            alike = [
                each for each in state.findings if (each.protocol, each.what[:40]) == (one.protocol, one.what[:40])
            ]
            if len(alike) < FINDINGS:
                state.findings.append(one)
        if path and time.monotonic() - saved > 20:
            path.write_bytes(msgspec.json.encode(state))
            saved = time.monotonic()
    if path:
        path.write_bytes(msgspec.json.encode(state))
    return fuzzers


def report(state: State, fuzzers: list[Fuzzer]) -> str:
    """
    Return what was done, as a table.
    """
    lines = [f"{'protocol':<12} {'inputs':>10} {'inputs/s':>9} {'lines':>6} {'kept':>5}"]
    total, took = 0, 0.0
    for one in fuzzers:
        done = one.progress
        total, took = total + done.inputs, took + done.seconds
        rate = done.inputs / done.seconds if done.seconds else 0.0
        lines.append(f"{one.protocol.name:<12} {done.inputs:>10} {rate:>9.0f} {one.lines:>6} {len(done.kept) // 2:>5}")
    rate = total / took if took else 0.0
    lines.append(f"{'all':<12} {total:>10} {rate:>9.0f}")
    if rate:
        lines.append(f"10 million inputs take {10_000_000 / rate / 3600:.2f} hours of one core at this rate")
    lines += [
        f"FINDING {one.protocol}: {one.what}\n  {one.request[:600]}\n  {one.response[:600]}" for one in state.findings
    ]
    return "\n".join(lines)


def main() -> int:
    """
    Fuzz as the command line says; 1 when something was found.
    """
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--inputs", type=int, default=10_000_000, help="of all protocols together")
    words.add_argument("--seconds", type=float, default=float("inf"), help="at most so long")
    words.add_argument("--protocol", action="append", default=[], help="only this one; may be said several times")
    words.add_argument("--state", type=Path, default=Path("build/fuzz.json"), help="where the numbers lie")
    words.add_argument("--anew", action="store_true", help="forget what lies there")
    said = words.parse_args()
    said.state.parent.mkdir(parents=True, exist_ok=True)
    state = State()
    if said.state.exists() and not said.anew:
        state = msgspec.json.decode(said.state.read_bytes(), type=State)
    fuzzers = run(state, said.protocol, said.inputs, said.seconds, said.state)
    print(report(state, fuzzers))
    return bool(state.findings)


if __name__ == "__main__":
    sys.exit(main())
