"""
The programs of a test with all that they have started: whether they rest, and their end.

A hook at the end of a system call runs after the peer has the bytes, and how long after is the scheduler's choice. A
task that sleeps has ended all earlier calls; when none has run between two looks, there was an instant between them
at which all slept, and nothing more comes of what was asked before the first.

Of programs with many threads, some wake by a timer at any time, and there may be no such instant. Then each must have
slept or fallen asleep by itself, several times over: what one hands to another is waited for in the next round.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUSY: Final = frozenset("RD")
"""States of a task in the middle of something: it runs, wants to, or waits for a disk or a lock of the kernel."""
PAUSES_S: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Between two looks; the last one again and again."""

ROUNDS: Final = 4
"""So many times each task must have slept for itself, where they do not sleep together."""

Tasks = dict[int, tuple[str, int, int]]
"""Each task with its state, and how often it has left the processor: because it waited, and because others did."""


def family(roots: Iterable[int]) -> Iterator[tuple[int, list[Path]]]:
    """
    Yield the processes *roots* and all that they have started, each with the folders of its tasks.
    """
    todo, known = list(roots), set[int]()
    while todo:
        pid = todo.pop()
        if pid in known:
            continue
        known.add(pid)
        with contextlib.suppress(OSError):
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            for task in tasks:
                with contextlib.suppress(OSError):  # it has gone, or this kernel does not tell
                    todo += map(int, (task / "children").read_text().split())
            yield pid, tasks


def look(roots: Iterable[int]) -> Tasks:
    """
    Return the tasks of *roots* as they are now.
    """
    found = Tasks()
    for _, tasks in family(roots):
        for task in tasks:
            with contextlib.suppress(OSError), open(task / "status", encoding="utf-8", errors="replace") as file:
                told = dict(line.split(":\t", 1) for line in file)
                waited, pushed = told["voluntary_ctxt_switches"], told["nonvoluntary_ctxt_switches"]
                found[int(task.name)] = told["State"][0], int(waited), int(pushed)
    return found


def slept(before: Tasks, now: Tasks) -> set[int]:
    """
    Return the tasks that slept from one look to the other.
    """
    return {task for task, told in now.items() if told == before.get(task) and told[0] not in BUSY}


def fell_asleep(before: Tasks, now: Tasks) -> set[int]:
    """
    Return the tasks that have waited for something since the look before.
    """
    return {task for task, told in now.items() if task in before and told[1] > before[task][1]}


class Rest:
    """
    Waits for the rest of the same programs again and again, and remembers how they were.
    """

    def __init__(self) -> None:
        self._before: Tasks = {}

    def wait(self, roots: Iterable[int], limit_s: float) -> bool:
        """
        Return true once *roots* rest, or false when they do not within *limit_s*: some programs never do.
        """
        roots, deadline, looks, rounds, one_by_one = list(roots), time.monotonic() + limit_s, 0, 0, set[int]()
        while True:
            now = look(roots)
            together = slept(self._before, now)
            one_by_one |= together | (fell_asleep(self._before, now) if looks else set())
            self._before = now
            if one_by_one >= now.keys():
                rounds, one_by_one = rounds + 1, set()
            if together == now.keys() or rounds == ROUNDS:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSES_S[min(looks, len(PAUSES_S) - 1)])
            looks += 1


@contextlib.contextmanager
def ended(roots: Iterable[int], limit_s: float) -> Iterator[None]:
    """
    Kill at the end of the block what is left of *roots*, and of all that they had started when it began.
    """
    held = []
    for pid, _ in family(roots):
        with contextlib.suppress(ProcessLookupError):
            held.append(os.pidfd_open(pid))
    try:
        yield
    finally:
        for handle in held:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], limit_s)
            os.close(handle)
