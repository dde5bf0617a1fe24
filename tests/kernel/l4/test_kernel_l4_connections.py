"""
TCP as programs use it: every figure equals what the programs did.
"""

from __future__ import annotations

import errno
import ipaddress
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Role

if TYPE_CHECKING:
    from shared.messages.kernel import L4Series
    from tests.kernel.l4.conftest import Lab

pytestmark = pytest.mark.kernel

SERVER = """
import socket, sys, threading
s = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=128)
print(s.getsockname()[1])
def serve(c):
    try:
        while data := c.recv(65536):
            c.sendall(b"r" * 2 * len(data))
    except OSError:
        pass
    c.close()
def accept():
    while True:
        threading.Thread(target=serve, args=s.accept()[:1], daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
"""

CLIENT = """
import socket, struct, sys, time
host, port = sys.argv[1], int(sys.argv[2])
def talk(c, size):
    c.sendall(b"x" * size)
    left = 2 * size
    while left:
        left -= len(c.recv(left))
def once(size, port=port):
    c = socket.create_connection((host, port))
    talk(c, size)
    return c
kept = []
print("ready")
for line in sys.stdin:
    exec(line)
    print("done")
"""


def end(series: list[L4Series], role: Role, instance: int) -> L4Series:
    """
    Return the only series of *instance* in *role* that opened something.
    """
    (found,) = [one for one in series if one.role == role and one.instance == instance and one.opened]
    return found


def flat(histogram: list[int]) -> int:
    """
    Return how many values a flat histogram holds.
    """
    return sum(histogram[1::2])


def retransmitted(lab: Lab, netns: str) -> int:
    """
    Return how many segments the kernel says were sent again in *netns*: on a busy machine there are some.
    """
    lines = lab.run("nsenter", f"--net=/run/netns/{netns}", "cat", "/proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def test_every_connection_is_counted_at_both_ends(lab: Lab) -> None:
    """
    Opened, closed, bytes and resets equal what the programs did, and each end names the other.
    """
    netns = lab.namespace("a")
    lab.watch(f"netns:{netns}")
    server = lab.program(SERVER, "127.0.0.1", 0, netns=netns)
    port = server.hear()
    client = lab.program(CLIENT, "127.0.0.1", port, netns=netns)
    client.hear()
    client.ask("for _ in range(23): once(101).close()")
    client.ask(
        "for _ in range(5):"
        " c = once(7); c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()"
    )
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    asked, served = lab.of(client), lab.of(server)
    here = end(lab.series(), Role.CLIENT, asked)
    there = end(lab.series(), Role.SERVER, served)

    assert (served, asked) == (here.peer, there.peer)
    assert (int(port), int(port)) == (here.port, there.port)
    assert (here.remote, there.remote) == (b"", b"")
    assert (here.opened, here.closed) == (28, 28)
    assert (there.opened, there.closed) == (28, 28)
    assert (here.bytes_sent, here.bytes_received) == (23 * 101 + 5 * 7, 2 * (23 * 101 + 5 * 7))
    assert (here.bytes_received, here.bytes_sent) == (there.bytes_sent, there.bytes_received)
    assert (here.resets_sent, here.resets_received) == (5, 0)
    assert (there.resets_sent, there.resets_received) == (0, 5)
    assert here.retransmits + there.retransmits == retransmitted(lab, netns)
    assert flat(here.connect) == 28
    assert flat(there.connect) == 0
    assert flat(here.rtt) >= 28
    assert lab.entries("ends") == 0
    assert lab.lost() == []


def test_ipv6_is_counted_alike(lab: Lab) -> None:
    """
    Connections over IPv6 are counted and joined like those over IPv4.
    """
    netns = lab.namespace("a")
    lab.watch(f"netns:{netns}")
    server = lab.program(
        SERVER.replace("socket.create_server(", "socket.create_server(family=10, address="), "::1", 0, netns=netns
    )
    client = lab.program(CLIENT, "::1", server.hear(), netns=netns)
    client.hear()
    client.ask("for _ in range(11): once(13).close()")
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    here = end(lab.series(), Role.CLIENT, lab.of(client))

    assert (lab.of(server), 11, 11 * 13, 22 * 13) == (here.peer, here.opened, here.bytes_sent, here.bytes_received)


def test_refused_connections_fail_with_their_errno(lab: Lab) -> None:
    """
    Each refused connect is one failure with ECONNREFUSED, whether it blocks or not.
    """
    netns = lab.namespace("a")
    lab.watch(f"netns:{netns}")
    client = lab.program(CLIENT, "127.0.0.1", 9, netns=netns)
    client.hear()
    client.ask("for _ in range(7): c = socket.socket(); c.connect_ex((host, port)); c.close()")
    client.ask("for _ in range(5): c = socket.socket(); c.setblocking(False); c.connect_ex((host, port)); c.close()")
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    (refused,) = [one for one in lab.series() if one.instance == lab.of(client)]

    assert refused.failed == {errno.ECONNREFUSED: 12}
    assert (refused.opened, refused.closed, refused.resets_received) == (0, 0, 12)
    assert (refused.role, refused.port) == (Role.CLIENT, 9)
    assert ipaddress.ip_address("::ffff:127.0.0.1").packed == refused.remote


def test_silence_times_out_or_is_given_up(lab: Lab) -> None:
    """
    A connect that nobody answers fails with ETIMEDOUT, or with ECANCELED when the program stops waiting.
    """
    netns, far = lab.namespace("a"), lab.namespace("b")
    lab.wire(netns, far, "10.91.7")
    lab.watch(f"netns:{netns}")
    client = lab.program(CLIENT, "10.91.7.77", 80, netns=netns)
    client.hear()
    client.ask("open('/proc/sys/net/ipv4/tcp_syn_retries', 'w').write('1')")
    client.ask("kept += [socket.socket() for _ in range(5)]")
    client.ask("for c in kept: c.setblocking(False); c.connect_ex((host, port))")
    client.ask("for c in kept[:2]: c.close()")
    lab.until(lambda: sum(sum(one.failed.values()) for one in lab.series()) == 5, "five failures")
    client.ask("kept.clear()")
    (silent,) = [one for one in lab.series() if one.instance == lab.of(client)]

    assert silent.failed[errno.ECANCELED] == 2
    assert silent.failed.get(errno.ETIMEDOUT, 0) + silent.failed.get(errno.EHOSTUNREACH, 0) == 3


def test_what_was_open_before_is_taken_over(lab: Lab) -> None:
    """
    Of connections from before the watch, only what happens from then on is counted, and they are joined.
    """
    netns = lab.namespace("a")
    server = lab.program(SERVER, "127.0.0.1", 0, netns=netns)
    client = lab.program(CLIENT, "127.0.0.1", server.hear(), netns=netns)
    client.hear()
    client.ask("kept += [once(1009) for _ in range(3)]")
    lab.watch(f"netns:{netns}")
    client.ask("for c in kept: talk(c, 17)")
    client.ask("for c in kept: c.close()")
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    here = [one for one in lab.series() if one.instance == lab.of(client)]
    there = [one for one in lab.series() if one.instance == lab.of(server)]

    assert [(lab.of(server), Role.CLIENT, 0, 3, 51, 102)] == [
        (one.peer, one.role, one.opened, one.closed, one.bytes_sent, one.bytes_received) for one in here
    ]
    assert [(lab.of(client), Role.SERVER, 0, 3, 102, 51)] == [
        (one.peer, one.role, one.opened, one.closed, one.bytes_sent, one.bytes_received) for one in there
    ]


def test_a_number_used_again_mixes_nothing(lab: Lab) -> None:
    """
    Two servers that are spoken to in turn over the same file descriptor keep their figures apart.
    """
    netns = lab.namespace("a")
    lab.watch(f"netns:{netns}")
    servers = [lab.program(SERVER, "127.0.0.1", 0, netns=netns) for _ in range(2)]
    one, two = (server.hear() for server in servers)
    client = lab.program(CLIENT, "127.0.0.1", one, netns=netns)
    client.hear()
    client.ask(f"for i in range(101): once(3 if i % 2 else 5, {two} if i % 2 else {one}).close()")
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    series = [found for found in lab.series() if found.instance == lab.of(client)]

    assert {
        (lab.of(servers[0]), int(one)): (51, 51 * 5, 51 * 10),
        (lab.of(servers[1]), int(two)): (50, 50 * 3, 50 * 6),
    } == {(it.peer, it.port): (it.opened, it.bytes_sent, it.bytes_received) for it in series}


def test_a_shared_port_outlives_one_of_its_listeners(lab: Lab) -> None:
    """
    While one of several listening sockets on a port is open, connections to it are counted.
    """
    netns = lab.namespace("a")
    lab.watch(f"netns:{netns}")
    shared = SERVER.replace("backlog=128", "backlog=128, reuse_port=True")
    first = lab.program(shared, "127.0.0.1", 0, netns=netns)
    port = first.hear()
    second = lab.program(shared, "127.0.0.1", port, netns=netns)
    second.hear()
    lab.of(first)
    first.finish()
    client = lab.program(CLIENT, "127.0.0.1", port, netns=netns)
    client.hear()
    client.ask("for _ in range(7): once(19).close()")
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    served = end(lab.series(), Role.SERVER, lab.of(second))

    assert (lab.of(client), 7, 7 * 19) == (served.peer, served.opened, served.bytes_received)

    second.finish()

    assert lab.entries("listening") == 0


def test_nothing_is_seen_of_others(lab: Lab) -> None:
    """
    Traffic of programs that are not in scope leaves no trace, also when one end of it is.
    """
    inside, outside = lab.namespace("a"), lab.namespace("b")
    lab.wire(inside, outside, "10.91.8")
    lab.watch(f"netns:{inside}")
    stranger = lab.program(SERVER, "0.0.0.0", 0, netns=outside)
    port = stranger.hear()
    alone = lab.program(CLIENT, "127.0.0.1", port, netns=outside)
    alone.hear()
    alone.ask("for _ in range(13): once(19).close()")
    client = lab.program(CLIENT, "10.91.8.2", port, netns=inside)
    client.hear()
    client.ask("for _ in range(3): once(19).close()")
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    (only,) = lab.series()

    assert (lab.of(client), 0, 3, Role.CLIENT) == (only.instance, only.peer, only.opened, only.role)
    assert ipaddress.ip_address("::ffff:10.91.8.2").packed == only.remote
    assert {client.process.pid} == {instance.pid for instance in lab.instances.values()}
