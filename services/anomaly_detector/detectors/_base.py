"""
The contract of a detector.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import msgspec

from services.anomaly_detector.finding import Finding
from services.anomaly_detector.observation import Observation


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a judgement depends on beside the figures.
    """

    learning: bool = False
    """Too little history: only rules that need none may give a colour."""
    frozen: bool = False
    """The entity is in trouble by this detector: what it does now is not usual, and is not learnt."""
    objective_ratio: float = 0.99
    """The share of requests that shall succeed."""


class Judged(msgspec.Struct, frozen=True):
    """
    What a detector found, and what it remembers for the next window.
    """

    findings: tuple[Finding, ...]
    memory: Any
    """Of the detector's own *memory* type."""


class Nothing(msgspec.Struct, frozen=True):
    """
    The memory of an event rule, which needs no history.
    """


@runtime_checkable
class Detector(Protocol):
    """
    Judges one entity by one window and what it remembers of those before.

    Pure: time comes with the observation, memory goes in and comes out, and equal arguments give equal answers.
    """

    @property
    def signals(self) -> frozenset[str]:
        """
        Return the signals that its findings name; no other detector uses them.
        """
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """
        Return `service`, `relation`, or both.
        """
        ...

    @property
    def memory(self) -> type[msgspec.Struct]:
        """
        Return the type of what it keeps for each entity; made without arguments, it knows nothing.
        """
        ...

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:
        """
        Return what *seen* shows; no finding means that the signal does not apply to the entity.
        """
        ...
