"""
Redis' subscriptions: who is told what, beside the replies to commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.l7.lab import accepts, free_port
from tests.kernel.l7.redis_counts import ok, reads, served
from tests.kernel.l7.test_kernel_l7_redis import command, redis

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("version", [2, 3])
def test_deliveries_are_messages_of_their_own(lab: Lab, version: int) -> None:
    """
    Confirmations answer their command, deliveries are counted by channel with ids collapsed, and commands go on.
    """
    port = redis(lab)
    one, other = lab.stream(port), lab.stream(port)
    if version == 3:
        one.sendall(command("HELLO", "3"))
        reads(one, b"modules")
    one.sendall(command("SUBSCRIBE", "news", "orders:17", "orders:18") + command("PSUBSCRIBE", "new*"))
    reads(one, b":4\r\n")
    for number in range(101):
        other.sendall(command("PUBLISH", "news", "x" * number) + command("PUBLISH", f"orders:{17 + number % 2}", "y"))
        if number % 50 == 0:
            reads(other, b":1\r\n", times=1 if number == 0 else 50)
    reads(one, b"y\r\n", times=101)
    one.sendall(command("PING") + command("UNSUBSCRIBE") + command("PUNSUBSCRIBE", "new*") + command("GET", "nothing"))
    reads(one, b"_\r\n" if version == 3 else b"$-1\r\n")

    expected = ok(SUBSCRIBE=1, PSUBSCRIBE=1, PUBLISH=202, PING=1, UNSUBSCRIBE=1, PUNSUBSCRIBE=1, GET=1)
    expected |= {("MSG news", "OK", 0): 101, ("MSG orders:{id}", "OK", 0): 101, ("PMSG new*", "OK", 0): 101}
    expected |= ok(HELLO=1) if version == 3 else {}
    assert expected == served(lab, port, sum(expected.values()))
    assert {} == lab.lost()


def test_arrays_that_look_like_deliveries_are_replies(lab: Lab) -> None:
    """
    Only who has subscribed is delivered to: a list of the same words is a reply.
    """
    port = redis(lab)
    stream = lab.stream(port)
    look = command("LRANGE", "l", "0", "-1")
    stream.sendall(command("RPUSH", "l", "message", "news", "x") + look * 7 + command("SUBSCRIBE", "a"))
    reads(stream, b"subscribe\r\n$1\r\na\r\n:1\r\n")
    stream.sendall(command("UNSUBSCRIBE") + look * 6)
    reads(stream, b"message", times=6)

    assert ok(RPUSH=1, LRANGE=13, SUBSCRIBE=1, UNSUBSCRIBE=1) == served(lab, port, 16)
    assert {} == lab.lost()


def test_invalidations_are_pushes(lab: Lab) -> None:
    """
    A client that caches is told what has changed: one message each, whatever else it asks for.
    """
    port = redis(lab)
    one, other = lab.stream(port), lab.stream(port)
    one.sendall(command("HELLO", "3") + command("CLIENT", "TRACKING", "ON", "BCAST") + command("PING"))
    reads(one, b"+PONG")
    for number in range(53):
        other.sendall(command("SET", f"k{number}", "1"))
        reads(other, b"+OK")
    reads(one, b"invalidate", times=53)

    expected = ok(HELLO=1, CLIENT=1, PING=1, SET=53, PUSH_invalidate=53)
    assert expected == served(lab, port, 109)
    assert {} == lab.lost()


@pytest.mark.parametrize("version", [2, 3])
def test_joined_amid_a_subscription(lab: Lab, version: int) -> None:
    """
    A subscriber that was there before is recognised by what it is delivered, and its next commands find their replies.
    """
    port = free_port()
    server = lab.run(
        *("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", lab.folder), observed=False
    )
    lab.until(lambda: accepts(port), "redis-server")
    one, other = lab.stream(port), lab.stream(port)
    one.sendall((command("HELLO", "3") if version == 3 else b"") + command("SUBSCRIBE", "a", "b"))
    reads(one, b":2\r\n")
    lab.observe(server.pid, 77)
    for _ in range(31):
        other.sendall(command("PUBLISH", "a", "hello"))
        reads(other, b":1\r\n")
    reads(one, b"hello", times=31)
    one.sendall(command("PING", "p") + command("UNSUBSCRIBE", "a", "b") + command("GET", "x"))
    reads(one, b"_\r\n" if version == 3 else b"$-1\r\n")

    expected = ok(PUBLISH=31, PING=1, UNSUBSCRIBE=1, GET=1) | {("MSG a", "OK", 0): 31}
    assert expected == served(lab, port, 65)
    assert {} == lab.lost()


def test_what_monitor_shows_is_pushed(lab: Lab) -> None:
    """
    Each line that MONITOR shows is one message, and RESET ends it.
    """
    port = redis(lab)
    one, other = lab.stream(port), lab.stream(port)
    one.sendall(command("MONITOR"))
    reads(one, b"+OK")
    for number in range(43):
        other.sendall(command("SET", "k" * (1 + 9 * number), "v"))
        reads(other, b"+OK")
    reads(one, b"\r\n", times=43)
    one.sendall(command("RESET") + command("GET", "nothing"))
    reads(one, b"$-1")

    assert ok(MONITOR=1, SET=43, PUSH_monitor=43, RESET=1, GET=1) == served(lab, port, 89)
    assert {} == lab.lost()
