"""
The kernel side of tests: each probe is compiled once, and not once for every test and every worker that loads it.
"""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.probe_manager.kernel import Kernel
from services.probe_manager.recipe import FOR_FALLBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.probe_manager.compiler import Compiled, Unit

COMPILED: Final = Path(__file__).parents[1] / "build" / "probes"
DEFINES: Final = {"ENDPOINT_LIMIT": 101, "SERIES_LIMIT": 512, "RESERVOIR_MASK": (1 << 20) - 1}
"""All that is compiled alike is compiled once: a test with numbers of its own pays for them."""


class SharedKernel(Kernel):
    """
    A kernel side whose probes have the numbers of all tests; what others compile at the moment is waited for.
    """

    def __init__(self, pins: Path, protocols: frozenset[str] | None = None) -> None:
        """
        Adopt what is left under *pins*, with the *protocols*, or all of them.
        """
        super().__init__(pins, DEFINES, {}, COMPILED, protocols)

    def _compile(self, unit: Unit, *, nice: int = 0) -> Compiled:
        with alone(f"{unit.name}{FOR_FALLBACK if FOR_FALLBACK in unit.flags else ''}"):
            return super()._compile(unit, nice=min(nice, 0))


@contextlib.contextmanager
def alone(word: str) -> Iterator[None]:
    """
    Wait until no other worker is in a block with the same *word*: what one compiles, all find.
    """
    COMPILED.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (COMPILED.parent / f"{word}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
