"""
What must hold of a protocol for every input, and what an input reaches in its code.
"""

from __future__ import annotations

import sys
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.protocols import WireProtocol

STEPS: Final = 60_000
"""Lines of Python that an empty input may cost, and a byte of it may add: far above what was seen, below a square."""
STEPS_PER_BYTE: Final = 400
MEMORY_BYTES: Final = 1 << 20
MEMORY_PER_BYTE: Final = 400
TEXT: Final = 1100
SOURCES: Final = "/shared/protocols/"


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
    if protocol.mask(*masked) != masked:
        return "masking twice changes something"
    try:
        before = protocol.parse(request, response)
    except Malformed:
        before = None
    try:
        after = protocol.parse(*masked)
    except Malformed:
        return "" if before is None else "what can be parsed cannot be once it is masked"
    texts = [after.name, after.operation, *(str(value) for value in after.attributes.values())]
    if any(len(text) > TEXT or "\0" in text for text in texts):
        return "an unbounded text, or a NUL in it"
    same = before is None or (before.name, before.outcome, before.status) == (after.name, after.outcome, after.status)
    return "" if same else "masking changes the name, the outcome or the status"


def _frames(protocol: WireProtocol, request: bytes, response: bytes) -> str:
    for buffer, side in ((request, False), (response, True)):
        try:
            length = protocol.frame(buffer, response=side)
        except Malformed:
            continue
        if length is not None and not 0 < length <= len(buffer):
            return "a frame that is not there"
        if length is not None and protocol.frame(buffer[:length], response=side) != length:
            return "a frame whose end depends on what follows"
    return ""


def traced(work: Callable[[], Any]) -> tuple[set[tuple[str, int]], int]:
    """
    Return which lines of the protocols *work* reached, and how many lines it took altogether.
    """
    reached: set[tuple[str, int]] = set()
    steps = 0

    def tick(frame: Any, event: str, _argument: Any) -> Any:
        nonlocal steps
        if event == "call" and SOURCES not in frame.f_code.co_filename:
            return None
        steps += 1
        reached.add((frame.f_code.co_filename, frame.f_lineno))
        return tick

    before = sys.gettrace()
    sys.settrace(tick)
    try:
        work()
    finally:
        sys.settrace(before)
    return reached, steps


def costly(steps: int, size: int) -> str:
    """
    Return whether so many steps are too many for an input of *size* bytes, in words.
    """
    return f"takes {steps} steps for {size} bytes" if steps > STEPS + STEPS_PER_BYTE * size else ""


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
