"""
Who owns an address, and when.
"""

from __future__ import annotations

import pytest

from services.topology_builder.identity import REMEMBER_NS, SILENT_NS, Identity, Span
from shared.units import S_NS
from tests.services.topology_builder.making import EPOCH, NODE, START_NS, instance

NOW = Span(START_NS, START_NS + 2 * S_NS)
LATER = Span(START_NS + 600 * S_NS, START_NS + 602 * S_NS)


@pytest.fixture
def identity() -> Identity:
    """
    A node with checkout (wildcard), cart (one address), and two that share an address.
    """
    known = Identity()
    known.learn(
        NODE,
        EPOCH,
        [
            instance(1, "checkout.py", "0.0.0.0:8080"),
            instance(2, "cart.py", "10.0.0.2:8080"),
            instance(3, "left.py", "127.0.0.1:9000", address="10.0.0.9", network_namespace=7),
            instance(4, "right.py", "127.0.0.1:9001", address="10.0.0.9", network_namespace=7),
        ],
        START_NS,
    )
    return known


def test_a_listener_is_found_by_its_address(identity: Identity) -> None:
    """
    A wildcard listener is found by each address of its namespace, a bound one by its own only.
    """
    caller = identity.get((NODE, EPOCH, 2))

    assert identity.listener(caller, "10.0.0.1", 8080, NOW) == "checkout"
    assert identity.listener(caller, "10.0.0.2", 8080, NOW) == "cart"
    assert identity.listener(caller, "10.0.0.2", 8081, NOW) == ""


def test_loopback_is_a_namespace_s_own(identity: Identity) -> None:
    """
    A loopback address means the caller's own namespace, and nobody else's.
    """
    inside, outside = identity.get((NODE, EPOCH, 4)), identity.get((NODE, EPOCH, 1))

    assert identity.listener(inside, "127.0.0.1", 9000, NOW) == "left"
    assert identity.listener(outside, "127.0.0.1", 9000, NOW) == ""
    assert identity.listener(None, "127.0.0.1", 9000, NOW) == ""


def test_a_reused_address_belongs_to_one_at_a_time(identity: Identity) -> None:
    """
    After cart has ended, its address belongs to stock; earlier figures still mean cart.
    """
    ended_ns = START_NS + 300 * S_NS
    identity.learn(NODE, EPOCH, [instance(2, "cart.py", "10.0.0.2:8080", ended_ns=ended_ns)], ended_ns)
    reborn = instance(5, "stock.py", "10.0.0.2:8080", address="10.0.0.2", started_ns=ended_ns + 10 * S_NS)

    assert identity.listener(None, "10.0.0.2", 8080, LATER) == "cart"
    identity.learn(NODE, EPOCH, [reborn], ended_ns)
    assert identity.listener(None, "10.0.0.2", 8080, NOW) == "cart"
    assert identity.listener(None, "10.0.0.2", 8080, LATER) == "stock"


def test_who_dies_stays_the_one_that_listened_last(identity: Identity) -> None:
    """
    The sockets of a dying process vanish before it or with it; a call to where it listened is a call to it.
    """
    caller = identity.get((NODE, EPOCH, 1))
    identity.learn(NODE, EPOCH, [instance(2, "cart.py")], START_NS + S_NS)
    identity.learn(NODE, EPOCH, [instance(2, "cart.py", ended_ns=START_NS + 2 * S_NS)], START_NS + 2 * S_NS)

    assert identity.listener(caller, "10.0.0.2", 8080, LATER) == "cart"


def test_a_program_that_ends_is_still_the_one_that_listened_there(identity: Identity) -> None:
    """
    An ending program is told without its sockets; calls to where it listened are calls to it.
    """
    bare = instance(2, "cart.py", ended_ns=START_NS + S_NS, addresses=[])
    identity.learn(NODE, EPOCH, [bare], START_NS)

    assert identity.listener(None, "10.0.0.2", 8080, LATER) == "cart"
    assert {"cart"} == identity.owners(None, "10.0.0.2", NOW)


def test_late_word_does_not_undo_newer_word(identity: Identity) -> None:
    """
    >> cart with a new listener, an older batch without it; cart has ended, a newer batch that has not noticed
    << the newer word holds, and what has ended does not come back.
    """
    moved = instance(2, "cart.py", "10.0.0.2:9090")
    identity.learn(NODE, EPOCH, [moved], START_NS + 10)
    identity.learn(NODE, EPOCH, [instance(2, "cart.py", "10.0.0.2:8080")], START_NS + 9)
    assert identity.listener(None, "10.0.0.2", 9090, NOW) == "cart"

    identity.learn(NODE, EPOCH, [instance(2, "cart.py", ended_ns=START_NS + 11)], START_NS + 11)
    identity.learn(NODE, EPOCH, [moved], START_NS + 12)
    ended = identity.get((NODE, EPOCH, 2))

    assert ended is not None
    assert ended.info.ended_ns == START_NS + 11


def test_two_candidates_are_no_answer(identity: Identity) -> None:
    """
    An address that two services listen on, on two other nodes, is not guessed; on the caller's node it is clear.
    """
    identity.learn("n2", EPOCH, [instance(1, "pay.py", "172.17.0.2:80", address="172.17.0.2")], START_NS)
    identity.learn("n3", EPOCH, [instance(1, "mail.py", "172.17.0.2:80", address="172.17.0.2")], START_NS)

    assert identity.listener(identity.get((NODE, EPOCH, 1)), "172.17.0.2", 80, NOW) == ""
    assert identity.listener(identity.get(("n3", EPOCH, 1)), "172.17.0.2", 80, NOW) == "mail"


def test_owners_of_an_address(identity: Identity) -> None:
    """
    All services that may have spoken from an address are told; from loopback, those in the callee's namespace.
    """
    left = identity.get((NODE, EPOCH, 3))

    assert {"left", "right"} == identity.owners(None, "10.0.0.9", NOW)
    assert {"left", "right"} == identity.owners(left, "127.0.0.1", NOW)
    assert set() == identity.owners(None, "127.0.0.1", NOW)
    assert set() == identity.owners(None, "10.9.9.9", NOW)


def test_a_new_epoch_ends_the_instances_of_the_old(identity: Identity) -> None:
    """
    When a node's kernel side is loaded anew, nothing of the old epoch runs, also what is told about it late.
    """
    later = EPOCH + 100 * S_NS
    identity.learn(NODE, later, [instance(1, "checkout.py", "0.0.0.0:8080")], later)
    identity.learn(NODE, EPOCH, [instance(6, "late.py")], START_NS)
    running = {known.key for known in identity if identity.runs(known, later)}

    assert {(NODE, later, 1)} == running


def test_a_silent_node_says_nothing_about_now(identity: Identity) -> None:
    """
    Long after a node's last word, its instances are not said to run.
    """
    known = identity.get((NODE, EPOCH, 1))
    assert known is not None

    assert identity.runs(known, START_NS + SILENT_NS)
    assert not identity.runs(known, START_NS + SILENT_NS + 1)


def test_what_ended_is_forgotten_after_a_while(identity: Identity) -> None:
    """
    An ended instance is remembered for late figures, and forgotten once it is stored and old.
    """
    identity.learn(NODE, EPOCH, [instance(2, "cart.py", "10.0.0.2:8080", ended_ns=START_NS)], START_NS)
    identity.changed.clear()

    identity.forget(START_NS + REMEMBER_NS)
    assert identity.get((NODE, EPOCH, 2)) is not None
    identity.forget(START_NS + REMEMBER_NS + 1)
    assert identity.get((NODE, EPOCH, 2)) is None
    assert identity.listener(None, "10.0.0.2", 8080, NOW) == ""


def test_only_what_changed_is_to_be_stored(identity: Identity) -> None:
    """
    Hearing the same again changes nothing.
    """
    assert {1, 2, 3, 4} == {key[2] for key in identity.changed}
    identity.changed.clear()
    identity.learn(NODE, EPOCH, [instance(1, "checkout.py", "0.0.0.0:8080")], START_NS)
    assert identity.changed == {}


def test_beyond_the_limit_instances_are_refused_and_counted() -> None:
    """
    The limit holds, and what it turns away is counted.
    """
    known = Identity(limit=1)
    known.learn(NODE, EPOCH, [instance(1, "a.py"), instance(2, "b.py")], START_NS)

    assert (len(list(known)), known.refused) == (1, 1)
