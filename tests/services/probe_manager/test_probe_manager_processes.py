"""
From the kernel's records to instances.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.probe_manager import processes
from services.probe_manager.processes import FAMILY, LISTENER, Bound, Facts, Family
from shared.messages.kernel import Instance, Listener

LOOPBACK = bytes(10) + b"\xff\xff\x7f\0\0\1"
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.77.0.0/24 2 0 1
        |-- 10.77.0.3
           /32 host LOCAL
        |-- 10.77.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
Local:
     |-- 10.77.0.3
        /32 host LOCAL
"""
INET6 = (
    "00000000000000000000000000000001 01 80 10 80       lo\n"
    "fe80000000000000000000000a4d0003 02 40 20 80     eth0\n"
    "fd000000000000000000000000000077 02 40 00 80     eth0\n"
)


def family(**changes: object) -> Family:
    """
    Return a record of a Python service, with *changes*.
    """
    words = b"python3\0cart.py\0--key\0"
    numbers = (5, 0, 77, 2, 4711, 3, 4026531833, len(words), 0)
    raw = FAMILY.pack(*numbers, b"python", b"/usr/bin/python3.11", words + b"rest")
    return msgspec.structs.replace(processes.decode_family(9, raw), **changes)


def test_a_record_is_read_as_the_kernel_wrote_it() -> None:
    """
    Texts end at their first NUL, arguments are split, numbers keep their places.
    """
    read = family()

    assert (9, 5, 0, 77, 2) == (read.instance, read.started_ns, read.ended_ns, read.cgroup_id, read.processes)
    assert (4711, 3, 4026531833, False) == (read.pid, read.parent, read.network_namespace, read.adopted)
    assert ("python", "/usr/bin/python3.11") == (read.comm, read.executable)
    assert ["python3", "cart.py", "--key"] == read.arguments


def test_a_live_process_is_told_in_full() -> None:
    """
    What /proc knows is added, what names no program is left out, and times are unix times.
    """
    facts = Facts("/shop", "ab" * 32, "/ignored", ["python3", "-m", "cart", "secret"], ["10.0.0.1"])
    listeners = [Listener("*", 8080), Listener("*", 53, "udp")]
    told = processes.instance_message(family(), facts, listeners, 1_000)

    assert (
        Instance(
            id=9,
            pid=4711,
            parent=3,
            started_ns=1_005,
            executable="/usr/bin/python3.11",
            arguments=["-m", "cart"],
            comm="python",
            cgroup="/shop",
            container="ab" * 32,
            network_namespace=4026531833,
            addresses=["10.0.0.1"],
            listeners=listeners,
        )
        == told
    )


def test_a_process_that_is_gone_is_told_from_the_kernel() -> None:
    """
    Without /proc, the executable and the script come from the record, and the end is there.
    """
    told = processes.instance_message(family(ended_ns=8), Facts(), [], 1_000)

    assert ("/usr/bin/python3.11", ["cart.py"], 1_008) == (told.executable, told.arguments, told.ended_ns)


def test_a_path_that_was_cut_is_completed() -> None:
    """
    A path too long for the kernel's record does not begin with a slash, and /proc has the whole.
    """
    told = processes.instance_message(family(executable="ep/est/bin/x"), Facts(executable="/deep/est/bin/x"), [], 0)

    assert "/deep/est/bin/x" == told.executable


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (bytes(16), "*"),
        (LOOPBACK, "127.0.0.1"),
        (bytes(15) + b"\1", "::1"),
        (bytes.fromhex("fd000000000000000000000000000077"), "fd00::77"),
    ],
)
def test_addresses_are_readable(raw: bytes, expected: str) -> None:
    """
    Mapped addresses read as IPv4, none as any.
    """
    assert expected == processes.address_text(raw)


def test_a_listener_is_read_as_the_kernel_wrote_it() -> None:
    """
    Instance, address, port and transport keep their places, and the queue is told.
    """
    raw = LISTENER.pack(3, 4026531833, LOOPBACK, 5432, 6, 17, 2, 128)

    assert Bound(99, 3, Listener("127.0.0.1", 5432, "tcp"), 2, 128) == processes.decode_listener(99, raw)


def test_each_listening_address_is_named_once() -> None:
    """
    Sockets that share an address, as workers with SO_REUSEPORT do, are one listener.
    """
    http = Listener("*", 80)
    bound = [Bound(1, 7, http, 0, 1), Bound(2, 7, http, 0, 1), Bound(3, 8, http, 0, 1)]

    assert {7: [http], 8: [http]} == processes.by_instance(bound)


def test_addresses_of_a_namespace_leave_out_what_is_near() -> None:
    """
    Loopback and link-local addresses are told only where there are no others.
    """
    assert ["10.77.0.3", "fd00::77"] == processes.local_addresses(TRIE, INET6)
    assert ["::1"] == processes.local_addresses("", INET6.splitlines()[0])
    assert [] == processes.local_addresses("", "")


def test_only_what_changed_is_told_again() -> None:
    """
    New instances and those with another field are told, the same ones are not.
    """
    one, two, three = (processes.instance_message(family(pid=pid), Facts(), [], 0) for pid in (1, 2, 3))

    assert [two, three] == processes.changed({1: one, 2: one}, {1: one, 2: two, 3: three})


@given(st.binary(min_size=FAMILY.size, max_size=FAMILY.size), st.binary(min_size=LISTENER.size, max_size=LISTENER.size))
def test_any_record_can_be_told(record: bytes, bound: bytes) -> None:
    """
    Whatever bytes a record holds, it becomes a message.
    """
    listener = processes.decode_listener(1, bound).listener
    told = processes.instance_message(processes.decode_family(1, record), Facts(), [listener], 0)

    assert 1 == told.id
