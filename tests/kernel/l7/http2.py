"""
What tests of HTTP/2 and of gRPC share: what was counted, by status, and under which names.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from shared.protocols import mask, protocols

if TYPE_CHECKING:
    from shared.messages.kernel import L7Series
    from tests.kernel.l7.lab import Lab


def statuses(series: list[L7Series]) -> Counter[int]:
    """
    Return how many requests ended with which status.
    """
    found: Counter[int] = Counter()
    for one in series:
        found[one.status] += one.requests
    return found


def names(lab: Lab) -> dict[tuple[int, int], str]:
    """
    Return what protocol-parser would call each role's endpoints, from masked samples.
    """
    found: dict[tuple[int, int], str] = {}
    for sample in lab.samples():
        masked = mask(sample.protocol, sample.request, sample.response)
        parsed = protocols()[sample.protocol].parse(*masked)
        assert (parsed.outcome, parsed.status) == (sample.outcome, sample.status) or not sample.response
        if parsed.name and not parsed.stand_in:
            assert parsed.name == found.setdefault((int(sample.role), sample.endpoint), parsed.name)
    return found
