"""
From series to figures: who asked whom, counted once on each side.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.topology_builder.figures import EXTERNAL_OTHER, OTHER
from services.topology_builder.folding import fold
from services.topology_builder.graph import Graph, Limits
from services.topology_builder.identity import Identity
from services.topology_builder.picture import service_sums
from shared.messages.kernel import OVERFLOW_ENDPOINT, L7Series, Outcome, Protocol, Role
from tests.services.topology_builder.making import EPOCH, NODE, START_NS, batch, instance, l4, l7

CLIENT, SERVER = Role.CLIENT, Role.SERVER


@pytest.fixture
def identity() -> Identity:
    """
    gateway (1) and two instances of cart (2, 3), which have the address of no other.
    """
    known = Identity()
    known.learn(
        NODE,
        EPOCH,
        [
            instance(1, "gateway.py", "0.0.0.0:80"),
            instance(2, "cart.py", "10.0.0.2:8080"),
            instance(3, "cart.py", "10.0.0.3:8081"),
        ],
        START_NS,
    )
    return known


def test_both_ends_are_one_relation_and_nothing_counts_twice(identity: Identity) -> None:
    """
    >> gateway's series towards peer 2, and 2's series from peer 1
    << one relation with each side's figures; cart provided what its own side saw.
    """
    figures = fold([batch(1, l7(1, CLIENT, 7, peer=2), l7(2, SERVER, 7, peer=1))], identity, Graph(Limits()))
    relation = figures.relations["gateway", "cart", "http"]

    assert list(figures.relations) == [("gateway", "cart", "http")]
    assert (relation.client.requests, relation.server.requests) == (7, 7)
    assert service_sums(figures, "cart")[0].requests == 7
    assert figures.called == {}


def test_instances_of_one_script_are_one_service(identity: Identity) -> None:
    """
    Two instances on two ports are one service, and each has its own figures.
    """
    figures = fold([batch(1, l7(2, SERVER, 3, peer=1), l7(3, SERVER, 4, peer=1, port=8081))], identity, Graph(Limits()))

    assert service_sums(figures, "cart")[0].requests == 7
    assert {k: red.requests for k, red in figures.instances.items()} == {(NODE, EPOCH, 2): 3, (NODE, EPOCH, 3): 4}


@pytest.mark.parametrize(
    ("remote", "port", "target"),
    [
        ("10.0.0.2", 8080, "cart"),
        ("203.0.113.5", 443, "external:203.0.113.5:443"),
        ("2001:db8::1", 443, "external:[2001:db8::1]:443"),
        ("127.0.0.1", 9999, "unknown:9999"),
    ],
)
def test_a_callee_without_peer(identity: Identity, remote: str, port: int, target: str) -> None:
    """
    A callee that the kernel did not join is the owner of its address, else something external.
    """
    figures = fold([batch(1, l7(1, CLIENT, remote=remote, port=port))], identity, Graph(Limits()))

    assert [("gateway", target, "http")] == list(figures.relations)


def test_a_caller_without_peer(identity: Identity) -> None:
    """
    A caller's address that one service owns is that service; an address that nobody owns is external.
    """
    figures = fold(
        [batch(1, l7(2, SERVER, 1, remote="10.0.0.1"), l7(2, SERVER, 2, remote="192.0.2.7"))],
        identity,
        Graph(Limits()),
    )

    assert {("gateway", "cart", "http"), ("external:192.0.2.7", "cart", "http")} == set(figures.relations)


def test_a_shared_address_is_told_apart_by_who_called(identity: Identity) -> None:
    """
    Of two services behind one address, the one that is seen calling is the caller; if both are, it stays open.
    """
    shared = [instance(5, "left.py", address="10.0.0.9"), instance(6, "right.py", address="10.0.0.9")]
    identity.learn(NODE, EPOCH, shared, START_NS)
    arrived = l7(2, SERVER, 1, remote="10.0.0.9")
    left, right = (l7(number, CLIENT, 1, remote="10.0.0.2") for number in (5, 6))

    one = fold([batch(1, arrived, left)], identity, Graph(Limits()))
    both = fold([batch(1, arrived, left, right)], identity, Graph(Limits()))

    assert one.relations["left", "cart", "http"].server.requests == 1
    assert both.relations["external:10.0.0.9", "cart", "http"].server.requests == 1


def test_a_caller_over_loopback_is_the_one_that_is_seen_calling(identity: Identity) -> None:
    """
    >> a question and its arrival over loopback, without a join (as with UDP)
    << the caller is the one program of the namespace that is seen asking.
    """
    together = [
        instance(5, "resolver.py", "127.0.0.1:53", network_namespace=9),
        instance(6, "left.py", network_namespace=9),
        instance(7, "right.py", network_namespace=9),
    ]
    identity.learn(NODE, EPOCH, together, START_NS)
    asked = l7(6, CLIENT, 2, remote="127.0.0.1", port=53, protocol=Protocol.DNS)
    arrived = l7(5, SERVER, 2, remote="127.0.0.1", port=53, protocol=Protocol.DNS)
    relations = fold([batch(1, asked, arrived)], identity, Graph(Limits())).relations

    assert [("left", "resolver", "dns")] == list(relations)
    assert (2, 2) == (
        relations["left", "resolver", "dns"].client.requests,
        relations["left", "resolver", "dns"].server.requests,
    )


def test_a_service_out_of_sight_has_its_callers_figures(identity: Identity) -> None:
    """
    What is known from its callers only has their view, endpoints included.
    """
    figures = fold([batch(1, l7(1, CLIENT, 5, remote="203.0.113.5", port=443))], identity, Graph(Limits()))
    name = "external:203.0.113.5:443"

    assert service_sums(figures, name)[0].requests == 5
    assert figures.called_endpoints[name, "http", f"{0xAB:016x}"].requests == 5


def test_outcomes(identity: Identity) -> None:
    """
    Server errors and missing answers are errors; a caller's own fault is not.
    """
    series = [l7(2, SERVER, 2 + outcome, peer=1, outcome=outcome) for outcome in Outcome]
    red = fold([batch(1, *series)], identity, Graph(Limits())).provided["cart"]

    assert (red.requests, red.errors, red.client_errors, red.no_responses) == (14, 9, 3, 5)


def test_tcp_of_both_ends(identity: Identity) -> None:
    """
    A connection's life and bytes are the caller's account; segments and retransmissions add up over both ends.
    """
    figures = fold(
        [
            batch(
                1,
                l4(1, CLIENT, peer=2, opened=1, bytes_sent=10, bytes_received=90, segments_sent=5, retransmits=1),
                l4(2, SERVER, peer=1, opened=1, bytes_sent=90, bytes_received=10, segments_sent=7, retransmits=2),
                l4(2, SERVER, listen_overflows=3),
            )
        ],
        identity,
        Graph(Limits()),
    )
    tcp = figures.relations["gateway", "cart", "tcp"].tcp

    assert (tcp.opened, tcp.bytes_sent, tcp.bytes_received, tcp.segments_sent, tcp.retransmits) == (1, 10, 90, 12, 3)
    assert (
        figures.own_tcp["cart"].opened,
        figures.own_tcp["cart"].bytes_sent,
        figures.own_tcp["cart"].listen_overflows,
    ) == (1, 90, 3)


def test_tcp_of_an_external_caller_is_mirrored(identity: Identity) -> None:
    """
    Where the caller is out of sight, the callee's account is told from the caller's end.
    """
    series = l4(2, SERVER, remote="192.0.2.7", opened=1, bytes_sent=90, resets_sent=1)
    tcp = fold([batch(1, series)], identity, Graph(Limits())).relations["external:192.0.2.7", "cart", "tcp"].tcp

    assert (tcp.opened, tcp.bytes_sent, tcp.bytes_received, tcp.resets_sent, tcp.resets_received) == (1, 0, 90, 0, 1)


def test_connections_belong_to_the_protocol_spoken_there(identity: Identity) -> None:
    """
    TCP figures go to the relation of the requests on the same port, not to one of their own.
    """
    postgresql = l7(1, CLIENT, peer=2, protocol=Protocol.POSTGRESQL)
    figures = fold([batch(1, postgresql, l4(1, CLIENT, peer=2, opened=4))], identity, Graph(Limits()))

    assert figures.relations["gateway", "cart", "postgresql"].tcp.opened == 4
    assert list(figures.relations) == [("gateway", "cart", "postgresql")]


def test_an_unknown_instance_is_counted_under_its_node(identity: Identity) -> None:
    """
    Series of an instance that nobody told about are not dropped.
    """
    figures = fold([batch(1, l7(99, SERVER, 5, peer=1))], identity, Graph(Limits()))

    assert service_sums(figures, f"unknown:{NODE}")[0].requests == 5


def test_limits_overflow_into_other_and_are_counted(identity: Identity) -> None:
    """
    Beyond the limits requests are counted under `~other`, and the overflow is stated.
    """
    graph = Graph(Limits(externals=2, endpoints=1))
    series = [l7(1, CLIENT, 1, remote=f"203.0.113.{n}", port=443) for n in range(1, 6)]
    series += [l7(2, SERVER, 1, peer=1, endpoint=0xAB), l7(2, SERVER, 4, peer=1, endpoint=0xCD)]
    series += [l7(2, SERVER, 8, peer=1, endpoint=OVERFLOW_ENDPOINT)]
    figures = fold([batch(1, *series)], identity, graph)

    assert figures.called[EXTERNAL_OTHER].requests == 3
    assert figures.endpoints["cart", "http", OTHER].requests == 12
    assert figures.lost == {(NODE, "service_limit"): 3, (NODE, "endpoint_limit"): 4}


def test_relations_beyond_the_limit(identity: Identity) -> None:
    """
    Requests of a relation that finds no room are counted under `~other->~other`.
    """
    series = [l7(1, CLIENT, 2, peer=2), l7(2, CLIENT, 3, peer=1)]
    figures = fold([batch(1, *series)], identity, Graph(Limits(relations=1)))

    assert figures.relations[OTHER, OTHER, "http"].client.requests == 3
    assert figures.lost == {(NODE, "relation_limit"): 3}


SERIES = st.builds(
    l7,
    st.integers(0, 6),
    st.sampled_from(Role),
    st.integers(1, 1000),
    peer=st.integers(0, 6),
    remote=st.sampled_from(["", "10.0.0.2", "127.0.0.1", "203.0.113.5", "2001:db8::1"]),
    port=st.sampled_from([80, 8080, 8081]),
    protocol=st.sampled_from(Protocol),
    outcome=st.sampled_from(Outcome),
    endpoint=st.integers(0, 5),
)


@given(st.lists(SERIES, max_size=40))
def test_every_request_is_counted_once_on_its_side(series: list[L7Series]) -> None:
    """
    Whatever the series and however small the limits, each side's requests are counted to the unit, and once.
    """
    known = Identity()
    known.learn(NODE, EPOCH, [instance(1, "gateway.py", "0.0.0.0:80"), instance(2, "cart.py", "10.0.0.2:8080")])
    figures = fold([batch(1, *series)], known, Graph(Limits(services=2, externals=2, relations=3, endpoints=2)))
    asked = sum(each.requests for each in series if each.role is CLIENT)
    served = sum(each.requests for each in series if each.role is SERVER)

    assert asked == sum(sums.client.requests for sums in figures.relations.values())
    assert served == sum(sums.server.requests for sums in figures.relations.values())
    assert served == sum(red.requests for red in figures.provided.values())
    assert served == sum(red.requests for red in figures.endpoints.values())
