"""
Any process may be killed under load: nothing is counted twice, nothing is forgotten.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mesh.cluster import Cluster

pytestmark = [pytest.mark.mesh, pytest.mark.kernel]

VICTIMS = (
    "topology-builder", "probe-manager", "nats", "postgres", "protocol-parser", "anomaly-detector", "alert-manager",
    "query-api",
)  # fmt: skip


@pytest.mark.parametrize("victim", VICTIMS)
def test_totals_after_kill(cluster: Cluster, victim: str) -> None:
    """
    After `kill -9` under load, and recovery, the totals in PostgreSQL equal the load generator's.
    """
    sent_before = cluster.quiet_load()["sent_total"]
    before, lost_before = cluster.settled_totals(), sum(cluster.lost().values())
    cluster.demo("POST", "/load/resume")
    time.sleep(4)  # the load itself, not a wait for something
    cluster.kill(victim)
    cluster.wait_for(f"all are ready after {victim} was killed", cluster.ready, 60)
    time.sleep(4)
    sent = cluster.quiet_load()["sent_total"] - sent_before
    key = ("load", "front", "http")
    after = cluster.settled_totals(90)[key].since(before[key])
    cluster.demo("POST", "/load/resume")

    lost = sum(cluster.lost().values()) - lost_before
    assert sent > 100
    assert (after.client, after.server, lost) == (sent, sent, 0)
