"""
What goes wrong on TCP: lost segments, full queues, address translation in between.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from deploy.demo import lossy_link
from shared.messages.kernel import Role

if TYPE_CHECKING:
    from shared.messages.kernel import L4Series
    from tests.kernel.l4.conftest import Lab

pytestmark = pytest.mark.kernel

EATER = """
import socket, sys
s = socket.create_server((sys.argv[1], 0))
print(s.getsockname()[1])
for _ in range(int(sys.argv[3])):
    c, _address = s.accept()
    left = int(sys.argv[2])
    while left:
        left -= len(c.recv(left))
    c.close()
sys.stdin.read()
"""

HOLDER = """
import socket, sys
s = socket.create_server((sys.argv[1], 0))
print(s.getsockname()[1])
c, _address = s.accept()
left = int(sys.argv[2])
while left:
    left -= len(c.recv(left))
print("received")
sys.stdin.readline()
c.close()
sys.stdin.read()
"""

SENDER = """
import socket, sys, time
host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
STATE, CLOSE, RETRANS = 0, 7, 100  # tcpi_state, tcpi_total_retrans
retransmits = 0
sys.stdin.readline()
for _ in range(int(sys.argv[4])):
    c = socket.create_connection((host, port))
    c.sendall(b"x" * size)
    while c.recv(1):
        pass
    c.shutdown(socket.SHUT_WR)
    info = bytes(1)
    while info[STATE] != CLOSE:
        time.sleep(0.005)
        info = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    retransmits += int.from_bytes(info[RETRANS:RETRANS + 4], sys.byteorder)
    c.close()
print(retransmits)
sys.stdin.read()
"""

SLOW_SENDER = """
import fcntl, socket, sys, termios, time
c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for part in (7, int(sys.argv[3]) - 7):
    sys.stdin.readline()
    for _ in range(part // 1000):
        c.sendall(b"x" * 1000)
    c.sendall(b"x" * (part % 1000))
    while any(fcntl.ioctl(c, termios.TIOCOUTQ, bytes(4))):
        time.sleep(0.005)
    print("acknowledged")
while c.recv(1):
    pass
c.close()
sys.stdin.read()
"""

STRAY = """
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
for _ in range(int(sys.argv[1])):
    s.sendto(b"x", ("127.0.0.1", 9))
"""

LISTENER = """
import socket, sys
s = socket.create_server((sys.argv[1], 0), backlog=1)
print(s.getsockname()[1])
sys.stdin.read()
"""

CROWD = """
import socket, sys
kept = [socket.socket() for _ in range(int(sys.argv[3]))]
for c in kept:
    c.setblocking(False)
    c.connect_ex((sys.argv[1], int(sys.argv[2])))
print("asked")
sys.stdin.read()
"""


def send_over_loss(lab: Lab, direction: str) -> tuple[L4Series, int, int]:
    """
    Send over a link that loses packets; return the sender's series, its retransmissions as TCP told it, and the drops.
    """
    here, there = lab.namespace("a"), lab.namespace("b")
    lab.wire(here, there, "10.91.9")
    lab.watch(f"netns:{here},netns:{there}")
    lab.run("ip", "-n", here, "link", "set", "tob", "gso_max_segs", "1")
    eater = lab.program(EATER, "10.91.9.2", 300_007, 7, netns=there)
    sender = lab.program(SENDER, "10.91.9.2", eater.hear(), 300_007, 7, netns=here)
    netns, interface = (here, "tob") if direction == "egress" else (there, "toa")
    lossy_link.install(netns, interface, 0.03, [direction])
    try:
        retransmits = int(sender.ask())
        lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
        dropped = lossy_link.dropped(netns, interface)
    finally:
        lossy_link.remove(netns, interface)
    (sent,) = [one for one in lab.series() if one.role is Role.CLIENT]

    assert (lab.of(eater), 7, 7 * 300_007) == (sent.peer, sent.opened, sent.bytes_sent)
    assert lab.lost() == []
    return sent, retransmits, dropped


def test_retransmissions_equal_what_tcp_says(lab: Lab) -> None:
    """
    What is lost on the way is sent again, as often as TCP tells the program; nothing is called a drop of this host's.
    """
    sent, retransmits, dropped = send_over_loss(lab, "ingress")

    assert dropped > 0
    assert retransmits > 0
    assert retransmits == sent.retransmits
    assert "tc_egress" not in sent.drops


def test_drops_on_the_way_in_are_the_receivers(lab: Lab) -> None:
    """
    A stranger's packets that are dropped before a socket was looked up count for the connection they were meant for.
    """
    here, there = lab.namespace("a"), lab.namespace("b")
    lab.wire(here, there, "10.91.11")
    lab.watch(f"netns:{there}")
    holder = lab.program(HOLDER, "10.91.11.2", 300_007, netns=there)
    sender = lab.program(SLOW_SENDER, "10.91.11.2", holder.hear(), 300_007, netns=here)
    sender.ask()
    lab.until(lambda: lab.entries("tcp_tuples") == 1, "the connection is found by its four-tuple")
    lossy_link.install(there, "toa", 0.1, ["ingress"])
    try:
        sender.ask()
        holder.hear()
        dropped = lossy_link.dropped(there, "toa")
    finally:
        lossy_link.remove(there, "toa")
    holder.tell()
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    (served,) = lab.series()

    assert dropped > 0
    assert (lab.of(holder), dropped) == (served.instance, served.drops["tc_ingress"])
    assert lab.entries("tcp_tuples") == 0


def test_drops_of_this_host_have_their_reason(lab: Lab) -> None:
    """
    Packets that the sending host drops are counted with the kernel's word for it, to the last one.
    """
    sent, retransmits, dropped = send_over_loss(lab, "egress")

    assert dropped > 0
    assert dropped == sent.drops["tc_egress"]
    assert retransmits == sent.retransmits


def test_drops_of_nobody_are_counted_by_reason(lab: Lab) -> None:
    """
    Packets of no observed connection are counted where somebody is observed, and nowhere else.
    """
    inside, outside = lab.namespace("a"), lab.namespace("b")
    lab.watch(f"netns:{inside}")
    for netns, datagrams in ((inside, 13), (outside, 7)):
        lab.program(STRAY, datagrams, netns=netns).finish()
    lab.until(lambda: sum(lab.drops_outside().values()) >= 13, "the drops")

    assert {"no_socket": 13} == lab.drops_outside()
    assert [] == lab.series()


def test_a_full_queue_is_counted_where_it_is(lab: Lab) -> None:
    """
    What a listener turns away because nobody accepts equals the kernel's own sum for its namespace.
    """
    netns = lab.namespace("a")
    lab.watch(f"netns:{netns}")
    listener = lab.program(LISTENER, "127.0.0.1", netns=netns)
    port = int(listener.hear())
    crowd = lab.program(CROWD, "127.0.0.1", port, 11, netns=netns)
    crowd.hear()
    holder = lab.of(listener)

    def counted() -> int:
        return sum(one.listen_overflows for one in lab.series() if (one.instance, one.port) == (holder, port))

    lab.until(lambda: counted() > 0, "an overflow")
    before, told, after = drops_of(listener.process.pid), counted(), drops_of(listener.process.pid)

    assert before <= told <= after


def drops_of(pid: int) -> int:
    """
    Return ListenDrops of the network namespace of *pid*.
    """
    with open(f"/proc/{pid}/net/netstat") as file:
        names, values = (next(file).split()[1:] for _ in range(2))
    return int(dict(zip(names, values, strict=True))["ListenDrops"])


@pytest.mark.skipif(shutil.which("iptables-nft") is None, reason="address translation needs iptables-nft")
def test_ends_find_each_other_through_address_translation(lab: Lab) -> None:
    """
    A client that speaks to a translated address is joined with the server that answers behind it.
    """
    here, there = lab.namespace("a"), lab.namespace("b")
    lab.wire(here, there, "10.91.10")
    lab.watch(f"netns:{here},netns:{there}")
    sink = lab.program(EATER, "10.91.10.2", 101, 5, netns=there)
    port = sink.hear()
    rule = f"-p tcp -d 10.91.10.99 --dport 80 -j DNAT --to-destination 10.91.10.2:{port}"
    command = f"nsenter --net=/run/netns/{here} iptables-nft -t nat -A OUTPUT {rule}"
    done = subprocess.run(command.split(), check=False).returncode
    if done:
        pytest.skip("optional: this kernel has no NAT for nftables")
    sender = lab.program(SENDER, "10.91.10.99", 80, 101, 5, netns=here)
    sender.ask()
    lab.until(lambda: lab.entries("tcp_connections") == 0, "all connections are forgotten")
    series = [one for one in lab.series() if one.opened]

    assert {
        (lab.of(sender), lab.of(sink), Role.CLIENT, 80, 5, 505, 0),
        (lab.of(sink), lab.of(sender), Role.SERVER, int(port), 5, 0, 505),
    } == {(it.instance, it.peer, it.role, it.port, it.opened, it.bytes_sent, it.bytes_received) for it in series}
