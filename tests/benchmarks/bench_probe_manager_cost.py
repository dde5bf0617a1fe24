"""
What does probe-manager cost, and does it count every request? `python -m tests.benchmarks.bench_probe_manager_cost`.

One probe-manager observes nginx while the generator holds one rate after the other, up and down again, so that each
rate is measured at two moments; the difference of the two is the noise. Its processor time is the kernel's account of
its process. At the end of each run what was seen and what was stated as lost must add up to what the generator counts,
to the unit. The time of the BPF programs is the kernel's own run-time statistics over everything that runs on the
machine; they cost time themselves (two clock readings a run), so that this is measured apart.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec

from tests.benchmarks._figures import Figure, median, spread
from tests.benchmarks._lab import Lab, bus, observation
from tests.benchmarks._run import alone

if TYPE_CHECKING:
    from shared.messages.control import ProbeState
    from tests.benchmarks._collector import Collector, Sums
    from tests.benchmarks._lab import ProbeManager, Run

SECTION: Final = "probe-manager-cost"
RATES: Final = (0, 1_000, 5_000, 10_000, 20_000)
SHORT_RATES: Final = (5_000, 10_000)
"""With a connection for each request."""
MOST: Final = -1
"""As fast as nginx answers."""
MB: Final = 1e6


class Step(msgspec.Struct, frozen=True):
    """
    One run at one rate.
    """

    wanted: int
    options: str
    rate: float
    requests: int
    cpu_share: float
    resident_bytes: int
    seen: int
    lost: int
    """Requests stated as lost."""

    @property
    def exact(self) -> bool:
        """
        Return whether nothing is missing and nothing is double.
        """
        return self.seen + self.lost == self.requests


class Meter:
    """
    Measures steps one after the other.
    """

    def __init__(self, lab: Lab, collector: Collector, observer: ProbeManager) -> None:
        self._lab: Final = lab
        self._collector: Final = collector
        self._observer: Final = observer
        self._seen = 0
        self._lost = 0
        self.steps: Final[list[Step]] = []

    def step(self, wanted: int, seconds: float, options: str = "-") -> Step:
        """
        Hold one rate for so many seconds, or be idle.
        """
        spent, began = self._observer.cpu_s(), time.monotonic()
        run: Run | None = None
        if wanted:
            run = self._lab.load(rate=max(wanted, 0), seconds=seconds, options=options)
            assert not run.failed
        else:
            time.sleep(seconds)
        share = (self._observer.cpu_s() - spent) / (time.monotonic() - began)
        sums = self._collector.settled(self._observer.node)
        done = Step(
            wanted=wanted,
            options=options,
            rate=run.rate if run else 0.0,
            requests=run.requests if run else 0,
            cpu_share=share,
            resident_bytes=self._observer.resident_bytes(),
            seen=sums.seen - self._seen,
            lost=sums.lost_requests - self._lost,
        )
        self._seen, self._lost = sums.seen, sums.lost_requests
        self.steps.append(done)
        return done


def measure(*, quick: bool) -> list[Figure]:
    """
    Return the figures.
    """
    seconds = 3.0 if quick else 10.0
    up = [*RATES, MOST]
    with Lab() as lab, bus(lab) as collector:
        with observation(lab, collector.url) as observer:
            resident, start_s = observer.resident_bytes(), observer.start_s
            meter = Meter(lab, collector, observer)
            for rate in [*up, *reversed(up)]:
                meter.step(rate, seconds)
            for rate in SHORT_RATES:
                meter.step(rate, seconds / 2, "c")
            settled = observer.resident_bytes()
            sums = collector.of(observer.node)
        kernel = in_kernel(lab, collector, seconds / 3)
    return [
        *curve(meter.steps),
        Figure("resident memory after start", f"{resident / MB:.0f} MB", "", "under 160 MB", resident < 160 * MB),
        Figure("resident memory at the end of the curve", f"{settled / MB:.0f} MB"),
        Figure("from its start until it is ready, compilers included", f"{start_s:.1f} s"),
        *counts(meter.steps, sums),
        *kernel,
    ]


def curve(steps: list[Step]) -> list[Figure]:
    """
    Return the share of one processor over the rate.
    """
    figures = []
    for wanted in [*RATES, MOST]:
        found = [one for one in steps if one.wanted == wanted and one.options == "-"]
        shares = [one.cpu_share for one in found]
        reached = f"{median([one.rate for one in found]):,.0f} reached"
        name = {0: "idle", MOST: f"closed loop ({reached})"}.get(wanted, f"{wanted:,} requests/s ({reached})")
        figures.append(
            Figure(f"probe-manager's share of one core, {name}", f"{median(shares):.2%}",
                   f"{min(shares):.2%} to {max(shares):.2%}", "under 3 %", median(shares) < 0.03)
        )  # fmt: skip
    return figures


def counts(steps: list[Step], sums: Sums) -> list[Figure]:
    """
    Return how exact the counts were.
    """
    kinds = {
        "keep-alive, at fixed rates": [one for one in steps if one.options == "-" and one.wanted > 0],
        "keep-alive, closed loop": [one for one in steps if one.wanted == MOST],
        "a connection for each request": [one for one in steps if one.options == "c"],
    }
    figures = []
    for name, found in kinds.items():
        requests, seen = sum(one.requests for one in found), sum(one.seen for one in found)
        lost, most = sum(one.lost for one in found), max(one.rate for one in found)
        equal = "=" if seen + lost == requests else "is not"
        good = all(one.exact for one in found) and (not lost or found[0].wanted == MOST)
        figures.append(
            Figure(f"seen + lost = the generator's count; {name}, up to {most:,.0f}/s",
                   f"{seen:,} + {lost:,} {equal} {requests:,}", "", "exact, nothing lost", good)
        )  # fmt: skip
    stated = ", ".join(f"{cause} {count:,}" for cause, count in sorted(sums.lost.items()) if count)
    figures.append(Figure("all that was stated as lost, samples included, by cause", stated or "nothing"))
    return figures


def in_kernel(lab: Lab, collector: Collector, seconds: float) -> list[Figure]:
    """
    Return the time of the BPF programs for one request.
    """
    rounds: list[dict[str, tuple[float, float]]] = []
    with observation(lab, collector.url, statistics="true") as observer:
        lab.load(seconds=1)
        for _ in range(4):
            before = collector.probes(observer.node)
            run = lab.load(seconds=seconds)
            rounds.append(each(before, collector.probes(observer.node), run.requests))
    whole = [sum(time_ns for time_ns, _ in one.values()) / 1e3 for one in rounds]
    largest = sorted(rounds[0], key=lambda name: -rounds[0][name][0])[:3]
    parts = "; ".join(
        f"{name} {median([one[name][0] for one in rounds]):.0f} ns in "
        f"{median([one[name][1] for one in rounds]):.2f} runs"
        for name in largest
    )
    return [
        Figure("BPF time for one request, all probes, and the generator's calls out of scope too",
               f"{median(whole):.2f} us", spread(whole)),
        Figure("the probes that take most of it", parts),
    ]  # fmt: skip


def each(before: list[ProbeState], after: list[ProbeState], requests: int) -> dict[str, tuple[float, float]]:
    """
    Return nanoseconds and runs for one request, by probe.
    """
    was = {probe.name: probe for probe in before}
    return {
        probe.name: (
            (probe.run_time_ns - was[probe.name].run_time_ns) / requests,
            (probe.runs - was[probe.name].runs) / requests,
        )
        for probe in after
        if probe.state == "on"
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        alone(SECTION, measure)
