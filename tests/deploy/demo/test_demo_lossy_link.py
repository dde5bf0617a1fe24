"""
A link that loses packets, on a veth pair of the test's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from deploy.demo import lossy_link
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

SENT = 1009
BATCH = 53
"""So many at once fit into every queue on the way, also before the neighbour's address is known."""
DEADLINE_S = 20.0
SENDER = """
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
for line in sys.stdin:
    for _ in range(int(line)):
        s.sendto(b"x", ("10.92.1.2", 9))
"""


def run(*command: str) -> str:
    """
    Run *command* and return what it printed.
    """
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE_S).stdout


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """
    Two namespaces, joined by `near` and `far`.
    """
    one, two = (f"lossy{os.getpid()}{end}" for end in "ab")
    for netns in (one, two):
        run("ip", "netns", "add", netns)
        quiet = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"  # no packets but ours
        run("nsenter", f"--net=/run/netns/{netns}", "sh", "-c", quiet)
    run("ip", "-n", one, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", two)
    for netns, interface, last in ((one, "near", 1), (two, "far", 2)):
        run("ip", "-n", netns, "addr", "add", f"10.92.1.{last}/24", "dev", interface)
        run("ip", "-n", netns, "link", "set", interface, "up")
    try:
        yield one, two
    finally:
        for netns in (one, two):
            run("ip", "netns", "del", netns)


def received(netns: str) -> int:
    """
    Return how many datagrams arrived that nobody wanted: the kernel's own count.
    """
    lines = run("nsenter", f"--net=/run/netns/{netns}", "cat", "/proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("NoPorts")])


def send(near: str, far: str) -> None:
    """
    Send from *near*, a batch when all before it have arrived or been dropped.
    """
    words = ["nsenter", f"--net=/run/netns/{near}", sys.executable, "-c", SENDER]
    expected = received(far) + lossy_link.dropped(near, "near")
    with subprocess.Popen(words, stdin=subprocess.PIPE, text=True, bufsize=1) as sender:
        assert sender.stdin is not None
        for at in range(0, SENT, BATCH):
            batch = min(BATCH, SENT - at)
            sender.stdin.write(f"{batch}\n")
            expected += batch
            deadline = time.monotonic() + DEADLINE_S
            while received(far) + lossy_link.dropped(near, "near") < expected:
                assert time.monotonic() < deadline, "some have neither arrived nor been dropped"


def test_each_packet_arrives_or_is_counted(namespaces: tuple[str, str]) -> None:
    """
    What was sent is what arrived and what was dropped, and about the share that was asked for.
    """
    near, far = namespaces
    lossy_link.install(near, "near", 0.25, ["egress"])
    send(near, far)
    dropped = lossy_link.dropped(near, "near")
    lossy_link.remove(near, "near")
    send(near, far)

    assert 2 * SENT == received(far) + dropped
    assert 0.15 < dropped / SENT < 0.35


def test_the_command_installs_counts_and_removes(namespaces: tuple[str, str]) -> None:
    """
    The command line does what the functions do, as often as it is told, and tidies up.
    """
    near, far = namespaces
    command = ["--netns", near, "--interface", "near"]

    assert [0, 0] == [lossy_link.main([*command, "--drop", ratio]) for ratio in ("0.5", "1")]
    send(near, far)
    assert (SENT, 0) == (lossy_link.dropped(near, "near"), received(far))
    assert [0, 0] == [lossy_link.main([*command, "--remove"]) for _ in range(2)]
    assert 0 == lossy_link.dropped(near, "near")
    assert "clsact" not in run("nsenter", f"--net=/run/netns/{near}", "tc", "qdisc", "show")


def test_what_cannot_be_done_is_said(namespaces: tuple[str, str]) -> None:
    """
    A share out of range and an interface that is not there are refused in a sentence, and leave nothing behind.
    """
    with pytest.raises(ConfigError, match="from 0 to 1"):
        lossy_link.install(namespaces[0], "near", 1.5)
    with pytest.raises(ConfigError, match="nowhere"):
        lossy_link.install(namespaces[0], "nowhere", 0.5)

    assert 1 == lossy_link.main(["--netns", namespaces[0], "--interface", "nowhere", "--drop", "0.5"])
    assert 0 == lossy_link.dropped(namespaces[0], "nowhere")
