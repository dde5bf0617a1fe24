"""
Fuzzes every protocol of `shared/protocols`: `python -m tests.fuzz --inputs 10000000`.

Mutations of the golden captures, guided by coverage: what reaches a line that none reached before is kept and mutated
further. An input is a request with a response, put to all four questions of one protocol. The numbers and what was kept
lie in a file, so a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.check import Finding
from tests.fuzz.fuzzer import Progress, known, still, work
from tests.fuzz.shrink import ALIKE, shrunk

BATCH: Final = 10_000
"""Inputs of one protocol before it is the next one's turn; each batch draws its own numbers, so it can be repeated."""
SAVED_EVERY_S: Final = 20
FINDINGS: Final = 3
"""The most that are kept of one kind of finding in one protocol."""


class State(msgspec.Struct):
    """
    What lies in the file.
    """

    protocols: dict[str, Progress] = {}
    findings: list[Finding] = []
    lines: dict[str, int] = {}
    """How many lines of the protocols' code each one's inputs reached."""


class Run:
    """
    One run over the *names*, that has *path* to remember it.
    """

    def __init__(self, state: State, names: list[str], path: Path | None) -> None:
        self.state: Final = state
        self.names: Final = names or sorted(known())
        self._path: Final = path
        self._saved = time.monotonic()
        state.findings = [one for one in state.findings if still(one)]
        for name in self.names:
            state.protocols.setdefault(name, Progress())

    def to(self, inputs: int, seconds: float, processes: int) -> None:
        """
        Fuzz in turn until all together have had so many inputs, or the time is over.
        """
        ends = time.monotonic() + seconds
        with ProcessPoolExecutor(processes) as pool:
            running: dict[Future[tuple[str, Progress, list[Finding], int]], tuple[str, int]] = {}
            while True:
                while len(running) < processes and time.monotonic() < ends:
                    name, size = self._next(inputs, dict(running.values()))
                    if not size:
                        break
                    running[pool.submit(work, name, self.state.protocols[name], size)] = (name, size)
                if not running:
                    break
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[done]
                    self._take(*done.result())
        self._save()

    def _next(self, inputs: int, running: dict[str, int]) -> tuple[str, int]:
        """
        Return the one that had least of those that are not at work, and how many more it gets.
        """
        left = inputs - sum(self.state.protocols[name].inputs for name in self.names) - sum(running.values())
        idle = [name for name in self.names if name not in running]
        name = min(idle, key=lambda one: self.state.protocols[one].inputs, default="")
        return name, max(min(-(-left // len(self.names)), BATCH), 0) if name else 0

    def _take(self, name: str, progress: Progress, found: list[Finding], lines: int) -> None:
        self.state.protocols[name], self.state.lines[name] = progress, lines
        for one in found:
            kind = (one.protocol, one.what[:ALIKE])
            if sum((each.protocol, each.what[:ALIKE]) == kind for each in self.state.findings) < FINDINGS:
                self.state.findings.append(one)
        if time.monotonic() - self._saved > SAVED_EVERY_S:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self._path:
            written = self._path.with_suffix(".new")
            written.write_bytes(msgspec.json.encode(self.state))
            written.replace(self._path)


def report(state: State, names: list[str]) -> str:
    """
    Return what was done, as a table.
    """
    lines = [f"{'protocol':<12} {'inputs':>10} {'inputs/s':>9} {'lines':>6} {'kept':>5}"]
    total, took = 0, 0.0
    for name in names:
        done = state.protocols[name]
        total, took = total + done.inputs, took + done.seconds
        rate = done.inputs / done.seconds if done.seconds else 0.0
        lines.append(
            f"{name:<12} {done.inputs:>10} {rate:>9.0f} {state.lines.get(name, 0):>6} {len(done.kept) // 2:>5}"
        )
    rate = total / took if took else 0.0
    lines.append(f"{'all':<12} {total:>10} {rate:>9.0f}  in {took / 3600:.2f} hours of one core")
    lines += [
        f"FINDING {one.protocol}: {one.what}\n  {one.request}\n  {one.response}"
        for one in (shrunk(known()[one.protocol], one) for one in state.findings)
    ]
    return "\n".join(lines)


def main() -> int:
    """
    Fuzz as the command line says; 1 when something was found.
    """
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--inputs", type=int, default=10_000_000, help="of all protocols together")
    words.add_argument("--seconds", type=float, default=float("inf"), help="at most so long")
    words.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at the same time")
    words.add_argument("--protocol", action="append", default=[], help="only this one; may be said several times")
    words.add_argument("--state", type=Path, default=Path("build/fuzz.json"), help="where the numbers lie")
    words.add_argument("--anew", action="store_true", help="forget what lies there")
    said = words.parse_args()
    said.state.parent.mkdir(parents=True, exist_ok=True)
    state = State()
    if said.state.exists() and not said.anew:
        state = msgspec.json.decode(said.state.read_bytes(), type=State)
    run = Run(state, said.protocol, said.state)
    run.to(said.inputs, said.seconds, said.processes)
    print(report(state, run.names))
    return bool(state.findings)


if __name__ == "__main__":
    sys.exit(main())
