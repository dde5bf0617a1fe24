"""
Figures that contradict themselves are refused with a sentence.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.errors import Malformed
from shared.messages.soundness import check_window
from shared.messages.topology import EndpointFigures, InstanceFigures, Red, RelationFigures, Tcp, TopologyWindow
from shared.messages.topology import ServiceFigures as Figures

SOUND = TopologyWindow(start_ns=0, end_ns=1, final=True)
GOOD = Red(requests=3, errors=2, no_responses=1, duration_sum_ns=5, duration=[1, 3])


def test_sound_window_passes() -> None:
    """
    What can be is let through.
    """
    relation = RelationFigures(id="a->b:http", source="a", target="b", protocol="http", client=GOOD, server=GOOD)
    check_window(
        msgspec.structs.replace(SOUND, service_figures=[Figures(service="a", provided=GOOD)], relations=[relation])
    )

    assert GOOD == relation.client


@pytest.mark.parametrize(
    "red",
    [
        Red(requests=1, errors=2),
        Red(requests=1, errors=0, no_responses=1),
        Red(requests=-1),
        Red(duration_sum_ns=-1),
        Red(duration=[1]),
        Red(duration=[1, -1]),
    ],
)
def test_requests_that_cannot_be(red: Red) -> None:
    """
    Wherever they stand, the sentence says whose they are.
    """
    bad: list[dict[str, Any]] = [
        {"service_figures": [Figures(service="culprit", provided=red)]},
        {"instance_figures": [InstanceFigures(instance="culprit", service="a", provided=red)]},
        {"endpoint_figures": [EndpointFigures(service="culprit", protocol="", endpoint="", name="", provided=red)]},
        {"relations": [RelationFigures(id="culprit", source="", target="", protocol="", client=red)]},
        {"relations": [RelationFigures(id="culprit", source="", target="", protocol="", server=red)]},
    ]
    for fields in bad:
        with pytest.raises(Malformed, match="culprit"):
            check_window(msgspec.structs.replace(SOUND, **fields))


@pytest.mark.parametrize(
    "tcp", [Tcp(opened=-1), Tcp(failed={111: -1}), Tcp(drops={"x": -1}), Tcp(rtt=[1]), Tcp(connect=[1])]
)
def test_connections_that_cannot_be(tcp: Tcp) -> None:
    """
    A count below nothing, or half a histogram.
    """
    relation = RelationFigures(id="culprit", source="", target="", protocol="", tcp=tcp)
    bad: list[dict[str, Any]] = [
        {"relations": [relation]},
        {"service_figures": [Figures(service="culprit", tcp=tcp)]},
    ]
    for fields in bad:
        with pytest.raises(Malformed, match="culprit"):
            check_window(msgspec.structs.replace(SOUND, **fields))


def test_window_that_ends_before_it_begins() -> None:
    """
    Time goes forward.
    """
    with pytest.raises(Malformed, match="before it has begun"):
        check_window(TopologyWindow(start_ns=2, end_ns=1, final=True))
