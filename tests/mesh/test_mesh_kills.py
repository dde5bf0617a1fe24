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

VICTIMS = {
    "topology-builder": ("topology-builder",),
    "probe-manager": ("probe-manager",),
    "nats": ("nats",),
    "postgres": ("postgres",),
    "the others in turn": ("protocol-parser", "anomaly-detector", "alert-manager", "query-api"),
}
RECOVERY_S = 120.0
KEY = ("load", "front", "http")


@pytest.mark.parametrize("victims", VICTIMS.values(), ids=VICTIMS.keys())
def test_totals_after_kill(cluster: Cluster, victims: tuple[str, ...]) -> None:
    """
    After `kill -9` of each under load, and recovery, the totals in PostgreSQL equal the generator's.
    """
    sent_before = cluster.quiet_load()["sent_total"]
    before, lost_before = cluster.settled_totals()[KEY], cluster.lost()
    cluster.demo("POST", "/load/resume")
    time.sleep(3)  # the load itself, not a wait for something
    for victim in victims:
        cluster.kill(victim)
        cluster.wait_for(f"all are ready after {victim} was killed", cluster.ready, RECOVERY_S)
    time.sleep(3)
    sent = cluster.quiet_load()["sent_total"] - sent_before

    assert sent > 100
    after = cluster.settled_totals()[KEY].since(before)
    cluster.demo("POST", "/load/resume")
    assert (after.client, after.server) == (sent, sent)
    assert cluster.lost() == lost_before
