"""
Names behind hashes: given once, bounded, the newest kept.
"""

from __future__ import annotations

from services.protocol_parser.endpoints import EndpointNames
from shared.messages.kernel import OVERFLOW_ENDPOINT, Outcome, Protocol
from shared.messages.l7 import EndpointNamed
from shared.protocols import Parsed

USERS = Parsed(name="GET /users/{id}", operation="GET", outcome=Outcome.OK)
ORDERS = Parsed(name="GET /orders", operation="GET", outcome=Outcome.OK)


def test_an_endpoint_is_named_once() -> None:
    """
    The first sample names the endpoint; later ones tell nothing new.
    """
    names = EndpointNames(10)
    expected = EndpointNamed(protocol=Protocol.HTTP1, endpoint=5, name="GET /users/{id}", operation="GET")

    assert expected == names.learn(Protocol.HTTP1, 5, USERS)
    assert names.learn(Protocol.HTTP1, 5, ORDERS) is None
    assert expected == names.find(Protocol.HTTP1, 5)


def test_protocols_do_not_share_hashes() -> None:
    """
    The same number under another protocol is another endpoint.
    """
    names = EndpointNames(10)
    names.learn(Protocol.HTTP1, 5, USERS)

    assert names.find(Protocol.REDIS, 5) is None


def test_no_endpoint_and_overflow_have_no_name() -> None:
    """
    The kernel's two special numbers stand for no endpoint and for many.
    """
    names = EndpointNames(10)

    assert names.learn(Protocol.HTTP1, 0, USERS) is None
    assert names.learn(Protocol.HTTP1, OVERFLOW_ENDPOINT, USERS) is None
    assert len(names) == 0


def test_a_stand_in_names_nothing() -> None:
    """
    `EXECUTE` says nothing about the statement, so the endpoint waits for a sample that does.
    """
    names = EndpointNames(10)
    stand_in = Parsed(name="EXECUTE", operation="EXECUTE", outcome=Outcome.OK, stand_in=True)

    assert names.learn(Protocol.POSTGRESQL, 5, stand_in) is None
    assert names.learn(Protocol.POSTGRESQL, 5, Parsed(name="SELECT a", operation="SELECT", outcome=Outcome.OK))


def test_the_name_nobody_asked_for_longest_makes_room() -> None:
    """
    The limit holds, what was asked for stays, and what went is counted.
    """
    names = EndpointNames(2)
    names.learn(Protocol.HTTP1, 5, USERS)
    names.learn(Protocol.HTTP1, 6, ORDERS)
    names.find(Protocol.HTTP1, 5)
    names.learn(Protocol.HTTP1, 7, ORDERS)

    assert names.find(Protocol.HTTP1, 6) is None
    assert names.find(Protocol.HTTP1, 5) is not None
    assert (len(names), names.forgotten) == (2, 1)
