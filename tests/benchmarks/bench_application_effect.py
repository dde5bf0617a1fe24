"""
What does being observed do to an application? `python -m tests.benchmarks.bench_application_effect`.

nginx answering `hello world` is measured without probe-manager, with it, without, with, and so on (A B A B ... A).
An ON is compared with the mean of the OFFs before and after it; the noise is each OFF against the OFF before.
Closed loop: wrk with 16 connections and no think time, nginx at 100 % of its processor; nginx's own processor time for
a request says the same without what others took from its processor. Fixed rate: 10,000 requests/s on 16 connections;
latencies count from the moment a request was due, not from when it could be sent, so a stall is not hidden (no
coordinated omission). What the host of a virtual machine takes away falls on single seconds and then decides over a
p99; so each phase at the fixed rate is cut into runs of a second, and its p50 and p99 are the medians of those of the
runs. Only nginx is in scope; the generator is not.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Final

import msgspec

from tests.benchmarks._figures import Figure, median, pairs, spread
from tests.benchmarks._lab import Lab, bus, observation
from tests.benchmarks._run import alone

SECTION: Final = "application-effect"
PAIRS: Final = 10
RATE: Final = 10_000


class Phase(msgspec.Struct, frozen=True):
    """
    What one phase showed.
    """

    closed: float
    """Answers in a second, closed loop."""
    cpu_us: float
    """Processor time of nginx for one request, closed loop."""
    new_connections: float
    """Answers in a second, closed loop, a connection for each request."""
    p50_us: float
    p99_us: float
    """Of the runs of a second at the fixed rate, the medians."""
    rate: float


def phase(lab: Lab, seconds: int) -> Phase:
    """
    Measure once.
    """
    lab.load(seconds=0.5)
    closed = lab.wrk(seconds)
    short = lab.load(seconds=seconds / 2, options="c")
    fixed = [lab.load(rate=RATE, seconds=1) for _ in range(2 * seconds)]
    assert not short.failed + sum(run.failed for run in fixed)
    p50_us, p99_us = (median([getattr(run, name) for run in fixed]) for name in ("p50_us", "p99_us"))
    return Phase(closed.rate, closed.cpu_us, short.rate, p50_us, p99_us, min(run.rate for run in fixed))


def measure(*, quick: bool) -> list[Figure]:
    """
    Return the figures.
    """
    seconds, rounds = (2, 2) if quick else (4, PAIRS)
    offs, ons = [], []
    with Lab() as lab, bus(lab) as collector:
        offs.append(phase(lab, seconds))
        for _ in range(rounds):
            with observation(lab, collector.url):
                ons.append(phase(lab, seconds))
            offs.append(phase(lab, seconds))
    return [*throughput(offs, ons), *latency(offs, ons)]


def throughput(offs: list[Phase], ons: list[Phase]) -> list[Figure]:
    """
    Return the figures of the closed loops.
    """
    off, on = [one.closed for one in offs], [one.closed for one in ons]
    ratios, noise = pairs(off, on)
    short, short_noise = pairs([one.new_connections for one in offs], [one.new_connections for one in ons])
    cpu, cpu_noise = pairs([one.cpu_us for one in offs], [one.cpu_us for one in ons])
    off_us, on_us = median([one.cpu_us for one in offs]), median([one.cpu_us for one in ons])
    return [
        Figure("closed loop: throughput ON / OFF, median of the pairs",
               f"{median(ratios):.3f} (pairs {spread(ratios)})", f"OFF / OFF {spread(noise)}",
               "at least 0.87, aim 0.93", median(ratios) >= 0.87),
        Figure("closed loop: requests/s, OFF and ON, medians", f"{median(off):,.0f} and {median(on):,.0f}"),
        Figure("closed loop: nginx's own processor time for a request, OFF / ON, median of the pairs",
               f"{1 / median(cpu):.3f} ({off_us:.2f} us OFF, {on_us:.2f} us ON)", f"OFF / OFF {spread(cpu_noise)}"),
        Figure("a connection for each request, closed loop: throughput ON / OFF",
               f"{median(short):.3f} (pairs {spread(short)})", f"OFF / OFF {spread(short_noise)}"),
    ]  # fmt: skip


def latency(offs: list[Phase], ons: list[Phase]) -> list[Figure]:
    """
    Return the figures at the fixed rate.
    """
    figures = []
    for name in ("p50_us", "p99_us"):
        off, on = [getattr(one, name) for one in offs], [getattr(one, name) for one in ons]
        ratios, noise = pairs(off, on)
        more_us = median(
            [after - (one + two) / 2 for after, (one, two) in zip(on, itertools.pairwise(off), strict=True)]
        )
        is_p99 = name == "p99_us"
        figures.append(
            Figure(f"{RATE:,} requests/s: {name[:3]}, ON more than OFF, median of the pairs",
                   f"{more_us:+.0f} us, ratio {median(ratios):.3f} (OFF {median(off):.0f} us, ON {median(on):.0f} us)",
                   f"OFF / OFF {spread(noise)}", "within 5 % or 100 us" if is_p99 else "",
                   (more_us <= 100 or median(ratios) <= 1.05) if is_p99 else None)
        )  # fmt: skip
    held = min(one.rate for one in [*offs, *ons]) / RATE
    figures.append(
        Figure("fixed rate that was held in the worst run", f"{held:.1%}", "", "at least 99 %", held >= 0.99)
    )
    return figures


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        alone(SECTION, measure)
