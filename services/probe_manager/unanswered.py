"""
DNS queries that nobody answered: the kernel side sees no end of a datagram socket, so they are taken out here.

The layouts are those of `bpf/l7/dns.h`. An entry is marked as swept before it is published and deleted when that is
stored, so it is counted once, whoever is killed in between; the kernel side pairs a swept entry with nothing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from services.probe_manager.decode import SERIES_KEY
from shared.histogram import bucket_of
from shared.messages.kernel import L7Series, Outcome, Protocol, Role
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

MAP: Final = "l7_dns"
KEY_BYTES: Final = 16
QUERY: Final = struct.Struct("<40sQQIIIIII")
TIMEOUT_NS: Final = 10 * S_NS
_NOWHERE: Final = bytes(16)


def to_sweep(keys: bytes, values: bytes, now_ns: int) -> list[tuple[bytes, bytes]]:
    """
    Return key and new value of each query that has waited too long at *now_ns* of the monotonic clock.
    """
    found = []
    for key, value in _entries(keys, values):
        *rest, swept = QUERY.unpack(value)
        if not swept and now_ns - rest[1] >= TIMEOUT_NS:
            found.append((key, QUERY.pack(*rest, 1)))
    return found


def swept(keys: bytes, values: bytes) -> tuple[list[bytes], list[L7Series]]:
    """
    Return the keys of the swept queries, and the series that they make.
    """
    gone: list[bytes] = []
    totals: dict[bytes, tuple[int, int]] = {}
    for key, value in _entries(keys, values):
        series, _started, _endpoint, query_bytes, _offset, _group, _kind, more, is_swept = QUERY.unpack(value)
        if not is_swept:
            continue
        gone.append(key)
        requests, request_bytes = totals.get(series, (0, 0))
        totals[series] = (requests + 1 + more, request_bytes + (1 + more) * query_bytes)
    return gone, [_series(key, *total) for key, total in totals.items()]


def _entries(keys: bytes, values: bytes) -> Iterator[tuple[bytes, bytes]]:
    for index in range(len(keys) // KEY_BYTES):
        yield (
            keys[index * KEY_BYTES : (index + 1) * KEY_BYTES],
            values[index * QUERY.size : (index + 1) * QUERY.size],
        )


def _series(key: bytes, requests: int, request_bytes: int) -> L7Series:
    instance, peer, role, protocol, _outcome, _encrypted, _status, port, endpoint, remote = SERIES_KEY.unpack(key)
    return L7Series(
        instance,
        peer,
        Role(role),
        Protocol(protocol),
        Outcome.NO_RESPONSE,
        0,
        port,
        b"" if remote == _NOWHERE else remote,
        endpoint,
        requests,
        requests * TIMEOUT_NS,
        request_bytes,
        0,
        [bucket_of(TIMEOUT_NS), requests],
    )
