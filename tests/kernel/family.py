"""
The programs of a test with all that they have started: whether they rest, and their end.

A hook at the end of a system call runs after the peer has the bytes, and how long after is the scheduler's choice. A
task that sleeps has ended all earlier calls; when none has run between two looks, there was an instant between them
at which all slept, and nothing more comes of what was asked before the first.
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

Tasks = dict[int, str]
"""Each task with its state and how often it was taken off the processor."""


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
                told = dict(line.split(":\t", 1) for line in file if line.startswith(("State", "vol", "nonvol")))
                found[int(task.name)] = " ".join(told.values())
    return found


def asleep(tasks: Tasks) -> bool:
    """
    Return whether none of *tasks* runs.
    """
    return BUSY.isdisjoint(told[:1] for told in tasks.values())


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
        roots, deadline, looks = list(roots), time.monotonic() + limit_s, 0
        while True:
            now = look(roots)
            if now == self._before and asleep(now):
                return True
            self._before = now
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
