"""
Which endpoints the kernel side need not know any more, so that there is room for others.

The layout of the map's keys is `struct endpoint_key` of `bpf/include/series.h`: an endpoint's value is when it was
last seen; the key with endpoint 0 holds how many endpoints its instance and protocol have.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

KEY: Final = struct.Struct("<IIQ")


def expired(keys: bytes, values: bytes, living: Container[int], before_ns: int) -> tuple[list[bytes], dict[bytes, int]]:
    """
    Return the keys to delete, and the counts to write for those that stay.

    Args:
        keys: all keys of the map in one string.
        values: all values, likewise.
        living: the instances that are known now.
        before_ns: endpoints that were last seen earlier go too, in nanoseconds of the monotonic clock.
    """
    gone: list[bytes] = []
    left: Counter[tuple[int, int]] = Counter()
    counted: dict[tuple[int, int], int] = {}
    for (instance, protocol, endpoint), (value,) in zip(
        KEY.iter_unpack(keys), struct.iter_unpack("<Q", values), strict=True
    ):
        if instance not in living or (endpoint and value < before_ns):
            gone.append(KEY.pack(instance, protocol, endpoint))
        elif endpoint:
            left[instance, protocol] += 1
        else:
            counted[instance, protocol] = value
    wrong = {key: left[key] for key, value in counted.items() if left[key] != value}
    return gone, {KEY.pack(*key, 0): count for key, count in wrong.items()}
