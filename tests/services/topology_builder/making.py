"""
Batches, series and instances with few words.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from shared.messages.kernel import Instance, KernelBatch, L4Series, L7Series, Listener, Outcome, Protocol, Role
from shared.units import S_NS, WINDOW_NS

NODE = "n1"
EPOCH = 1_700_000_000 * S_NS
START_NS = 1_700_000_000 * S_NS
"""The start of a window, of a minute it is not."""

assert START_NS % WINDOW_NS == 0


def packed(address: str) -> bytes:
    """
    Return *address* as it travels.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        parsed = ipaddress.IPv6Address(f"::ffff:{parsed}")
    return parsed.packed


def l7(
    instance: int,
    role: Role,
    requests: int = 1,
    *,
    peer: int = 0,
    remote: str = "",
    port: int = 8080,
    protocol: Protocol = Protocol.HTTP1,
    outcome: Outcome = Outcome.OK,
    endpoint: int = 0xAB,
) -> L7Series:
    """
    Return the requests of one series: each takes a millisecond.
    """
    return L7Series(
        instance=instance,
        peer=peer,
        role=role,
        protocol=protocol,
        outcome=outcome,
        status=0,
        port=port,
        remote=packed(remote) if remote else b"",
        endpoint=endpoint,
        requests=requests,
        duration_sum_ns=requests * 1_000_000,
        request_bytes=requests * 10,
        response_bytes=requests * 100,
        duration=[55, requests],
    )


def l4(instance: int, role: Role, *, peer: int = 0, remote: str = "", port: int = 8080, **figures: Any) -> L4Series:
    """
    Return what TCP did in one series.
    """
    at = packed(remote) if remote else b""
    return L4Series(instance=instance, peer=peer, role=role, port=port, remote=at, **figures)


def instance(number: int, script: str, *listeners: str, address: str = "", **more: Any) -> Instance:
    """
    Return a Python program that runs *script* and listens on *listeners*: `0.0.0.0:80`.
    """
    return Instance(
        **{
            "id": number,
            "pid": 1000 + number,
            "parent": 0,
            "started_ns": START_NS - 60 * S_NS,
            "executable": "/usr/bin/python3.11",
            "arguments": [script],
            "comm": "python3",
            "network_namespace": number,
            "addresses": [address or f"10.0.0.{number}"],
            "listeners": [Listener(text.rpartition(":")[0], int(text.rpartition(":")[2])) for text in listeners],
            **more,
        }
    )


def batch(number: int = 1, *series: L7Series | L4Series, end_ns: int = START_NS + S_NS, **more: Any) -> KernelBatch:
    """
    Return a batch of two seconds.
    """
    return KernelBatch(
        **{
            "node": NODE,
            "epoch": EPOCH,
            "number": number,
            "start_ns": end_ns - 2 * S_NS,
            "end_ns": end_ns,
            "l7": [each for each in series if isinstance(each, L7Series)],
            "l4": [each for each in series if isinstance(each, L4Series)],
            **more,
        }
    )
