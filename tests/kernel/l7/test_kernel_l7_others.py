"""
DNS over UDP, protocols that nobody recognises, and what happens when the watcher dies.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from services.probe_manager.unanswered import swept, to_sweep
from shared.messages.kernel import Outcome, Protocol
from tests.compiled import SharedKernel
from tests.kernel.l7.conftest import chosen_protocols
from tests.kernel.l7.lab import DEADLINE_S, Lab, free_port, requests_of

pytestmark = pytest.mark.kernel


def query(number: int, name: str, kind: int = 1) -> bytes:
    """
    Return a DNS query.
    """
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def dnsmasq(lab: Lab) -> int:
    """
    Start dnsmasq in scope and return its port.
    """
    port = free_port()
    words = ["--no-resolv", "--no-hosts", "--address=/ok.test/10.0.0.1", "--listen-address=127.0.0.1", "--pid-file="]
    lab.run("dnsmasq", "-k", "-p", port, "--bind-interfaces", "--conf-file=/dev/null", "--user=root", *words)
    lab.until(lambda: udp_answers(port), "dnsmasq")
    return port


def udp_answers(port: int) -> bool:
    """
    Return whether a DNS server answers on *port*.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.2)
        asking.connect(("127.0.0.1", port))
        try:
            asking.send(query(1, "first.ok.test"))
            return bool(asking.recv(512))
        except OSError:
            return False


def test_dns_queries_are_paired_by_their_number(lab: Lab) -> None:
    """
    Queries from connected and unconnected sockets, several in flight, are counted by name and by response code.
    """
    port = dnsmasq(lab)
    before = requests_of(lab.served(port, Protocol.DNS))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.settimeout(DEADLINE_S)
        two.settimeout(DEADLINE_S)
        one.connect(("127.0.0.1", port))
        for number in range(0, 504, 2):
            one.send(query(number, "www.ok.test"))
            one.send(query(number + 1, "nope.example"))
            assert {number, number + 1} == {int.from_bytes(one.recv(512)[:2], "big") for _ in range(2)}
            two.sendto(query(number, f"{number}.ok.test"), ("127.0.0.1", port))
            two.recv(512)

    found = lab.served(port, Protocol.DNS)
    refused = [series for series in found if series.outcome is not Outcome.OK]
    assert 756 == requests_of(found) - before
    assert [(252, 5)] == [(series.requests, series.status) for series in refused]
    assert {} == lab.lost()


def test_queries_that_nobody_answers(lab: Lab) -> None:
    """
    Queries without an answer wait in the kernel until they are swept, once.
    """
    lab.observe(os.getpid(), 7)
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking,
        ):
            deaf.bind(("127.0.0.1", 0))
            asking.connect(deaf.getsockname())
            for number in range(11):
                asking.send(query(number, "slow.ok.test"))
    finally:
        lab.ignore(os.getpid())
    held = lab.kernel.map("l7_dns")
    ((keys, values, _),) = list(held.entries())
    for key, value in to_sweep(keys, values, 1 << 62):
        held.write(key, value)
    ((keys, values, _),) = list(held.entries())
    gone, (series,) = swept(keys, values)

    assert (11, 11, Outcome.NO_RESPONSE, 7) == (len(gone), series.requests, series.outcome, series.instance)
    assert [] == to_sweep(keys, values, 1 << 62)


def test_an_unknown_protocol_is_still_measured(lab: Lab) -> None:
    """
    Bytes out and bytes back of a protocol that nobody knows are one request, and its head comes up.
    """
    port = lab.serve("while True:\n    c, _ = listener.accept()\n    while c.recv(100): c.send(b'\\xfe\\xfd answer')\n")
    connection = lab.stream(port)
    for _ in range(103):
        connection.sendall(b"\x01\x02 something else")
        connection.recv(100)

    (series,) = lab.served(port, Protocol.UNKNOWN)
    assert (103, 103 * 17, 103 * 9) == (series.requests, series.request_bytes, series.response_bytes)
    found = [sample for sample in lab.samples() if sample.port == port]
    assert [("unknown", b"\x01\x02 something else", b"\xfe\xfd answer")] * 2 == [
        (sample.why, sample.request, sample.response) for sample in found
    ]


HOLDER = """
import os, struct, sys
from pathlib import Path
from tests.compiled import SharedKernel
from tests.kernel.l7.conftest import chosen_protocols
kernel = SharedKernel(Path(sys.argv[1]), chosen_protocols())
kernel.load("process_lifetime"); kernel.load("socket_l7")
kernel.map("scope_kinds").write(bytes(4), struct.pack("<I", 1))
print(kernel.adopted, flush=True)
sys.stdin.read()
"""


def test_counting_goes_on_while_the_watcher_is_dead() -> None:
    """
    A watcher that is killed is followed by one that adopts programs and maps; every request in between is counted.
    """
    pins = Path(f"/sys/fs/bpf/meshlens-test-l7-{os.getpid()}-killed")

    def watcher() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", HOLDER, pins], stdin=-1, stdout=-1, text=True)

    first = watcher()
    assert first.stdout is not None
    said = first.stdout.readline()
    kernel = SharedKernel(pins, chosen_protocols())
    lab = Lab(kernel)
    try:
        port = lab.serve("while True:\n    c, _ = listener.accept()\n    while c.recv(100): c.send(b'answer')\n")
        connection = lab.stream(port)

        def ask(times: int) -> None:
            for _ in range(times):
                connection.sendall(b"\x01\x02 something")
                connection.recv(100)

        ask(101)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        ask(103)
        second = watcher()
        assert second.stdout is not None
        said += second.stdout.readline()
        ask(107)
        second.kill()
        second.communicate()

        assert "False\nTrue\n" == said
        assert 311 == requests_of(lab.served(port, Protocol.UNKNOWN))
    finally:
        lab.close()
        kernel.close(remove=True)
