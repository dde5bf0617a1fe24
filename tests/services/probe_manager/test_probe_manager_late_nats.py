"""
A real probe-manager counts from its start on, whenever NATS comes.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.local import ports
from deploy.local.nats import NatsServer
from services.probe_manager.__main__ import remove_pins
from services.probe_manager.assembly import ALWAYS, framed_protocols
from services.probe_manager.config import ProbeManager
from shared import subjects
from shared.messages.kernel import Protocol, Role
from shared.runtime import bus as bus_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.kernel, pytest.mark.mesh]
ROOT = Path(__file__).parents[3]
REQUESTS = 137
START_S = 180.0
"""Compilers have their time, on a machine that is busy."""
TALK = f"""
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        peer, _ = listener.accept()
        while peer.recv(4096):
            peer.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")
threading.Thread(target=serve, daemon=True).start()
for line in sys.stdin:
    with socket.create_connection(listener.getsockname()) as client:
        for number in range({REQUESTS}):
            client.sendall(b"GET /orders/%d HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n" % number)
            client.recv(4096)
    print("done", flush=True)
"""


@pytest.fixture
def talker() -> Iterator[subprocess.Popen[str]]:
    """
    A program that asks itself over HTTP, once for each line it reads.
    """
    process = subprocess.Popen([sys.executable, "-c", TALK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def talk(talker: subprocess.Popen[str]) -> None:
    """
    Let it ask, and wait until it has.
    """
    assert talker.stdin is not None
    assert talker.stdout is not None
    talker.stdin.write("go\n")
    talker.stdin.flush()
    assert talker.stdout.readline() == "done\n"


@pytest.fixture
def observer(talker: subprocess.Popen[str], late_nats: NatsServer, tmp_path: Path) -> Iterator[Observer]:
    """
    A probe-manager that observes the program, on a node of its own; NATS is not there yet.
    """
    found = Observer(talker.pid, late_nats.url, tmp_path / "probe-manager.log")
    yield found
    assert (0, False) == found.stop()


@pytest.fixture
def late_nats(server_directory: Path) -> Iterator[NatsServer]:
    """
    A NATS server that is not started.
    """
    server = NatsServer(Path(tempfile.mkdtemp(prefix="nats-", dir=server_directory)), ports.free_port())
    yield server
    server.stop()


class Observer:
    """
    A running probe-manager.
    """

    def __init__(self, pid: int, nats_url: str, log: Path) -> None:
        self.node = f"late-{os.getpid()}"
        self.log = log
        self.port = ports.free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "MESHLENS_NODE": self.node,
            "MESHLENS_NATS_URL": nats_url,
            "MESHLENS_HTTP_PORT": str(self.port),
            "PROBE_MANAGER_SCOPE": f"tree:{pid}",
            "PROBE_MANAGER_TICK_S": "0.5",
            "PROBE_MANAGER_PROTOCOLS_OFF": ",".join(
                framed.name for framed in framed_protocols() if framed.name not in ALWAYS
            ),
            "PROBE_MANAGER_PROBES_OFF": "packet_drop,listen_queue,tcp_resets,tls_l7",
        }
        command = [sys.executable, "-m", "services.probe_manager"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)

    def until(self, holds: Callable[[int, str], bool]) -> str:
        """
        Return what it waits for, as soon as that and the status of `/readyz` are so.
        """
        deadline = time.monotonic() + START_S
        while True:
            status, waits = self._readiness()
            if holds(status, waits):
                return waits
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, (status, waits)
            time.sleep(0.1)

    def _readiness(self) -> tuple[int, str]:
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            asked.request("GET", "/readyz")
            answer = asked.getresponse()
            return answer.status, json.loads(answer.read())["waiting_for"]
        except OSError:
            return 0, ""
        finally:
            asked.close()

    def stop(self) -> tuple[int, bool]:
        """
        End it, and return its status, and whether it has left anything in the kernel.
        """
        pins = Path(ProbeManager().pins) / self.node
        self.process.terminate()
        try:
            return self.process.wait(START_S), pins.exists()  # a compiler that runs is waited for
        finally:
            self.process.kill()
            self.process.wait()
            remove_pins(pins)


async def counted(url: str, until: int) -> tuple[dict[Role, int], int]:
    """
    Return the HTTP requests that were published, by role, once there are as many as expected, and the first instant.
    """
    bus = await bus_module.connect(url, name="test")
    found = {Role.CLIENT: 0, Role.SERVER: 0}
    first_ns = time.time_ns()
    async with asyncio.timeout(60):
        async for delivery in bus.consume(subjects.KERNEL_BATCH, "topology-builder"):
            first_ns = min(first_ns, delivery.message.start_ns)
            for series in delivery.message.l7:
                if series.protocol == Protocol.HTTP1:
                    found[series.role] += series.requests
            await delivery.done()
            if sum(found.values()) >= until:
                break
    await bus.close()
    return found, first_ns


def test_what_happens_before_nats_comes_is_counted(
    talker: subprocess.Popen[str], observer: Observer, late_nats: NatsServer
) -> None:
    """
    Requests from before and after NATS was reached for the first time are published once each, to the unit.
    """
    waits = observer.until(lambda status, waits: status == 503 and "NATS with JetStream" in waits)
    talk(talker)
    observer.until(lambda _, waits: "NATS to store what the kernel counted" in waits)
    talk(talker)
    before_ns = time.time_ns()
    late_nats.start()
    talk(talker)
    found, first_ns = asyncio.run(counted(late_nats.url, 6 * REQUESTS))
    observer.until(lambda status, _: status == 200)
    told = [json.loads(line).get("what", "") for line in observer.log.read_text().splitlines() if line[0] == "{"]

    assert late_nats.url in waits
    assert {Role.CLIENT: 3 * REQUESTS, Role.SERVER: 3 * REQUESTS} == found
    assert first_ns < before_ns
    assert 1 == sum("with JetStream" in what for what in told)
