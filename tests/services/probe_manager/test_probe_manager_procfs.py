"""
The processes in scope, from maps that the test fills in the kernel's place.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest

from services.probe_manager import procfs, scope
from services.probe_manager.processes import FAMILY, LISTENER, Facts
from services.probe_manager.procfs import ALL_EVERY, LOOK_AFTER, Watch
from services.probe_manager.scope import Kind, Mark
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeMap(dict[bytes, bytes]):
    """
    A map as a dictionary.
    """

    def read(self, key: bytes) -> bytes | None:
        """
        Return the value of *key*.
        """
        return self.get(key)

    def write(self, key: bytes, value: bytes) -> None:
        """
        Set the value of *key*.
        """
        self[key] = value

    def delete(self, key: bytes) -> None:
        """
        Remove *key*.
        """
        self.pop(key, None)

    def entries(self) -> Iterator[tuple[bytes, bytes, int]]:
        """
        Yield everything in one batch.
        """
        if self:
            yield b"".join(self.keys()), b"".join(self.values()), len(self)


class FakeKernel:
    """
    The kernel side as a test needs it: maps, and a list of the iterators that were run.
    """

    def __init__(self) -> None:
        self.maps: dict[str, FakeMap] = {}
        self.ran: list[tuple[str, str, int]] = []

    def map(self, name: str) -> FakeMap:
        """
        Return a map.
        """
        return self.maps.setdefault(name, FakeMap())

    def has_map(self, name: str) -> bool:
        """
        Return whether the map was ever asked for.
        """
        return name in self.maps

    def iterate(self, probe: str, function: str, process: int = 0) -> bytes:
        """
        Remember that an iterator was run.
        """
        self.ran.append((probe, function, process))
        return b""

    def change(self) -> None:
        """
        Do what the kernel side does when a record changes.
        """
        counts = self.map("family_changes")
        one = struct.pack("<I", 1)
        counts[one] = (int.from_bytes(counts.get(one, b""), "little") + 1).to_bytes(8, "little")

    def family(self, instance: int, pid: int, ended_ns: int = 0) -> None:
        """
        Write the record of an instance.
        """
        numbers = (5, ended_ns, 1, int(not ended_ns), pid, 0, 1, 0, 1)
        self.map("families")[struct.pack("<I", instance)] = FAMILY.pack(*numbers, b"sh", b"/bin/sh", b"")
        self.map("instances")[struct.pack("<I", pid)] = struct.pack("<II", instance, pid)
        self.change()


def test_the_scope_reaches_the_kernel_side() -> None:
    """
    Marks, patterns and kinds are written, old marks are removed, and what runs already is looked for.
    """
    kernel = FakeKernel()
    kernel.map("scope_marks")[Mark(Kind.PORT, 1).encode()] = b"\1"
    Watch(kernel, scope.parse(f"tree:{os.getpid()},port:80,exe:/opt/*")).start()

    assert {
        Mark(Kind.TREE, os.getpid()).encode(),
        Mark(Kind.PORT, 80).encode(),
        Mark(Kind.EXCLUDED, os.getpid()).encode(),
    } == set(kernel.map("scope_marks"))
    assert {bytes(4): scope.encode_pattern("/opt/*")} == kernel.map("scope_patterns")
    assert (Kind.TREE | Kind.PORT | Kind.EXECUTABLE) == kernel.map("scope_kinds")[bytes(4)][0]
    assert [
        ("process_lifetime", "bpf_iter__task", 0),
        ("listen_queue", "bpf_iter__task_file", 0),
        ("tcp_connections", "bpf_iter__task_file", 0),
    ] == kernel.ran


def test_changes_are_told_until_they_have_arrived() -> None:
    """
    A new instance is told again and again until it is published, and then no more.
    """
    kernel = FakeKernel()
    watch = Watch(kernel, scope.parse("tree:7"))
    kernel.family(3, os.getpid())
    first, second = watch.instances(), watch.instances()
    watch.published()

    assert [3] == [instance.id for instance in first]
    assert first == second
    assert [] == watch.instances()


def test_an_ended_instance_is_forgotten_after_it_was_told() -> None:
    """
    The record of an ended instance, and its listeners, stay until its end has arrived.
    """
    kernel = FakeKernel()
    watch = Watch(kernel, scope.parse("tree:7"))
    kernel.family(3, os.getpid(), ended_ns=9)
    kernel.map("listeners")[bytes(8)] = LISTENER.pack(3, 1, bytes(16), 53, 17, 0, 0, 0)
    (told,) = watch.instances()

    assert told.ended_ns > told.started_ns
    assert [53] == [listener.port for listener in told.listeners]
    assert 1 == len(kernel.map("families"))

    watch.published()

    assert ({}, {}) == (kernel.map("families"), kernel.map("listeners"))


def test_a_probe_that_is_off_is_no_obstacle() -> None:
    """
    Without the probe that knows the listeners there are instances without listeners.
    """
    kernel = FakeKernel()
    watch = Watch(kernel, scope.parse("tree:7"))
    kernel.family(3, os.getpid(), ended_ns=9)
    (told,) = watch.instances()
    watch.published()

    assert [] == told.listeners
    assert not kernel.has_map("listeners")


def test_all_are_told_now_and_then() -> None:
    """
    Once in many ticks every instance is told, so that who missed one learns of it.
    """
    kernel = FakeKernel()
    watch = Watch(kernel, scope.parse("tree:7"))
    kernel.family(3, os.getpid())
    told = []
    for _ in range(ALL_EVERY + 1):
        told.append(len(watch.instances()))
        watch.published()

    assert [1, *[0] * (ALL_EVERY - 1), 1] == told


def test_sockets_of_new_instances_are_looked_at() -> None:
    """
    A few ticks after its start, the sockets of a new process, and of no other, are looked at.
    """
    kernel = FakeKernel()
    watch = Watch(kernel, scope.parse("tree:7"))
    kernel.family(3, os.getpid())
    for _ in range(2 * max(LOOK_AFTER)):
        watch.instances()

    looks = [ran for ran in kernel.ran if ran[0] == "listen_queue"]

    assert [("listen_queue", "bpf_iter__task_file", os.getpid())] * len(LOOK_AFTER) == looks


def test_proc_is_believed_only_of_the_process_that_was_meant() -> None:
    """
    Where the process number belongs to another instance by now, nothing is taken from /proc.
    """
    kernel = FakeKernel()
    watch = Watch(kernel, scope.parse("tree:7"))
    kernel.family(3, os.getpid())
    kernel.map("instances").clear()
    (told,) = watch.instances()

    assert [] == told.addresses


def test_a_live_process_is_described_from_proc() -> None:
    """
    The command line, the cgroup and the addresses of this very process are found.
    """
    facts = procfs.facts_of(os.getpid())

    assert os.path.realpath("/proc/self/exe") == facts.executable
    assert len(facts.arguments) > 0
    assert facts.cgroup.startswith("/")


def test_a_process_that_is_gone_has_no_facts() -> None:
    """
    Nothing is said, and nothing raised, of a process that is not there.
    """
    assert Facts() == procfs.facts_of(1 << 22)


@pytest.mark.parametrize("text", ["cgroup:/no/such/group", "netns:no-such-namespace"])
def test_a_scope_that_is_not_there_is_refused(text: str) -> None:
    """
    A cgroup or a namespace that does not exist stops with a sentence that names it.
    """
    with pytest.raises(ConfigError, match=r"no.such"):
        procfs.resolve(scope.parse(text), [])


def test_a_tree_without_a_root_is_refused() -> None:
    """
    A process that does not exist is no scope, unless an earlier run had found its descendants.
    """
    kernel = FakeKernel()
    with pytest.raises(ConfigError, match="no such process"):
        Watch(kernel, scope.parse(f"tree:{1 << 22}")).start()

    kernel.family(3, os.getpid())
    Watch(kernel, scope.parse(f"tree:{1 << 22}")).start()

    assert ("process_lifetime", "bpf_iter__task", 0) in kernel.ran


def test_a_namespace_can_be_given_by_its_number() -> None:
    """
    The inode number of a namespace needs no name.
    """
    assert [Mark(Kind.NETNS, 4026531840), Mark(Kind.EXCLUDED, 5)] == procfs.resolve(
        scope.parse("netns:4026531840"), [5]
    )
