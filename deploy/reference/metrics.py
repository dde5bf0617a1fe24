"""
The page of the metrics that query-api offers to Prometheus.
"""

from __future__ import annotations

from typing import Final

from deploy.reference.text import page, table
from services.query_api.prometheus import HELP, LIMIT_TEXTS

INTRODUCTION: Final = f"""
query-api serves these at `/metrics`, beside its own health; see [how to scrape them](../how-to/prometheus.md).
Every other service serves its own health at its own `/metrics`.

Counters begin at zero when query-api starts, and each closed window of 10 s is added once.
A restart is a counter reset, which `rate()` and `increase()` understand.
What was not heard is counted in `meshlens_windows_missed_total`.
Histograms are cumulative, with limits at powers of two from {LIMIT_TEXTS[0]} s to {LIMIT_TEXTS[-1]} s.
The kernel's own buckets end there, so every `le` is exact.
"""


def metrics_page() -> str:
    """
    Return the page.
    """
    lines = [(f"`{name}`", _kind(name), says) for name, says in sorted(HELP.items())]
    return page("Metrics", INTRODUCTION, table(("metric", "type", "says"), lines))


def _kind(name: str) -> str:
    if name.endswith("_total"):
        return "counter"
    return "histogram" if name.endswith("_seconds") else "gauge"
