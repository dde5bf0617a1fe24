"""
Redis: every command is counted, plain and pipelined, and replies find their commands.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import PROGRAM_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel


def redis(lab: Lab) -> int:
    """
    Start Redis in scope and return its port.
    """
    port = free_port()
    lab.run("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", lab.folder)
    lab.until(lambda: accepts(port), "redis-server")
    return port


def command(*words: str) -> bytes:
    """
    Return a command as clients send it.
    """
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [f"${len(word)}\r\n{word}\r\n".encode() for word in words]
    return b"".join(parts)


@pytest.mark.parametrize("test", ["set", "get", "lpush", "mset", "lrange_100"])
@pytest.mark.parametrize("pipelined", [1, 16])
def test_every_command_of_a_benchmark_is_counted(lab: Lab, test: str, pipelined: int) -> None:
    """
    What redis-benchmark sends is what is seen, one by one and by 16.
    """
    port = redis(lab)
    words = ["-p", str(port), "-n", "1009", "-P", str(pipelined), "-c", "7", "-t", test, "-q"]
    subprocess.run(["redis-benchmark", *words], check=True, capture_output=True, timeout=PROGRAM_S)

    # It sends whole pipelines, before them CONFIG GET twice, and for LRANGE it fills the list by LPUSH first.
    whole = -(-1009 // pipelined) * pipelined
    fills = whole if test == "lrange_100" else 0
    found = lab.served(port, Protocol.REDIS)
    assert sorted([2, whole] + [fills] * bool(fills)) == sorted(one.requests for one in found)
    assert {} == lab.lost()


def test_commands_cut_anywhere(lab: Lab) -> None:
    """
    Pipelined commands that arrive in pieces of every size are counted once each.
    """
    port = redis(lab)
    connection = lab.stream(port)
    wire = (command("SET", "key", "v" * 300) + command("GET", "key") + command("INCR", "key")) * 7
    for size in (1, 2, 3, 5, 7, 11, 64, 997):
        for at in range(0, len(wire), size):
            connection.sendall(wire[at : at + size])
        got = b""
        while got.count(b"-ERR") < 7:
            got += connection.recv(4096)

    found = {(one.outcome, one.requests) for one in lab.served(port, Protocol.REDIS)}
    assert {(Outcome.OK, 56), (Outcome.CLIENT_ERROR, 56)} == found
    assert 168 == requests_of(lab.served(port, Protocol.REDIS))
    assert 8 * len(wire) == sum(one.request_bytes for one in lab.served(port, Protocol.REDIS))
    assert {} == lab.lost()


def test_resp3_pushes_are_no_replies(lab: Lab) -> None:
    """
    Under RESP3 maps and pushes are told apart from replies, and nested replies are one; the push is counted as well.
    """
    port = redis(lab)
    connection = lab.stream(port)
    connection.sendall(command("HELLO", "3") + command("CLIENT", "TRACKING", "ON") + command("SET", "a", "1"))
    connection.sendall(command("GET", "a") + command("SET", "a", "2") + command("HSET", "h", "x", "1", "y", "2"))
    connection.sendall(command("HGETALL", "h") + command("EVAL", "return {1,{2,{3}},'x'}", "0") + command("PING"))
    got = b""
    while b"+PONG" not in got:
        got += connection.recv(65536)

    assert b">2\r\n$10\r\ninvalidate" in got
    assert 10 == requests_of(lab.served(port, Protocol.REDIS))
    assert {} == lab.lost()


def test_the_order_of_replies_decides(lab: Lab) -> None:
    """
    In a pipeline, the error belongs to the command that failed and to no other.
    """
    port = redis(lab)
    connection = lab.stream(port)
    connection.sendall(command("SET", "w", "word") + command("LPUSH", "w", "1") + command("GET", "w"))
    got = b""
    while b"$4\r\nword" not in got:
        got += connection.recv(4096)

    found = lab.served(port, Protocol.REDIS)
    failed = [one for one in found if one.outcome is Outcome.CLIENT_ERROR]
    assert [1, 1, 1] == [one.requests for one in found]
    assert 1 == len(failed)
    assert failed[0].endpoint not in {one.endpoint for one in found if one is not failed[0]}


def test_more_in_flight_than_there_is_room(lab: Lab) -> None:
    """
    Of more commands than a connection may have in flight, those beyond are lost by a stated cause, to the unit.
    """
    port = lab.serve(
        "c, _ = listener.accept(); got = b''\n"
        "while got.count(b'PING') < 401: got += c.recv(65536)\n"
        "for _ in range(401): c.sendall(b'+PONG\\r\\n')\n"
        "c.recv(1)\n"
    )
    connection = lab.stream(port)
    for _ in range(401):
        connection.sendall(command("PING"))
    got = b""
    while got.count(b"+PONG") < 401:
        got += connection.recv(65536)

    assert {"pipeline_full": 401 - 256} == lab.lost()
    assert 256 == requests_of(lab.served(port, Protocol.REDIS))
