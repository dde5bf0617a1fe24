"""
The map over time: what appears, what vanishes, what is written.
"""

from __future__ import annotations

from services.topology_builder.folding import fold
from services.topology_builder.graph import Graph, Limits, Plan, relation_id
from services.topology_builder.identity import Identity
from shared.messages.kernel import KernelBatch, Protocol, Role
from shared.units import S_NS, WINDOW_NS
from tests.services.topology_builder.making import EPOCH, NODE, START_NS, batch, instance, l4, l7

CLIENT, SERVER = Role.CLIENT, Role.SERVER
CALL = (l7(1, CLIENT, 5, peer=2), l7(2, SERVER, 5, peer=1))


class Story:
    """
    Windows that follow one another.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.identity = Identity()
        self.graph = Graph(limits or Limits())
        self.identity.learn(NODE, EPOCH, [instance(1, "gateway.py", "0.0.0.0:80"), instance(2, "cart.py")], START_NS)

    def plan(self, window: int, *batches: KernelBatch) -> Plan:
        """
        Return what the *window*th window changes, without making it so.
        """
        start_ns = START_NS + window * WINDOW_NS
        return self.graph.apply(
            fold(batches, self.identity, self.graph), self.identity, start_ns, start_ns + WINDOW_NS
        )  # fmt: skip

    def window(self, window: int, *batches: KernelBatch) -> set[tuple[str, str, str]]:
        """
        Apply the *window*th window and return what changed.
        """
        plan = self.plan(window, *batches)
        self.graph.stored(plan)
        return {(change.what, change.id.rpartition("/")[2], change.change) for change in plan.changes}


def test_what_has_traffic_or_listens_appears_once() -> None:
    """
    A service that listens is on the map before its first request; a program that does nothing is not; news come once.
    """
    story = Story()

    assert {("service", "gateway", "appeared"), ("instance", "1", "appeared")} == story.window(0)
    assert {
        ("service", "cart", "appeared"),
        ("instance", "2", "appeared"),
        ("relation", "gateway->cart:http", "appeared"),
    } == story.window(1, batch(1, *CALL))
    assert set() == story.window(2, batch(2, *CALL))


def test_a_connection_becomes_what_its_first_request_says() -> None:
    """
    A relation drawn for a connection without requests goes as soon as its protocol is known, and only then.
    """
    story = Story()
    story.window(0)
    assert ("relation", "gateway->cart:tcp", "appeared") in story.window(1, batch(1, l4(1, CLIENT, peer=2)))
    assert set() == story.window(2)

    assert ("relation", "gateway->cart:http", "appeared") in story.window(3, batch(2, *CALL))
    assert {("gateway", "cart", "http")} == set(story.graph.relations)


def test_a_plan_that_is_not_stored_changes_nothing() -> None:
    """
    Applying a window again before it is stored gives the same plan.
    """
    story = Story()

    assert story.plan(0, batch(1, *CALL)) == story.plan(0, batch(1, *CALL))


def test_what_ends_vanishes_after_a_while() -> None:
    """
    << a service vanishes when it neither runs nor has traffic for a time, and takes its relations with it
    << an instance vanishes as soon as it has ended.
    """
    story = Story(Limits(service_gone_after_ns=30 * S_NS))
    story.window(0, batch(1, *CALL))
    story.identity.learn(NODE, EPOCH, [instance(2, "cart.py", ended_ns=START_NS + 5 * S_NS)], START_NS)

    assert {("instance", "2", "vanished")} == story.window(1)
    assert set() == story.window(2)
    assert {("service", "cart", "vanished"), ("relation", "gateway->cart:http", "vanished")} == story.window(3)
    assert set() == story.window(4)


def test_an_idle_relation_vanishes_later_than_it_idles() -> None:
    """
    A relation without traffic stays on the map for its own time, though both its ends run.
    """
    story = Story(Limits(relation_gone_after_ns=20 * S_NS))
    story.window(0, batch(1, *CALL))

    assert set() == story.window(1)
    assert {("relation", "gateway->cart:http", "vanished")} == story.window(2)


def test_the_kind_follows_the_protocols_served() -> None:
    """
    What serves PostgreSQL is a database; what only asks is a client.
    """
    story = Story()
    served = l7(2, SERVER, peer=1, protocol=Protocol.POSTGRESQL, port=5432)
    rows = {row.service: row for row in story.plan(0, batch(1, served)).services}

    assert (rows["cart"].kind, rows["gateway"].kind) == ("database", "service")
    assert rows["cart"].attributes["process.executable.name"] == "python3.11"


def test_the_last_sight_is_written_once_a_minute() -> None:
    """
    A service that goes on as before is written anew only after a minute.
    """
    story = Story()
    story.window(0, batch(1, *CALL))
    written = []
    for window in range(1, 13):
        plan = story.plan(window, batch(1 + window, *CALL))
        story.graph.stored(plan)
        written.append(len(plan.services))

    assert written == [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2]


def test_a_connection_without_requests_joins_the_known_protocol() -> None:
    """
    TCP figures of a later window go to the relation whose protocol was seen on that port before.
    """
    story = Story()
    story.window(0, batch(1, *CALL))
    figures = fold([batch(2, l4(1, CLIENT, peer=2, opened=1))], story.identity, story.graph)

    assert list(figures.relations) == [("gateway", "cart", "http")]


def test_a_restored_map_is_the_same_map() -> None:
    """
    After a restart nothing appears anew.
    """
    story, restarted = Story(), Story()
    story.window(0, batch(1, *CALL))
    running = [known.id for known in restarted.identity]
    restarted.graph.restore(story.graph.services.values(), story.graph.relations.values(), running)

    assert set() == restarted.window(1, batch(2, *CALL))


def test_endpoints_make_room_for_new_ones() -> None:
    """
    An endpoint that was idle for an hour gives its place to another.
    """
    story = Story(Limits(endpoints=1))
    story.window(0, batch(1, l7(2, SERVER, peer=1, endpoint=7)))

    assert not story.graph.has_room_for_endpoint(("cart", "http", "9"), 0)
    later = batch(2, l7(2, SERVER, peer=1, endpoint=8))
    story.window(400, later)
    story.window(401, later)
    assert story.graph.has_room_for_endpoint(("cart", "http", f"{8:016x}"), 0)


def test_relation_id() -> None:
    """
    A relation's id says who asks whom over what.
    """
    assert relation_id(("a", "b", "http")) == "a->b:http"
