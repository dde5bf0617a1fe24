"""
The drain, and the log that makes it safe to be killed at any point.

Theory of operation. The programs fill one of two buffers; the other is *inactive*. What is done with the inactive one
is written to the log, a map that is pinned like the buffers themselves, before it is done:

    CLEAN     the inactive buffer is empty.
    FLIPPED   the buffers changed places; the inactive one holds a drain that covers start to end, with the losses
              between `told` and `seen`. It is published under the numbers from `number` on, as often as it takes.
    STORED    all its parts are stored; `number` is the next one. The inactive buffer is being emptied.

A process that is killed in FLIPPED leaves the buffer as it was, so its successor publishes the same parts under the
same numbers; readers apply a number once. Killed in STORED, the successor only empties the buffer.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from services.probe_manager.decode import MAX_CAUSES
from shared.messages.kernel import Instance, KernelBatch, L4Series, L7Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shared.messages.kernel import Sample

T = TypeVar("T")

LOG: Final = struct.Struct(f"<IIQQQQ{2 * MAX_CAUSES}Q")
L7_PART: Final = 600
"""Series in one message: at 1.1 kB each when every bucket is filled, below the 1 MB that NATS takes by default."""
L4_PART: Final = 200
INSTANCE_PART: Final = 500
SAMPLES_BYTES: Final = 500_000
"""Of the samples in one message."""
SAMPLE_BYTES: Final = 200
"""Of one sample, at most, beside its request and its response."""


class State(IntEnum):
    """
    Where the inactive buffer stands.
    """

    CLEAN = 0
    FLIPPED = 1
    STORED = 2


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known of the inactive buffer.
    """

    state: State
    epoch: int
    number: int
    """Of the next message."""
    start_ns: int
    end_ns: int
    seen: tuple[int, ...]
    """Loss counters at the flip."""
    told: tuple[int, ...]
    """Loss counters that have been published."""

    def encode(self) -> bytes:
        """
        Return the log as it lies in its map.
        """
        return LOG.pack(self.state, 0, self.epoch, self.number, self.start_ns, self.end_ns, *self.seen, *self.told)


def decode_log(record: bytes) -> Log:
    """
    Return the log in *record*.
    """
    state, _, epoch, number, start_ns, end_ns, *causes = LOG.unpack(record)
    return Log(
        state=State(state),
        epoch=epoch,
        number=number,
        start_ns=start_ns,
        end_ns=end_ns,
        seen=tuple(causes[:MAX_CAUSES]),
        told=tuple(causes[MAX_CAUSES:]),
    )


def first_log(epoch: int) -> Log:
    """
    Return the log of a kernel side that was loaded just now.
    """
    nothing = (0,) * MAX_CAUSES
    return Log(state=State.CLEAN, epoch=epoch, number=1, start_ns=epoch, end_ns=epoch, seen=nothing, told=nothing)


def flipped(log: Log, at_ns: int, losses: Sequence[int]) -> Log:
    """
    Return the log to be written just before the buffers change places.
    """
    return msgspec.structs.replace(
        log, state=State.FLIPPED, start_ns=log.end_ns, end_ns=max(at_ns, log.end_ns), seen=tuple(losses)
    )


def stored(log: Log, messages: int) -> Log:
    """
    Return the log to be written when all *messages* of the drain are stored.
    """
    return msgspec.structs.replace(log, state=State.STORED, number=log.number + messages, told=log.seen)


def emptied(log: Log) -> Log:
    """
    Return the log to be written when the inactive buffer is empty.
    """
    return msgspec.structs.replace(log, state=State.CLEAN)


def parts(
    node: str,
    log: Log,
    l7: list[L7Series],
    l4: list[L4Series],
    instances: list[Instance],
    lost: dict[str, int],
    drops: dict[str, int],
) -> Iterator[KernelBatch]:
    """
    Yield the messages of one drain, at least one; the same drain gives the same parts under the same numbers.

    What the readers need to understand the series, the instances, goes first. They are not part of what the number
    promises: all of them are sent again now and then.
    """
    l7_parts = _cut(l7, L7_PART)
    l4_parts = _cut(l4, L4_PART)
    count = max(len(l7_parts), len(l4_parts), 1)
    instance_parts = _cut(instances, max(INSTANCE_PART, -(-len(instances) // count)))
    for index in range(count):
        yield KernelBatch(
            node=node,
            epoch=log.epoch,
            number=log.number + index,
            start_ns=log.start_ns,
            end_ns=log.end_ns,
            l7=l7_parts[index] if index < len(l7_parts) else [],
            l4=l4_parts[index] if index < len(l4_parts) else [],
            instances=instance_parts[index] if index < len(instance_parts) else [],
            lost=lost if index == 0 else {},
            drops=drops if index == 0 else {},
        )


def sample_parts(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """
    Yield *samples* in the order in which they are, as many at a time as one message takes.
    """
    part: list[Sample] = []
    size = 0
    for sample in samples:
        length = SAMPLE_BYTES + len(sample.request) + len(sample.response)
        if part and size + length > SAMPLES_BYTES:
            yield part
            part, size = [], 0
        part.append(sample)
        size += length
    if part:
        yield part


def _cut(items: list[T], size: int) -> list[list[T]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
