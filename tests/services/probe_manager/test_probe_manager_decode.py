"""
The kernel's records of requests as messages.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.probe_manager.decode import SAMPLE, SERIES_KEY, decode_sample, decode_series, words_of
from shared.histogram import BUCKETS, count, from_flat
from shared.messages.kernel import Outcome, Protocol, Role

LOOPBACK = bytes(10) + b"\xff\xff\x7f\0\0\x01"


def series(remote: bytes, sums: tuple[int, int, int, int], buckets: dict[int, int]) -> tuple[bytes, bytes]:
    """
    Return key and value of one series.
    """
    counts = [buckets.get(index, 0) for index in range(BUCKETS)]
    return (
        SERIES_KEY.pack(3, 4, Role.SERVER, Protocol.HTTP1, Outcome.SERVER_ERROR, 1, 503, 8080, 2**63 + 1, remote),
        struct.pack(f"<4Q{BUCKETS}I", *sums, *counts),
    )


def test_a_series_keeps_every_figure() -> None:
    """
    Key, sums and histogram arrive; an address of zeros is none.
    """
    one, two = series(bytes(16), (7, 700, 70, 7000), {0: 3, 199: 4}), series(LOOPBACK, (0, 0, 0, 5), {})
    first, second = decode_series(one[0] + two[0], one[1] + two[1])

    assert (3, 4, Role.SERVER, Protocol.HTTP1, Outcome.SERVER_ERROR, True, 503, 8080, b"", 2**63 + 1) == (
        first.instance, first.peer, first.role, first.protocol, first.outcome, first.encrypted, first.status,
        first.port, first.remote, first.endpoint,
    )  # fmt: skip
    assert (7, 700, 70, 7000, [0, 3, 199, 4]) == (
        first.requests, first.duration_sum_ns, first.request_bytes, first.response_bytes, first.duration,
    )  # fmt: skip
    assert (LOOPBACK, 0, 5, []) == (second.remote, second.requests, second.response_bytes, second.duration)


@given(st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 2**32 - 1)))
def test_histograms_lose_nothing(buckets: dict[int, int]) -> None:
    """
    Whatever the buckets hold, the sparse form holds.
    """
    (found,) = decode_series(*series(LOOPBACK, (1, 2, 3, 4), buckets))

    assert buckets == from_flat(found.duration)
    assert sum(buckets.values()) == count(from_flat(found.duration))


def test_a_sample_has_its_heads_cut_to_what_was_read() -> None:
    """
    The heads are as long as the record says, and the time is unix time.
    """
    record = SAMPLE.pack(
        1000, 5, 6, 7, 8, 9, 1, 2, 3, 4, 404, 80, Role.CLIENT, Protocol.DNS, Outcome.CLIENT_ERROR, 2, 3, 2,
        LOOPBACK, b"abcdef",
    )  # fmt: skip
    found = decode_sample(record + b"uvw".ljust(128, b"\0"), 50_000)

    assert (51_000, b"abc", b"uv", "failed") == (found.observed_ns, found.request, found.response, found.why)
    assert (9, 3, 4, 404, Protocol.DNS) == (found.connection, found.offset, found.thread, found.status, found.protocol)


@pytest.mark.parametrize("length", [1, 129, 4096])
def test_a_long_sample_has_the_whole_of_its_response(length: int) -> None:
    """
    The record ends where the response's head does, however long that is.
    """
    response = (bytes(range(256)) * 17)[:length]
    record = SAMPLE.pack(
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        0,
        9092,
        Role.SERVER,
        Protocol.KAFKA,
        Outcome.OK,
        1,
        6,
        length,
        LOOPBACK,
        b"asked!",
    )
    found = decode_sample(record + response, 0)

    assert (b"asked!", response) == (found.request, found.response)


def test_losses_are_the_difference_of_two_readings() -> None:
    """
    Only what grew is told, in words; a cause without a word keeps its number.
    """
    before, now = [5] * 64, [5] * 64
    now[1], now[63] = 12, 6

    assert {"pipeline_full": 7, "cause_63": 1} == words_of(now, before)
