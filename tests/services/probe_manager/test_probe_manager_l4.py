"""
From the kernel's TCP series to messages.
"""

from __future__ import annotations

import struct

from services.probe_manager import l4
from shared.histogram import BUCKETS
from shared.messages.kernel import L4Series, Role

REMOTE = bytes(10) + b"\xff\xff\x0a\0\0\1"
REASONS = {5: "tcp_reset"}


def key(instance: int, peer: int, remote: bytes = bytes(16)) -> bytes:
    """
    Return a key as the kernel lays it out, of a client of port 5432.
    """
    return l4.KEY.pack(instance, peer, remote, 5432, 0)


def value(*sums: int, connect: dict[int, int] | None = None, rtt: dict[int, int] | None = None) -> bytes:
    """
    Return a value as the kernel lays it out.
    """
    histograms = [[(found or {}).get(bucket, 0) for bucket in range(BUCKETS)] for found in (connect, rtt)]
    return l4.FIGURES.pack(*sums) + struct.pack(f"<{2 * BUCKETS}I", *histograms[0], *histograms[1])


def test_each_figure_has_its_place() -> None:
    """
    Nine sums, two histograms, failures by errno and drops by reason become one series.
    """
    notes = [(key(7, 8), 1, 111, 3), (key(7, 8), 1, 110, 2), (key(7, 8), 2, 5, 13), (key(7, 8), 2, 2, 99)]
    found = l4.decode_series(
        (key(7, 8), value(1, 2, 3, 4, 5, 6, 7, 8, 9, connect={0: 1, 199: 2}, rtt={17: 5})),
        (
            b"".join(l4.NOTE.pack(series, kind, code) for series, kind, code, _ in notes),
            struct.pack("<4Q", *(number for *_, number in notes)),
        ),
        REASONS,
    )

    assert [
        L4Series(
            instance=7,
            peer=8,
            role=Role.CLIENT,
            port=5432,
            remote=b"",
            opened=1,
            closed=2,
            bytes_sent=3,
            bytes_received=4,
            segments_sent=5,
            retransmits=6,
            resets_sent=7,
            resets_received=8,
            listen_overflows=9,
            failed={111: 3, 110: 2},
            drops={"tcp_reset": 13},
            connect=[0, 1, 199, 2],
            rtt=[17, 5],
        )
    ] == found


def test_notes_without_figures_are_a_series_too() -> None:
    """
    A failure or a drop of a series that has no other figures in this drain is not lost.
    """
    found = l4.decode_series((b"", b""), (l4.NOTE.pack(key(7, 0, REMOTE), 1, 111), struct.pack("<Q", 3)), REASONS)

    assert [L4Series(7, 0, Role.CLIENT, 5432, REMOTE, failed={111: 3})] == found


def test_drops_of_nobody_are_told_apart() -> None:
    """
    Packets of no observed connection are no series, and are told by reason.
    """
    notes = (l4.NOTE.pack(bytes(28), 2, 5) + l4.NOTE.pack(bytes(28), 2, 2), struct.pack("<QQ", 17, 99))

    assert [] == l4.decode_series((b"", b""), notes, REASONS)
    assert {"tcp_reset": 17} == l4.decode_outside(notes, REASONS)
    assert {} == l4.decode_outside((b"", b""), REASONS)


def test_series_are_kept_apart() -> None:
    """
    Several series in one drain keep their own values.
    """
    found = l4.decode_series((key(1, 2) + key(2, 1), value(*[1] * 9) + value(*[2] * 9)), (b"", b""), REASONS)

    assert [(1, 2, 1, 1), (2, 1, 2, 2)] == [(it.instance, it.peer, it.opened, it.listen_overflows) for it in found]


def test_an_empty_drain_has_no_series() -> None:
    """
    Nothing in, nothing out.
    """
    assert [] == l4.decode_series((b"", b""), (b"", b""), REASONS)


def test_reasons_are_the_kernels_own_words() -> None:
    """
    Reasons lose their prefix; what is no loss has no word; subsystems share one.
    """
    names = {
        "SKB_NOT_DROPPED_YET": 0,
        "SKB_CONSUMED": 1,
        "SKB_DROP_REASON_NOT_SPECIFIED": 2,
        "SKB_DROP_REASON_TCP_RESET": 45,
        "SKB_DROP_REASON_MAX": 128,
        "SKB_DROP_REASON_SUBSYS_MASK": 0xFFFF0000,
    }

    assert {45: "tcp_reset", 0xFFFF: "subsystem"} == l4.reason_words(names)
