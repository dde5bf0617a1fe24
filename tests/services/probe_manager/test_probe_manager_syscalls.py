"""
What the kernel does when it is asked by number.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

BATCH: Final = 3
TURN_NS: Final = 90_000_000
SHOW: Final = """
import ctypes, os, struct, sys, threading
from services.probe_manager.syscalls import let_others_first

def turn():
    place = ctypes.create_string_buffer(56)
    if ctypes.CDLL(None).syscall({"x86_64": 315, "aarch64": 275}[os.uname().machine], 0, place, 56, 0):
        raise SystemExit("sched_getattr")
    _, policy, _, nice, _, turn_ns = struct.unpack_from("<IIQiIQ", place.raw)
    print(policy, nice, turn_ns)

os.nice(3)
if sys.argv[2:]:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
let_others_first(int(sys.argv[1]))
turn()
later = threading.Thread(target=turn)
later.start()
later.join()
"""


def shown(*words: object) -> list[tuple[int, int, int]]:
    """
    Return policy, niceness and turn of two threads of a program, one started after the other has asked.
    """
    command = [sys.executable, "-c", SHOW, *map(str, words)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return [(int(policy), int(nice), int(turn)) for policy, nice, turn in (line.split() for line in told.splitlines())]


def test_turns_are_as_long_as_asked() -> None:
    """
    The thread and those that it starts interrupt nobody, have the turn that was asked for, and keep their niceness.
    """
    first, later = shown(TURN_NS)

    assert first == later
    assert (BATCH, 3) == first[:2]
    assert first[2] in (TURN_NS, 0)  # 0 before Linux 6.12, which has one turn for all


def test_another_policy_is_left_alone() -> None:
    """
    A process that somebody has given another policy keeps it.
    """
    assert {5} == {policy for policy, _, _ in shown(TURN_NS, "idle")}
