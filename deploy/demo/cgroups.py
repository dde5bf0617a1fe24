"""
A cgroup for each program of the demo, so that two nginx are told apart; absent where cgroup v2 cannot be written.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX: Final = "meshlens-demo-"
"""The demo's own mark; nothing without it is ever touched."""


def mount_point() -> Path | None:
    """
    Return where cgroup v2 is mounted.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            left, _, right = line.partition(" - ")
            if right.split(" ", 1)[0] == "cgroup2":
                return Path(left.split()[4])
    return None


class Groups:
    """
    The cgroups of one running demo.
    """

    def __init__(self) -> None:
        mounted = mount_point()
        self.top: Final = mounted / f"{PREFIX}{os.getpid()}" if mounted else None
        self.usable = False
        if self.top is not None:
            remove_leftovers(self.top.parent)
            with contextlib.suppress(OSError):
                self.top.mkdir(exist_ok=True)
                self.usable = True

    def entrance(self, name: str) -> Callable[[], None] | None:
        """
        Return what a child calls to be in the cgroup of the program *name*.
        """
        if not self.usable or self.top is None:
            return None
        folder = self.top / name
        folder.mkdir(parents=True, exist_ok=True)
        members = str(folder / "cgroup.procs")

        def enter() -> None:
            descriptor = os.open(members, os.O_WRONLY)
            os.write(descriptor, b"0")
            os.close(descriptor)

        return enter

    def close(self) -> None:
        """
        Remove the cgroups, which are empty by now.
        """
        if self.top is not None:
            _remove(self.top)


def remove_leftovers(mounted: Path) -> None:
    """
    Remove what a killed demo left: cgroups with our mark; the kernel keeps those that hold a process.
    """
    for folder in mounted.glob(f"{PREFIX}*"):
        _remove(folder)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for child in folder.iterdir():
            if child.is_dir():
                with contextlib.suppress(OSError):
                    child.rmdir()
        folder.rmdir()
