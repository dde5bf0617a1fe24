"""
Changes of colour, and the times during which something was wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.messages.anomaly import Level, Reason

if TYPE_CHECKING:
    from services.anomaly_detector.state import Entity
    from shared.messages.topology import TopologyWindow


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """
    An entity has other colours than before.
    """

    entity: str
    kind: str
    at_ns: int
    own: Level
    inherited: Level
    learning: bool
    culprits: list[str]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """
    A time during which an entity's own colour was yellow or worse, as far as it is known now.
    """

    entity: str
    kind: str
    level: Level
    """The worst that it reached."""
    started_ns: int
    ended_ns: int
    """0 while it lasts."""
    reasons: list[Reason]
    """Those of its worst window."""


def keep_episode(entity: Entity, window: TopologyWindow) -> list[Episode]:
    """
    Return the episode of *entity* when this window began it, made it worse or ended it.
    """
    if entity.own < Level.YELLOW:
        return close(entity, window.end_ns)
    if entity.own <= entity.episode_level:
        return []
    if not entity.episode_ns:
        entity.episode_ns = entity.trouble_since_ns() or window.start_ns
    entity.episode_level = entity.own
    entity.episode_reasons = sorted(entity.reasons.values(), key=lambda one: (-one.level, one.signal))
    return [_episode(entity, 0)]


def close(entity: Entity, at_ns: int) -> list[Episode]:
    """
    Return the episode of *entity* with its end, when there is one.
    """
    if not entity.episode_ns:
        return []
    ended = _episode(entity, at_ns)
    entity.episode_level, entity.episode_ns, entity.episode_reasons = Level.GREY, 0, []
    return [ended]


def _episode(entity: Entity, ended_ns: int) -> Episode:
    return Episode(
        entity=entity.entity,
        kind=entity.kind,
        level=entity.episode_level,
        started_ns=entity.episode_ns,
        ended_ns=ended_ns,
        reasons=entity.episode_reasons,
    )
