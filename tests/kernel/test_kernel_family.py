"""
Whether programs rest, and that none of them outlives its test.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.kernel.family import Rest, ended, family, look

if TYPE_CHECKING:
    from collections.abc import Iterator

PARENT = """
import subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(child.pid, flush=True)
threading.Thread(target=child.wait).start()
sys.stdin.readline()
"""
SLEEPS = "import time; time.sleep(600)"
SPINS = "import time; end = time.monotonic() + 600\nwhile time.monotonic() < end: pass"
TICKS = "import time\nfor _ in range(600_000): time.sleep(0.001)"
LIMIT_S = 20.0


def started(code: str) -> tuple[subprocess.Popen[str], int]:
    """
    Return a process with two threads, and the number of its child, which runs *code*.
    """
    words = [sys.executable, "-c", PARENT, code]
    parent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def close(parent: subprocess.Popen[str]) -> None:
    """
    Reap *parent*, which has been killed.
    """
    assert -9 == parent.wait(LIMIT_S)
    for pipe in (parent.stdin, parent.stdout):
        assert pipe is not None
        pipe.close()


def test_a_family_that_sleeps_rests() -> None:
    """
    A process, its threads and its child rest while all of them wait, and one look more tells that they still do.
    """
    parent, child = started(SLEEPS)
    with ended([parent.pid], LIMIT_S):
        rest = Rest()

        assert rest.wait([parent.pid], LIMIT_S)
        assert {parent.pid, child} == {pid for pid, _ in family([parent.pid])}
        assert 3 == len(look([parent.pid]))
        assert rest.wait([parent.pid], 0)
    close(parent)


def test_a_child_that_works_keeps_its_family_from_rest() -> None:
    """
    While one task runs, nothing rests, and the wait has an end.
    """
    parent, _ = started(SPINS)
    with ended([parent.pid], LIMIT_S):
        began = time.monotonic()

        assert not Rest().wait([parent.pid], 0.05)
        assert time.monotonic() - began < LIMIT_S
    close(parent)


def test_who_wakes_by_a_timer_rests_between_its_turns() -> None:
    """
    A child that wakes a thousand times a second does not keep its family from rest.
    """
    parent, _ = started(TICKS)
    with ended([parent.pid], LIMIT_S):
        assert Rest().wait([parent.pid], LIMIT_S)
    close(parent)


def test_what_has_run_between_two_looks_has_not_rested() -> None:
    """
    A sleeper that was woken and sleeps again is not taken for one that has slept all the time.
    """
    parent = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    with ended([parent.pid], LIMIT_S):
        rest = Rest()
        assert rest.wait([parent.pid], LIMIT_S)
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write("a line\n")
        assert "a line\n" == parent.stdout.readline()

        assert not rest.wait([parent.pid], -1)
        assert rest.wait([parent.pid], LIMIT_S)
    close(parent)


def test_nobody_rests_at_once() -> None:
    """
    Without programs there is nothing to wait for.
    """
    assert Rest().wait([], 0)


def test_whole_families_end() -> None:
    """
    The child ends with its parent, although nobody told it.
    """
    parent, child = started(SLEEPS)
    with ended([parent.pid], LIMIT_S):
        assert {child} < set(pids(parent.pid))
    close(parent)

    assert [] == [pid for pid in pids(child) if not gone(pid)]


def pids(root: int) -> Iterator[int]:
    """
    Yield the processes of the family of *root*.
    """
    return (pid for pid, _ in family([root]))


def gone(pid: int) -> bool:
    """
    Return whether *pid* has ended, reaped or not.
    """
    return all(state in ("Z", "X") for state, _, _ in look([pid]).values())
