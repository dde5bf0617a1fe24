"""
Maps are read whole, whatever the size of the batches and wherever their entries lie.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager import bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

HASH, PERCPU_ARRAY = 1, 6
ENTRIES: Final = 1999


@pytest.fixture
def table() -> Iterator[bpf.Map]:
    """
    A hash as full as it gets, so that many of its buckets hold more than one entry.
    """
    made = bpf.create_map("crowded", bpf.Shape(HASH, 4, 8, 2048))
    for number in range(ENTRIES):
        made.write(struct.pack("<I", number), struct.pack("<Q", number * number))
    yield made
    made.close()


@pytest.mark.parametrize(("few", "many"), [(1, 1), (1, 64), (64, 1024), (4096, 4096)])
def test_all_entries_come_once(table: bpf.Map, few: int, many: int) -> None:
    """
    Batches smaller than a bucket grow until it fits; each entry comes once, with its value.
    """
    found = Counter(
        (key, value)
        for keys, values, count in table.entries(few, many)
        for (key,), (value,) in zip(
            struct.iter_unpack("<I", keys[: 4 * count]), struct.iter_unpack("<Q", values[: 8 * count]), strict=True
        )
    )

    assert Counter((number, number * number) for number in range(ENTRIES)) == found


def test_many_entries_are_removed(table: bpf.Map) -> None:
    """
    What is removed at once is gone, also where some of it was not there; the rest stays.
    """
    table.delete_many(b"".join(struct.pack("<I", number) for number in range(1, 2 * ENTRIES, 2)))

    left = {key for keys, _, _ in table.entries() for (key,) in struct.iter_unpack("<I", keys)}
    assert set(range(0, ENTRIES, 2)) == left


def test_an_array_of_every_processor() -> None:
    """
    The values of all processors stand behind each other, in the order of the keys.
    """
    made = bpf.create_map("counters", bpf.Shape(PERCPU_ARRAY, 4, 8, 64))
    processors = made.value_bytes // 8
    made.write(struct.pack("<I", 63), struct.pack(f"<{processors}Q", *range(1, processors + 1)))

    values = b"".join(values for _, values, _ in made.entries())
    made.close()
    assert (63 * processors, tuple(range(1, processors + 1))) == (
        values[: 63 * processors * 8].count(0) // 8,
        struct.unpack(f"<{processors}Q", values[63 * processors * 8 :]),
    )
