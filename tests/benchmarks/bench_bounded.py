"""
What do a million different URLs do to probe-manager? `python -m tests.benchmarks.bench_bounded`.

The generator asks nginx for a million paths that no rule folds together, once each, as fast as nginx answers: first
with the default limits, then with the limit of endpoints set to its greatest value, where the limit of series is what
holds. Every request must still be counted, those without room for their name under `~other`. The memory is watched ten
times a second.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from services.probe_manager.config import ProbeManager as Settings
from tests.benchmarks._figures import Figure
from tests.benchmarks._lab import Lab, bus, observation
from tests.benchmarks._run import alone

if TYPE_CHECKING:
    from tests.benchmarks._collector import Collector
    from tests.benchmarks._lab import ProbeManager

SECTION: Final = "bounded"
URLS: Final = 1_000_000
MB: Final = 1e6
USUAL: Final = Settings()
GREATEST: Final = 16_384
FLAT_BYTES: Final = 64 * MB
"""Growth that still counts as flat: one drain of all series, decoded."""


class Peak:
    """
    Watches the memory of a process in a thread.
    """

    def __init__(self, observer: ProbeManager) -> None:
        self._observer: Final = observer
        self._over: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._watch)
        self.bytes = 0

    def __enter__(self) -> Peak:
        """
        Begin to watch.
        """
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """
        End it.
        """
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.bytes = max(self.bytes, self._observer.resident_bytes())


def measure(*, quick: bool) -> list[Figure]:
    """
    Return the figures.
    """
    urls = URLS // 20 if quick else URLS
    with Lab() as lab, bus(lab) as collector:
        usual = flood(lab, collector, urls, USUAL.endpoint_limit)
        return [*usual, *flood(lab, collector, urls, GREATEST)]


def flood(lab: Lab, collector: Collector, urls: int, endpoint_limit: int) -> list[Figure]:
    """
    Return the figures of one flood.
    """
    with observation(lab, collector.url, endpoint_limit=str(endpoint_limit)) as observer:
        lab.load(rate=1000, seconds=4)
        calm = collector.settled(observer.node).seen
        before = observer.resident_bytes()
        with Peak(observer) as peak:
            run = lab.load(requests=urls, options="d")
            sums = collector.settled(observer.node)
        after = observer.resident_bytes()
    assert not run.failed
    seen, limit = sums.seen - calm, USUAL.series_limit
    name = f"at most {endpoint_limit:,} endpoints"
    total = f"{seen:,} + {sums.lost_requests:,}"
    exact = seen + sums.lost_requests == run.requests
    return [
        Figure(f"{name}: seen + lost = requests", f"{total} = {run.requests:,}" if exact else f"{total}, not "
               f"{run.requests:,}", "", "exact", exact),
        Figure(f"{name}: counted under `~other`", f"{sums.overflow:,}", "", "stated", sums.overflow > 0),
        Figure(f"{name}: different series / most in one drain", f"{len(sums.series):,} / {sums.most_series:,}", "",
               f"at most {limit:,} in one drain", sums.most_series <= limit),
        Figure(f"{name}: resident memory before / most / after", f"{before / MB:.0f} / {peak.bytes / MB:.0f} / "
               f"{after / MB:.0f} MB", "",
               f"after: at most {FLAT_BYTES / MB:.0f} MB more", after - before <= FLAT_BYTES),
        Figure(f"{name}: requests/s of the flood", f"{run.rate:,.0f}"),
    ]  # fmt: skip


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        alone(SECTION, measure)
