"""
Laws that every detector of the folder keeps.
"""

from __future__ import annotations

import errno
import inspect
from typing import Any

import msgspec
import pytest

from services.anomaly_detector.detectors._base import Judged, Rules
from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION, SERVICE
from shared.messages.topology import Tcp
from tests.services.anomaly_detector.detectors.observations import DETECTORS, KNOWN, LEARNING, red, seen

EVERYTHING = Tcp(
    opened=40,
    closed=10,
    failed={errno.ECONNREFUSED: 30},
    segments_sent=1000,
    retransmits=100,
    resets_received=20,
    listen_overflows=50,
    drops={"qdisc_drop": 100},
    rtt=[60, 50],
)
STRANGE = [
    seen(SERVICE),
    seen(RELATION),
    seen(SERVICE, calls=red(1)),
    seen(RELATION, calls=red(3, errors=3), tcp=EVERYTHING, attempts=30, unanswered=30),
    seen(SERVICE, calls=red(1000, errors=500, ms=90_000), tcp=EVERYTHING, attempts=99, unanswered=99, present=False),
]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("rules", [KNOWN, LEARNING, Rules(frozen=True)], ids=["known", "learning", "frozen"])
def test_laws(name: str, rules: Rules) -> None:
    """
    A detector names only its own signals, gives equal answers to equal questions, and its memory survives storing.
    """
    detector = DETECTORS[name]
    memory: Any = detector.memory()
    for observation in STRANGE * 5:
        if observation.kind not in detector.kinds:
            continue
        judged = detector.judge(observation, memory, rules)
        again = detector.judge(observation, memory, rules)
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(judged.memory), type=detector.memory)

        assert {finding.signal for finding in judged.findings} <= detector.signals
        assert again == judged
        assert judged.memory == stored
        assert all(finding.text for finding in judged.findings if finding.grade >= Grade.YELLOW)
        memory = judged.memory


@pytest.mark.parametrize("name", DETECTORS)
def test_frozen_means_that_what_is_usual_stays(name: str) -> None:
    """
    What a frozen detector is shown in trouble does not become usual: the next window scores the same.
    """
    detector = DETECTORS[name]
    kind = SERVICE if SERVICE in detector.kinds else RELATION
    memory: Any = detector.memory()
    for _ in range(40):
        memory = detector.judge(
            seen(kind, calls=red(100), tcp=Tcp(opened=5, closed=5, segments_sent=300)), memory, KNOWN
        ).memory
    trouble = seen(kind, calls=red(100, errors=50, ms=500), tcp=EVERYTHING)
    before = detector.judge(trouble, memory, Rules(frozen=True))
    later = before
    for _ in range(20):
        later = detector.judge(trouble, later.memory, Rules(frozen=True))

    if name not in ("burn_rate", "connection_leak"):  # these count what is going on, and do not compare with usual
        assert usual(before) == usual(later)


def usual(judged: Judged) -> dict[str, float]:
    """
    Return what each signal was compared with.
    """
    return {finding.signal: finding.expected for finding in judged.findings}


def test_no_two_detectors_share_a_signal() -> None:
    """
    A signal belongs to one detector.
    """
    signals = [signal for detector in DETECTORS.values() for signal in detector.signals]

    assert len(signals) == len(set(signals))


@pytest.mark.parametrize("name", DETECTORS)
def test_file_opens_with_its_question(name: str) -> None:
    """
    A detector's file opens with the question that it answers.
    """
    first = (inspect.getdoc(inspect.getmodule(DETECTORS[name].judge)) or "").splitlines()[0]

    assert first.endswith("?")
