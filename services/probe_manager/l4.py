"""
From the kernel's TCP series to messages; the layouts are those of `bpf/include/l4_series.h`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from shared.histogram import BUCKETS
from shared.messages.kernel import L4Series, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = struct.Struct("<II16sHBx")
FIGURES: Final = struct.Struct("<9Q")
VALUE_BYTES: Final = FIGURES.size + 8 * BUCKETS
NOTE: Final = struct.Struct("<28sHH")
FAILED, DROPPED = 1, 2
SUBSYSTEM: Final = 0xFFFF
"""Stands for the reasons of subsystems, which have numbers of their own."""
_NOWHERE: Final = bytes(16)
_NOBODY: Final = bytes(KEY.size)
_PREFIX: Final = "SKB_DROP_REASON_"
_EXPECTED: Final = frozenset({"skb_not_dropped_yet", "skb_consumed", "not_specified", "max"})
"""Words that do not name a reason."""


def reason_words(enumerators: Mapping[str, int]) -> dict[int, str]:
    """
    Return the word of each drop reason that means a loss, from the enumerators of the kernel's `skb_drop_reason`.
    """
    words = {number: name.removeprefix(_PREFIX).lower() for name, number in enumerators.items()}
    named = {number: word for number, word in words.items() if word not in _EXPECTED and 0 < number < SUBSYSTEM}
    return {**named, SUBSYSTEM: "subsystem"}


def decode_series(
    figures: tuple[bytes, bytes], notes: tuple[bytes, bytes], reasons: Mapping[int, str]
) -> list[L4Series]:
    """
    Return the series in one drain.

    Args:
        figures: the keys and the values of `l4_series_*`, each in one string.
        notes: the keys and the values of `l4_notes_*`, each in one string.
        reasons: what `reason_words` said.
    """
    failed, drops = _notes(*notes, reasons)
    drops.pop(_NOBODY, None)
    keys, values = figures
    found = []
    for index, start in enumerate(range(0, len(keys), KEY.size)):
        key = keys[start : start + KEY.size]
        value = values[index * VALUE_BYTES : (index + 1) * VALUE_BYTES]
        found.append(_series(key, value, failed.pop(key, {}), drops.pop(key, {})))
    alone = failed.keys() | drops.keys()
    return found + [_series(key, bytes(VALUE_BYTES), failed.get(key, {}), drops.get(key, {})) for key in alone]


def decode_outside(notes: tuple[bytes, bytes], reasons: Mapping[int, str]) -> dict[str, int]:
    """
    Return the packets of no observed connection that were dropped, by reason; *notes* are those of `l4_notes_*`.
    """
    return _notes(*notes, reasons)[1].get(_NOBODY, {})


def _notes(
    keys: bytes, values: bytes, reasons: Mapping[int, str]
) -> tuple[dict[bytes, dict[int, int]], dict[bytes, dict[str, int]]]:
    failed: dict[bytes, dict[int, int]] = {}
    drops: dict[bytes, dict[str, int]] = {}
    for (series, kind, code), (count,) in zip(NOTE.iter_unpack(keys), struct.iter_unpack("<Q", values), strict=True):
        if kind == FAILED:
            failed.setdefault(series, {})[code] = count
        elif kind == DROPPED and code in reasons:
            drops.setdefault(series, {})[reasons[code]] = count
    return failed, drops


def _series(key: bytes, value: bytes, failed: dict[int, int], drops: dict[str, int]) -> L4Series:
    instance, peer, remote, port, role = KEY.unpack(key)
    sums = FIGURES.unpack_from(value)
    buckets = memoryview(value)[FIGURES.size :].cast("I")
    return L4Series(
        instance,
        peer,
        Role(role),
        port,
        b"" if remote == _NOWHERE else remote,
        opened=sums[0],
        failed=failed,
        closed=sums[1],
        bytes_sent=sums[2],
        bytes_received=sums[3],
        segments_sent=sums[4],
        retransmits=sums[5],
        resets_sent=sums[6],
        resets_received=sums[7],
        listen_overflows=sums[8],
        drops=drops,
        connect=_sparse(buckets[:BUCKETS]),
        rtt=_sparse(buckets[BUCKETS:]),
    )


def _sparse(buckets: memoryview[int]) -> list[int]:
    return [number for index, count in enumerate(buckets) if count for number in (index, count)]
