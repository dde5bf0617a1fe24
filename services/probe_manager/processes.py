"""
Who is observed: from the kernel's records of instances and listeners to messages.

The layouts are those of `bpf/include/family.h` and `bpf/include/listeners.h`. What the kernel does not keep (the
cgroup's path, the container, the namespace's addresses, arguments of programs that ran before) is handed in.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager.arguments import naming_words
from shared.messages.kernel import Instance, Listener

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FAMILY: Final = struct.Struct("<QQQqIIIII4x16s128s192s")
LISTENER: Final = struct.Struct("<II16sHBx3I")
_TRANSPORTS: Final = {6: "tcp", 17: "udp"}
_IPV4: Final = bytes(10) + b"\xff\xff"


class Family(msgspec.Struct, frozen=True):
    """
    What the kernel keeps of one instance; times are of the monotonic clock.
    """

    instance: int
    started_ns: int
    ended_ns: int
    cgroup_id: int
    processes: int
    pid: int
    parent: int
    network_namespace: int
    adopted: bool
    comm: str
    executable: str
    arguments: list[str]


class Facts(msgspec.Struct, frozen=True):
    """
    What /proc says of a process in scope, while it lives.
    """

    cgroup: str = ""
    container: str = ""
    executable: str = ""
    arguments: list[str] = []
    addresses: list[str] = []


class Bound(msgspec.Struct, frozen=True):
    """
    A socket that an instance listens on.
    """

    socket: int
    instance: int
    listener: Listener
    queued: int
    """Connections that wait to be accepted."""
    queue_limit: int


def decode_family(instance: int, record: bytes) -> Family:
    """
    Return the *record* of *instance* from the map `families`.
    """
    started, ended, cgroup, processes, pid, parent, netns, argument_bytes, adopted, comm, path, arguments = (
        FAMILY.unpack(record)
    )
    return Family(
        instance=instance,
        started_ns=started,
        ended_ns=ended,
        cgroup_id=cgroup,
        processes=processes,
        pid=pid,
        parent=parent,
        network_namespace=netns,
        adopted=bool(adopted),
        comm=_text(comm),
        executable=_text(path),
        arguments=split_arguments(arguments[:argument_bytes]),
    )


def decode_listener(socket: int, record: bytes) -> Bound:
    """
    Return the *record* of *socket* from the map `listeners`.
    """
    instance, _netns, address, port, transport, _overflows, queued, limit = LISTENER.unpack(record)
    listener = Listener(address_text(address), port, _TRANSPORTS.get(transport, str(transport)))
    return Bound(socket, instance, listener, queued, limit)


def split_arguments(raw: bytes) -> list[str]:
    """
    Return the words of a command line as the kernel keeps it: a NUL after each; a word cut short at the end counts.
    """
    return [word.decode(errors="replace") for word in raw.rstrip(b"\0").split(b"\0")] if raw else []


def address_text(address: bytes) -> str:
    """
    Return 16 bytes as an address in text; all zero is `*`, any address.
    """
    if not any(address):
        return "*"
    if address.startswith(_IPV4):
        return str(ipaddress.IPv4Address(address[12:]))
    return str(ipaddress.IPv6Address(address))


def local_addresses(fib_trie: str, if_inet6: str) -> list[str]:
    """
    Return the addresses of a network namespace, without loopback and link-local ones when there are others.

    Args:
        fib_trie: content of `/proc/<pid>/net/fib_trie`.
        if_inet6: content of `/proc/<pid>/net/if_inet6`.
    """
    found: dict[str, None] = {}
    previous = ""
    for line in fib_trie.splitlines():
        if line.lstrip().startswith("/32 host LOCAL"):
            found[previous.rpartition("|-- ")[2].strip()] = None
        previous = line
    for line in if_inet6.splitlines():
        word = line.split(maxsplit=1)[0]
        if len(word) == 32:
            found[str(ipaddress.IPv6Address(bytes.fromhex(word)))] = None
    plain = [text for text in found if not _near(text)]
    return plain or list(found)


def _near(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return address.is_loopback or address.is_link_local


def instance_message(family: Family, facts: Facts, listeners: Sequence[Listener], to_unix_ns: int) -> Instance:
    """
    Return what the other services learn of *family*.

    Args:
        family: the kernel's record.
        facts: from /proc; empty when the process ended before it was looked at.
        listeners: where it accepts connections and datagrams.
        to_unix_ns: what to add to the monotonic clock.
    """
    executable = facts.executable if not family.executable.startswith("/") and facts.executable else family.executable
    arguments = facts.arguments or family.arguments
    return Instance(
        id=family.instance,
        pid=family.pid,
        parent=family.parent,
        started_ns=family.started_ns + to_unix_ns,
        executable=executable,
        arguments=naming_words(executable, arguments),
        comm=family.comm,
        cgroup=facts.cgroup,
        container=facts.container,
        network_namespace=family.network_namespace,
        addresses=facts.addresses,
        listeners=sorted(listeners, key=_order),
        ended_ns=family.ended_ns + to_unix_ns if family.ended_ns else 0,
    )


def by_instance(bound: Iterable[Bound]) -> dict[int, list[Listener]]:
    """
    Return the listeners of each instance, each address once.
    """
    found: dict[int, dict[tuple[str, str, int], Listener]] = {}
    for item in bound:
        found.setdefault(item.instance, {})[_order(item.listener)] = item.listener
    return {instance: list(listeners.values()) for instance, listeners in found.items()}


def _order(listener: Listener) -> tuple[str, str, int]:
    return listener.transport, listener.address, listener.port


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")


def changed(before: Mapping[int, Instance], now: Mapping[int, Instance]) -> list[Instance]:
    """
    Return the instances of *now* that are new or not as they were *before*.
    """
    return [instance for identity, instance in now.items() if before.get(identity) != instance]
