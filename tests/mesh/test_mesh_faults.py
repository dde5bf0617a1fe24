"""
A fault of the demo colours the guilty service; its callers are only ringed; healed, all is green again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mesh.cluster import Cluster

pytestmark = [pytest.mark.mesh, pytest.mark.kernel]

SEEN_S = 30.0
HEALED_S = 180.0
TROUBLE = ("yellow", "orange", "red")
LEARNED_S = 200.0


@pytest.fixture(scope="module")
def learned(cluster: Cluster) -> Cluster:
    """
    A cluster that knows how the shop behaves when it is well.
    """
    cluster.wait_for("the shop is learned", lambda: is_learned(cluster, "catalog", "checkout", "cart"), LEARNED_S)
    return cluster


def is_learned(cluster: Cluster, *names: str) -> bool:
    """
    Return whether each of *names* is green, and compared with what it did before.
    """
    states = {one.name: one.state for one in cluster.topology().services}
    return all(name in states and states[name].own == "green" and not states[name].learning for name in names)


@pytest.mark.parametrize(
    ("kind", "guilty"),
    [("errors", "catalog"), ("slowness", "checkout"), ("dead", "cart")],
)
def test_fault_is_coloured(learned: Cluster, kind: str, guilty: str) -> None:
    """
    The guilty service, or a relation to it, is yellow or worse within 30 s, and green again within 3 minutes.
    """

    def colours() -> set[str]:
        topology = learned.topology()
        ids = {service.id for service in topology.services if service.name == guilty}
        own = {service.state.own for service in topology.services if service.id in ids}
        return own | {relation.state.own for relation in topology.relations if relation.target in ids}

    learned.demo("POST", "/fault", {"kind": kind, "service": guilty})
    learned.wait_for(f"{guilty} is coloured by {kind}", lambda: colours() & set(TROUBLE), SEEN_S)

    learned.demo("POST", "/heal")
    learned.wait_for(f"{guilty} is green again", lambda: colours() <= {"green", "grey"}, HEALED_S)
