"""
The demo's shop is on the map as it is, and counted to the unit.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mesh.cluster import Cluster

pytestmark = [pytest.mark.mesh, pytest.mark.kernel]

SERVICES = {
    "front", "shop", "balancer", "catalog", "cart", "checkout", "postgres", "redis-server", "dnsmasq", "load",
}  # fmt: skip
RELATIONS = {
    ("load", "front", "http"),
    ("front", "shop", "http"),
    ("shop", "balancer", "http"),
    ("shop", "cart", "http"),
    ("shop", "checkout", "http"),
    ("balancer", "catalog", "http"),
    ("checkout", "cart", "http"),
    ("catalog", "postgres", "postgresql"),
    ("checkout", "postgres", "postgresql"),
    ("catalog", "redis-server", "redis"),
    ("cart", "redis-server", "redis"),
    ("shop", "dnsmasq", "dns"),
}
ORDER = "POST /shop/orders/{buyer}"


def test_services_are_on_the_map(cluster: Cluster) -> None:
    """
    Every program of the shop is a service, by the name people call it.
    """
    cluster.wait_for(
        "all services are on the map",
        lambda: SERVICES <= {service.name for service in cluster.topology().services},
        40,
    )


def test_three_instances_are_one_service(cluster: Cluster) -> None:
    """
    The catalogue is one node with three instances.
    """
    cluster.wait_for("three instances", lambda: (found := cluster.service("catalog")) and found.instances == 3, 40)


def test_relations_are_on_the_map(cluster: Cluster) -> None:
    """
    Who asks whom is drawn from real connections, each with its protocol.
    """
    missing = set(RELATIONS)

    def drawn() -> bool:
        topology = cluster.topology()
        names = {service.id: service.name for service in topology.services}
        missing.difference_update((names[one.source], names[one.target], one.protocol) for one in topology.relations)
        return not missing

    try:
        cluster.wait_for("all relations are on the map", drawn, 60)
    finally:
        assert missing == set()


def test_counts_equal_the_generators(cluster: Cluster) -> None:
    """
    Over twenty seconds of load, both ends of each relation and the load generator name the same number of requests.
    """
    sent_before = cluster.quiet_load()["sent_total"]
    before, lost_before = cluster.settled_totals(), cluster.lost()
    cluster.demo("POST", "/load/resume")
    time.sleep(20)  # the load itself, not a wait for something
    counted = cluster.quiet_load()
    after = cluster.settled_totals()
    cluster.demo("POST", "/load/resume")

    sent = counted["sent_total"] - sent_before
    assert sent > 200
    assert cluster.lost() == lost_before
    load = after["load", "front", "http"].since(before["load", "front", "http"])
    assert (load.client, load.server) == (sent, sent)
    for key, total in after.items():
        if key in before and total.client and total.server:
            assert total.since(before[key]).client == total.since(before[key]).server, key


def test_nothing_is_red_without_a_fault(cluster: Cluster) -> None:
    """
    A healthy shop shows no red.
    """
    assert [service.name for service in cluster.topology().services if service.state.own == "red"] == []


def test_every_process_in_its_own_words(cluster: Cluster) -> None:
    """
    The six services report themselves ready, and say what they observe.
    """
    status = cluster.status()

    assert {service.state for service in status.services} == {"ready"}
    assert list(status.scope.values()) == [f"tree of pid {cluster.runtime.processes['demo']}"]


def test_processes_belong_to_us(cluster: Cluster) -> None:
    """
    Everything that the supervisor names runs.
    """
    assert [name for name, pid in cluster.runtime.processes.items() if not os.path.exists(f"/proc/{pid}")] == []
