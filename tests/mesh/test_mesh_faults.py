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


def colours(cluster: Cluster, guilty: str) -> set[str]:
    """
    Return the colours of *guilty* itself and of the relations to it.
    """
    topology = cluster.topology()
    ids = {service.id for service in topology.services if service.name == guilty}
    own = {service.state.own for service in topology.services if service.id in ids}
    return own | {relation.state.own for relation in topology.relations if relation.target in ids}


def blamed(cluster: Cluster, guilty: str) -> dict[str, str]:
    """
    Return who else is red of its own making, with the first reason.
    """
    return {
        service.name: service.state.reasons[0].text
        for service in cluster.topology().services
        if service.state.own == "red" and service.name != guilty
    }


def ringed(cluster: Cluster, guilty: str) -> bool:
    """
    Return whether a service that asks *guilty* is shown to suffer from it, without fault of its own.
    """
    topology = cluster.topology()
    ids = {service.id for service in topology.services if service.name == guilty}
    callers = {relation.source for relation in topology.relations if relation.target in ids}
    return any(
        service.state.inherited in TROUBLE and service.state.own != "red"
        for service in topology.services
        if service.id in callers
    )


@pytest.mark.parametrize(
    ("kind", "guilty"), [("errors", "catalog"), pytest.param("dead", "cart", marks=pytest.mark.slow)]
)
def test_a_fault_that_hurts_is_red_and_its_callers_are_ringed(learned: Cluster, kind: str, guilty: str) -> None:
    """
    The guilty service is coloured within 30 s and red soon after; nobody else is; healed, it is green in 3 minutes.
    """
    others: dict[str, str] = {}
    learned.demo("POST", "/fault", {"kind": kind, "service": guilty})
    try:
        learned.wait_for(f"{guilty} is coloured by {kind}", lambda: colours(learned, guilty) & set(TROUBLE), SEEN_S)
        learned.wait_for(f"{guilty} is red", lambda: "red" in colours(learned, guilty), SEEN_S)
        learned.wait_for("a caller is ringed", lambda: ringed(learned, guilty), SEEN_S)
        others = blamed(learned, guilty)
    finally:
        learned.demo("POST", "/heal")
    learned.wait_for(f"{guilty} is green again", lambda: colours(learned, guilty) <= {"green", "grey"}, HEALED_S)

    assert {} == others


@pytest.mark.parametrize(
    ("kind", "guilty"),
    [
        pytest.param("slowness", "checkout", marks=pytest.mark.slow),
        pytest.param("loss", "catalog", marks=pytest.mark.slow),
        pytest.param("leak", "shop", marks=pytest.mark.slow),
    ],
)
def test_a_fault_is_coloured(learned: Cluster, kind: str, guilty: str) -> None:
    """
    The guilty service, or a relation to or from it, is yellow or worse within 30 s, and green again within 3 minutes.
    """

    def near() -> set[str]:
        topology = learned.topology()
        ids = {service.id for service in topology.services if service.name == guilty}
        own = {service.state.own for service in topology.services if service.id in ids}
        return own | {one.state.own for one in topology.relations if {one.source, one.target} & ids}

    learned.demo("POST", "/fault", {"kind": kind, "service": guilty})
    try:
        learned.wait_for(f"{guilty} is coloured by {kind}", lambda: near() & set(TROUBLE), SEEN_S)
    finally:
        learned.demo("POST", "/heal")
    learned.wait_for(f"{guilty} is green again", lambda: near() <= {"green", "grey"}, HEALED_S)
