"""
A small shop under load, window by window: requests walk through it one by one, faults can be switched on.

    load -> web -> catalog  -> database
                            -> cache
                -> checkout -> payments
                            -> database
"""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Final

from shared import histogram
from shared.messages.anomaly import Level
from shared.messages.topology import Red, RelationFigures, Service, ServiceFigures, Tcp, TopologyWindow
from shared.units import MS_NS, US_NS, WINDOW_NS, WINDOW_S

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

KINDS: Final = {
    "load": "client",
    "web": "proxy",
    "catalog": "service",
    "checkout": "service",
    "payments": "service",
    "database": "database",
    "cache": "cache",
}
CALLS: Final = {
    "load": (("web", 1.0, "http"),),
    "web": (("catalog", 0.8, "http"), ("checkout", 0.3, "http")),
    "catalog": (("cache", 1.0, "redis"), ("database", 0.5, "postgresql")),
    "checkout": (("payments", 1.0, "http"), ("database", 1.0, "postgresql")),
}
OWN_MS: Final = {"web": 0.5, "catalog": 4.0, "checkout": 8.0, "payments": 12.0, "database": 2.0, "cache": 0.3}
SPREAD: Final = 0.4
"""Of the logarithm of a service time."""
START_NS: Final = 1_700_000_000 * 1_000_000_000
LOST_WAIT_NS: Final = 200 * MS_NS


def relation_id(source: str, target: str) -> str:
    """
    Return the id of the relation between two services of the shop.
    """
    protocol = next(protocol for name, _, protocol in CALLS[source] if name == target)
    return f"{source}->{target}:{protocol}"


class Tally:
    """
    The requests of one series in one window.
    """

    def __init__(self) -> None:
        self.requests = self.errors = self.no_responses = self.total_ns = 0
        self.durations: histogram.Histogram = {}

    def add(self, duration_ns: int, failed: bool) -> None:
        """
        Count one request.
        """
        self.requests += 1
        self.errors += failed
        self.total_ns += duration_ns
        bucket = histogram.bucket_of(duration_ns)
        self.durations[bucket] = self.durations.get(bucket, 0) + 1

    def red(self) -> Red:
        """
        Return the figures.
        """
        return Red(
            requests=self.requests,
            errors=self.errors,
            no_responses=self.no_responses,
            duration_sum_ns=self.total_ns,
            duration=histogram.to_flat(self.durations),
        )


class Shop:
    """
    The shop; `step` returns the next window.
    """

    def __init__(self, random: random.Random, *, rate: float = 20.0, wave_s: float = 3600.0, wave: float = 0.5) -> None:
        self._random: Final = random
        self._rate: Final = rate
        self._wave_s: Final = wave_s
        self._wave: Final = wave
        self._drift = {name: 0.0 for name in OWN_MS}
        self._host = 0.0
        self.window = 0
        self.errors: dict[str, float] = {}
        """Service to the share of its requests that fail."""
        self.slow_ms: dict[str, float] = {}
        """Service to what each request takes longer."""
        self.dead: set[str] = set()
        self.lossy: dict[str, float] = {}
        """Relation to the share of segments that are lost."""
        self.leaking: dict[str, int] = {}
        """Relation to connections leaked in a window."""
        self.stopped = False
        """No requests come any more."""

    def heal(self) -> None:
        """
        Switch all faults off.
        """
        self.errors, self.slow_ms, self.dead, self.lossy, self.leaking = {}, {}, set(), {}, {}
        self.stopped = False

    def step(self, *, fault_from: float = 0.0) -> TopologyWindow:
        """
        Return the next window; its faults begin after the share *fault_from* of it.
        """
        self._tallies: dict[str, Tally] = {}
        self._answered: dict[str, Tally] = {}
        self._refused: dict[str, int] = {}
        for name in self._drift:
            self._drift[name] = 0.9 * self._drift[name] + self._random.gauss(0, 0.05)
        self._host = 0.7 * self._host + self._random.gauss(0, 0.05)
        if self._random.random() < 0.005:
            self._host += self._random.uniform(0, 1.0)  # a neighbour takes the processor for a while
        phase = 2 * math.pi * self.window * WINDOW_S / self._wave_s
        mean = self._rate * WINDOW_S * (1 + self._wave * math.sin(phase))
        requests = 0 if self.stopped else max(0, round(self._random.gauss(mean, math.sqrt(mean))))
        for number in range(requests):
            self._faulty = number >= fault_from * requests
            self._call("load", "web", self._random.random())
        self.window += 1
        return self._window()

    def _call(self, source: str, target: str, kind: float) -> tuple[int, bool]:
        relation = relation_id(source, target)
        if self._faulty and target in self.dead:
            self._refused[relation] = self._refused.get(relation, 0) + 1
            return 300 * US_NS, True
        took, failed = self._serve(target, kind)
        self._answered.setdefault(relation, Tally()).add(took, failed)
        took += int(50 * US_NS * math.exp(self._random.gauss(0, 0.2)))
        if self._faulty and self._random.random() < 2 * self.lossy.get(relation, 0.0):
            took += LOST_WAIT_NS
        self._tallies.setdefault(relation, Tally()).add(took, failed)
        return took, failed

    def _serve(self, service: str, kind: float) -> tuple[int, bool]:
        noise = self._random.gauss(0, SPREAD) + self._drift[service] + self._host
        took = int(OWN_MS[service] * MS_NS * math.exp(noise))
        failed = self._random.random() < (self.errors.get(service, 0.0) if self._faulty else 0.0) + 0.0005
        if self._faulty:
            took += int(self.slow_ms.get(service, 0.0) * MS_NS)
        for target, share, _ in CALLS.get(service, ()):
            wanted = (
                kind < share
                if service == "web" and target == "catalog"
                else (kind >= 0.8 if service == "web" else self._random.random() < share)
            )
            if wanted and not failed:
                waited, theirs = self._call(service, target, kind)
                took += waited
                failed |= theirs
        self._tallies.setdefault(service, Tally()).add(took, failed)
        return took, failed

    def _window(self) -> TopologyWindow:
        start_ns = START_NS + (self.window - 1) * WINDOW_NS
        return TopologyWindow(
            start_ns=start_ns,
            end_ns=start_ns + WINDOW_NS,
            final=True,
            services=[
                Service(id=name, name=name, kind=kind, instances=0 if name in self.dead else 1)
                for name, kind in KINDS.items()
            ],
            service_figures=[
                ServiceFigures(service=name, provided=tally.red())
                for name, tally in self._tallies.items()
                if name in KINDS
            ],
            relations=[
                self._relation(source, target, protocol)
                for source, calls in CALLS.items()
                for target, _, protocol in calls
            ],
        )

    def _relation(self, source: str, target: str, protocol: str) -> RelationFigures:
        name = relation_id(source, target)
        client = self._tallies.get(name, Tally())
        segments = 3 * client.requests
        loss = self.lossy.get(name, 0.0) + 0.00005
        churn = self._random.randrange(3) if client.requests else 0
        refused = self._refused.get(name, 0)
        rtt: histogram.Histogram = {}
        for _ in range(min(20, client.requests)):
            bucket = histogram.bucket_of(int(60 * US_NS * math.exp(self._random.gauss(0, 0.3))))
            rtt[bucket] = rtt.get(bucket, 0) + 1
        return RelationFigures(
            id=name,
            source=source,
            target=target,
            protocol=protocol,
            client=client.red(),
            server=self._answered.get(name, Tally()).red(),
            tcp=Tcp(
                opened=churn + self.leaking.get(name, 0),
                closed=self._random.randrange(3) if client.requests else 0,
                failed={errno.ECONNREFUSED: refused} if refused else {},
                segments_sent=segments,
                retransmits=sum(self._random.random() < loss for _ in range(segments)),
                rtt=histogram.to_flat(rtt),
            ),
        )


DATABASE: Final = relation_id("catalog", "database")
FAULTS: Final[dict[str, tuple[Callable[[Shop], None], set[str], Level]]] = {
    "errors": (lambda shop: shop.errors.update(payments=0.5), {"payments"}, Level.RED),
    "slowness": (lambda shop: shop.slow_ms.update(payments=400), {"payments"}, Level.RED),
    "slow database": (lambda shop: shop.slow_ms.update(database=300), {"database"}, Level.RED),
    "dead": (lambda shop: shop.dead.add("payments"), {"payments", relation_id("checkout", "payments")}, Level.RED),
    "dead cache": (lambda shop: shop.dead.add("cache"), {"cache", relation_id("catalog", "cache")}, Level.RED),
    "loss": (lambda shop: shop.lossy.update({DATABASE: 0.1}), {DATABASE}, Level.RED),
    "leak": (lambda shop: shop.leaking.update({DATABASE: 50}), {DATABASE}, Level.YELLOW),
}
"""What it does, whose fault it is, and the colour that must come of it within thirty seconds."""
