"""
What probe-manager takes out of the kernel: aggregated series, samples of single requests, and who the processes are.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Role(IntEnum):
    """
    Which side of the connection the figures were taken on.
    """

    CLIENT = 0
    SERVER = 1


class Outcome(IntEnum):
    """
    How a request ended, in the protocol's own judgement.
    """

    OK = 0
    CLIENT_ERROR = 1
    """The caller is at fault (HTTP 4xx, DNS NXDOMAIN): not counted as the service's failure."""
    SERVER_ERROR = 2
    """The callee is at fault (HTTP 5xx, an SQL error, Redis that is out of memory or still loading)."""
    NO_RESPONSE = 3
    """The request went out, and the connection ended without a first byte of answer."""


class Protocol(IntEnum):
    """
    The protocols that the kernel side tells apart; `bpf/include/records.h` has the same numbers.
    """

    UNKNOWN = 0
    """Bytes went out and came back; nobody has recognised them yet."""
    HTTP1 = 1
    POSTGRESQL = 2
    REDIS = 3
    DNS = 4
    MYSQL = 5
    HTTP2 = 6
    GRPC = 7
    WEBSOCKET = 8
    MONGODB = 9
    MEMCACHED = 10
    CASSANDRA = 11
    CLICKHOUSE = 12
    KAFKA = 13
    AMQP = 14
    MQTT = 15
    NATS = 16
    ROCKETMQ = 17
    PULSAR = 18
    DUBBO = 19
    THRIFT = 20
    FASTCGI = 21
    LDAP = 22
    ZOOKEEPER = 23
    TLS = 24


class L7Series(msgspec.Struct, frozen=True, array_like=True):
    """
    The requests of one series in one drain.
    """

    instance: int
    """Who observed it: an `Instance.id` of the same node and epoch."""
    peer: int
    """The `Instance.id` of the other end when it is on this node and in scope, else 0."""
    role: Role
    protocol: Protocol
    outcome: Outcome
    status: int
    """HTTP status code, DNS rcode; 0 where the protocol has no small number."""
    port: int
    """The server's port."""
    remote: bytes
    """The other end's address, 16 bytes, IPv4 mapped; empty where *peer* says it better."""
    endpoint: int
    """64-bit hash of the normalised endpoint; 0 where there is none; `OVERFLOW_ENDPOINT` for what found no room."""
    requests: int
    duration_sum_ns: int
    request_bytes: int
    response_bytes: int
    duration: list[int]
    """Flat sparse histogram of the durations, see `shared.histogram`."""
    encrypted: bool = False
    """The bytes on the wire are encrypted; what was counted is the plain text that a library was handed."""


OVERFLOW_ENDPOINT = 1
"""The endpoint of requests that were counted without their name because the endpoint limit was reached (`~other`)."""


class L4Series(msgspec.Struct, frozen=True, array_like=True):
    """
    What TCP did between one instance and one peer in one drain.
    """

    instance: int
    peer: int
    role: Role
    port: int
    """The server's port."""
    remote: bytes
    opened: int = 0
    failed: dict[int, int] = {}
    """Connections that could not be opened: errno to count."""
    closed: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    segments_sent: int = 0
    retransmits: int = 0
    resets_sent: int = 0
    resets_received: int = 0
    listen_overflows: int = 0
    """Connections that this listener's full queue turned away."""
    drops: dict[str, int] = {}
    """Packets of these connections that the kernel dropped: its `SKB_DROP_REASON_*` word, lower case, to count."""
    connect: list[int] = []
    """Flat sparse histogram of the times from connect to established."""
    rtt: list[int] = []
    """Flat sparse histogram of the smoothed round-trip times, taken at each close and each tick."""


class Listener(msgspec.Struct, frozen=True, array_like=True):
    """
    An address on which an instance accepts connections or datagrams.
    """

    address: str
    port: int
    transport: str = "tcp"


class Instance(msgspec.Struct, frozen=True):
    """
    A running program and the processes it forked without executing another: nginx with its workers is one.
    """

    id: int
    """Unique on its node within one epoch; the kernel gives it out at exec."""
    pid: int
    """The process that executed the program."""
    parent: int
    """The instance that started it, 0 if that is out of scope."""
    started_ns: int
    """Unix time in nanoseconds."""
    executable: str
    arguments: list[str] = []
    """Only words that name the program (the script of an interpreter, a module): never values."""
    comm: str = ""
    cgroup: str = ""
    container: str = ""
    """Container id, 64 hexadecimal digits, or empty."""
    network_namespace: int = 0
    """Inode of its network namespace."""
    addresses: list[str] = []
    """The addresses of its network namespace, without loopback when there are others."""
    listeners: list[Listener] = []
    ended_ns: int = 0
    """Unix time in nanoseconds; 0 while it runs."""
    opaque: str = ""
    """Why the content of its encrypted connections cannot be seen; empty when nothing is known to stand in the way."""


class KernelBatch(msgspec.Struct, frozen=True):
    """
    One drain of the kernel's aggregates, or a part of one: applied once, told apart by (node, epoch, number).
    """

    node: str
    epoch: int
    """Changes whenever the kernel side was loaded anew; unix nanoseconds of that load."""
    number: int
    """Counts up by one within an epoch, without gaps."""
    start_ns: int
    end_ns: int
    """The drain covers unix times from *start_ns* to *end_ns*."""
    l7: list[L7Series] = []
    l4: list[L4Series] = []
    instances: list[Instance] = []
    """Instances that are new or that changed since the batch before, and all of them now and then."""
    lost: dict[str, int] = {}
    """What could not be counted in full, by cause; the causes are in `docs/reference/losses.md`."""
    drops: dict[str, int] = {}
    """Packets that the kernel dropped outside any observed connection, by reason."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """
    One request worth looking at: the first of its endpoint, a failed one, a slow one, one of the reservoir.
    """

    observed_ns: int
    """Unix time of the request's first byte."""
    instance: int
    peer: int
    role: Role
    protocol: Protocol
    outcome: Outcome
    status: int
    port: int
    remote: bytes
    endpoint: int
    duration_ns: int
    request_bytes: int
    response_bytes: int
    connection: int
    """Key that both ends of the connection compute alike: from both initial sequence numbers."""
    offset: int
    """Stream offset of the request's first byte, the same on both ends."""
    thread: int
    """Thread that handled the first byte."""
    why: str
    """`first`, `failed`, `slow`, `reservoir` or `unknown` (the head of a connection nobody recognised)."""
    request: bytes
    """The head of the request, masked on the node."""
    response: bytes
    """The head of the response, masked on the node."""


class SampleBatch(msgspec.Struct, frozen=True):
    """
    The samples of one tick.
    """

    node: str
    epoch: int
    number: int
    samples: list[Sample]
    left_out: int = 0
    """Samples that the rate limit or a full ring kept back since the batch before."""


class ProtocolVerdict(msgspec.Struct, frozen=True):
    """
    protocol-parser's answer on connections that the kernel could not name: it goes back down into a map.
    """

    node: str
    epoch: int
    instance: int
    port: int
    protocol: Protocol
