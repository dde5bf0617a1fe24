"""
What must hold of a protocol for every input: its answers, its time and its memory.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.errors import Malformed
from tests.fuzz.coverage import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.protocols import WireProtocol

STEPS: Final = 60_000
"""Lines of Python that an empty input may cost, and a byte of it may add: far above what was seen, below a square."""
STEPS_PER_BYTE: Final = 400
SECONDS: Final = 0.1
"""Of the processor, for one input: a hundred times what the slowest takes. Regular expressions have no steps."""
LONG_SECONDS: Final = 2.0
"""Of the processor, for an input of sixteen thousand bytes, which a square of its length would take many times over."""
FEW: Final = 500
MANY: Final = 4 * FEW
"""Bytes of an input that is made longer by saying a part of it again and again."""
GROWTH: Final = 6
SLACK: Final = 3_000
MEMORY_BYTES: Final = 1 << 20
MEMORY_PER_BYTE: Final = 400
TEXT: Final = 1100


class Finding(msgspec.Struct, frozen=True):
    """
    An input for which something did not hold.
    """

    protocol: str
    what: str
    request: str
    """Hexadecimal."""
    response: str


def broken(protocol: WireProtocol, request: bytes, response: bytes) -> str:
    """
    Return what does not hold, in words; empty when all does.
    """
    try:
        return _answers(protocol, request, response) or _frames(protocol, request, response)
    except Exception as error:  # whatever it is: it is what is looked for
        return f"raises {error!r}"


def _answers(protocol: WireProtocol, request: bytes, response: bytes) -> str:
    if not 0.0 <= protocol.confidence(request, response) <= 1.0:
        return "a confidence that is no ratio"
    masked = protocol.mask(request, response)
    if (len(request), len(response)) != (len(masked[0]), len(masked[1])):
        return "masking changes a length"
    same = masked == (request, response)
    if not same and protocol.mask(*masked) != masked:
        return "masking twice changes something"
    try:
        before = protocol.parse(request, response)
    except Malformed:
        before = None
        if same:
            return ""
    try:
        after = protocol.parse(*masked)
    except Malformed:
        return "" if before is None else "what can be parsed cannot be once it is masked"
    texts = [after.name, after.operation, *(str(value) for value in after.attributes.values())]
    if any(len(text) > TEXT or "\0" in text for text in texts):
        return "an unbounded text, or a NUL in it"
    kept = before is None or (before.name, before.outcome, before.status) == (after.name, after.outcome, after.status)
    return "" if kept else "masking changes the name, the outcome or the status"


def _frames(protocol: WireProtocol, request: bytes, response: bytes) -> str:
    for buffer, side in ((request, False), (response, True)):
        try:
            length = protocol.frame(buffer, response=side)
        except Malformed:
            continue
        if length is None:
            continue
        if not 0 < length <= len(buffer):
            return "a frame that is not there"
        if length < len(buffer) and protocol.frame(buffer[:length], response=side) != length:
            return "a frame whose end depends on what follows"
    return ""


def slow(work: Callable[[], Any], limit: float = SECONDS) -> str:
    """
    Return whether *work* takes more of the processor than *limit*, in words; what seems so is asked twice more.
    """
    least = limit + 1
    for _ in range(3):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
        if least <= limit:
            return ""
    return f"takes {least:.2f} seconds"


def costly(work: Callable[[], Any], size: int) -> str:
    """
    Return whether *work* takes too many steps for an input of *size* bytes, in words.
    """
    count = steps(work)
    return f"takes {count} steps for {size} bytes" if count > STEPS + STEPS_PER_BYTE * size else ""


def grows(protocol: WireProtocol, head: bytes, at: int, size: int) -> str:
    """
    Return whether saying a part of *head* four times as often takes more than about four times as long, in words.
    """
    part = head[at : at + size] or b"\0"

    def work(length: int) -> Callable[[], Any]:
        long = (head[:at] + part * (length // len(part) + 1))[:length]
        return lambda: (broken(protocol, long, b""), broken(protocol, b"", long))

    def cost(length: int) -> int:
        return steps(work(length))

    few, many = cost(FEW), cost(MANY)
    if many <= GROWTH * few + SLACK:
        return slow(work(8 * MANY), LONG_SECONDS)
    few, many = cost(2 * MANY), cost(8 * MANY)  # what is only understood from some byte on jumps there, and not here
    return f"takes {many} steps for {8 * MANY} bytes, {few} for {2 * MANY}" if many > GROWTH * few else ""


def hungry(work: Callable[[], Any], size: int) -> str:
    """
    Return whether *work* needs too much memory for an input of *size* bytes, in words.
    """
    tracemalloc.start()
    try:
        work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return f"needs {peak} bytes of memory for {size}" if peak > MEMORY_BYTES + MEMORY_PER_BYTE * size else ""
