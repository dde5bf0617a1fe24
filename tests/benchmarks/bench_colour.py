"""
How often is a colour false, how soon is it right, and what does it cost? `python -m tests.benchmarks.bench_colour`.

A simulated shop (7 services, 7 relations; a wave in the traffic, drifting service times, a neighbour that takes the
processor now and then) runs for days without a fault, then through hundreds of seeded faults that begin at any moment
of a window. Only colours of an entity's own count as false.
"""

from __future__ import annotations

import argparse
import collections
import random
import statistics
import time

import msgspec

from services.anomaly_detector import detectors
from services.anomaly_detector.detectors._base import Detector
from services.anomaly_detector.judge import Judge, Limits
from shared.discover import extensions
from shared.messages.anomaly import Level
from shared.units import WINDOW_S
from tests.services.anomaly_detector.simulation import FAULTS, Shop

DETECTORS = extensions(detectors, "DETECTOR", Detector)  # type: ignore[type-abstract]  # only used for isinstance
LIMITS = Limits(learning_s=90)
WARM = 15
WATCHED = 9
HEALING = 30
DAY_WINDOWS = 86400 // WINDOW_S


class Costs:
    """
    Processor time spent in judging.
    """

    def __init__(self) -> None:
        self.spent_s = 0.0
        self.judged = 0


def fault_free(days: int, rate: float, wave_s: float, costs: Costs) -> None:
    """
    Print the false episodes of *days* without a fault.
    """
    worst: collections.Counter[str] = collections.Counter()
    entities = 0
    for seed in range(days):
        shop, judge = Shop(random.Random(1000 + seed), rate=rate, wave_s=wave_s), Judge(DETECTORS, LIMITS)
        for _ in range(DAY_WINDOWS):
            window = shop.step()
            began = time.process_time()
            judgement = judge.judge(window)
            costs.spent_s += time.process_time() - began
            costs.judged += len(judgement.verdicts.verdicts)
            worst.update(one.level.name for one in judgement.episodes if one.ended_ns)
        entities = len(judge.entities)
    series_days = days * entities
    shown = ", ".join(
        f"{level.name.lower()} {worst[level.name]} ({worst[level.name] / series_days:.3f})"
        for level in (Level.YELLOW, Level.ORANGE, Level.RED)
    )
    print(f"{rate:g} requests/s, wave of {wave_s / 3600:g} h: {series_days} series-days, episodes (each day): {shown}")


def faults(runs: int) -> None:
    """
    Print how soon each fault is coloured, who is blamed wrongly, and how soon it is green again.
    """
    print(f"{'fault':<15}{'yellow p50/p99 s':>18}{'its colour p50/p99 s':>22}{'within 30 s':>13}{'blamed wrongly':>16}"
          f"{'green p50/p99 s':>17}")  # fmt: skip
    for name, (_, _, level) in FAULTS.items():
        yellow, coloured, healed, wrong = [], [], [], 0
        for seed in range(runs):
            seen = one_fault(name, seed)
            yellow.append(seen.yellow_s)
            coloured.append(seen.coloured_s)
            healed.append(seen.healed_s)
            wrong += seen.wrong
        late = sum(delay > 30 for delay in (coloured if level == Level.RED else yellow))
        print(
            f"{name:<15}{spread(yellow):>18}{spread(coloured):>22}{(runs - late) / runs:>13.1%}{wrong / runs:>16.1%}"
            f"{spread(healed):>17}"
        )


class Seen(msgspec.Struct):
    """
    What one run showed; what never came is infinite.
    """

    yellow_s: float = float("inf")
    coloured_s: float = float("inf")
    healed_s: float = float("inf")
    wrong: bool = False


def one_fault(name: str, seed: int) -> Seen:
    """
    Return what one run of a fault showed.
    """
    fault, guilty, level = FAULTS[name]
    dice = random.Random(seed)
    shop, judge, seen = Shop(dice), Judge(DETECTORS, LIMITS), Seen()
    for _ in range(WARM):
        judge.judge(shop.step())
    fault(shop)
    phase = dice.random()
    for number in range(WATCHED):
        verdicts = judge.judge(shop.step(fault_from=0 if number else phase)).verdicts.verdicts
        own = max(one.own for one in verdicts if one.entity in guilty)
        after_s = (number + 1 - phase) * WINDOW_S
        if own >= Level.YELLOW:
            seen.yellow_s = min(seen.yellow_s, after_s)
        if own >= level:
            seen.coloured_s = min(seen.coloured_s, after_s)
        seen.wrong |= any(one.own >= Level.YELLOW and one.entity not in guilty for one in verdicts)
    shop.heal()
    for number in range(HEALING):
        if all(max(one.own, one.inherited) < Level.YELLOW for one in judge.judge(shop.step()).verdicts.verdicts):
            seen.healed_s = (number + 1) * WINDOW_S
            break
    return seen


def spread(delays: list[float]) -> str:
    """
    Return the median and the 99th percentile.
    """
    ordered = sorted(delays)
    return f"{statistics.median(ordered):.0f} / {ordered[int(0.99 * (len(ordered) - 1))]:.0f}"


def main() -> None:
    """
    Print all figures.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="seeded runs of each fault")
    parser.add_argument("--days", type=int, default=4, help="days without a fault, for each load")
    asked = parser.parse_args()
    costs = Costs()
    fault_free(asked.days, 10, 3600, costs)
    fault_free(asked.days, 2, 86400, costs)
    each_us = costs.spent_s / costs.judged * 1e6
    print(f"judging: {each_us:.0f} us of processor time for an entity and window")
    print(f"10,000 entities: {each_us / 100:.1f} s of each 10 s; a day of 14: {each_us * 14 * DAY_WINDOWS / 1e6:.0f} s")
    faults(asked.runs)


if __name__ == "__main__":
    main()
