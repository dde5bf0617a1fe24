"""
AMQP with a real RabbitMQ: what is asked, published, confirmed, delivered and refused is counted once each.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pika
import pytest

from shared.messages.kernel import Protocol
from tests.kernel.l7 import rabbitmq
from tests.kernel.l7.amqp_wire import Wire, declared, method, opening, publication, short
from tests.kernel.l7.lab import requests_of
from tests.kernel.l7.tally import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab
    from tests.kernel.l7.rabbitmq import RabbitMq
    from tests.kernel.l7.tally import Tally

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitMq]:
    """
    A RabbitMQ that every test puts in scope.
    """
    with rabbitmq.running() as one:
        yield one


def counted(lab: Lab, port: int, expected: dict[tuple[str, str, int], int], opening: int) -> Tally:
    """
    Return what was served beside *opening* and closing connections and channels, once there is as much as *expected*.
    """
    total = sum(expected.values()) + opening
    lab.until(lambda: requests_of(lab.served(port, Protocol.AMQP)) >= total, f"{total} requests")
    samples = [one for one in lab.samples() if one.protocol is Protocol.AMQP]
    found = named(lab.served(port, Protocol.AMQP), samples)
    assert total == found.total(), found
    beside = ("Connection.Start", "Connection.Open", "Connection.Close", "Channel.")
    return Counter({key: count for key, count in found.items() if not key[0].startswith(beside)})


def test_what_a_client_asks_and_publishes(lab: Lab, server: RabbitMq) -> None:
    """
    Declarations, gets and what is published without confirmation are counted by name; a missing queue has its code.
    """
    lab.observe(server.pid, 77)
    with contextlib.closing(server.connect(heartbeat=1)) as connection:
        channel = connection.channel()
        channel.queue_declare("shop.orders", exclusive=True)
        for number in range(41):
            channel.basic_publish("", "shop.orders", b"x" * number * 100)
        for _ in range(41):
            assert channel.basic_get("shop.orders", auto_ack=True)[0]
        for _ in range(7):
            assert not channel.basic_get("shop.orders")[0]
        connection.process_data_events(time_limit=2.5)  # heartbeats
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            channel.queue_declare("shop.nobody", passive=True)

    expected = {
        ("Queue.Declare shop.orders", "OK", 0): 1,
        ("Publish /shop.orders", "OK", 0): 41,
        ("Basic.Get shop.orders", "OK", 0): 48,
        ("Queue.Declare shop.nobody", "CLIENT_ERROR", 404): 1,
    }
    assert expected == counted(lab, server.port, expected, 5)
    assert {} == lab.lost()


def test_confirmed_publications_have_their_answers(lab: Lab, server: RabbitMq) -> None:
    """
    A publication on a channel that confirms lasts until the broker's Ack, whether that is of one or of many.
    """
    lab.observe(server.pid, 77)
    wire, one = Wire(lab.stream(server.port)), publication(b"", b"confirmed", b"hello")
    wire.connection.sendall(opening() + declared(b"confirmed") + method((85, 10), b"\0"))
    wire.hear((85, 11))
    total = 0
    for size in (1, 11, 97, 101):
        total += size
        wire.connection.sendall(one * size)
        wire.confirmed(total)

    expected = {
        ("Queue.Declare confirmed", "OK", 0): 1, ("Confirm.Select", "OK", 0): 1, ("Publish /confirmed", "OK", 0): 210
    }  # fmt: skip
    assert expected == counted(lab, server.port, expected, 4)
    found = next(series for series in lab.served(server.port, Protocol.AMQP) if series.requests == 210)
    assert 210 * len(one) == found.request_bytes
    assert found.duration_sum_ns > 210 * 1000
    assert wire.many > 0
    assert {} == lab.lost()


def test_more_publications_than_can_be_on_their_way(lab: Lab, server: RabbitMq) -> None:
    """
    A thousand publications that nobody has confirmed yet are counted once each, on several channels at once.
    """
    lab.observe(server.pid, 77)
    wire, channels = Wire(lab.stream(server.port)), 7
    wire.connection.sendall(opening(channels))
    wire.hear((20, 11), channels)
    wire.connection.sendall(declared(b"flooded"))
    wire.hear((50, 11))
    for channel in range(1, channels + 1):
        wire.connection.sendall(method((85, 10), b"\0", channel))
    wire.hear((85, 11), channels)
    rounds = [publication(b"", b"flooded", b"hello", 1 + number % channels) for number in range(channels * 149)]
    wire.connection.sendall(b"".join(rounds))
    wire.connection.sendall(method((50, 40), b"\0\0" + short(b"flooded") + b"\0"))
    wire.hear((50, 41))

    expected = {
        ("Queue.Declare flooded", "OK", 0): 1,
        ("Confirm.Select", "OK", 0): channels,
        ("Publish /flooded", "OK", 0): channels * 149,
        ("Queue.Delete flooded", "OK", 0): 1,
    }
    assert expected == counted(lab, server.port, expected, 3 + channels)
    assert {} == lab.lost()


def test_what_cannot_be_published(lab: Lab, server: RabbitMq) -> None:
    """
    A missing exchange closes the channel, which is the answer of what was published; what nobody takes is returned.
    """
    lab.observe(server.pid, 77)
    with contextlib.closing(server.connect()) as connection:
        for _ in range(3):
            channel = connection.channel()
            channel.confirm_delivery()
            with pytest.raises(pika.exceptions.ChannelClosedByBroker):
                channel.basic_publish("nowhere", "a.b", b"hello")
        channel = connection.channel()
        channel.confirm_delivery()
        for _ in range(5):
            with pytest.raises(pika.exceptions.UnroutableError):
                channel.basic_publish("amq.topic", "a.7", b"hello", mandatory=True)
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare("shop.full", exclusive=True, arguments=arguments)
        channel.basic_publish("", "shop.full", b"hello")
        for _ in range(11):
            with pytest.raises(pika.exceptions.NackError):
                channel.basic_publish("", "shop.full", b"hello")

    expected = {
        ("Publish nowhere/a.b", "CLIENT_ERROR", 404): 3,
        ("Publish amq.topic/a.{id}", "OK", 0): 5,
        ("Return amq.topic/a.{id}", "CLIENT_ERROR", 312): 5,
        ("Publish /shop.full", "OK", 0): 1,
        ("Publish /shop.full", "SERVER_ERROR", 0): 11,
        ("Confirm.Select", "OK", 0): 4,
        ("Queue.Declare shop.full", "OK", 0): 1,
    }
    assert expected == counted(lab, server.port, expected, 3 + 4 + 2)
    assert {} == lab.lost()


def test_deliveries_and_their_acknowledgements(lab: Lab, server: RabbitMq) -> None:
    """
    Deliveries are pushes of the broker, acknowledgements are one-way, and those of a batch are counted to the unit.
    """
    lab.observe(server.pid, 77)
    with contextlib.closing(server.connect()) as connection:
        channel = connection.channel()
        channel.queue_declare("shop.work", exclusive=True)
        for _ in range(1009):
            channel.basic_publish("", "shop.work", b"hello")
        taken = list[Any]()
        channel.basic_consume("shop.work", lambda _, how, __, ___: taken.append(how), consumer_tag="one")
        while len(taken) < 1009:
            connection.process_data_events(time_limit=1)
        for how in taken[:31]:
            channel.basic_ack(how.delivery_tag)
        channel.basic_reject(taken[31].delivery_tag, requeue=False)
        channel.basic_ack(taken[-1].delivery_tag, multiple=True)
        channel.basic_cancel("one")

    expected = {
        ("Queue.Declare shop.work", "OK", 0): 1,
        ("Publish /shop.work", "OK", 0): 1009,
        ("Basic.Consume shop.work", "OK", 0): 1,
        ("Deliver /shop.work", "OK", 0): 1009,
        ("Basic.Ack", "OK", 0): 32,
        ("Basic.Reject", "OK", 0): 1,
        ("Basic.Cancel", "OK", 0): 1,
    }
    assert expected == counted(lab, server.port, expected, 6)
    assert {} == lab.lost()


def test_what_was_delivered_before_is_counted_apart(lab: Lab, server: RabbitMq) -> None:
    """
    Of deliveries and of gets those that the broker repeats are told from the first ones, to the unit.
    """
    lab.observe(server.pid, 77)
    with contextlib.closing(server.connect()) as connection:
        channel = connection.channel()
        channel.queue_declare("shop.again", exclusive=True)
        for _ in range(103):
            channel.basic_publish("", "shop.again", b"hello")
        taken = list[Any]()
        channel.basic_consume("shop.again", lambda _, how, __, ___: taken.append(how), consumer_tag="one")
        while len(taken) < 103:
            connection.process_data_events(time_limit=1)
        for how in taken[:41]:
            channel.basic_reject(how.delivery_tag, requeue=True)
        while len(taken) < 103 + 41:
            connection.process_data_events(time_limit=1)
        channel.basic_cancel("one")
        channel.basic_ack(0, multiple=True)
        assert [0] * 103 + [1] * 41 == [how.redelivered for how in taken]
        channel.basic_publish("", "shop.again", b"hello")
        for again in range(5):
            how, _, _ = channel.basic_get("shop.again")
            assert how.redelivered == bool(again)
            channel.basic_reject(how.delivery_tag, requeue=True)
        channel.basic_qos(prefetch_count=1)

    expected = {
        ("Queue.Declare shop.again", "OK", 0): 1,
        ("Publish /shop.again", "OK", 0): 104,
        ("Basic.Consume shop.again", "OK", 0): 1,
        ("Deliver /shop.again", "OK", 0): 103,
        ("Redeliver /shop.again", "OK", 0): 41,
        ("Basic.Reject", "OK", 0): 41 + 5,
        ("Basic.Cancel", "OK", 0): 1,
        ("Basic.Ack", "OK", 0): 1,
        ("Basic.Get shop.again", "OK", 0): 1,
        ("Basic.GetAgain shop.again", "OK", 0): 4,
        ("Basic.Qos", "OK", 0): 1,
    }
    assert expected == counted(lab, server.port, expected, 6)
    assert {} == lab.lost()


CONSUMER = """
import pika, sys
connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1])))
channel, taken = connection.channel(), []
channel.queue_declare("shop.batch", exclusive=True)
for _ in range(2003):
    channel.basic_publish("", "shop.batch", b"hello")
channel.basic_consume("shop.batch", lambda *_: taken.append(1), auto_ack=True)
while len(taken) < 2003:
    connection.process_data_events(time_limit=1)
connection.close()
"""


def test_both_ends_agree(lab: Lab, server: RabbitMq) -> None:
    """
    A consumer that reads hundreds of deliveries at once has counted what the broker has counted.
    """
    lab.observe(server.pid, 77)
    program = lab.run(sys.executable, "-c", CONSUMER, server.port)
    assert 0 == program.wait(60)

    total = 6 + 1 + 2003 + 1 + 2003 + 1  # pika cancels before it closes
    for side in (lab.served, lab.called):
        with contextlib.suppress(AssertionError):
            lab.until(lambda side=side: requests_of(side(server.port, Protocol.AMQP)) >= total, "all")  # type: ignore[misc]
        assert total == requests_of(side(server.port, Protocol.AMQP))
    assert {} == lab.lost()


def test_publishers_are_blocked(lab: Lab, server: RabbitMq) -> None:
    """
    A broker that is short of memory says so to who publishes: a failure that is the broker's.
    """
    lab.observe(server.pid, 77)
    server.control("set_vm_memory_high_watermark", "absolute", "1MB")
    blocked = list[Any]()
    try:
        connection = server.connect()
        connection.add_on_connection_blocked_callback(lambda *_: blocked.append(1))
        channel = connection.channel()
        channel.basic_publish("", "shop.nobody", b"hello")
        while not blocked:
            connection.process_data_events(time_limit=1)
    finally:
        server.control("set_vm_memory_high_watermark", "absolute", "1GB")
    with contextlib.closing(connection):
        connection.process_data_events(time_limit=0.1)
        channel.basic_qos(prefetch_count=1)

    expected = {
        ("Connection.Blocked", "SERVER_ERROR", 0): 1,
        ("Connection.Unblocked", "OK", 0): 1,
        ("Publish /shop.nobody", "OK", 0): 1,
        ("Basic.Qos", "OK", 0): 1,
    }
    assert expected == counted(lab, server.port, expected, 6)
    assert {} == lab.lost()


@pytest.mark.parametrize("size", [1, 7, 997])
def test_cut_anywhere(lab: Lab, server: RabbitMq, size: int) -> None:
    """
    A conversation whose bytes come in pieces of any size is counted once, with publications confirmed and not.
    """
    lab.observe(server.pid, 77)
    wire = Wire(lab.stream(server.port))
    said = opening(2) + declared(b"pieces") + method((85, 10), b"\0", 2)
    said += b"".join(publication(b"", b"pieces", b"x" * (31 * number + 1), 1 + number % 2) for number in range(23))
    asked = [method((60, 10), bytes(4) + b"\0\1\0")] * 13
    said += method((50, 30), b"\0\0" + short(b"pieces") + b"\1")  # no answer is waited for
    deletion = method((50, 40), b"\0\0" + short(b"pieces") + b"\0")
    for part, answer in ((said, (85, 11)), *((one, (60, 11)) for one in asked), (deletion, (50, 41))):
        for at in range(0, len(part), size):
            wire.connection.sendall(part[at : at + size])
        wire.hear(answer)
    wire.confirmed(11)
    wire.connection.sendall(method((20, 40), b"\0\0\0" + bytes(4), 2))
    wire.hear((20, 41))

    expected = {
        ("Queue.Declare pieces", "OK", 0): 1,
        ("Confirm.Select", "OK", 0): 1,
        ("Publish /pieces", "OK", 0): 23,
        ("Queue.Purge pieces", "OK", 0): 1,
        ("Basic.Qos", "OK", 0): 13,
        ("Queue.Delete pieces", "OK", 0): 1,
    }
    assert expected == counted(lab, server.port, expected, 6)
    assert {} == lab.lost()


def test_attached_in_the_middle(lab: Lab, server: RabbitMq) -> None:
    """
    A connection that was open before is recognised by its next method, on whatever channel.
    """
    with contextlib.closing(server.connect()) as connection:
        channels = [connection.channel() for _ in range(17)]
        channels[0].queue_declare("shop.before", exclusive=True)
        lab.observe(server.pid, 77)
        for channel in channels:
            for _ in range(3):
                channel.basic_get("shop.before")

        expected = {("Basic.Get shop.before", "OK", 0): 51}
        assert expected == counted(lab, server.port, expected, 0)
        assert {} == lab.lost()


def test_closed_with_publications_on_their_way(lab: Lab) -> None:
    """
    What a channel or a connection leaves unconfirmed had no response; the channel's number begins anew.
    """
    opened, selected = method((20, 11), bytes(4)), method((85, 11))
    started = method((10, 10), bytes(40), 0) + method((10, 30), bytes(8), 0) + method((10, 41), b"\0", 0) + opened
    one, select = publication(b"", b"lost", b"hello"), method((85, 10), b"\0")
    script = [
        (opening(), started, (20, 11)),
        (select, selected, (85, 11)),
        (one * 17 + method((20, 40), b"\0\0\0" + bytes(4)), method((20, 41)), (20, 41)),
        (method((20, 10), b"\0"), opened, (20, 11)),
        (select, selected, (85, 11)),
        (one * 5, method((60, 80), struct.pack(">QB", 2, 1)), (60, 80)),
    ]
    port = lab.serve(
        "c, _ = listener.accept()\n"
        "def take(n):\n"
        "    while n: n -= len(c.recv(n))\n"
        f"for n, answer in {[(len(said), answer.hex()) for said, answer, _ in script]!r}:\n"
        "    take(n); c.sendall(bytes.fromhex(answer))\n"
        "c.close()\n"
    )
    wire = Wire(lab.stream(port))
    for said, _, answer in script:
        wire.connection.sendall(said)
        wire.hear(answer)

    expected = {
        ("Confirm.Select", "OK", 0): 2,
        ("Publish /lost", "OK", 0): 2,
        ("Publish /lost", "NO_RESPONSE", 0): 17 + 3,
    }
    assert expected == counted(lab, port, expected, 6)
    assert {} == lab.lost()
