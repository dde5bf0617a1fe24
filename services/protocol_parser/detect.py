"""
Which protocol a port speaks that the kernel could not name.

Every protocol says how sure it is of each sample. The claims add up, port by port, until one is high enough and
twice as high as the next: that is the verdict, and the kernel follows it from then on. Later samples are held against
it; when several in a row contradict it, it is taken back, and what they claim instead decides.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.messages.kernel import Protocol, ProtocolVerdict, Sample
from shared.protocols import protocols, recognise
from shared.units import S_NS

if TYPE_CHECKING:
    from shared.messages.kernel import SampleBatch

ENOUGH: Final = 0.9
"""The sum of claims that makes a verdict."""
AHEAD: Final = 2.0
"""How many times as high as the second-best it has to be."""
DOUBT: Final = 0.3
"""A claim below this contradicts the verdict."""
PATIENCE: Final = 3
"""Contradictions in a row that end a verdict."""
REPEAT_NS: Final = 10 * S_NS
"""A verdict that the kernel seems not to know is said again after this long."""


class Port(NamedTuple):
    """
    What a verdict is about.
    """

    node: str
    epoch: int
    instance: int
    port: int


class Evidence:
    """
    What is known of one port.
    """

    def __init__(self) -> None:
        self.claims: dict[Protocol, float] = {}
        self.verdict = Protocol.UNKNOWN
        self.contradictions = 0
        self.said_ns = 0

    def leader(self) -> Protocol:
        """
        Return the protocol whose claims suffice, else UNKNOWN.
        """
        ranked = sorted(self.claims, key=lambda protocol: self.claims[protocol], reverse=True)
        if not ranked or self.claims[ranked[0]] < ENOUGH:
            return Protocol.UNKNOWN
        second = self.claims[ranked[1]] if len(ranked) > 1 else 0.0
        return ranked[0] if self.claims[ranked[0]] >= AHEAD * second else Protocol.UNKNOWN


class Detector:
    """
    Finds out what at most *limit* ports speak.
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._ports: Final[OrderedDict[Port, Evidence]] = OrderedDict()
        self.forgotten = 0
        """Ports that made room for others."""

    def __len__(self) -> int:
        return len(self._ports)

    def observe(self, batch: SampleBatch, sample: Sample) -> ProtocolVerdict | None:
        """
        Take one sample into account; return a verdict when there is something to tell the kernel.
        """
        port = Port(batch.node, batch.epoch, sample.instance, sample.port)
        if sample.protocol is not Protocol.UNKNOWN and port not in self._ports:
            return None
        evidence = self._evidence(port)
        said = (
            self._undecided(evidence, sample) if sample.protocol is Protocol.UNKNOWN else self._doubt(evidence, sample)
        )
        if not said:
            return None
        evidence.said_ns = sample.observed_ns
        return ProtocolVerdict(port.node, port.epoch, port.instance, port.port, evidence.verdict)

    def verdict(self, batch: SampleBatch, sample: Sample) -> Protocol:
        """
        Return what the sample's port is known to speak, UNKNOWN if that is not known.
        """
        evidence = self._ports.get(Port(batch.node, batch.epoch, sample.instance, sample.port))
        return evidence.verdict if evidence else Protocol.UNKNOWN

    def _evidence(self, port: Port) -> Evidence:
        evidence = self._ports.setdefault(port, Evidence())
        self._ports.move_to_end(port)
        if len(self._ports) > self._limit:
            self._ports.popitem(last=False)
            self.forgotten += 1
        return evidence

    def _undecided(self, evidence: Evidence, sample: Sample) -> bool:
        if evidence.verdict is not Protocol.UNKNOWN:
            return self._doubt(evidence, sample) or abs(sample.observed_ns - evidence.said_ns) >= REPEAT_NS
        self._claim(evidence, sample)
        evidence.verdict = evidence.leader()
        return evidence.verdict is not Protocol.UNKNOWN

    def _claim(self, evidence: Evidence, sample: Sample) -> None:
        found, confidence = recognise(sample.request, sample.response)
        if found is not Protocol.UNKNOWN:
            evidence.claims[found] = min(evidence.claims.get(found, 0.0) + confidence, AHEAD * ENOUGH)

    def _doubt(self, evidence: Evidence, sample: Sample) -> bool:
        """
        Return whether this sample ends the verdict.
        """
        known = protocols().get(evidence.verdict)
        if known is None or not sample.request:
            return False
        if known.confidence(sample.request, sample.response) >= DOUBT:
            evidence.contradictions = 0
            return False
        if evidence.contradictions == 0:
            evidence.claims = {}
        evidence.contradictions += 1
        self._claim(evidence, sample)
        if evidence.contradictions < PATIENCE:
            return False
        evidence.contradictions = 0
        evidence.verdict = evidence.leader()
        return True
