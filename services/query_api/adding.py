"""
Adding up what all services and relations did over a range, in slices: while PostgreSQL adds up the next ones, those
that came become rates and quantiles in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from services.query_api import maps, rows
from shared.units import at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import asyncpg

    from services.query_api.requests import Range

SLICE: Final = 250
"""So many keys of relations are added up at a time."""
MOST_SLICES: Final = 32
LAST_KEY: Final = 2**31 - 1
PATIENCE_S: Final = 0.25
"""So long something gives way; then it goes on, for answers may never end."""
TIDY_S: Final = 10.0
GARBAGE: Final = 100_000
"""So many new objects are looked through at once, should no moment between answers come."""


class Rows(Protocol):
    """
    What asks PostgreSQL.
    """

    async def __call__(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """
        Return the rows of a named query.
        """


class Haste:
    """
    Whether somebody waits for it.
    """

    def __init__(self, *, urgent: bool) -> None:
        self.urgent = urgent


class Turns:
    """
    What nobody waits for gives way to answers.
    """

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        self._patience_s: Final = patience_s
        self._answering = 0
        self._stirred: Final = asyncio.Event()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """
        While this is open, an answer is in the making.
        """
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1
            self._stirred.set()

    def hurry(self, haste: Haste) -> None:
        """
        Let somebody wait for what gave way until now.
        """
        haste.urgent = True
        self._stirred.set()

    async def come(self, haste: Haste) -> None:
        """
        Wait until no answer is in the making, somebody waits for this one, or patience ends.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while self._answering and not haste.urgent:
                    self._stirred.clear()
                    await self._stirred.wait()


async def tidy(turns: Turns) -> None:
    """
    Look for garbage between the answers: while it goes on, nothing else does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    while True:
        await asyncio.sleep(TIDY_S)
        await turns.come(Haste(urgent=False))
        gc.collect()


class Part(NamedTuple):
    """
    A query, and what makes rates and quantiles of its rows.
    """

    query: str
    keys: tuple[int, ...]
    fold: Callable[[Iterable[rows.Row], float], dict[int, Any]]


def slices(newest_key: int) -> list[tuple[int, int]]:
    """
    Return the first and the last key of each slice, when *newest_key* is about the highest; the last slice is open.
    """
    many = min(MOST_SLICES, max(1, -(-newest_key // SLICE)))
    firsts = [newest_key * number // many + 1 for number in range(1, many)]
    return list(zip([0, *firsts], [*(first - 1 for first in firsts), LAST_KEY], strict=True))


class Adder:
    """
    Adds up with at most *at_once* connections.
    """

    def __init__(self, ask: Rows, turns: Turns, *, at_once: int) -> None:
        self._ask: Final = ask
        self._turns: Final = turns
        self._at_once: Final = at_once
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="fold")

    def close(self) -> None:
        """
        Let go of the thread.
        """
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def sums(self, whole: Range, newest_key: int, haste: Haste) -> maps.Sums:
        """
        Return what each service and each relation did over *whole* buckets.
        """
        services = Part("service_figures", (), rows.service_sums)
        relations = [Part("relation_figures", keys, rows.relation_sums) for keys in slices(newest_key)]
        folded = await self._parts(deque([*relations, services]), whole, haste)
        sums = maps.Sums({}, {})
        for part, found in folded:
            (sums.services if part is services else sums.relations).update(found)
        return sums

    async def _parts(self, waiting: deque[Part], whole: Range, haste: Haste) -> list[tuple[Part, dict[int, Any]]]:
        span = at(whole.start_ns), at(whole.end_ns)
        loop = asyncio.get_running_loop()
        folding: list[tuple[Part, asyncio.Future[dict[int, Any]]]] = []

        async def work() -> None:
            try:
                while waiting:
                    part = waiting.popleft()
                    await self._turns.come(haste)
                    found = await self._ask(part.query, *span, *part.keys)
                    folding.append((part, loop.run_in_executor(self._thread, part.fold, found, whole.seconds)))
            finally:
                waiting.clear()  # after a fault the others have nothing left to do

        await asyncio.gather(*(work() for _ in range(self._at_once if haste.urgent else 1)))
        return [(part, await future) for part, future in folding]
