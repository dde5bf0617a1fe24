"""
What does it cost to recognise, mask and parse one sample? `python -m tests.benchmarks.bench_parse`.

The heads are the golden captures, cut as the kernel cuts them. Each figure is the median of several rounds; beside it
stands the spread between the quartiles, which is this machine's noise.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from services.protocol_parser.detect import Detector
from services.protocol_parser.endpoints import EndpointNames
from services.protocol_parser.spans import read
from shared.messages.kernel import Outcome, Protocol, Role, Sample, SampleBatch
from shared.protocols import mask, protocols, recognise

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[1] / "data"
ROUNDS = 21
ROUND_S = 0.02

Heads = list[tuple[bytes, bytes]]


def heads(protocol: str) -> Heads:
    """
    Return the captures of *protocol* as the kernel would send them up.
    """
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((DATA / protocol).glob("*.json"))]
    return [(c["request"].encode("latin-1")[:256], c["response"].encode("latin-1")[:128]) for c in contents]


def microseconds(work: Callable[[], object], items: int) -> tuple[float, float]:
    """
    Return the median time of the processor for one item, and the distance between the quartiles.
    """
    rounds = []
    for _ in range(ROUNDS):
        done, began = 0, time.thread_time()
        while (spent := time.thread_time() - began) < ROUND_S:
            work()
            done += items
        rounds.append(spent / done * 1e6)
    low, middle, high = statistics.quantiles(rounds, n=4)
    return middle, high - low


def batch_of(number: int, masked: Heads) -> SampleBatch:
    """
    Return one sample for each of *masked*.
    """
    samples = [
        Sample(
            1,
            1,
            0,
            Role.SERVER,
            Protocol(number),
            Outcome.OK,
            0,
            80,
            bytes(16),
            7 + at,
            1000,
            1,
            1,
            1,
            1,
            1,
            "first",
            *one,
        )
        for at, one in enumerate(masked)
    ]
    return SampleBatch("bench", 1, 1, samples)


def main() -> None:
    """
    Print one line for each protocol.
    """
    print("microseconds of the processor for one sample: median (distance between quartiles)")
    print(f"{'protocol':<12}{'recognise':>16}{'mask':>16}{'parse':>16}{'whole reading':>16}{'read in a second':>18}")
    for number, protocol in protocols().items():
        raw = heads(protocol.name)
        masked = [mask(number, *pair) for pair in raw]
        batch = batch_of(number, masked)
        names, detector = EndpointNames(1000), Detector(1000)
        figures = [
            microseconds(lambda raw=raw: [recognise(*pair) for pair in raw], len(raw)),  # type: ignore[misc]  # bound now
            microseconds(lambda raw=raw, p=protocol: [p.mask(*pair) for pair in raw], len(raw)),  # type: ignore[misc]
            microseconds(lambda m=masked, p=protocol: [p.parse(*pair) for pair in m], len(raw)),  # type: ignore[misc]
            microseconds(lambda b=batch, n=names, d=detector: read(b, n, d), len(raw)),  # type: ignore[misc]
        ]
        shown = "".join(f"{f'{middle:.1f} ({noise:.1f})':>16}" for middle, noise in figures)
        print(f"{protocol.name:<12}{shown}{1e6 / figures[-1][0]:>18,.0f}")


if __name__ == "__main__":
    main()
