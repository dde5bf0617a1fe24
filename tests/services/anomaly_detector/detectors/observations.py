"""
Observations of an entity, and how a detector takes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.anomaly_detector import detectors
from services.anomaly_detector.detectors._base import Detector, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import SERVICE, Observation
from shared import histogram
from shared.discover import extensions
from shared.messages.topology import Red, Tcp
from shared.units import MS_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

DETECTORS = extensions(detectors, "DETECTOR", Detector)  # type: ignore[type-abstract]  # only used for isinstance
KNOWN = Rules()
LEARNING = Rules(learning=True)


def red(requests: int, *, errors: int = 0, silent: int = 0, ms: float = 10) -> Red:
    """
    Return requests that all took *ms*.
    """
    taken_ns = int(ms * MS_NS)
    return Red(
        requests=requests,
        errors=errors + silent,
        no_responses=silent,
        duration_sum_ns=requests * taken_ns,
        duration=histogram.to_flat({histogram.bucket_of(taken_ns): requests}) if requests else [],
    )


def seen(kind: str, *, calls: Red | None = None, tcp: Tcp | None = None, **more: Any) -> Observation:
    """
    Return an observation of a window of ten seconds.
    """
    return Observation(entity="one", kind=kind, window_s=10, calls=calls or Red(), tcp=tcp or Tcp(), **more)


def run(name: str, observations: Iterable[Observation], rules: Rules = KNOWN) -> list[Finding]:
    """
    Return the last finding of each signal after *observations*.
    """
    detector = DETECTORS[name]
    memory: Any = detector.memory()
    findings: tuple[Finding, ...] = ()
    for observation in observations:
        judged = detector.judge(observation, memory, rules)
        findings, memory = judged.findings, judged.memory
    return list(findings)


def grade(name: str, observations: Iterable[Observation], rules: Rules = KNOWN) -> Grade:
    """
    Return the worst grade of the last window.
    """
    return max((one.grade for one in run(name, observations, rules)), default=Grade.BLANK)


def quiet(windows: int, **more: Any) -> list[Observation]:
    """
    Return windows of a quiet service.
    """
    return [seen(SERVICE, calls=red(100), **more)] * windows
