"""
Who is in scope: by tree, cgroup, namespace, executable and port, from the first instant to the last.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.probe_manager.processes import decode_family
from services.probe_manager.procfs import cgroup_root
from shared.messages.kernel import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.messages.kernel import Instance
    from tests.kernel.l4.conftest import Lab

pytestmark = pytest.mark.kernel

SHELL = """
import os, subprocess, sys, threading
print("ready")
kept = []
for line in sys.stdin:
    exec(line)
    print("done")
"""
CHILDREN = 97


def by_executable(lab: Lab, name: str) -> list[Instance]:
    """
    Return the instances whose executable has this file name.
    """
    return [instance for instance in lab.instances.values() if instance.executable.rsplit("/", 1)[-1] == name]


def alive(lab: Lab, instance: int) -> int:
    """
    Return how many processes *instance* has.
    """
    record = lab.kernel.map("families").read(instance.to_bytes(4, "little"))
    return decode_family(instance, record).processes if record else 0


def test_short_lived_children_are_all_named(lab: Lab) -> None:
    """
    Each of 97 programs that live a millisecond is an instance with its path, its parent and its end.
    """
    root = lab.program(SHELL)
    root.hear()
    lab.watch(f"tree:{root.process.pid}")
    root.ask(f"for _ in range({CHILDREN}): subprocess.run(['/bin/true', 'secret'])")
    lab.until(lambda: len(by_executable(lab, "true")) == CHILDREN, "97 instances")
    children = by_executable(lab, "true")

    assert {lab.of(root)} == {child.parent for child in children}
    assert len({child.pid for child in children}) == CHILDREN
    assert all(0 < child.started_ns < child.ended_ns for child in children)
    assert [child for child in children if child.arguments] == []
    assert lab.entries("instances") == 1
    assert lab.lost() == []


def test_threads_and_workers_are_no_instances(lab: Lab) -> None:
    """
    A program with 13 threads and 5 forked workers is one instance of 6 processes, which ends with the last of them.
    """
    root = lab.program(SHELL)
    root.hear()
    lab.watch(f"tree:{root.process.pid}")
    root.ask("gate = threading.Event(); kept += [threading.Thread(target=gate.wait, daemon=True) for _ in range(13)]")
    root.ask("for thread in kept: thread.start()")
    root.ask("r, w = os.pipe()")
    root.ask("workers = [os.fork() or (os.close(w), os.read(r, 1), os._exit(0)) for _ in range(5)]")
    instance = lab.of(root)

    assert (len(lab.instances), alive(lab, instance)) == (1, 6)

    root.ask("os.close(w); [os.waitpid(worker, 0) for worker in workers]")

    assert (len(lab.instances), alive(lab, instance)) == (1, 1)

    root.finish()
    lab.until(lambda: lab.instances[instance].ended_ns > 0, "the end of the instance")

    assert lab.entries("instances") == 0


def test_workers_from_before_belong_to_their_master(lab: Lab) -> None:
    """
    A master with workers that ran before the watch is one instance; a program that it had executed is another.
    """
    root = lab.program(SHELL)
    root.hear()
    root.ask("r, w = os.pipe()")
    root.ask("workers = [os.fork() or (os.close(w), os.read(r, 1), os._exit(0)) for _ in range(3)]")
    root.ask("kept.append(subprocess.Popen(['sleep', '60']))")
    lab.watch(f"tree:{root.process.pid}")
    lab.until(lambda: len(lab.instances) == 2, "two instances")
    (sleeper,) = by_executable(lab, "sleep")

    assert (alive(lab, lab.of(root)), alive(lab, sleeper.id)) == (4, 1)
    assert lab.of(root) == sleeper.parent

    root.ask("kept[0].kill(); kept[0].wait()")
    lab.until(lambda: lab.instances[sleeper.id].ended_ns > 0, "the end of the sleeper")


def test_outside_the_tree_nobody_is_seen(lab: Lab) -> None:
    """
    A process beside the tree, and what it starts, is not looked at.
    """
    root, stranger = lab.program(SHELL), lab.program(SHELL)
    root.hear()
    stranger.hear()
    lab.watch(f"tree:{root.process.pid}")
    stranger.ask("for _ in range(5): subprocess.run(['/bin/true'])")
    root.ask("subprocess.run(['/bin/true'])")
    lab.until(lambda: len(by_executable(lab, "true")) == 1, "one instance")

    assert {lab.of(root), lab.of(root) + 1} == set(lab.instances)


def test_an_interpreter_is_named_by_its_script(lab: Lab, tmp_path: Path) -> None:
    """
    The script's path leaves the kernel side, its arguments do not.
    """
    script = tmp_path / "billing.py"
    script.write_text("import sys; sys.stdin.read()")
    root = lab.program(SHELL)
    root.hear()
    lab.watch(f"tree:{root.process.pid}")
    root.ask(f"kept.append(subprocess.Popen([sys.executable, {str(script)!r}, '--password', 'hunter2'], stdin=-1))")
    lab.until(lambda: len(lab.instances) == 2, "two instances")
    (billing,) = [instance for instance in lab.instances.values() if instance.id != lab.of(root)]

    assert [str(script)] == billing.arguments
    assert os.path.realpath("/proc/self/exe") == billing.executable


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """
    A new cgroup with a child.
    """
    root = cgroup_root()
    assert root is not None
    made = root / f"meshlens-test-{os.getpid()}"
    child = made / "inner"
    child.mkdir(parents=True)
    yield made
    for path in (child, made):
        for pid in (path / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(pid)
        path.rmdir()


def test_a_cgroup_holds_whom_it_is_given(lab: Lab, cgroup: Path) -> None:
    """
    Processes are in scope while they are in the cgroup or below it: moved in, started in, moved out.
    """
    early, mover = lab.program(SHELL), lab.program(SHELL)
    early.hear()
    mover.hear()
    (cgroup / "cgroup.procs").write_text(str(early.process.pid))
    lab.watch(f"cgroup:/{cgroup.name}")

    assert f"/{cgroup.name}" == lab.instances[lab.of(early)].cgroup
    assert len(lab.instances) == 1

    (cgroup / "inner/cgroup.procs").write_text(str(mover.process.pid))
    moved = lab.of(mover)
    mover.ask("for _ in range(7): subprocess.run(['/bin/true'])")
    lab.until(lambda: len(by_executable(lab, "true")) == 7, "seven children")

    assert {moved} == {child.parent for child in by_executable(lab, "true")}
    assert {f"/{cgroup.name}/inner"} == {child.cgroup for child in by_executable(lab, "true")}

    (cgroup.parent / "cgroup.procs").write_text(str(mover.process.pid))
    lab.until(lambda: lab.instances[moved].ended_ns > 0, "the mover has left")
    mover.ask("subprocess.run(['/bin/true'])")
    lab.tick()

    assert len(by_executable(lab, "true")) == 7


def test_an_executable_is_chosen_by_its_path(lab: Lab) -> None:
    """
    Programs whose path fits a pattern are in scope, whoever starts them; what they execute is not.
    """
    expected = {"shop-cart", "shop-cart-old", "shop-env", "the-bank"}

    def names() -> set[str]:
        return {instance.executable.rsplit("/", 1)[-1] for instance in lab.instances.values()}

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for name in ("shop-cart", "shop-cart-old", "other", "the-bank"):
            shutil.copy("/bin/sleep", f"{folder}/{name}")
        shutil.copy("/usr/bin/env", f"{folder}/shop-env")
        before = subprocess.Popen([f"{folder}/shop-cart", "60"])
        try:
            lab.watch(f"exe:{folder}/shop*,exe:*/the-bank,exe:{folder}/nev*r")
            for command in (["shop-cart-old", "0.01"], ["other", "0.01"], ["the-bank", "0.01"]):
                subprocess.run([f"{folder}/{command[0]}", *command[1:]], check=True)
            subprocess.run([f"{folder}/shop-env", "/bin/true"], check=True)
            lab.until(lambda: names() == expected, "four programs")
        finally:
            before.kill()
            before.wait()
    lab.until(lambda: all(instance.ended_ns for instance in lab.instances.values()), "all have ended")

    assert expected == names()


def test_a_port_brings_its_server_into_scope(lab: Lab) -> None:
    """
    Who listens on the port is in scope: a server from before, and one that starts to listen later.
    """
    listen = "s = __import__('socket').create_server(('127.0.0.1', {port}), reuse_port={reuse})"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    first, second = lab.program(SHELL), lab.program(SHELL)
    first.hear()
    second.hear()
    first.ask(listen.format(port=port, reuse=True))
    lab.watch(f"port:{port}")

    assert [lab.of(first)] == list(lab.instances)
    assert [(port, "tcp")] == [(it.port, it.transport) for it in lab.instances[lab.of(first)].listeners]

    second.ask(listen.format(port=port, reuse=True))
    lab.of(second)
    second.ask("subprocess.run(['/bin/true'])")
    lab.tick()

    assert {first.process.pid, second.process.pid} == {instance.pid for instance in lab.instances.values()}


def test_bound_datagram_sockets_are_listeners(lab: Lab) -> None:
    """
    A UDP server's socket is found; the sockets of UDP clients are none.
    """
    root = lab.program(SHELL)
    root.hear()
    lab.watch(f"tree:{root.process.pid}")
    root.ask("import socket; kept += [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]")
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root.ask(f"kept[0].bind(('127.0.0.1', {port})); kept[2].sendto(b'x', ('127.0.0.1', 9))")
    lab.kernel.iterate("listen_queue", "bpf_iter__task_file")
    lab.tick()
    found = lab.instances[lab.of(root)].listeners

    assert [Listener("127.0.0.1", port, "udp")] == found
