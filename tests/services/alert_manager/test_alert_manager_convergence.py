"""
What is told, and together with what.
"""

from __future__ import annotations

from services.alert_manager.convergence import group_key, namespaces, owed
from services.alert_manager.lifecycle import Held
from shared.messages.topology import RelationFigures, Service, TopologyWindow
from tests.services.alert_manager.making import alert


def held(entity: str, state: str, *, told: str = "", silenced: bool = False, by: str = "", key: str = "k") -> Held:
    """
    Return an alert.
    """
    one = alert(entity, state, silenced=silenced, acknowledged_by=by)
    return Held(alert=one, held_ns=0, group_key=key, told=told)


def test_alerts_of_a_group_are_one_message() -> None:
    """
    Two that fire in one group are told together, another group and another state apart.
    """
    found = owed(
        [
            held("b", "firing"),
            held("a", "firing"),
            held("c", "firing", key="other"),
            held("d", "resolved", told="firing"),
        ]
    )

    assert [("k", "firing", ["a", "b"]), ("k", "resolved", ["d"]), ("other", "firing", ["c"])] == [
        (message.group_key, message.state, [one.alert.entity for one in message.alerts]) for message in found
    ]


def test_nothing_is_told_twice_or_for_nothing() -> None:
    """
    Pending, told, silenced and acknowledged alerts are not owed, nor is the end of what was never told.
    """
    assert (
        owed(
            [
                held("a", "pending"),
                held("b", "firing", told="firing"),
                held("c", "firing", silenced=True),
                held("d", "firing", by="ann"),
                held("e", "resolved"),
                held("f", "resolved", told="resolved"),
                held("g", "resolved", told="firing", by="ann"),
            ]
        )
        == []
    )


def test_namespace_is_the_targets() -> None:
    """
    A service's namespace comes from its attributes, a relation has its target's, and without one there is none.
    """
    window = TopologyWindow(
        start_ns=0,
        end_ns=1,
        final=True,
        services=[
            Service(id="a", name="a", kind="service", attributes={"k8s.namespace.name": "shop"}),
            Service(id="b", name="b", kind="service", attributes={"service.namespace": "data"}),
            Service(id="c", name="c", kind="service"),
        ],
        relations=[RelationFigures(id="a->b:http", source="a", target="b", protocol="http")],
    )
    expected = {
        ("service", "a"): "shop",
        ("service", "b"): "data",
        ("service", "c"): "",
        ("relation", "a->b:http"): "data",
    }

    assert expected == namespaces(window)
    assert group_key("odd", "shop") == "shop/odd"
