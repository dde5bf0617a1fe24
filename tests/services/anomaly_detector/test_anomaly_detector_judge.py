"""
A simulated shop: calm without a fault, and with one the guilty is coloured and the others are ringed.

`tests/benchmarks/bench_colour.py` runs the same over hundreds of seeds and many days.
"""

from __future__ import annotations

import random

import msgspec
import pytest

from services.anomaly_detector import detectors, state
from services.anomaly_detector.detectors._base import Detector
from services.anomaly_detector.judge import Judge, Judgement, Limits
from shared.discover import extensions
from shared.errors import Malformed
from shared.messages.anomaly import Level, Verdict
from tests.services.anomaly_detector.simulation import FAULTS, Shop

DETECTORS = extensions(detectors, "DETECTOR", Detector)  # type: ignore[type-abstract]  # only used for isinstance
WARM = 15


def new_judge() -> Judge:
    """
    Return a judge that learns for a minute and a half.
    """
    return Judge(DETECTORS, Limits(learning_s=90))


def warmed(seed: int) -> tuple[Shop, Judge]:
    """
    Return a shop and a judge that knows it.
    """
    shop, judge = Shop(random.Random(seed)), new_judge()
    for _ in range(WARM):
        judge.judge(shop.step())
    return shop, judge


def by_entity(judgement: Judgement) -> dict[str, Verdict]:
    """
    Return the verdicts by entity.
    """
    return {one.entity: one for one in judgement.verdicts.verdicts}


def coloured(judgement: Judgement) -> set[str]:
    """
    Return the entities whose own colour is yellow or worse.
    """
    return {name for name, one in by_entity(judgement).items() if one.own >= Level.YELLOW}


def is_green(judgement: Judgement) -> bool:
    """
    Return whether nothing is coloured or ringed.
    """
    return all(max(one.own, one.inherited) < Level.YELLOW for one in judgement.verdicts.verdicts)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_fault_colours_the_guilty_and_rings_the_others(name: str, seed: int) -> None:
    """
    Within thirty seconds the guilty has its colour and nobody else one of its own; within three minutes all is green.
    """
    fault, guilty, level = FAULTS[name]
    shop, judge = warmed(seed)
    fault(shop)
    phase = random.Random(seed).random()
    judge.judge(shop.step(fault_from=phase))
    judge.judge(shop.step())
    third = judge.judge(shop.step())  # ends at most thirty seconds after the fault began

    assert level <= max(by_entity(third)[one].own for one in guilty)
    assert coloured(third) <= guilty
    if level == Level.RED:
        assert Level.YELLOW <= by_entity(third)["web"].inherited
        assert set(by_entity(third)["web"].culprits) <= guilty
        assert Level.YELLOW <= by_entity(third)["load"].inherited

    shop.heal()
    healed = [is_green(judge.judge(shop.step())) for _ in range(18)]
    assert any(healed)
    assert healed[healed.index(True) :] == [True] * (18 - healed.index(True))


@pytest.mark.parametrize("seed", range(2))
def test_an_hour_without_a_fault_shows_no_red(seed: int) -> None:
    """
    An hour with a wave in the traffic and a neighbour that takes the processor now and then: no red, no orange.
    """
    shop, judge = Shop(random.Random(100 + seed), rate=8, wave_s=1800), new_judge()
    worst = max(max(one.own, one.inherited) for _ in range(360) for one in judge.judge(shop.step()).verdicts.verdicts)

    assert worst <= Level.YELLOW


def test_an_hour_of_fault_is_not_learnt() -> None:
    """
    After an hour of slowness it is green within three minutes, and the same fault is seen again.
    """
    shop, judge = Shop(random.Random(7), rate=5), new_judge()
    for _ in range(60):
        judge.judge(shop.step())
    shop.slow_ms["payments"] = 400
    for _ in range(360):
        during = judge.judge(shop.step())
    assert Level.RED == by_entity(during)["payments"].own

    shop.heal()
    assert any(is_green(judge.judge(shop.step())) for _ in range(18))

    shop.slow_ms["payments"] = 400
    for _ in range(3):
        again = judge.judge(shop.step())
    assert Level.RED == by_entity(again)["payments"].own


def test_learning_sees_what_needs_no_history() -> None:
    """
    The first windows are green where requests succeed, said to be learning, and a dead dependency is red all the same.
    """
    shop, judge = Shop(random.Random(3)), new_judge()
    first = judge.judge(shop.step())
    assert {Level.GREEN} == {one.own for one in first.verdicts.verdicts}
    assert all(one.learning for one in first.verdicts.verdicts)

    shop.dead.add("payments")
    for _ in range(3):
        after = judge.judge(shop.step())
    assert Level.RED == by_entity(after)["payments"].own
    assert ["payments"] == by_entity(after)["web"].culprits


def test_traffic_that_stops_colours_the_entry_only() -> None:
    """
    When nobody asks any more, the first service that is not asked is coloured, those behind it are ringed.
    """
    shop, judge = warmed(5)
    shop.stopped = True
    for _ in range(3):
        after = judge.judge(shop.step())

    assert {"web"} == coloured(after)
    assert Level.ORANGE == by_entity(after)["web"].own
    assert ["web"] == by_entity(after)["database"].culprits


def test_reasons_say_what_how_far_and_whose_fault() -> None:
    """
    A colour carries a sentence with figures, and a ring names the culprit.
    """
    shop, judge = warmed(1)
    shop.slow_ms["payments"] = 400
    for _ in range(3):
        after = judge.judge(shop.step())
    own = by_entity(after)["payments"].reasons[0]
    inherited = by_entity(after)["web"].reasons[0]

    assert own.signal.startswith("latency_")
    assert "latency" == own.detector
    assert own.value > 3 * own.expected
    assert own.since_ns == after.verdicts.window_start_ns - 20_000_000_000
    assert "times its usual" in own.text
    assert inherited.text.endswith("comes from payments")


def test_an_episode_is_told_when_it_begins_grows_worse_and_ends() -> None:
    """
    Yellow, red, over: three tellings of one episode, with the worst level and its reasons kept.
    """
    shop, judge = warmed(2)
    shop.slow_ms["payments"] = 400
    told = [one for _ in range(6) for one in judge.judge(shop.step()).episodes]
    shop.heal()
    told += [one for _ in range(18) for one in judge.judge(shop.step()).episodes]

    assert {"payments"} == {one.entity for one in told}
    assert 1 == len({one.started_ns for one in told})
    assert [Level.YELLOW, Level.RED, Level.RED] == [one.level for one in told]
    assert [True, True, False] == [one.ended_ns == 0 for one in told]
    assert told[-1].reasons


def test_changes_are_told_once() -> None:
    """
    Every change of colour is one change, and the newest ones are the colours of the verdicts.
    """
    shop, judge = Shop(random.Random(4)), new_judge()
    newest: dict[str, tuple[Level, Level]] = {}
    for number in range(30):
        if number == 15:
            shop.errors["catalog"] = 0.5
        judgement = judge.judge(shop.step())
        for change in judgement.changes:
            assert newest.get(change.entity) != (change.own, change.inherited) or not change.learning
            newest[change.entity] = (change.own, change.inherited)

        assert newest == {name: (one.own, one.inherited) for name, one in by_entity(judgement).items()}


def test_what_leaves_the_map_ends_its_episode() -> None:
    """
    A service that is no longer on the map is no longer in trouble, and is forgotten after a day.
    """
    shop, judge = warmed(6)
    shop.slow_ms["payments"] = 400
    for _ in range(3):
        judge.judge(shop.step())
    without = msgspec.structs.replace(shop.step(), services=[], relations=[], service_figures=[])
    told = [judge.judge(without) for _ in range(6)]

    assert ["payments"] == [one.entity for judgement in told for one in judgement.episodes if one.ended_ns]
    for _ in range(8640):
        last = judge.judge(without)
        if last.forgotten:
            break
    assert {} == judge.entities


def test_history_survives_storing() -> None:
    """
    A judge that is made of another's stored history gives the same verdicts.
    """
    shop, judge = warmed(8)
    shop.slow_ms["payments"] = 400
    judge.judge(shop.step())
    twin = new_judge()
    for key, entity in judge.entities.items():
        twin.entities[key] = state.decode(state.encode(entity), DETECTORS)
    for _ in range(5):
        window = shop.step()
        assert judge.judge(window) == twin.judge(window)


def test_damaged_history_is_malformed_and_a_detectors_new_form_begins_anew() -> None:
    """
    Rubbish is refused; a memory of a detector that is gone is left out.
    """
    _, judge = warmed(9)
    entity = next(iter(judge.entities.values()))
    fewer = {name: one for name, one in DETECTORS.items() if name != "latency"}

    assert "latency" not in state.decode(state.encode(entity), fewer).memories
    with pytest.raises(Malformed):
        state.decode(b"\x93rubbish", DETECTORS)


def test_a_fault_that_lasts_is_the_new_normal() -> None:
    """
    What has been so for long (here a quarter of an hour) is learnt anew, so that the map does not stay red for ever.
    """
    shop, judge = Shop(random.Random(11), wave=0.0), Judge(DETECTORS, Limits(learning_s=90, new_normal_s=900))
    for _ in range(20):
        judge.judge(shop.step())
    shop.slow_ms["payments"] = 400
    levels = [by_entity(judge.judge(shop.step()))["payments"].own for _ in range(125)]

    assert Level.RED == levels[80]
    assert levels[-1] <= Level.GREEN
