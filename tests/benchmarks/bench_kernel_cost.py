"""
What do the programs of socket_l7 cost, call by call? `python -m tests.benchmarks.bench_kernel_cost`.

nginx answers `hello world` to wrk, 16 connections, no think time. The time is the kernel's own run-time statistics,
which include two clock readings a run. Two situations are measured in turn, several times: nobody in scope, and nginx
in scope. wrk is never in scope, so its calls cost what calls out of scope cost, and are taken off.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from services.probe_manager import bpf
from services.probe_manager.kernel import Kernel
from services.probe_manager.loaded import FALLBACK, PREFERRED
from tests.benchmarks._figures import Figure, median, spread
from tests.benchmarks._lab import Lab
from tests.benchmarks._run import alone

SECTION: Final = "kernel-cost"
ROUNDS: Final = 5
PROBE: Final = "socket_l7"


def children(pid: int) -> list[int]:
    """
    Return the children of *pid*.
    """
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(word) for word in words]


def set_scope(kernel: Kernel, lab: Lab, *, inside: bool) -> None:
    """
    Put nginx in scope or out of it.
    """
    for pid in (lab.nginx.pid, *children(lab.nginx.pid)):
        key = struct.pack("<I", pid)
        if inside:
            kernel.map("instances").write(key, struct.pack("<II", 1, lab.nginx.pid))
        else:
            kernel.map("instances").delete(key)


def spent(kernel: Kernel) -> tuple[int, int]:
    """
    Return the runs and the nanoseconds of the probe so far.
    """
    figures = kernel.figures(PROBE)
    return sum(one.runs for one in figures), sum(one.run_time_ns for one in figures)


def counted(kernel: Kernel) -> int:
    """
    Return the requests counted so far.
    """
    total = 0
    for _, values, number in kernel.map("l7_series_0").entries():
        total += sum(struct.unpack_from("<Q", values, index * 832)[0] for index in range(number))
    return total


def call_ns(kernel: Kernel, lab: Lab, seconds: int) -> tuple[float, float]:
    """
    Return the time of a call out of scope, and of a request in scope, in nanoseconds.
    """
    set_scope(kernel, lab, inside=False)
    runs, time_ns = spent(kernel)
    lab.wrk(seconds)
    outside = (spent(kernel)[1] - time_ns) / (spent(kernel)[0] - runs)
    set_scope(kernel, lab, inside=True)
    (runs, time_ns), requests = spent(kernel), counted(kernel)
    lab.wrk(seconds)
    requests = counted(kernel) - requests
    now = spent(kernel)
    others = now[0] - runs - 2 * requests
    return outside, (now[1] - time_ns - others * outside) / requests


def measure(*, quick: bool) -> list[Figure]:
    """
    Return the figures.
    """
    seconds, rounds = (1, 2) if quick else (3, ROUNDS)
    figures = []
    statistics = bpf.enable_run_time_statistics()
    try:
        for variant in (PREFERRED, FALLBACK):
            kernel = Kernel(Path(f"/sys/fs/bpf/meshlens-bench-{os.getpid()}-{variant}"), {}, {})
            try:
                kernel.load(PROBE, fallback=variant == FALLBACK)
                with Lab() as lab:
                    found = [call_ns(kernel, lab, seconds) for _ in range(rounds)]
            finally:
                kernel.close(remove=True)
            figures += described(variant, [one for one, _ in found], [one for _, one in found])
    finally:
        os.close(statistics)
    return figures


def described(variant: str, outside: list[float], inside: list[float]) -> list[Figure]:
    """
    Return the figures of one set of hooks.
    """
    us = median(inside) / 1000
    target = variant == PREFERRED
    return [
        Figure(f"{variant} hooks: a socket call out of scope", f"{median(outside):.0f} ns", spread(outside)),
        Figure(
            f"{variant} hooks: a request in scope, both calls",
            f"{us:.2f} us",
            spread([one / 1000 for one in inside]),
            "at most 1.1 us, aim 0.8 us" if target else "",
            us <= 1.1 if target else None,
        ),
    ]


if __name__ == "__main__":
    alone(SECTION, measure)
