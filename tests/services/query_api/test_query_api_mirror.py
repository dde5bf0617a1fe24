"""
The mirror shows the newest of what it heard.
"""

from __future__ import annotations

from services.query_api.answers import State
from services.query_api.mirror import FORGOTTEN_NS, Mirror
from services.query_api.shown import SILENT_NS
from shared.units import S_NS
from tests.services.query_api import shop

NOW_NS = 1_800_000_000 * S_NS


def test_the_map_joins_figures_and_colours() -> None:
    """
    A node's colour is the verdict on it; entities without a verdict are grey.
    """
    mirror = Mirror()
    mirror.hear_window(shop.window(NOW_NS))
    mirror.hear_verdicts(shop.verdicts(NOW_NS))
    topology = mirror.topology(NOW_NS + 3 * S_NS)
    colours = {node.id: (node.state.own, node.state.inherited) for node in topology.services}

    assert (colours) == {
        "gateway": ("green", "red"),
        "cart": ("red", "grey"),
        "redis": ("grey", "grey"),
        "db": ("grey", "grey"),
    }
    assert topology.age_s == 3.0
    assert len(mirror.verdicts().states) == 3


def test_what_is_older_does_not_come_back() -> None:
    """
    A window or a verdict that arrives late does not replace a newer one.
    """
    mirror = Mirror()
    mirror.hear_window(shop.window(NOW_NS))
    mirror.hear_window(shop.window(NOW_NS - S_NS))
    mirror.hear_verdicts(shop.verdicts(NOW_NS))
    mirror.hear_verdicts(shop.verdicts(NOW_NS - 10 * S_NS))

    assert mirror.topology(NOW_NS).end.timestamp() == NOW_NS // S_NS
    assert mirror.verdicts().end.timestamp() == NOW_NS // S_NS


def test_a_window_is_drawn_with_the_newest_colours() -> None:
    """
    What was drawn elsewhere is shown, unless other colours were heard while it was drawn.
    """
    mirror, window = Mirror(), shop.window(NOW_NS)
    drawn = mirror.drawing(window)()
    mirror.hear_window(window, drawn)
    assert drawn.topology.services is mirror.topology(NOW_NS).services
    mirror.hear_verdicts(shop.verdicts(NOW_NS))
    mirror.hear_window(window, drawn)

    assert drawn.topology.services[1].state.own == "grey"
    assert mirror.topology(NOW_NS).services[1].state.own == "red"


def test_before_anything_is_heard_the_map_is_empty() -> None:
    """
    Without any window the map is empty, and its age is not known.
    """
    topology = Mirror().topology(NOW_NS)

    assert (topology.services, topology.relations, topology.age_s) == ([], [], None)


def test_stored_colours_only_fill_in_for_missing_ones() -> None:
    """
    Colours out of the tables show until the first are heard.
    """
    mirror = Mirror()
    mirror.hear_window(shop.window(NOW_NS))
    mirror.seed({("service", "db"): State(own="yellow")})
    assert mirror.topology(NOW_NS).services[3].state.own == "yellow"
    mirror.hear_verdicts(shop.verdicts(NOW_NS))
    mirror.seed({("service", "db"): State(own="yellow")})

    assert mirror.topology(NOW_NS).services[3].state.own == "grey"


def test_a_service_falls_silent_and_is_forgotten() -> None:
    """
    After five missed heartbeats a service is silent, after an hour it is gone; losses add up over services.
    """
    mirror = Mirror()
    mirror.hear_status(shop.status(NOW_NS), NOW_NS)
    mirror.hear_status(shop.status(NOW_NS, service="probe-manager", lost={"late": 1, "ring_full": 2}), NOW_NS)

    assert mirror.status(NOW_NS).lost == {"late": 4, "ring_full": 2}
    assert [one.state for one in mirror.status(NOW_NS + SILENT_NS).services] == ["ready", "ready"]
    assert [one.state for one in mirror.status(NOW_NS + SILENT_NS + 1).services] == ["silent", "silent"]
    mirror.hear_status(shop.status(NOW_NS), NOW_NS + FORGOTTEN_NS + 1)
    assert [one.service for one in mirror.status(NOW_NS).services] == ["topology-builder"]


def test_probes_are_listed_by_node_and_name() -> None:
    """
    The probes of a node are in order, and the node's scope is in the status.
    """
    mirror = Mirror()
    mirror.hear_probes(shop.probes(NOW_NS), NOW_NS)

    assert [probe.name for probe in mirror.probes()] == ["socket_l7", "tcp_rtt"]
    assert mirror.status(NOW_NS).scope == {"n1": "tree of pid 4711"}
