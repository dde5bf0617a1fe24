"""
What does a request of each protocol cost in the kernel? `python -m tests.benchmarks.bench_protocols`.

For each protocol one recorded exchange of a real server is played over loopback, request and response in turn on one
connection, by a process whose both ends are in scope. The time is the kernel's own run-time statistics over all socket
calls, two clock readings a run included, divided by the requests that were counted; so it is the cost of one request
at one end: one call that sends, one that receives. Beside it stand the instructions that the verifier walked through.
Protocols whose exchange means nothing without the connection's beginning are not played.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from services.probe_manager import bpf
from services.probe_manager.decode import decode_series
from services.probe_manager.kernel import Kernel
from services.probe_manager.programs import place
from shared.protocols import protocols
from tests.benchmarks._figures import Figure, median, spread
from tests.benchmarks._run import alone

SECTION: Final = "protocols"
DATA: Final = Path(__file__).parents[1] / "data"
PROBE: Final = "socket_l7"
ROUNDS: Final = 5
EXCHANGES: Final = 2003
INSTANCE: Final = 7
ENOUGH: Final = 0.99
"""The share of the exchanges that must be counted under their protocol."""
PLAYER: Final = """
import json, socket, sys, threading
exchange = json.load(open(sys.argv[1]))
request, response = (exchange[part].encode("latin-1") for part in ("request", "response"))
listener = socket.create_server(("127.0.0.1", 0))
sys.stdin.readline()
near = socket.create_connection(listener.getsockname())
far = listener.accept()[0]
for one in (near, far):
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def receive(one, length):
    while length:
        length -= len(one.recv(length))
def serve():
    for _ in range(int(sys.argv[2])):
        receive(far, len(request))
        far.sendall(response)
server = threading.Thread(target=serve)
server.start()
for _ in range(int(sys.argv[2])):
    near.sendall(request)
    receive(near, len(response))
server.join()
"""


class Played(msgspec.Struct, frozen=True):
    """
    What one exchange, played often, came to.
    """

    requests: int
    """Counted under the protocol, at either end."""
    time_ns: int
    """Of the probe's programs."""


def spent_ns(kernel: Kernel) -> int:
    """
    Return the run time of the probe so far.
    """
    return sum(one.run_time_ns for one in kernel.figures(PROBE))


def counted(kernel: Kernel, protocol: int) -> int:
    """
    Return the requests counted under *protocol*, and forget them.
    """
    series = kernel.map("l7_series_0")
    total = 0
    for keys, values, _ in list(series.entries()):
        total += sum(one.requests for one in decode_series(keys, values) if one.protocol == protocol)
        series.delete_many(keys)
    return total


def play(kernel: Kernel, path: Path, protocol: int, exchanges: int) -> Played:
    """
    Play the exchange in *path* and return what it came to.
    """
    with tempfile.TemporaryFile() as output:
        player = subprocess.Popen(
            [sys.executable, "-c", PLAYER, str(path), str(exchanges)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
        key = struct.pack("<I", player.pid)
        kernel.map("instances").write(key, struct.pack("<II", INSTANCE, player.pid))
        try:
            before = spent_ns(kernel)
            player.communicate(b"\n", timeout=60)
            return Played(counted(kernel, protocol), spent_ns(kernel) - before)
        except subprocess.TimeoutExpired:
            player.kill()
            player.communicate()
            return Played(counted(kernel, protocol), 0)
        finally:
            kernel.map("instances").delete(key)


def exchange_of(kernel: Kernel, name: str, number: int) -> Path | None:
    """
    Return the first recorded exchange of a protocol that is counted as such when it is played again and again.
    """
    for path in sorted((DATA / name).glob("*.json")):
        exchange = json.loads(path.read_text(encoding="utf-8"))
        if not exchange["request"] or not exchange["response"]:
            continue
        tried = 101
        if play(kernel, path, number, tried).requests >= 2 * tried * ENOUGH:
            return path
    return None


def instructions(kernel: Kernel) -> dict[int, int]:
    """
    Return the verified instructions of the programs, by their place.
    """
    found = {}
    for function, program in kernel.probes[PROBE].programs.items():
        if function.startswith("tail__sock_recv_length__"):
            found[place(function)] = bpf.program_figures(program).instructions
    return found


def measure(*, quick: bool) -> list[Figure]:
    """
    Return the cost of each protocol.
    """
    rounds, exchanges = (1, 211) if quick else (ROUNDS, EXCHANGES)
    figures = []
    statistics = bpf.enable_run_time_statistics()
    kernel = Kernel(Path(f"/sys/fs/bpf/meshlens-bench-protocols-{os.getpid()}"), {}, {})
    try:
        kernel.load(PROBE)
        walked = instructions(kernel)
        for number, protocol in sorted(protocols().items()):
            verified = f"{walked[number]:,} instructions" if number in walked else ""
            path = exchange_of(kernel, protocol.name, number)
            if path is None:
                figures.append(Figure(f"{protocol.name}: not played", verified or "no program of its own"))
                continue
            all_played = [play(kernel, path, number, exchanges) for _ in range(rounds)]
            costs = [one.time_ns / one.requests / 1000 for one in all_played if one.requests]
            told = f"{median(costs):.2f} us; {verified}" if verified else f"{median(costs):.2f} us"
            figures.append(Figure(f"{protocol.name} ({path.stem})", told, spread(costs)))
    finally:
        kernel.close(remove=True)
        os.close(statistics)
    return figures


if __name__ == "__main__":
    alone(SECTION, measure)
