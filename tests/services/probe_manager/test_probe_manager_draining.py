"""
The log of drains: whoever is killed where, every drain is published under the same numbers and once.
"""

from __future__ import annotations

import msgspec

from services.probe_manager import draining
from services.probe_manager.decode import MAX_CAUSES
from services.probe_manager.draining import State
from shared.messages.kernel import Instance, L7Series, Outcome, Protocol, Role, Sample, SampleBatch
from shared.subjects import KERNEL_BATCH, KERNEL_SAMPLES

FULL = [number for bucket in range(200) for number in (bucket, 2**31)]


def one_series(endpoint: int) -> L7Series:
    """
    Return a series as large as one can be.
    """
    return L7Series(
        1, 2, Role.SERVER, Protocol.HTTP1, Outcome.OK, 200, 80, b"\xff" * 16, endpoint + 2**60, 2**40, 2**60, 2**50,
        2**50, FULL,
    )  # fmt: skip


def test_the_log_survives_its_map() -> None:
    """
    What is written is read back, all counters included.
    """
    log = draining.flipped(draining.first_log(77), 99, range(MAX_CAUSES))

    assert log == draining.decode_log(log.encode())


def test_a_drain_goes_round() -> None:
    """
    Numbers grow by the messages that were stored, the next drain begins where this one ended.
    """
    log = draining.flipped(draining.first_log(1000), 2000, [3] * MAX_CAUSES)
    after = draining.emptied(draining.stored(log, 4))
    following = draining.flipped(after, 3000, [5] * MAX_CAUSES)

    assert (State.FLIPPED, 1, 1000, 2000) == (log.state, log.number, log.start_ns, log.end_ns)
    assert (State.CLEAN, 5) == (after.state, after.number)
    assert (2000, 3000, (3,) * MAX_CAUSES) == (following.start_ns, following.end_ns, following.told)


def test_a_clock_that_goes_back_makes_no_negative_drain() -> None:
    """
    A drain never ends before it begins.
    """
    log = draining.flipped(draining.first_log(1000), 500, [0] * MAX_CAUSES)

    assert log.start_ns <= log.end_ns


def test_parts_are_the_same_every_time_and_small_enough() -> None:
    """
    One drain gives the same messages under the same numbers, each below a megabyte and a tenth.
    """
    log = draining.flipped(draining.first_log(5), 9, [0] * MAX_CAUSES)
    series = [one_series(number) for number in range(2000)]
    instances = [Instance(number, number, 0, 0, "/bin/x") for number in range(700)]
    first = list(draining.parts("n", log, series, [], instances, {"series_full": 1}, {}))
    second = list(draining.parts("n", log, series, [], instances, {"series_full": 1}, {}))

    assert [msgspec.json.encode(part) for part in first] == [msgspec.json.encode(part) for part in second]
    assert list(range(1, 1 + len(first))) == [part.number for part in first]
    assert 2000 == sum(len(part.l7) for part in first)
    assert 700 == sum(len(part.instances) for part in first)
    assert 1 == sum(part.lost.get("series_full", 0) for part in first)
    assert all(len(KERNEL_BATCH.encode(part)) < 1024 * 1024 for part in first)


def test_a_drain_of_nothing_is_one_message() -> None:
    """
    Also when nothing happened a message says so, and how long.
    """
    log = draining.flipped(draining.first_log(5), 9, [0] * MAX_CAUSES)

    (part,) = draining.parts("n", log, [], [], [], {}, {})
    assert (5, 9, [], {}) == (part.start_ns, part.end_ns, part.l7, part.lost)


def one_sample(number: int, request: int, response: int) -> Sample:
    """
    Return a sample whose figures are as long as they can be.
    """
    most, word = 2**64 - 1, 2**32 - 1
    return Sample(
        most, word, word, Role.SERVER, Protocol.HTTP1, Outcome.NO_RESPONSE, 65535, 65535, b"\xff" * 16, number,
        most, most, most, most, word, word, "reservoir", b"q" * request, b"r" * response,
    )  # fmt: skip


def test_samples_are_cut_into_messages_that_every_server_takes() -> None:
    """
    However many and long they are, each comes once, in order, and no message is larger than NATS takes by default.
    """
    samples = [one_sample(2**63 + number, number % 257, number * 31 % 4097) for number in range(1009)]
    samples += [one_sample(number, 0, 0) for number in range(5003)]

    parts = list(draining.sample_parts(samples))
    batches = [SampleBatch("node", 2**63, 2**63, part, 2**40) for part in parts]
    assert samples == [sample for part in parts for sample in part]
    assert 6 < len(parts)
    assert max(len(KERNEL_SAMPLES.encode(batch)) for batch in batches) < 2**20
    assert [] == list(draining.sample_parts([]))
