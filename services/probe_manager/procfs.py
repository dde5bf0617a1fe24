"""
The processes in scope, from the kernel's maps, with what /proc and the cgroup file system add.

/proc is read only for processes that the kernel side has found to be in scope, once when they appear and now and then
after that; a process that ended first is known by what the kernel kept.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from services.probe_manager import processes, scope
from services.probe_manager.containers import cgroup_of, container_of
from services.probe_manager.processes import Facts
from services.probe_manager.scope import Kind, Mark, Rule
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.messages.kernel import Instance

ALL_EVERY: Final = 30
"""Ticks between two complete looks: everything is published again."""
LOOK_AFTER: Final = (1, 5, 30)
"""Ticks after the start of an instance at which its sockets are looked at for bound datagram sockets."""
ADOPTION_ROUNDS: Final = 8
_FILEID_KERNFS: Final = 0xFE
_libc: Final = ctypes.CDLL(None, use_errno=True)


class RawMap(Protocol):
    """
    A map of the kernel side.
    """

    def read(self, key: bytes) -> bytes | None:
        """Return the value of *key*."""

    def write(self, key: bytes, value: bytes) -> None:
        """Set the value of *key*."""

    def delete(self, key: bytes) -> None:
        """Remove *key*."""

    def entries(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield batches: keys, values, count."""


class KernelSide(Protocol):
    """
    The part of `kernel.Kernel` that is used here.
    """

    def map(self, name: str) -> RawMap:
        """Return a map."""

    def has_map(self, name: str) -> bool:
        """Return whether there is such a map: a probe that is off has none."""

    def iterate(self, probe: str, function: str, process: int = 0) -> bytes:
        """Run an iterator to its end, over one process or over all."""


def cgroup_root() -> Path | None:
    """
    Return where cgroup v2 is mounted, None when it is not.
    """
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return Path(line.split()[4])
    return None


def resolve(rules: Sequence[Rule], excluded: Sequence[int]) -> list[Mark]:
    """
    Return the marks of *rules*; under the scope `host`, the processes *excluded* are left out.

    Raises:
        ConfigError: a rule names something that is not there.
    """
    marks = [mark for rule in rules if (mark := _mark(rule)) is not None]
    return marks + [Mark(Kind.EXCLUDED, pid) for pid in excluded]


def _mark(rule: Rule) -> Mark | None:
    if rule.kind in (Kind.TREE, Kind.PORT):
        return Mark(rule.kind, int(rule.text))
    if rule.kind is Kind.CGROUP:
        root = cgroup_root()
        if root is None:
            raise ConfigError("the scope names a cgroup, but cgroup v2 is not mounted on this host")
        return Mark(rule.kind, _inode(root / rule.text.lstrip("/"), rule))
    if rule.kind is Kind.NETNS:
        number = rule.text.isdecimal()
        return Mark(rule.kind, int(rule.text) if number else _inode(Path("/run/netns") / rule.text, rule))
    return None


def _inode(path: Path, rule: Rule) -> int:
    try:
        return path.stat().st_ino
    except OSError as error:
        raise ConfigError(f"scope {rule.words}: {path}: {error.strerror}") from error


def cgroup_path(root: Path, identity: int) -> str:
    """
    Return the path below *root* of the cgroup with the id *identity*, empty when it is gone.
    """
    handle = ctypes.create_string_buffer(struct.pack("<IiQ", 8, _FILEID_KERNFS, identity), 16)
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = _libc.open_by_handle_at(directory, handle, os.O_RDONLY | os.O_CLOEXEC)
        if found < 0:
            return ""
        path = os.readlink(f"/proc/self/fd/{found}")
        os.close(found)
    finally:
        os.close(directory)
    return "/" + path.removeprefix(str(root)).strip("/")


def facts_of(pid: int) -> Facts:
    """
    Return what /proc says of the process *pid* in scope; empty when it is gone.
    """
    folder = Path(f"/proc/{pid}")
    cgroup, container = cgroup_of(_read(folder / "cgroup").decode(errors="replace"))
    trie = _read(folder / "net/fib_trie").decode(errors="replace")
    inet6 = _read(folder / "net/if_inet6").decode(errors="replace")
    try:
        executable = str((folder / "exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        executable = ""
    return Facts(
        cgroup=cgroup,
        container=container,
        executable=executable,
        arguments=processes.split_arguments(_read(folder / "cmdline")),
        addresses=processes.local_addresses(trie, inet6),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


class Watch:
    """
    Keeps the kernel side's scope, and tells what became of the instances in it.
    """

    def __init__(self, kernel: KernelSide, rules: Sequence[Rule]) -> None:
        self._kernel: Final = kernel
        self._rules: Final = rules
        self._cgroups: Final = cgroup_root()
        self._known: dict[int, Instance] = {}
        self._facts: Final[dict[int, Facts]] = {}
        self._looks: Final[dict[int, int]] = {}
        """Instance to the tick at which it was first seen."""
        self._untold: Final[dict[int, Instance]] = {}
        """What changed, until it is published."""
        self._paths: Final[dict[int, str]] = {}
        """Cgroup id to path, until the next complete look."""
        self._ticks = 0
        self._changes = -1
        self._to_unix_ns: Final = time.time_ns() - time.monotonic_ns()

    def start(self) -> None:
        """
        Tell the kernel side the scope, and find what runs already: processes, listeners, connections.

        Call it when `process_lifetime`, `listen_queue` and `tcp_connections` are loaded; the latter two may be off.

        Raises:
            ConfigError: a rule names something that is not there.
        """
        self._refuse_missing_roots()
        marks = self._kernel.map("scope_marks")
        wanted = {mark.encode() for mark in resolve(self._rules, [os.getpid()])}
        stale = {keys[at : at + 16] for keys, _, _ in marks.entries() for at in range(0, len(keys), 16)} - wanted
        for key in stale:
            marks.delete(key)
        for key in wanted:
            marks.write(key, b"\1")
        patterns = [rule.text for rule in self._rules if rule.kind is Kind.EXECUTABLE]
        for index, pattern in enumerate(patterns):
            self._kernel.map("scope_patterns").write(struct.pack("<I", index), scope.encode_pattern(pattern))
        self._kernel.map("scope_kinds").write(bytes(4), scope.encode_kinds(self._rules))
        self.adopt()

    def _refuse_missing_roots(self) -> None:
        if next(iter(self._entries("instances")), None) is not None:
            return  # an earlier run has found the tree; its root may have ended since
        for rule in self._rules:
            if rule.kind is Kind.TREE and not Path("/proc", rule.text).exists():
                raise ConfigError(f"scope {rule.words}: there is no such process")

    def adopt(self) -> None:
        """
        Find what runs and is open already; run again after `listen_queue` or `tcp_connections` was switched on.
        """
        for _ in range(ADOPTION_ROUNDS):
            before = self._change_count()
            self._kernel.iterate("process_lifetime", "bpf_iter__task")
            self._kernel.iterate("listen_queue", "bpf_iter__task_file")
            if self._change_count() == before:
                break
        self._kernel.iterate("tcp_connections", "bpf_iter__task_file")

    def count(self) -> None:
        """
        Put into the series what the open connections and listeners did since the last time: before each drain.
        """
        self._kernel.iterate("tcp_connections", "bpf_iter__bpf_map_elem__tcp_connections")
        self._kernel.iterate("listen_queue", "bpf_iter__bpf_map_elem__listeners")

    def instances(self) -> list[Instance]:
        """
        Return the instances that are new, changed or ended and not yet published; now and then all of them.
        """
        complete = self._ticks % ALL_EVERY == 0
        if self._ticks == 1:  # who was in the middle of an exec, and failed, was passed by at the start
            self._kernel.iterate("process_lifetime", "bpf_iter__task")
        self._look_at_sockets()
        self._ticks += 1
        changes = self._change_count()
        if changes != self._changes or complete:
            self._changes = changes
            if complete:
                self._paths.clear()
            now = self._messages(complete)
            told = list(now.values()) if complete else processes.changed(self._known, now)
            self._untold.update((instance.id, instance) for instance in told)
            self._known = now
        return list(self._untold.values())

    def published(self) -> None:
        """
        Forget what has arrived: the changes of the last answer, and of the ended instances everything.
        """
        ended = {instance.id for instance in self._untold.values() if instance.ended_ns}
        self._untold.clear()
        if not ended:
            return
        for instance in ended:
            self._kernel.map("families").delete(struct.pack("<I", instance))
            self._known.pop(instance, None)
            self._facts.pop(instance, None)
        for socket, record in list(self._entries("listeners")):
            if processes.decode_listener(0, record).instance in ended:
                self._kernel.map("listeners").delete(socket)

    def _messages(self, complete: bool) -> dict[int, Instance]:
        bound = [
            processes.decode_listener(int.from_bytes(key, "little"), record)
            for key, record in self._entries("listeners")
        ]
        listeners = processes.by_instance(bound)
        found: dict[int, Instance] = {}
        for key, record in self._entries("families"):
            family = processes.decode_family(int.from_bytes(key, "little"), record)
            facts = self._facts_of(family, complete)
            found[family.instance] = processes.instance_message(
                family, facts, listeners.get(family.instance, []), self._to_unix_ns
            )
        return found

    def _facts_of(self, family: processes.Family, again: bool) -> Facts:
        known = self._facts.get(family.instance)
        if known is not None and (family.ended_ns or not again):
            return known
        if known is None:
            self._looks[family.instance] = self._ticks
        facts = Facts()
        if not family.ended_ns:
            facts = facts_of(family.pid)
            held = self._kernel.map("instances").read(struct.pack("<I", family.pid))
            if held is None or struct.unpack_from("<I", held)[0] != family.instance:
                facts = known or Facts()  # the process is gone, and its number may be another's by now
        if not facts.cgroup:
            path = self._cgroup_path(family.cgroup_id)
            facts = Facts(cgroup=path, container=container_of(path))
        self._facts[family.instance] = facts
        return facts

    def _cgroup_path(self, identity: int) -> str:
        if self._cgroups is None:
            return ""
        if identity not in self._paths:
            self._paths[identity] = cgroup_path(self._cgroups, identity)
        return self._paths[identity]

    def _look_at_sockets(self) -> None:
        for identity, seen in list(self._looks.items()):
            age = self._ticks - seen
            instance = self._known.get(identity)
            if age > max(LOOK_AFTER) or instance is None or instance.ended_ns:
                del self._looks[identity]
            elif age in LOOK_AFTER:
                with contextlib.suppress(OSError):  # it has just ended
                    self._kernel.iterate("listen_queue", "bpf_iter__task_file", instance.pid)

    def _change_count(self) -> int:
        raw = self._kernel.map("family_changes").read(struct.pack("<I", 1))
        return int.from_bytes(raw or b"", "little")

    def _entries(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        if not self._kernel.has_map(name):
            return
        for keys, values, count in self._kernel.map(name).entries():
            key_bytes, value_bytes = len(keys) // count, len(values) // count
            for index in range(count):
                key = keys[index * key_bytes : (index + 1) * key_bytes]
                yield key, values[index * value_bytes : (index + 1) * value_bytes]
