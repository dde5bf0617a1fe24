"""
The map with its figures, as a message.
"""

from __future__ import annotations

from services.topology_builder.folding import fold
from services.topology_builder.graph import Graph, Limits
from services.topology_builder.identity import Identity
from services.topology_builder.picture import picture, within
from shared import subjects
from shared.messages.kernel import Role
from shared.messages.topology import TopologyWindow
from shared.units import WINDOW_NS
from tests.services.topology_builder.making import EPOCH, NODE, START_NS, batch, instance, l4, l7

CLIENT, SERVER = Role.CLIENT, Role.SERVER


def pictured(*, final: bool = True) -> TopologyWindow:
    """
    Return a window in which gateway asks cart and something external, after one in which cart asked gateway.
    """
    identity, graph = Identity(), Graph(Limits())
    identity.learn(NODE, EPOCH, [instance(1, "gateway.py", "0.0.0.0:80"), instance(2, "cart.py")], START_NS)
    before = fold([batch(1, l7(2, CLIENT, 1, peer=1, port=80))], identity, graph)
    graph.stored(graph.apply(before, identity, START_NS - WINDOW_NS, START_NS))
    now = batch(
        2,
        l7(1, CLIENT, 3, peer=2),
        l7(2, SERVER, 3, peer=1),
        l7(1, CLIENT, 2, remote="203.0.113.5", port=443, endpoint=0xCD),
        l4(2, SERVER, peer=1, opened=1),
        lost={"ring_full": 4},
    )
    return picture(
        fold([now], identity, graph),
        graph,
        identity,
        {("http", f"{0xAB:016x}"): "GET /cart"},
        start_ns=START_NS,
        end_ns=START_NS + WINDOW_NS,
        final=final,
    )


def test_every_service_and_relation_of_the_map_is_there() -> None:
    """
    Also what was idle in the window is in the message, with empty figures.
    """
    window = pictured()
    relations = {relation.id: relation for relation in window.relations}

    assert {service.id: service.kind for service in window.services} == {
        "gateway": "service",
        "cart": "service",
        "external:203.0.113.5:443": "external",
    }
    assert relations["cart->gateway:http"].client.requests == 0
    assert (relations["gateway->cart:http"].client.requests, relations["gateway->cart:http"].server.requests) == (3, 3)


def test_figures_say_whose_view_they_are() -> None:
    """
    A service in scope is seen from its own side, an external one from its callers.
    """
    figures = {each.service: each for each in pictured().service_figures}

    assert (figures["cart"].seen_from, figures["cart"].provided.requests) == ("server", 3)
    assert (
        figures["external:203.0.113.5:443"].seen_from,
        figures["external:203.0.113.5:443"].provided.requests,
    ) == ("client", 2)
    assert figures["cart"].tcp.opened == 1


def test_endpoints_have_their_names_in_final_windows() -> None:
    """
    An endpoint shows its name, or its hash as long as nobody named it; running windows have none.
    """
    names = {(each.service, each.name) for each in pictured().endpoint_figures}

    assert {("cart", "GET /cart"), ("external:203.0.113.5:443", f"{0xCD:016x}")} == names
    assert pictured(final=False).endpoint_figures == []


def test_losses_and_age_are_stated() -> None:
    """
    What was lost, by cause, and how fresh the window is.
    """
    window = pictured()

    assert (window.lost, window.newest_ns) == ({"ring_full": 4}, START_NS + 1_000_000_000)


def test_a_message_is_cut_to_what_nats_takes() -> None:
    """
    Endpoints and instances go first, services and relations stay, and what is left out is counted.
    """
    window = pictured()
    whole, none = within(window, 1 << 20, subjects.WINDOW.encode)
    cut, left_out = within(window, 1, subjects.WINDOW.encode)

    assert (window, 0) == (whole, none)
    assert (([], [], window.relations), 3) == ((cut.endpoint_figures, cut.instance_figures, cut.relations), left_out)
