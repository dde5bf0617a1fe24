"""
Redis beyond plain commands: transactions, redirections, commands that wait, those without replies, and any cut.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from tests.kernel.l7.lab import accepts, free_port, requests_of
from tests.kernel.l7.redis_counts import counted, ok, reads, served
from tests.kernel.l7.test_kernel_l7_redis import command, redis

if TYPE_CHECKING:
    import socket

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

CUTS = (1, 2, 3, 5, 7, 11, 13, 64, 997)
READER = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
wire, want, cut = open(sys.argv[2], "rb").read(), int(sys.argv[3]), int(sys.argv[4])
s.sendall(wire)
got = 0
while got < want:
    got += len(s.recv(min(cut, want - got)))
"""


def test_transactions(lab: Lab) -> None:
    """
    Each QUEUED answers its command; EXEC has one reply, which fails with the first command that does.
    """
    port = redis(lab)
    stream = lab.stream(port)
    good = command("MULTI") + command("SET", "a", "x") + command("LRANGE", "l", "0", "-1") + command("EXEC")
    bad = command("MULTI") + command("SET", "a", "x") + command("INCR", "a") + command("GET", "a") + command("EXEC")
    stream.sendall(command("RPUSH", "l", *"123456789abcdef") + good * 5 + bad * 3)
    stream.sendall(command("MULTI") + command("GET", "a") + command("DISCARD"))
    stream.sendall(command("MULTI") + command("FROBNICATE") + command("EXEC") + command("PING"))
    reads(stream, b"+PONG")

    expected = ok(RPUSH=1, MULTI=10, SET=8, LRANGE=5, EXEC=5, INCR=3, GET=4, DISCARD=1, PING=1)
    expected |= {("EXEC", "CLIENT_ERROR", 1): 3, ("EXEC", "CLIENT_ERROR", 9): 1, ("FROBNICATE", "CLIENT_ERROR", 1): 1}
    assert expected == served(lab, port, sum(expected.values()))
    assert {} == lab.lost()


def test_a_transaction_of_many(lab: Lab) -> None:
    """
    EXEC's reply may be longer than what is looked at in one piece.
    """
    port = redis(lab)
    stream = lab.stream(port)
    stream.sendall(command("MULTI") + command("INCR", "n") * 199 + command("EXEC") + command("PING"))
    reads(stream, b"+PONG")

    assert ok(MULTI=1, INCR=199, EXEC=1, PING=1) == served(lab, port, 202)
    assert {} == lab.lost()


def test_who_is_at_fault(lab: Lab) -> None:
    """
    Errors have the number of their word; the caller's are told apart from the server's.
    """
    port = redis(lab)
    stream = lab.stream(port)
    steps = [
        command("RPUSH", "l", "1"),
        command("GET", "l"),
        command("EVALSHA", "f" * 40, "0"),
        command("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"),
        command("EVAL", "return redis.error_reply('MINE x')", "0"),
        command("CONFIG", "SET", "maxmemory", "1"),
        command("SET", "a", "1"),
        command("CONFIG", "SET", "maxmemory", "0"),
        command("REPLICAOF", "127.0.0.1", "1"),
        command("SET", "a", "1"),
        command("REPLICAOF", "NO", "ONE"),
        command("CONFIG", "SET", "min-replicas-to-write", "1"),
        command("SET", "a", "1"),
        command("CONFIG", "SET", "requirepass", "s3cr3t"),
        command("AUTH", "wrong"),
    ]
    for step in steps:
        stream.sendall(step)
        reads(stream, b"\r\n")
    late = lab.stream(port)
    late.sendall(command("GET", "a"))
    reads(late, b"-NOAUTH")

    expected = ok(RPUSH=1, CONFIG=4, REPLICAOF=2) | {
        ("GET", "CLIENT_ERROR", 4): 1, ("EVALSHA", "CLIENT_ERROR", 8): 1, ("XREADGROUP", "CLIENT_ERROR", 13): 1,
        ("EVAL", "SERVER_ERROR", 99): 1, ("SET", "SERVER_ERROR", 17): 1, ("SET", "SERVER_ERROR", 19): 1,
        ("SET", "SERVER_ERROR", 25): 1, ("AUTH", "CLIENT_ERROR", 6): 1, ("GET", "CLIENT_ERROR", 5): 1,
    }  # fmt: skip
    assert expected == served(lab, port, 16)
    assert {} == lab.lost()


def port_with_a_bus() -> int:
    """
    Return a free port to which ten thousand can be added: there a node of a cluster talks to the others.
    """
    while (port := free_port()) > 55000:
        pass
    return port


def joined(stream: socket.socket) -> bool:
    """
    Return whether the node says that its cluster is complete.
    """
    stream.sendall(command("CLUSTER", "INFO") + command("PING"))
    return b"cluster_state:ok" in reads(stream, b"+PONG\r\n")


def test_redirections_are_no_failures(lab: Lab) -> None:
    """
    In a cluster of three, a node that says where the key is has not failed; a cluster that is down has.
    """
    ports = [port_with_a_bus() for _ in range(3)]
    for port in ports:
        words = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", lab.folder]
        lab.run("redis-server", *words, "--cluster-enabled", "yes", "--cluster-config-file", f"{port}.conf")
        lab.until(lambda port=port: accepts(port), "redis-server")  # type: ignore[misc]
    first = lab.stream(ports[0])
    first.sendall(command("GET", "a"))
    assert reads(first, b"\r\n").startswith(b"-CLUSTERDOWN")
    nodes = [f"127.0.0.1:{port}" for port in ports]
    made = subprocess.run(
        ["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"], capture_output=True, timeout=60, check=False
    )
    assert b"[OK] All 16384 slots covered" in made.stdout
    streams = [lab.stream(port) for port in ports]
    for stream in streams:
        lab.until(lambda stream=stream: joined(stream), "the cluster")  # type: ignore[misc]
    before = [requests_of(lab.served(port, Protocol.REDIS)) for port in ports]
    answers = Counter[bytes]()
    for number in range(101):
        for stream in streams:
            stream.sendall(command("GET", f"key{number}"))
            answers[reads(stream, b"\r\n")[:4]] += 1

    assert {b"$-1\r": 101, b"-MOV": 202} == dict(answers)
    lab.until(
        lambda: requests_of([one for p in ports for one in lab.served(p, Protocol.REDIS)]) >= sum(before) + 303, "303"
    )
    ends = Counter[tuple[str, int]]()
    for port in ports:
        for one in lab.served(port, Protocol.REDIS):
            ends[(one.outcome.name, one.status)] += one.requests
    assert 202 == ends[("OK", 2)]
    assert 1 == ends[("SERVER_ERROR", 21)] == len([one for one in ends if one[0] != "OK"])


def test_who_waits_is_not_slow(lab: Lab) -> None:
    """
    Commands that wait for something to come have no duration to speak of, and no sample says that they are slow.
    """
    port = redis(lab)
    one, other = lab.stream(port), lab.stream(port)
    waits = [
        command("BLPOP", "l", "0"), command("BRPOP", "l", "m", "0"), command("BLMOVE", "l", "m", "LEFT", "LEFT", "0"),
        command("XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "l", "$"), command("BZPOPMIN", "l", "0"),
    ]  # fmt: skip
    gives = [command("RPUSH", "l", "1")] * 3 + [command("XADD", "l", "*", "a", "b"), command("ZADD", "l", "1", "a")]
    for wait, give in zip(waits, gives, strict=True):
        one.sendall(wait)
        lab.until(
            lambda: b"blocked_clients:1" in subprocess.check_output(["redis-cli", "-p", str(port), "info"]), "a wait"
        )
        other.sendall(command("DEBUG", "SLEEP", "0.6"))
        other.sendall(give)
        reads(one, b"\r\n")
        other.sendall(command("DEL", "l", "m"))
    one.sendall(command("WAIT", "1", "600") + command("XREAD", "STREAMS", "s", "0") + command("PING"))
    reads(one, b"+PONG")

    names: dict[int, str] = {}
    lab.until(lambda: any(one.requests for one in lab.served(port, Protocol.REDIS)), "requests")
    counted(lab, lambda: lab.served(port, Protocol.REDIS), 7, names)
    durations = {names.get(one.endpoint, "?"): one.duration_sum_ns for one in lab.served(port, Protocol.REDIS)}
    assert {0} == {durations[name] for name in ("BLPOP", "BRPOP", "BLMOVE", "BZPOPMIN", "WAIT")}
    assert {} == lab.lost()


def test_commands_that_are_typed(lab: Lab) -> None:
    """
    Words on a line are commands, at the beginning of a connection and later, and blank lines are none.
    """
    port = redis(lab)
    stream = lab.stream(port)
    for line in (b"PING\r\n", b"SET a 1\r\n", b"\r\nget a\r\n", b"incr a\r\n" * 5, command("GET", "a") + b"PING x\r\n"):
        stream.sendall(line)
    reads(stream, b"$1\r\nx\r\n")
    stream.sendall(b"set a " + b"x" * 5000 + b"\r\nSTRLEN a\r\nSUBSCRIBE b c\r\n")
    reads(stream, b":2\r\n")

    expected = ok(PING=2, SET=2, GET=2, INCR=5, STRLEN=1, SUBSCRIBE=1)
    assert expected == served(lab, port, 13)
    assert {} == lab.lost()


def test_commands_without_replies(lab: Lab) -> None:
    """
    Commands whose replies the client has turned off are counted all the same, and the next reply is not theirs.
    """
    port = redis(lab)
    stream = lab.stream(port)
    stream.sendall(command("CLIENT", "REPLY", "SKIP") + command("SET", "a", "1") + command("GET", "a"))
    stream.sendall(command("client", "reply", "off") + command("INCR", "a") * 101 + command("GET", "a") * 3)
    stream.sendall(command("CLIENT", "REPLY", "ON") + command("GET", "a"))
    reads(stream, b"102")

    assert ok(CLIENT=3, SET=1, GET=5, INCR=101) == served(lab, port, 110)
    assert {} == lab.lost()


@pytest.mark.parametrize("test", ["ping_inline", "ping_mbulk", "set", "incr"])
@pytest.mark.parametrize("pipelined", [251, 499, 997])
def test_long_pipelines_are_counted_to_the_unit(lab: Lab, test: str, pipelined: int) -> None:
    """
    What more commands come in one read than a connection may have in flight is lost, and stated to the unit.
    """
    port = redis(lab)
    words = ["-p", str(port), "-n", str(7 * pipelined), "-P", str(pipelined), "-c", "1", "-t", test, "-q"]
    subprocess.run(["redis-benchmark", *words], check=True, capture_output=True, timeout=60)

    total = 7 * pipelined + 2
    lab.until(
        lambda: requests_of(lab.served(port, Protocol.REDIS)) + sum(lab.lost().values()) >= total, f"{total} requests"
    )
    assert {"pipeline_full"} >= set(lab.lost())
    assert total == requests_of(lab.served(port, Protocol.REDIS)) + lab.lost().get("pipeline_full", 0)
    assert pipelined > 256 or {} == lab.lost()


def test_pipelines_of_different_commands(lab: Lab) -> None:
    """
    Two hundred commands of two names in turn come in one read, and each is counted.
    """
    port = redis(lab)
    stream = lab.stream(port)
    pair = command("SET", "some:key", "value") + command("EXPIRE", "some:key", "60")
    for _ in range(3):
        stream.sendall(pair * 100)
        reads(stream, b":1\r\n", times=100)

    assert ok(SET=300, EXPIRE=300) == served(lab, port, 600)
    assert {} == lab.lost()


def mixture() -> bytes:
    """
    Return commands of every kind, the last one a PING.
    """
    words = [
        *(
            "HELLO 3",
            "SET a " + "v" * 70000,
            "GET a",
            "CLIENT REPLY SKIP",
            "GET a",
            "MULTI",
            "INCR a",
            "SET a 2",
            "EXEC",
        ),
        *("SUBSCRIBE b c d", "PUBLISH b " + "hello" * 40, "HSET h x 1", "HGETALL h"),
        *("EVAL return{1,{2,{3,'x'}},'y'} 0", "UNSUBSCRIBE", "EVAL return{err='LOADING'} 0"),
    ]
    return b"".join(command(*line.split()) for line in words) + b"get a\r\n" + command("PING")


EXPECTED = ok(
    HELLO=1, SET=2, GET=3, CLIENT=1, MULTI=1, INCR=1, SUBSCRIBE=1, PUBLISH=1, HSET=1, HGETALL=1, EVAL=1, UNSUBSCRIBE=1,
    PING=1, MSG_b=1,
) | {("EXEC", "CLIENT_ERROR", 1): 1, ("EVAL", "SERVER_ERROR", 18): 1}  # fmt: skip


@pytest.mark.parametrize("cut", CUTS)
def test_any_cut_of_the_bytes(lab: Lab, cut: int) -> None:
    """
    Wherever commands and replies are cut, both ends count the same.
    """
    port = redis(lab)
    wire = mixture()
    stream = lab.stream(port)
    stream.sendall(wire)
    want = len(reads(stream, b"+PONG\r\n"))
    total = sum(EXPECTED.values())
    names: dict[int, str] = {}
    assert EXPECTED == counted(lab, lambda: lab.served(port, Protocol.REDIS), total, names)
    if cut > 3:
        piecewise = lab.stream(port)
        for at in range(0, len(wire), cut):
            piecewise.sendall(wire[at : at + cut])
        reads(piecewise, b"+PONG\r\n")
        twice = {key: 2 * count for key, count in EXPECTED.items()}
        assert twice == counted(lab, lambda: lab.served(port, Protocol.REDIS), 2 * total, names)
    (lab.folder / "wire").write_bytes(wire)
    reader = lab.run(sys.executable, "-c", READER, port, lab.folder / "wire", want, cut)
    lab.until(lambda: reader.poll() is not None, "the reader")
    assert EXPECTED == counted(lab, lambda: lab.called(port, Protocol.REDIS), total, names)
    assert {} == lab.lost()
