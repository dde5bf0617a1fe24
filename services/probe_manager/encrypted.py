"""
The TLS libraries of the processes in scope: found in what the processes have mapped, hooked, and let go of.

/proc is read only for processes that the kernel side has found to be in scope. A file is known by device and inode, and
is opened through the process that has mapped it, so it does not matter in whose mount namespace it lies, nor whether
it still has a name. Where the scope is not the whole host, hooks are bound to the processes in scope one by one: in
others not even a trap is set. A library that a process loads late shows in how much the process has mapped.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager import hooks, libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from services.probe_manager.hooks import FileId, Hooks
    from services.probe_manager.libraries import Library
    from shared.messages.kernel import Instance

LOOK_AFTER: Final = (0, 1, 2, 4, 8, 16, 32)
"""Rounds after a process was first seen at which it is looked at; after that one in every `LOOK_EVERY`."""
LOOK_EVERY: Final = 60
GROWN: Final = 64
"""Pages that a process maps more than when it was last looked at; the smallest TLS library has twice as many."""
MOST_SIZES: Final = 512
"""Processes that are asked in one round how much they have mapped; where there are more, they take turns."""
MOST_LINES: Final = 20_000
"""Of one process's list of mappings."""
MOST_FILES: Final = 64
MOST_PROCESSES: Final = 1024
"""Processes with hooks of their own."""
FULL: Final = f"more than {MOST_PROCESSES} processes in scope use TLS libraries"
PROBE: Final = "tls_l7"
TABLES: Final = ("tls_calls", "l7_joined")
"""To be emptied when the probe goes: no call is followed any more, and what is on the wire counts again."""


class Mapped(msgspec.Struct, frozen=True):
    """
    A file that a process has mapped with the right to execute it.
    """

    file: FileId
    path: str
    at: str
    """The range of addresses, as `/proc/<pid>/map_files` names it."""


class _Seen:
    """
    One process in scope.
    """

    def __init__(self, instance: int, since: int) -> None:
        self.instance: Final = instance
        self.since: Final = since
        self.files: Final[set[FileId]] = set()
        self.hooks: Final[dict[FileId, Hooks]] = {}
        """Its own, where hooks are bound to processes."""
        self.pages = 0
        self.obstacle = ""
        self.waits = False
        """There is something to hook, and the programs are not there yet."""


def mapped(text: str) -> list[Mapped]:
    """
    Return the executable files in *text*, the content of `/proc/<pid>/maps`, each once.
    """
    found: dict[FileId, Mapped] = {}
    for line in text.splitlines()[:MOST_LINES]:
        words = line.split(maxsplit=5)
        if len(words) < 6 or "x" not in words[1] or words[4] == "0":
            continue
        major, minor = (int(number, 16) for number in words[3].split(":"))
        low, high = (int(address, 16) for address in words[0].split("-"))
        file = (os.makedev(major, minor), int(words[4]))
        found.setdefault(file, Mapped(file, words[5].removesuffix(" (deleted)"), f"{low:x}-{high:x}"))
    return list(found.values())


class Encrypted:
    """
    Hooks the TLS libraries of processes that come, and lets go of those of processes that went.
    """

    def __init__(
        self, programs: Callable[[], Mapping[str, int]], *, whole_host: bool, kept: Path | None = None
    ) -> None:
        """
        Declare what it works with, and adopt the hooks that an earlier run has left.

        Args:
            programs: returns the programs of `bpf/tls_l7.c`, function to file descriptor; nothing while they load.
            whole_host: hook files for everybody, not processes one by one.
            kept: a folder in bpffs, in which hooks outlive this process.
        """
        self._programs: Final = programs
        self._kept: Final = kept
        self._adopted: Final = hooks.adopt(kept)
        self._whole_host: Final = whole_host
        self._round = 0
        self._seen: Final[dict[int, _Seen]] = {}
        self._libraries: Final[dict[tuple[FileId, int, int], Library]] = {}
        """By file, size and time of its last change."""
        self._shared: Final[dict[FileId, Hooks]] = {}
        """Hooks that hold for every process."""

    def look(self, processes: Mapping[int, int]) -> None:
        """
        Look at the processes in scope, pid to instance: at new ones, and now and then at old ones, which may load more.
        """
        if self._adopted:
            self._take_over(processes)
        for pid, seen in list(self._seen.items()):
            if processes.get(pid) != seen.instance:  # it ended, or it runs another program by now
                self._end(seen, remove=True)
                del self._seen[pid]
        turns = 1 + len(processes) // MOST_SIZES
        for pid, instance in processes.items():
            seen = self._seen.setdefault(pid, _Seen(instance, self._round))
            age = self._round - seen.since
            due = age in LOOK_AFTER or age % LOOK_EVERY == 0 or seen.waits
            if due or (age % turns == 0 and _pages(pid) > seen.pages + GROWN):
                self._look_at(pid, seen)
        self._round += 1
        if self._round % LOOK_EVERY == 0:
            self._let_go()

    def told(self, instances: list[Instance]) -> list[Instance]:
        """
        Return *instances*, each with the reason why its encrypted content cannot be seen, where there is one.
        """
        reasons = {seen.instance: seen.obstacle for seen in self._seen.values() if seen.obstacle}
        return [msgspec.structs.replace(one, opaque=reasons[one.id]) if one.id in reasons else one for one in instances]

    def words(self) -> list[str]:
        """
        Return the reasons why content cannot be seen, each with how many processes it holds for.
        """
        counted = Counter(seen.obstacle for seen in self._seen.values() if seen.obstacle)
        return [f"{count} {'process' if count == 1 else 'processes'}: {reason}" for reason, count in counted.items()]

    def close(self, *, remove: bool = True) -> None:
        """
        Remove every hook; without *remove* those that are kept go on until they are adopted.
        """
        for seen in self._seen.values():
            self._end(seen, remove=remove)
        for left in [self._shared, *self._adopted.values()]:
            for held in left.values():
                held.close(remove=remove)
        self._seen.clear()
        self._shared.clear()
        self._adopted.clear()

    def _take_over(self, processes: Mapping[int, int]) -> None:
        for owner, found in self._adopted.items():
            pid, instance = owner
            if owner == hooks.EVERYBODY and self._whole_host:
                self._shared.update(found)
            elif processes.get(pid) == instance and not self._whole_host:
                seen = self._seen[pid] = _Seen(instance, self._round)
                seen.hooks.update(found)
                seen.files.update(found)
            else:
                for held in found.values():
                    held.close()
        self._adopted.clear()

    def _look_at(self, pid: int, seen: _Seen) -> None:
        seen.pages = _pages(pid)
        try:
            files = mapped(Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return  # it has just ended
        executable = _executable(pid)
        paths = [file.path for file in files]
        worth = set(libraries.worth_opening(paths))
        for file in [one for one in files if one.path in worth or one.path == executable][:MOST_FILES]:
            if file.file not in seen.files:
                self._open(pid, seen, file, program=file.path == executable)
        if libraries.is_java(paths):
            seen.obstacle = libraries.JAVA
        if seen.files and seen.obstacle in libraries.NOT_HOOKED:
            seen.obstacle = ""

    def _open(self, pid: int, seen: _Seen, file: Mapped, *, program: bool) -> None:
        try:
            with _opened(pid, file) as descriptor:
                self._meet(pid, seen, file.file, descriptor, program=program)
        except OSError as refusal:
            if Path(f"/proc/{pid}").exists():
                seen.obstacle = f"the kernel refuses to hook {file.path}: {refusal.strerror}"

    def _meet(self, pid: int, seen: _Seen, file: FileId, descriptor: int, *, program: bool) -> None:
        # An offset is good for the very bytes it was found in: elsewhere a trap would lie within an instruction.
        status = os.fstat(descriptor)
        version = (file, status.st_size, status.st_mtime_ns)
        if version not in self._libraries:
            self._libraries[version] = libraries.examine(descriptor)
        library = self._libraries[version]
        if library.obstacle and program:
            seen.obstacle = library.obstacle
        elif library.kind == "BoringSSL" and not library.hooks:  # whatever else is hooked, this is not
            seen.obstacle = libraries.BORINGSSL
        if not library.hooks:
            return
        programs = self._programs()
        seen.waits = not programs
        if seen.waits:
            return
        if self._whole_host:
            if file not in self._shared:
                self._shared[file] = hooks.attach(programs, library, descriptor, hooks.EVERYBODY, file, self._kept)
        elif sum(1 for one in self._seen.values() if one.hooks) >= MOST_PROCESSES:
            seen.obstacle = FULL
            return
        else:
            owner = (pid, seen.instance)
            seen.hooks[file] = hooks.attach(programs, library, descriptor, owner, file, self._kept)
        seen.files.add(file)

    def _let_go(self) -> None:
        used = {file for seen in self._seen.values() for file in seen.files}
        for file in self._shared.keys() - used:
            self._shared.pop(file).close()

    @staticmethod
    def _end(seen: _Seen, *, remove: bool) -> None:
        for held in seen.hooks.values():
            held.close(remove=remove)


def _pages(pid: int) -> int:
    """
    Return how many pages the process has mapped.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0  # it has just ended
    try:
        return int(os.read(descriptor, 64).split(maxsplit=1)[0])
    except (OSError, IndexError):
        return 0
    finally:
        os.close(descriptor)


def _executable(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        return ""


@contextlib.contextmanager
def _opened(pid: int, file: Mapped) -> Iterator[int]:
    descriptor = os.open(f"/proc/{pid}/map_files/{file.at}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
