"""
From the kernel's records of requests to messages; the layouts are those of `bpf/include/records.h`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from shared.histogram import BUCKETS
from shared.messages.kernel import L7Series, Outcome, Protocol, Role, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

SERIES_KEY: Final = struct.Struct("<IIBBBBHHQ16s")
SERIES_SUMS: Final = struct.Struct("<4Q")
SERIES_VALUE_BYTES: Final = SERIES_SUMS.size + 4 * BUCKETS
SAMPLE: Final = struct.Struct("<6Q4I2H4B2H4x16s256s")
"""The head of the response stands behind: in 128 bytes, or in as many as it takes of the few answers that tell more."""
CONTROL: Final = struct.Struct("<QQQII")
CAUSES: Final = {
    0: "series_full",
    1: "pipeline_full",
    2: "unpaired_response",
    3: "attached_midstream",
    4: "content_not_seen",
    5: "stream_not_followed",
    6: "connection_state_full",
    7: "sample_rate",
    8: "sample_ring_full",
    9: "endpoint_names",
    10: "datagram_unrecognised",
    11: "dns_table_full",
    12: "program_busy",
    32: "process_map_full",
    33: "instance_map_full",
    34: "connection_map_full",
    35: "listener_map_full",
    36: "l4_series_full",
    37: "join_map_full",
}
"""Number to word of every cause in `bpf/include/records.h` and `bpf/include/lost.h`."""
PROGRAM_BUSY: Final = 12
"""Not counted by the programs but by the kernel: an event came while the same program ran on that processor."""
SAMPLE_CAUSES: Final = frozenset({"sample_rate", "sample_ring_full"})
"""Nothing is missing from any figure: only single requests are not shown."""
MAX_CAUSES: Final = 64
_WHY: Final = ("", "first", "failed", "slow", "reservoir", "unknown")
_NOWHERE: Final = bytes(16)


def decode_series(keys: bytes, values: bytes) -> list[L7Series]:
    """
    Return the series of one drain; *keys* and *values* are those of `l7_series_*`, each in one string.
    """
    found = []
    for index, key in enumerate(SERIES_KEY.iter_unpack(keys)):
        instance, peer, role, protocol, outcome, encrypted, status, port, endpoint, remote = key
        at = index * SERIES_VALUE_BYTES
        requests, duration_sum, request_bytes, response_bytes = SERIES_SUMS.unpack_from(values, at)
        counts = memoryview(values)[at + SERIES_SUMS.size : at + SERIES_VALUE_BYTES].cast("I")
        found.append(
            L7Series(
                instance,
                peer,
                Role(role),
                Protocol(protocol),
                Outcome(outcome),
                status,
                port,
                b"" if remote == _NOWHERE else remote,
                endpoint,
                requests,
                duration_sum,
                request_bytes,
                response_bytes,
                [number for bucket, count in enumerate(counts) if count for number in (bucket, count)],
                bool(encrypted),
            )
        )
    return found


def decode_sample(record: bytes, to_unix_ns: int) -> Sample:
    """
    Return one sample with its heads as they were on the wire; *to_unix_ns* is what to add to the monotonic clock.
    """
    (
        observed, endpoint, duration, request_bytes, response_bytes, connection,
        instance, peer, offset, thread, status, port, role, protocol, outcome, why,
        request_head_bytes, response_head_bytes, remote, request,
    ) = SAMPLE.unpack_from(record)  # fmt: skip
    return Sample(
        observed + to_unix_ns,
        instance,
        peer,
        Role(role),
        Protocol(protocol),
        Outcome(outcome),
        status,
        port,
        b"" if remote == _NOWHERE else remote,
        endpoint,
        duration,
        request_bytes,
        response_bytes,
        connection,
        offset,
        thread,
        _WHY[why],
        request[:request_head_bytes],
        record[SAMPLE.size : SAMPLE.size + response_head_bytes],
    )


def words_of(now: Sequence[int], before: Sequence[int]) -> dict[str, int]:
    """
    Return what was lost between two readings of the counters, by cause in words.
    """
    return {
        CAUSES.get(number, f"cause_{number}"): after - earlier
        for number, (after, earlier) in enumerate(zip(now, before, strict=True))
        if after > earlier
    }
