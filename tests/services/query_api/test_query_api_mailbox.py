"""
A slow follower loses nothing in silence.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.query_api.events import SNAPSHOTS, TYPES
from services.query_api.mailbox import Event, Mailbox, frame

KINDS = sorted(set(TYPES) - {"gap"})


def test_a_newer_snapshot_replaces_the_older() -> None:
    """
    Of a snapshot only the newest waits; facts all wait, in order, and the replaced one is told.
    """
    box = Mailbox()
    for number, kind in enumerate(["topology", "alert", "topology", "change"], start=1):
        box.put(Event(number, kind, b"{}"))
    gap, *rest = box.take()

    assert json.loads(gap.data) == {"skipped": 1, "dropped": 0}
    assert [(event.number, event.type) for event in rest] == [(2, "alert"), (3, "topology"), (4, "change")]
    assert box.take() == []


@given(st.lists(st.sampled_from(KINDS), max_size=200), st.integers(1, 20))
def test_taken_and_left_out_make_the_whole(kinds: list[str], room: int) -> None:
    """
    What is taken, replaced and dropped adds up to what was put, and never more than the room waits.
    """
    box = Mailbox(room)
    for number, kind in enumerate(kinds):
        box.put(Event(number, kind, b"{}"))
    taken = box.take()
    gap = json.loads(taken.pop(0).data) if taken and taken[0].type == "gap" else {"skipped": 0, "dropped": 0}

    assert len(kinds) == len(taken) + gap["skipped"] + gap["dropped"]
    assert sum(event.type not in SNAPSHOTS for event in taken) <= room
    assert len(taken) <= room + len(SNAPSHOTS)


def test_a_frame_is_an_event_of_the_stream() -> None:
    """
    An event has an id, a type and one line of data.
    """
    assert frame(Event(7, "alert", b'{"a":1}')) == b'id: 7\nevent: alert\ndata: {"a":1}\n\n'
