"""
The plan of the demo, and the faults that fit it.
"""

from __future__ import annotations

import pytest

from deploy.demo import faults, plan
from deploy.demo.namespaces import interface_of
from shared.errors import ConfigError


def test_nobody_asks_what_starts_later() -> None:
    """
    Every program starts after those it asks.
    """
    started: set[str] = set()
    for program in plan.PROGRAMS:
        assert set(program.asks) <= started
        started.add(program.name)


def test_addresses_and_interfaces_are_unique() -> None:
    """
    No two programs share an address or an interface.
    """
    count = len(plan.PROGRAMS)

    assert len({program.number for program in plan.PROGRAMS}) == count
    assert len({interface_of(program.name) for program in plan.PROGRAMS}) == count


@pytest.mark.parametrize(
    ("kind", "service", "says"),
    [
        ("fire", "shop", "choose one of"),
        ("errors", "shoop", "choose one of"),
        ("errors", "postgres", "stock program"),
        ("slowness", "front", "stock program"),
        ("errors", "load", "only asks"),
        ("leak", "payment", "depends on nothing"),
    ],
)
def test_faults_that_do_not_fit_are_refused(kind: str, service: str, says: str) -> None:
    """
    The sentence says what can be had instead.
    """
    with pytest.raises(ConfigError, match=says):
        faults.check(kind, service)


def test_every_service_can_have_a_fault() -> None:
    """
    Each service takes at least `dead` and `loss`.
    """
    for service in plan.services():
        for kind in ("dead", "loss"):
            faults.check(kind, service)


def test_behaviour_is_what_is_on() -> None:
    """
    A program without a fault behaves; one with two commits both.
    """
    healthy = faults.behaviour({"redis": "a:1"}, set())
    ill = faults.behaviour({"redis": "a:1"}, {"errors", "slowness"})

    assert (healthy.error_ratio, healthy.extra_s, healthy.leak_per_s) == (0.0, 0.0, 0.0)
    assert (ill.error_ratio, ill.extra_s, ill.leak_per_s) == (0.5, 0.4, 0.0)
