"""
A process that dies is started again; one that needs the operator is not.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from deploy.local.child import Child
from deploy.local.member import Member

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEADLINE_S = 10.0


def member(folder: Path, script: str, said: list[str]) -> Member:
    """
    Return a member that runs *script*.
    """
    return Member(
        "one",
        lambda: Child([sys.executable, "-c", script], log=folder / "one.log", environment=dict(os.environ)),
        said.append,
    )


def look_until(one: Member, condition: Callable[[], bool]) -> None:
    """
    Look after *one* until *condition* holds.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        one.look()
        time.sleep(0.02)


def test_killed_is_started_again(tmp_path: Path) -> None:
    """
    After `kill -9` it runs again, as another process, and that is said.
    """
    said: list[str] = []
    one = member(tmp_path, "import time; time.sleep(60)", said)
    one.start()
    assert one.child is not None
    before = one.child.pid
    os.kill(before, signal.SIGKILL)

    look_until(one, lambda: one.child is not None and one.child.pid != before and one.runs)

    one.stop()
    assert "one ended (signal 9)" in said[0]


def test_status_2_waits_for_the_operator(tmp_path: Path) -> None:
    """
    Exit status 2 is final; the reason in its log is shown.
    """
    said: list[str] = []
    one = member(tmp_path, 'print(\'{"reason": "no such thing; do that"}\'); raise SystemExit(2)', said)
    one.start()

    look_until(one, lambda: bool(one.given_up))

    assert one.given_up == "no such thing; do that"
    assert said == ["one needs you: no such thing; do that"]


def test_a_plain_sentence_is_shown_too(tmp_path: Path) -> None:
    """
    What a process says before it has a log is its reason.
    """
    one = member(tmp_path, "import sys; sys.exit(print('one: bad setting', file=sys.stderr) or 2)", [])
    one.start()

    look_until(one, lambda: bool(one.given_up))

    assert one.given_up == "one: bad setting"


def test_nobody_outlives_the_parent(tmp_path: Path) -> None:
    """
    When the parent is killed, the kernel ends the child.
    """
    script = (
        "import sys, time, os, pathlib\n"
        "from deploy.local.child import Child\n"
        f"log = pathlib.Path({str(tmp_path / 'child.log')!r})\n"
        "child = Child(['sleep', '60'], log=log, environment=dict(os.environ))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = Child([sys.executable, "-c", script], log=tmp_path / "parent.log", environment=dict(os.environ))
    deadline = time.monotonic() + DEADLINE_S
    while not (text := (tmp_path / "parent.log").read_text()).strip():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.signal(signal.SIGKILL)
    parent.stop()

    while os.path.exists(f"/proc/{int(text)}/exe"):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.02)
