"""
A laboratory for what happens on TCP: network namespaces, programs in them, and the kernel side that watches them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager import l4, scope
from services.probe_manager.kernel import Kernel
from services.probe_manager.procfs import Watch
from tests.compiled import SharedKernel
from tests.kernel.family import ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.messages.kernel import Instance, L4Series

PROBES: Final = ("process_lifetime", "listen_queue", "tcp_connections", "tcp_resets", "packet_drop")
HELD: Final = (
    "instances", "families", "listeners", "listening", "tcp_connections", "tcp_tuples", "ends",
    "scope_marks", "observed_netns", "l4_series_0", "l4_notes_0",
)  # fmt: skip
"""Maps that are emptied after each test."""
DEADLINE_S: Final = 20.0 * float(os.environ.get("MESHLENS_TEST_PATIENCE", "1"))


class Program:
    """
    A small Python program that talks to the test over its standard input and output, a line at a time.
    """

    def __init__(self, code: str, arguments: tuple[object, ...], netns: str) -> None:
        enter = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        command = [*enter, sys.executable, "-u", "-c", code, *(str(word) for word in arguments)]
        self.process: Final = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def hear(self) -> str:
        """
        Return the next line it prints.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, error = self.process.communicate(timeout=DEADLINE_S)
            raise AssertionError(f"the program ended: {error}")
        return line.strip()

    def tell(self, line: str = "") -> None:
        """
        Send it a line.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line: str = "") -> str:
        """
        Send it a line, and return the next line it prints.
        """
        self.tell(line)
        return self.hear()

    def finish(self) -> None:
        """
        Close its input and wait for its end.
        """
        self.process.communicate(timeout=DEADLINE_S)


class Lab:
    """
    The kernel side, namespaces and programs of one test.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel: Final = kernel
        self.reasons: Final = l4.reason_words(self.kernel.enumerators("skb_drop_reason"))
        self.instances: Final[dict[int, Instance]] = {}
        self._watch: Watch | None = None
        self._programs: Final[list[Program]] = []
        self._namespaces: Final[list[str]] = []

    probes: Final = PROBES

    @staticmethod
    def on(kernel: Kernel) -> Lab:
        """
        Return a laboratory on another kernel side, which is the caller's to close.
        """
        return Lab(kernel)

    @staticmethod
    def run(*command: str) -> str:
        """
        Run *command* and return what it printed.
        """
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE_S).stdout

    def namespace(self, name: str) -> str:
        """
        Return a new network namespace with its loopback up.
        """
        full = f"l4{os.getpid()}{name}"
        self.run("ip", "netns", "add", full)
        self._namespaces.append(full)
        self.run("ip", "-n", full, "link", "set", "lo", "up")
        return full

    def wire(self, one: str, two: str, subnet: str) -> None:
        """
        Join two namespaces by a veth pair: `<subnet>.1` on `to<two>` and `<subnet>.2` on `to<one>`.
        """
        first, second = f"to{two[-1]}", f"to{one[-1]}"
        self.run("ip", "-n", one, "link", "add", first, "type", "veth", "peer", "name", second, "netns", two)
        for netns, interface, last in ((one, first, 1), (two, second, 2)):
            self.run("ip", "-n", netns, "addr", "add", f"{subnet}.{last}/24", "dev", interface)
            quiet = f"echo 1 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6"  # no multicast reports
            self.run("nsenter", f"--net=/run/netns/{netns}", "sh", "-c", quiet)
            self.run("ip", "-n", netns, "link", "set", interface, "up")

    def watch(self, rules: str) -> None:
        """
        Set the scope, as the setting would.
        """
        self._watch = Watch(self.kernel, scope.parse(rules))
        self._watch.start()

    def program(self, code: str, *arguments: object, netns: str = "") -> Program:
        """
        Start a program.
        """
        started = Program(code, arguments, netns)
        self._programs.append(started)
        return started

    def tick(self) -> None:
        """
        Do what probe-manager does on its tick.
        """
        assert self._watch is not None
        self._watch.count()
        for instance in self._watch.instances():
            self.instances[instance.id] = instance
        self._watch.published()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """
        Tick until *holds*, and fail after a while.
        """
        deadline = time.monotonic() + DEADLINE_S
        while True:
            self.tick()
            if holds():
                return
            assert time.monotonic() < deadline, f"waited {DEADLINE_S} s for: {what}"
            time.sleep(0.02)

    def series(self) -> list[L4Series]:
        """
        Return everything counted so far.
        """
        self.tick()
        return l4.decode_series(self._all("l4_series_0"), self._all("l4_notes_0"), self.reasons)

    def drops_outside(self) -> dict[str, int]:
        """
        Return the packets of no observed connection that were dropped.
        """
        return l4.decode_outside(self._all("l4_notes_0"), self.reasons)

    def of(self, program: Program) -> int:
        """
        Return the instance of *program*.
        """
        pid = program.process.pid
        self.until(lambda: any(instance.pid == pid for instance in self.instances.values()), "the instance")
        return max(instance.id for instance in self.instances.values() if instance.pid == pid)

    def lost(self) -> list[int]:
        """
        Return the causes for which something was lost.
        """
        lost = self.kernel.map("lost")
        return [cause for cause in range(64) if any(lost.read(cause.to_bytes(4, "little")) or b"")]

    def entries(self, name: str) -> int:
        """
        Return how many entries the map *name* has.
        """
        return sum(number for _, _, number in self.kernel.map(name).entries())

    def close(self) -> None:
        """
        End the programs, and remove what was made.
        """
        with ended([program.process.pid for program in self._programs], DEADLINE_S):
            pass  # all at once, with whatever they have started
        for program in self._programs:
            program.process.communicate()
        for name in self._namespaces:
            self.run("ip", "netns", "del", name)
        self.kernel.map("scope_kinds").write(bytes(4), bytes(4))
        for held in HELD:
            entries = self.kernel.map(held)
            for key in list(entries.keys()):
                entries.delete(key)
        lost = self.kernel.map("lost")
        for cause in range(64):
            lost.write(cause.to_bytes(4, "little"), bytes(lost.value_bytes))

    def _all(self, name: str) -> tuple[bytes, bytes]:
        batches = [(keys, values) for keys, values, _ in self.kernel.map(name).entries()]
        return b"".join(keys for keys, _ in batches), b"".join(values for _, values in batches)


@pytest.fixture(scope="session")
def loaded() -> Iterator[Kernel]:
    """
    The probes, compiled and attached once for all tests here.
    """
    kernel = SharedKernel(Path(f"/sys/fs/bpf/meshlens-test-l4-{os.getpid()}"))
    try:
        for probe in PROBES:
            kernel.load(probe)
        yield kernel
    finally:
        kernel.close(remove=True)


@pytest.fixture
def lab(loaded: Kernel) -> Iterator[Lab]:
    """
    A laboratory of one test.
    """
    made = Lab(loaded)
    try:
        yield made
    finally:
        made.close()
