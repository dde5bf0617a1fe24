"""
A laboratory for requests: real servers in scope, generators that know the truth, and the kernel side that counts.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import http.client
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.probe_manager import bpf
from services.probe_manager.decode import CAUSES, SAMPLE_CAUSES, decode_sample, decode_series
from shared.messages.kernel import L7Series, Protocol, Role
from tests.kernel.family import Rest, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.probe_manager.kernel import Kernel
    from shared.messages.kernel import Sample

PATIENCE: Final = float(os.environ.get("MESHLENS_TEST_PATIENCE", "1"))
"""A machine whose processor is emulated is given more of it."""
DEADLINE_S: Final = 20.0 * PATIENCE
PROGRAM_S: Final = 60.0 * PATIENCE
"""A program that must come to its end may take so long."""
REST_S: Final = DEADLINE_S / 10
"""What is read is read once the programs rest; for those that never do, after so long."""
PARTING_S: Final = 5.0
"""What has not ended by itself so long after it was asked to is killed."""
SCOPE_TREE: Final = 1
HELD: Final = ("instances", "families", "l7_series_0", "l7_series_1", "l7_endpoints", "l7_dns")
"""Maps that are emptied after each test."""
GATE: Final = 'read go; exec "$0" "$@"'
"""Programs wait here until they are in scope."""


def free_port() -> int:
    """
    Return a port of the loopback that nobody uses now.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    """
    The kernel side and the programs of one test.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel: Final = kernel
        self.folder: Final = Path(tempfile.mkdtemp(prefix="meshlens-l7-"))
        self.folder.chmod(0o755)
        self.programs: Final[list[subprocess.Popen[bytes]]] = []
        self._connections: Final[list[socket.socket | http.client.HTTPConnection]] = []
        self._others: Final = set[int]()
        self._rest: Final = Rest()
        self._waiting = False
        self._ring: Final = bpf.Ring(kernel.map("l7_samples"))
        self._ring.drain()
        self.grant(1000)

    def grant(self, samples: int) -> None:
        """
        Allow so many samples.
        """
        self.kernel.map("l7_sample_budget").write(bytes(4), struct.pack("<q", samples))

    def observe(self, pid: int, instance: int, *, busy: bool = False) -> None:
        """
        Put a process in scope, with what it executes and asks from now on; do not wait for its rest if it is *busy*.
        """
        if pid != os.getpid():
            self._others.add(pid)
        if not busy:
            self.settle()
        self.kernel.map("instances").write(struct.pack("<I", pid), struct.pack("<II", instance, pid))

    def ignore(self, pid: int) -> None:
        """
        Put a process out of scope.
        """
        self.settle()
        self.kernel.map("instances").delete(struct.pack("<I", pid))

    @contextlib.contextmanager
    def unseen(self) -> Iterator[None]:
        """
        Put all out of scope until the end of the block.
        """
        self.settle()
        instances = self.kernel.map("instances")
        held = {key: instances.read(key) or b"" for key in list(instances.keys())}
        for key in held:
            instances.delete(key)
        yield
        self.settle()
        for key, value in held.items():
            instances.write(key, value)

    def settle(self) -> None:
        """
        Let the programs come to rest, so that all that they did is counted; while a condition is awaited, go on.
        """
        if not self._waiting:
            self._rest.wait([*(program.pid for program in self.programs), *self._others], REST_S)

    def run(self, *command: object, user: str | None = None, observed: bool = True) -> subprocess.Popen[bytes]:
        """
        Start a program; everything that it does is in scope.
        """
        words = [str(word) for word in command]
        with (self.folder / f"{len(self.programs)}.log").open("wb") as log:
            program = subprocess.Popen(
                ["sh", "-c", GATE, *words], stdin=subprocess.PIPE, stdout=log, stderr=log, user=user, cwd=self.folder
            )
        self.programs.append(program)
        if observed:
            instance = struct.pack("<II", 1000 + len(self.programs), program.pid)
            self.kernel.map("instances").write(struct.pack("<I", program.pid), instance)
        assert program.stdin is not None
        program.stdin.write(b"\n")
        program.stdin.flush()
        return program

    def serve(self, code: str) -> int:
        """
        Start a Python server in scope that accepts on the socket `listener`; return its port.
        """
        port = free_port()
        head = (
            "import socket, os, time\n"
            "listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
            f"listener.bind(('127.0.0.1', {port})); listener.listen(64)\n"
        )
        self.run(sys.executable, "-c", head + code)
        self.until(lambda: accepts(port), f"something that listens on {port}")
        return port

    def http(self, port: int) -> http.client.HTTPConnection:
        """
        Return a connection to *port* that is closed after the test.
        """
        made = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        self._connections.append(made)
        return made

    def stream(self, port: int) -> socket.socket:
        """
        Return a socket connected to *port* that is closed after the test.
        """
        made = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.append(made)
        return made

    def heard(self, connection: socket.socket) -> None:
        """
        Return once the peer has read all that was said on *connection*.
        """
        waiting = array.array("i", [0])

        def arrived() -> bool:
            fcntl.ioctl(connection, termios.TIOCOUTQ, waiting)
            return not waiting[0]

        self.until(arrived, "the peer's word that it has all")
        self.settle()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """
        Wait until *holds*, and fail after a while.
        """
        deadline = time.monotonic() + DEADLINE_S
        self._waiting = True
        try:
            while not holds():
                assert time.monotonic() < deadline, f"waited {DEADLINE_S} s for: {what}"
                time.sleep(0.01)
        finally:
            self._waiting = False

    def series(self) -> list[L7Series]:
        """
        Return everything counted so far.
        """
        self.settle()
        found = []
        for side in (0, 1):
            for keys, values, _ in self.kernel.map(f"l7_series_{side}").entries():
                found += decode_series(keys, values)
        return found

    def served(self, port: int, protocol: Protocol) -> list[L7Series]:
        """
        Return the series of the server on *port*.
        """
        return self._of(port, protocol, Role.SERVER)

    def called(self, port: int, protocol: Protocol) -> list[L7Series]:
        """
        Return the series of the clients of *port*.
        """
        return self._of(port, protocol, Role.CLIENT)

    def _of(self, port: int, protocol: Protocol, role: Role) -> list[L7Series]:
        return [one for one in self.series() if one.port == port and one.protocol is protocol and one.role is role]

    def lost(self) -> dict[str, int]:
        """
        Return what was lost of any figure, by cause.
        """
        self.settle()
        counters, found = self.kernel.map("lost"), Counter[str]()
        for number, cause in CAUSES.items():
            counts = counters.read(struct.pack("<I", number)) or b""
            found[cause] = sum(count for (count,) in struct.iter_unpack("<Q", counts))
        return {cause: count for cause, count in found.items() if count and cause not in SAMPLE_CAUSES}

    def samples(self) -> list[Sample]:
        """
        Return the samples since the last call.
        """
        self.settle()
        return [decode_sample(record, 0) for record in self._ring.drain()]

    def close(self) -> None:
        """
        End the programs, and forget what was counted.
        """
        for connection in self._connections:
            connection.close()
        self.settle()
        with ended((program.pid for program in self.programs), PARTING_S):
            for program in self.programs:
                program.terminate()
            for program in self.programs:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.communicate(timeout=PARTING_S)
        for program in self.programs:
            program.wait()
        for held in HELD:
            for keys, _, _ in list(self.kernel.map(held).entries()):
                self.kernel.map(held).delete_many(keys)
        for side in (0, 1):
            self.kernel.map("l7_series_used").write(struct.pack("<I", side), bytes(8))
        lost = self.kernel.map("lost")
        for number in CAUSES:
            lost.write(struct.pack("<I", number), bytes(lost.value_bytes))
        self._ring.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def accepts(port: int) -> bool:
    """
    Return whether something listens on *port*, without a connection to it.
    """
    wanted = f":{port:04X} "
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1].endswith(wanted.strip()) and line.split()[3] == "0A" for line in lines)


def requests_of(series: list[L7Series]) -> int:
    """
    Return how many requests *series* hold.
    """
    return sum(one.requests for one in series)
