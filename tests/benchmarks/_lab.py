"""
What the benchmarks work with: an observed nginx, a load with an exact count, a NATS, and a probe-manager.

nginx (one worker) has one processor for itself and the generator another one; NATS, probe-manager and the benchmark run
where the kernel puts them, as they would on a user's machine. Only nginx is in scope.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from deploy.local import ports
from deploy.local.nats import NatsServer
from tests.benchmarks._collector import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

REPOSITORY: Final = Path(__file__).parents[2]
CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORE: Final = CORES[0]
LOAD_CORE: Final = CORES[-1]
CONNECTIONS: Final = 16
START_S: Final = 180.0
RESTS_S: Final = 0.05
"""Processor time within a second, above which probe-manager still starts."""
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
NGINX: Final = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "hello world\\n"; }}
    }}
}}
"""


class Run(msgspec.Struct, frozen=True):
    """
    What the generator says of one run; latencies count from the moment a request was due.
    """

    requests: int
    failed: int
    refused: int
    seconds: float
    p50_us: int
    p90_us: int
    p99_us: int
    p999_us: int
    sent_late_p99_us: int

    @property
    def rate(self) -> float:
        """
        Return the answers in a second.
        """
        return self.requests / self.seconds


class Closed(msgspec.Struct, frozen=True):
    """
    What a closed loop of wrk showed.
    """

    rate: float
    """Answers in a second."""
    cpu_us: float
    """Processor time of nginx for one request: what others take from its processor is not in it."""


class Lab:
    """
    A folder, an nginx, and the generator.
    """

    def __init__(self) -> None:
        self.folder: Final = Path(tempfile.mkdtemp(prefix="meshlens-bench-"))
        self.folder.chmod(0o755)
        self.port: Final = ports.free_port()
        self._generator: Final = self.folder / "load"
        subprocess.run(["gcc", "-O2", "-o", self._generator, Path(__file__).with_name("load.c")], check=True)
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, port=self.port), encoding="ascii")
        command = ["nginx", "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)]
        self.nginx: Final = subprocess.Popen(pinned(command, SERVER_CORE))
        until(lambda: ports.answers(self.port), "nginx answers")

    def __enter__(self) -> Lab:
        """
        Return itself.
        """
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """
        End nginx and remove the folder.
        """
        end(self.nginx)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def scope(self) -> str:
        """
        Return the scope that holds nginx and nothing else.
        """
        return f"tree:{self.nginx.pid}"

    def load(
        self, rate: float = 0, requests: int = 0, seconds: float = 0, options: str = "-", connections: int = CONNECTIONS
    ) -> Run:
        """
        Put load on nginx, and return what the generator says.
        """
        words = [self._generator, self.port, connections, rate, requests, seconds, options]
        command = pinned([str(word) for word in words], LOAD_CORE)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=600)
        return msgspec.json.decode(done.stdout, type=Run)

    def wrk(self, seconds: int) -> Closed:
        """
        Let wrk load nginx in a closed loop.
        """
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{self.port}/hello"]
        spent = self.server_cpu_ns()
        said = subprocess.run(
            pinned(command, LOAD_CORE), check=True, capture_output=True, text=True, timeout=600
        ).stdout
        spent = self.server_cpu_ns() - spent
        requests, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s*([\d.]+)", said)
        assert requests is not None, said
        assert rate is not None, said
        assert "Non-2xx" not in said, said
        return Closed(float(rate[1]), spent / int(requests[1]) / 1000)

    def server_cpu_ns(self) -> int:
        """
        Return the processor time that nginx's worker has used, to the nanosecond.
        """
        master = self.nginx.pid
        workers = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) for pid in workers)


class ProbeManager:
    """
    One probe-manager of its own node, started anew, and what a start costs is over: all protocols are in, and it rests.
    """

    _numbers: Final = itertools.count(1)

    def __init__(self, lab: Lab, nats_url: str, settings: dict[str, str]) -> None:
        self.node: Final = f"bench-{os.getpid()}-{next(self._numbers)}"
        self.log: Final = lab.folder / f"{self.node}.log"
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("MESHLENS_", "PROBE_MANAGER_"))
        }
        ours |= {"MESHLENS_NODE": self.node, "MESHLENS_NATS_URL": nats_url, "PROBE_MANAGER_SCOPE": lab.scope}
        command = [sys.executable, "-m", "services.probe_manager"]
        with self.log.open("wb") as output:
            self.process: Final = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=REPOSITORY, env=ours | settings
            )
        self.started_at: Final = time.monotonic()
        until(lambda: self._said("ready"), f"probe-manager is ready, see {self.log}", START_S)
        self.start_s: Final = time.monotonic() - self.started_at
        until(lambda: self._said("protocols_ready"), f"all protocols are in, see {self.log}", START_S)
        self.complete_s: Final = time.monotonic() - self.started_at
        until(self._rests, f"probe-manager rests, see {self.log}", START_S)

    def cpu_s(self) -> float:
        """
        Return the processor time it has used, without the compilers that it started.
        """
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def resident_bytes(self) -> int:
        """
        Return its resident memory.
        """
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s*(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024

    def stop(self) -> None:
        """
        End it; a clean end leaves nothing in the kernel.
        """
        end(self.process)
        forget(self.node)

    def _rests(self) -> bool:
        before = self.cpu_s()
        time.sleep(1)
        return self.cpu_s() - before < RESTS_S

    def _said(self, event: str) -> bool:
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                if json.loads(line).get("event") == event:
                    return True
        return False


@contextlib.contextmanager
def observation(lab: Lab, nats_url: str, **settings: str) -> Iterator[ProbeManager]:
    """
    Observe nginx for as long as the context lasts; *settings* are those of probe-manager.
    """
    observer = ProbeManager(lab, nats_url, {f"PROBE_MANAGER_{name.upper()}": value for name, value in settings.items()})
    try:
        yield observer
    finally:
        observer.stop()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """
    A folder that unprivileged servers may enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def bus(lab: Lab) -> Iterator[Collector]:
    """
    A NATS server, and who takes what probe-managers store in it.
    """
    server = NatsServer(lab.folder / "nats", ports.free_port())
    server.start()
    try:
        with Collector(server.url) as collector:
            yield collector
    finally:
        server.stop()


def forget(node: str) -> None:
    """
    Remove the lock of a node that is not used again, and see that nothing of it stayed in the kernel.
    """
    Path(f"/run/meshlens-{node}.lock").unlink(missing_ok=True)
    assert not Path(f"/sys/fs/bpf/meshlens/{node}").exists(), f"something of {node} stayed in the kernel"


def pinned(command: list[str], core: int) -> list[str]:
    """
    Return *command* to be run on one processor.
    """
    return ["taskset", "-c", str(core), *command]


def until(holds: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """
    Wait until *holds*, and fail after *timeout_s*.
    """
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], grace_s: float = 20) -> None:
    """
    Ask a process that we started to end, and insist after a while.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
