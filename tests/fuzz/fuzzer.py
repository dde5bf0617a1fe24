"""
Fuzzes one protocol: mutations of what is known, guided by what they reach.
"""

from __future__ import annotations

import base64
import functools
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from shared.protocols import protocols
from tests.fuzz.check import SECONDS, Finding, broken, costly, grows, hungry, slow
from tests.fuzz.coverage import Coverage
from tests.fuzz.mutate import mutated

if TYPE_CHECKING:
    from shared.protocols import WireProtocol

DATA: Final = Path(__file__).parents[1] / "data"
WATCHED_EVERY: Final = 20
"""So many inputs, and it is looked at what one of them reaches."""
COUNTED_EVERY: Final = 500
GROWN_EVERY: Final = 2_000
WEIGHED_EVERY: Final = 2_000
POOL: Final = 4_000
"""The most inputs that are kept for one protocol."""


class Progress(msgspec.Struct):
    """
    What was done for one protocol.
    """

    inputs: int = 0
    seconds: float = 0.0
    kept: list[str] = []
    """Inputs that reached something new, in base 64: requests and responses in turn."""


class Fuzzer:
    """
    Fuzzes one protocol.
    """

    def __init__(self, protocol: WireProtocol, progress: Progress, strangers: list[bytes]) -> None:
        self.progress: Final = progress
        self.findings: Final[list[Finding]] = []
        self.protocol: Final = protocol
        self._coverage: Final = Coverage()
        self._pool: Final = captures(protocol.name) or [(b"", b"")]
        kept = [base64.b64decode(text) for text in progress.kept]
        self._pool.extend(zip(kept[::2], kept[1::2], strict=True))
        self._parts: Final = [part for pair in self._pool for part in pair] + strangers
        for request, response in self._pool:
            self._coverage.grows(functools.partial(broken, protocol, request, response))

    @property
    def lines(self) -> int:
        """
        How many lines of the protocols' code were reached.
        """
        return self._coverage.lines

    def batch(self, inputs: int) -> None:
        """
        Try so many inputs; they follow from how many were tried before.
        """
        dice = random.Random(f"{self.protocol.name} {self.progress.inputs}")
        began = time.perf_counter()
        for number in range(inputs):
            request, response = pair = dice.choice(self._pool)
            which = dice.random()
            if which < 0.85:
                request = mutated(dice, request, self._parts)
            if which > 0.5:
                response = mutated(dice, response, self._parts)
            what = self._try(number, request, response)
            if what:
                self.findings.append(Finding(self.protocol.name, what, request.hex(), response.hex()))
            elif number % GROWN_EVERY == 0:
                head = dice.choice(pair)
                what = grows(self.protocol, head, dice.randrange(len(head) + 1), dice.randrange(1, 33))
                if what:
                    self.findings.append(Finding(self.protocol.name, what, head.hex(), ""))
        self.progress.seconds += time.perf_counter() - began
        self.progress.inputs += inputs

    def _try(self, number: int, request: bytes, response: bytes) -> str:
        size = len(request) + len(response)
        work = functools.partial(broken, self.protocol, request, response)
        if number % WEIGHED_EVERY == 1:
            return work() or hungry(work, size)
        if number % COUNTED_EVERY == 2:
            return work() or costly(work, size)
        if number % WATCHED_EVERY == 0 and self._coverage.grows(work) and len(self._pool) < POOL:
            self._pool.append((request, response))
            self._parts.extend((request, response))
            self.progress.kept += [base64.b64encode(part).decode() for part in (request, response)]
        began = time.thread_time()
        what = work()
        return what if what or time.thread_time() - began <= SECONDS else slow(work)


def captures(name: str) -> list[tuple[bytes, bytes]]:
    """
    Return the requests with their responses that were recorded of a protocol.
    """
    found = []
    for path in sorted((DATA / name).glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found.append((content["request"].encode("latin-1")[:1024], content["response"].encode("latin-1")[:1024]))
    return found


@functools.cache
def known() -> dict[str, WireProtocol]:
    """
    Return every protocol by its name.
    """
    return {protocol.name: protocol for protocol in protocols().values()}


@functools.cache
def strangers() -> list[bytes]:
    """
    Return some of what each protocol says: parts of it get into the others' inputs.
    """
    return [part for name in known() for pair in captures(name)[:2] for part in pair]


def still(finding: Finding) -> bool:
    """
    Return whether what was found is still so; costs are found anew, if they are.
    """
    protocol = known().get(finding.protocol)
    return bool(protocol and broken(protocol, bytes.fromhex(finding.request), bytes.fromhex(finding.response)))


_working: dict[str, Fuzzer] = {}


def work(name: str, progress: Progress, inputs: int) -> tuple[str, Progress, list[Finding], int]:
    """
    Go on with one protocol where *progress* is, in whichever process this is, and return what is new.
    """
    fuzzer = _working.get(name)
    if fuzzer is None or (fuzzer.progress.inputs, fuzzer.progress.kept) != (progress.inputs, progress.kept):
        fuzzer = _working[name] = Fuzzer(known()[name], progress, strangers())
    fuzzer.batch(inputs)
    found, fuzzer.findings[:] = list(fuzzer.findings), []
    return name, fuzzer.progress, found, fuzzer.lines
