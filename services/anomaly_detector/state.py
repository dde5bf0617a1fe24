"""
What is remembered of one entity from window to window, and its form in the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from services.anomaly_detector.colour import Track
from shared.errors import Malformed
from shared.messages.anomaly import Level, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.anomaly_detector.detectors._base import Detector


class Entity(msgspec.Struct, kw_only=True):
    """
    A service or a relation through time.
    """

    entity: str
    kind: str
    first_seen_ns: int
    windows: int = 0
    """Windows with traffic."""
    provides: bool = False
    """A service that has answered requests."""
    answered: bool = False
    """Requests were seen: failures, which need no history, can be judged."""
    idle_windows: int = 0
    """Windows without, in a row."""
    missing_windows: int = 0
    """Windows in a row in which it was not on the map."""
    own_tracks: dict[str, Track] = {}
    inherited_tracks: dict[str, Track] = {}
    reasons: dict[str, Reason] = {}
    """Last bad finding of each signal that has a colour."""
    culprits: list[str] = []
    frozen_s: dict[str, float] = {}
    """Detector to the time for which it has not learnt."""
    own: Level = Level.GREY
    inherited: Level = Level.GREEN
    learning: bool = True
    shown: tuple[Level, Level, bool] = (Level.GREY, Level.GREEN, True)
    """The colours that were told last: *own*, *inherited*, *learning*."""
    since_ns: int = 0
    """Since when the colours are as they are."""
    episode_level: Level = Level.GREY
    """The worst colour of the episode that lasts; grey when there is none."""
    episode_ns: int = 0
    episode_reasons: list[Reason] = []
    memories: dict[str, Any] = {}

    def trouble_since_ns(self) -> int:
        """
        Return when the trouble that lasts began, 0 when there is none.
        """
        begun = [track.since_ns for track in (*self.own_tracks.values(), *self.inherited_tracks.values())]
        return min((one for one in begun if one), default=0)


class _Stored(Entity, kw_only=True):
    memories: dict[str, msgspec.Raw] = {}


def encode(entity: Entity) -> bytes:
    """
    Return *entity* in MessagePack.
    """
    return msgspec.msgpack.encode(entity)


def decode(data: bytes, detectors: Mapping[str, Detector]) -> Entity:
    """
    Return the entity in *data*; the memory of a detector that is gone, or whose form has changed, begins anew.

    Raises:
        Malformed: *data* is not an entity.
    """
    try:
        stored = msgspec.msgpack.decode(data, type=_Stored)
    except msgspec.DecodeError as error:
        raise Malformed(f"a stored baseline is damaged: {error}") from error
    memories: dict[str, Any] = {}
    for name, raw in stored.memories.items():
        detector = detectors.get(name)
        if detector is None:
            continue
        try:
            memories[name] = msgspec.msgpack.decode(raw, type=detector.memory)
        except msgspec.DecodeError:
            continue
    fields = {name: getattr(stored, name) for name in stored.__struct_fields__}
    return Entity(**{**fields, "memories": memories})
