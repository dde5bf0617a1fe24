"""
Subjects: one type each, both ways.
"""

from __future__ import annotations

import msgspec
import pytest

from shared import subjects
from shared.errors import Malformed
from shared.messages import control
from shared.messages.kernel import KernelBatch, L7Series, Outcome, Protocol, Role


def test_every_subject_is_found_once() -> None:
    """
    Names are unique, lower case, and of three tokens.
    """
    names = [subject.name for subject in subjects.SUBJECTS] + [request.name for request in subjects.REQUESTS]

    assert sorted(set(names)) == sorted(names)
    assert all(name.startswith("mesh.") and name == name.lower() and name.count(".") == 2 for name in names)


def test_a_batch_survives_the_wire() -> None:
    """
    What is encoded is what is decoded, enums and bytes included.
    """
    series = L7Series(7, 0, Role.SERVER, Protocol.HTTP1, Outcome.OK, 200, 80, b"\0" * 16, 1 << 63, 3, 9, 1, 2, [5, 3])
    batch = KernelBatch(node="n", epoch=1, number=2, start_ns=3, end_ns=4, l7=[series], lost={"series_full": 1})

    assert batch == subjects.KERNEL_BATCH.decode(subjects.KERNEL_BATCH.encode(batch))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01", msgspec.msgpack.encode({"node": 5})])
def test_a_malformed_message_is_refused_with_its_subject(data: bytes) -> None:
    """
    The error names the subject; nothing else is raised.
    """
    with pytest.raises(Malformed, match=r"mesh\.kernel\.batch"):
        subjects.KERNEL_BATCH.decode(data)


def test_an_older_reader_understands_a_newer_writer() -> None:
    """
    Unknown fields are ignored, missing ones take their defaults.
    """
    data = msgspec.msgpack.encode({"probe": "tcp_state", "on": True, "colour": "blue"})

    assert control.ProbeCommand(probe="tcp_state", on=True) == subjects.SWITCH_PROBE.ask.decode(data)
