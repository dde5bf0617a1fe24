"""
One window in, the verdicts out: detectors, causes, colours, episodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from services.anomaly_detector import wording
from services.anomaly_detector.colour import Track, follow
from services.anomaly_detector.detectors._base import Rules
from services.anomaly_detector.episodes import Change, Episode, close, keep_episode
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import RELATION, SERVICE, Observation, failed_connections, observe
from services.anomaly_detector.ranking import HALF, Edge, Scene
from services.anomaly_detector.state import Entity
from shared.messages.anomaly import Level, Reason, Verdict, Verdicts
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.anomaly_detector.detectors._base import Detector
    from shared.messages.topology import TopologyWindow

IDLE_WINDOWS: Final = 6
MISSING_WINDOWS: Final = 6
FORGET_WINDOWS: Final = 8640
"""A day."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the operator decides.
    """

    learning_s: float = 1800.0
    minimum_windows: int = 9
    objective_ratio: float = 0.99
    new_normal_s: float = 6 * 3600.0
    """After so long, what was trouble is the new normal."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one window led to.
    """

    verdicts: Verdicts
    since_ns: dict[tuple[str, str], int]
    """Kind and entity to the time since when its colours are as they are."""
    changes: list[Change]
    episodes: list[Episode]
    """Those that began, grew worse or ended."""
    forgotten: list[tuple[str, str]]
    """Kind and entity of what has not been on the map for a day."""


class Judge:
    """
    All entities and their history; pure: time comes with the windows.
    """

    def __init__(self, detectors: Mapping[str, Detector], limits: Limits) -> None:
        self._detectors: Final = detectors
        self._limits: Final = limits
        self.entities: Final[dict[tuple[str, str], Entity]] = {}
        """Kind and name to what is remembered."""

    def judge(self, window: TopologyWindow) -> Judgement:
        """
        Return the verdicts on *window*, and remember it.
        """
        seen = observe(window)
        edges = [Edge(one.id, one.source, one.target) for one in window.relations]
        findings = {one.entity: self._find(one, window) for one in seen}
        scene = Scene(findings, edges, *self._before())
        for one in seen:
            self._colour(one, findings[one.entity], scene, window)
        self._ring_clients(edges)
        changes, episodes = [], []
        for one in seen:
            entity = self.entities[one.kind, one.entity]
            changes += self._settle(entity, window)
            episodes += keep_episode(entity, window)
        gone = self._miss({(one.kind, one.entity) for one in seen}, window, changes, episodes)
        return Judgement(
            verdicts=Verdicts(
                window_start_ns=window.start_ns,
                window_end_ns=window.end_ns,
                verdicts=[_verdict(self.entities[one.kind, one.entity], window.end_ns) for one in seen],
            ),
            since_ns={(one.kind, one.entity): self.entities[one.kind, one.entity].since_ns for one in seen},
            changes=changes,
            episodes=episodes,
            forgotten=gone,
        )

    def _before(self) -> tuple[dict[str, Level], dict[str, int]]:
        levels = {one.entity: max(one.own, one.inherited) for one in self.entities.values()}
        return levels, {one.entity: one.trouble_since_ns() for one in self.entities.values()}

    def _find(self, seen: Observation, window: TopologyWindow) -> tuple[Finding, ...]:
        entity = self.entities.get((seen.kind, seen.entity))
        if entity is None:
            entity = Entity(entity=seen.entity, kind=seen.kind, first_seen_ns=window.start_ns)
            self.entities[seen.kind, seen.entity] = entity
        active = _active(seen)
        entity.missing_windows = 0
        entity.provides |= seen.kind == SERVICE and seen.calls.requests > 0
        entity.answered |= seen.calls.requests > 0
        entity.windows += active
        entity.idle_windows = 0 if active else entity.idle_windows + 1
        entity.learning = (
            entity.windows < self._limits.minimum_windows
            or window.end_ns - entity.first_seen_ns < self._limits.learning_s * S_NS
        )
        found: list[Finding] = []
        for name, detector in self._detectors.items():
            if seen.kind in detector.kinds:
                found += self._ask(name, detector, entity, seen)
        return tuple(found)

    def _ask(self, name: str, detector: Detector, entity: Entity, seen: Observation) -> tuple[Finding, ...]:
        frozen = any(
            tracks[signal].level >= Level.ORANGE
            for tracks in (entity.own_tracks, entity.inherited_tracks)
            if tracks
            for signal in detector.signals & tracks.keys()
        )
        if not frozen:
            entity.frozen_s.pop(name, None)
        elif entity.frozen_s.get(name, 0.0) >= self._limits.new_normal_s:
            entity.frozen_s.pop(name)
            entity.memories.pop(name, None)
            frozen = False
            for signal in detector.signals:
                entity.own_tracks.pop(signal, None)
                entity.inherited_tracks.pop(signal, None)
        else:
            entity.frozen_s[name] = entity.frozen_s.get(name, 0.0) + seen.window_s
        memory = entity.memories.get(name)
        rules = Rules(learning=entity.learning, frozen=frozen, objective_ratio=self._limits.objective_ratio)
        judged = detector.judge(seen, detector.memory() if memory is None else memory, rules)
        entity.memories[name] = judged.memory
        return judged.findings

    def _colour(self, seen: Observation, findings: tuple[Finding, ...], scene: Scene, window: TopologyWindow) -> None:
        entity = self.entities[seen.kind, seen.entity]
        culprits: dict[str, None] = {}
        found = {one.signal: one for one in findings}
        for signal in sorted(found.keys() | entity.own_tracks.keys() | entity.inherited_tracks.keys()):
            finding = found.get(signal) or Finding(signal=signal, grade=Grade.BLANK)
            own, inherited = finding.grade, min(finding.grade, Grade.CALM)
            words = ""
            if finding.grade >= Grade.YELLOW:
                explanation = scene.explain(seen.entity, finding.trouble)
                roots = scene.culprits(seen.entity, finding.trouble) if explanation.share >= HALF else []
                others = [root for root in roots if root != seen.entity]
                share = explanation.share
                if not others and _fades(entity, finding, findings):
                    others, share = [one for one in entity.culprits if one != seen.entity], 0.0
                if others:
                    own, inherited = inherited, own
                    culprits |= dict.fromkeys(others)
                    words = _because(others, share)
            _follow(entity.own_tracks, signal, own, window.start_ns)
            _follow(entity.inherited_tracks, signal, inherited, window.start_ns)
            self._keep_reason(entity, finding, words)
        entity.own = max((one.level for one in entity.own_tracks.values()), default=Level.GREEN)
        entity.inherited = max((one.level for one in entity.inherited_tracks.values()), default=Level.GREEN)
        if entity.inherited < Level.YELLOW:
            entity.culprits = []
        elif culprits:
            entity.culprits = list(culprits)

    def _keep_reason(self, entity: Entity, finding: Finding, words: str) -> None:
        if not entity.own_tracks and not entity.inherited_tracks:
            entity.reasons.clear()
            return
        tracks = [
            tracks[finding.signal]
            for tracks in (entity.own_tracks, entity.inherited_tracks)
            if finding.signal in tracks
        ]
        level = max((one.level for one in tracks), default=Level.GREEN)
        since_ns = min((one.since_ns for one in tracks if one.since_ns), default=0)
        if level < Level.YELLOW:
            entity.reasons.pop(finding.signal, None)
            return
        known = entity.reasons.get(finding.signal)
        if known is not None and finding.grade < Grade.YELLOW:
            entity.reasons[finding.signal] = msgspec.structs.replace(known, level=level)
            return
        entity.reasons[finding.signal] = Reason(
            signal=finding.signal,
            detector=self._owner(finding.signal),
            level=level,
            value=finding.value,
            expected=finding.expected,
            unit=finding.unit,
            score=finding.score,
            since_ns=since_ns,
            text=finding.text + words,
        )

    def _owner(self, signal: str) -> str:
        return next((name for name, one in self._detectors.items() if signal in one.signals), "")

    def _ring_clients(self, edges: list[Edge]) -> None:
        """
        Ring what provides nothing and only asks, for it suffers from what it asks.
        """
        asked: dict[str, list[str]] = {}
        for edge in edges:
            asked.setdefault(edge.source, []).append(edge.id)
        for source, relations in asked.items():
            entity = self.entities.get((SERVICE, source))
            if entity is None or entity.provides:
                continue
            worst = [self.entities[RELATION, one] for one in relations]
            entity.learning = all(one.learning for one in worst)
            entity.answered |= any(one.answered for one in worst)
            entity.inherited = max(entity.inherited, *(max(one.own, one.inherited) for one in worst))
            if any(one.idle_windows == 0 for one in worst):
                entity.idle_windows = 0
            if entity.inherited >= Level.YELLOW and not entity.culprits:
                bad = [one for one in worst if max(one.own, one.inherited) >= Level.YELLOW]
                entity.culprits = list(dict.fromkeys(root for one in bad for root in (one.culprits or [one.entity])))

    def _settle(self, entity: Entity, window: TopologyWindow) -> list[Change]:
        """
        Give grey where green would claim too much, and tell whether the colours have changed.

        What still learns is green when its requests succeed, for that needs no history; its *learning* is told beside.
        """
        unknown = entity.learning and not entity.answered
        if entity.own == Level.GREEN and (unknown or entity.idle_windows >= IDLE_WINDOWS):
            entity.own = Level.GREY
        return _change(entity, window.end_ns)

    def _miss(
        self,
        seen: set[tuple[str, str]],
        window: TopologyWindow,
        changes: list[Change],
        episodes: list[Episode],
    ) -> list[tuple[str, str]]:
        gone = []
        for key, entity in self.entities.items():
            if key in seen:
                continue
            entity.missing_windows += 1
            if entity.missing_windows == MISSING_WINDOWS:
                entity.own, entity.inherited, entity.culprits = Level.GREY, Level.GREEN, []
                entity.own_tracks, entity.inherited_tracks, entity.reasons = {}, {}, {}
                changes += _change(entity, window.end_ns)
                episodes += close(entity, window.end_ns)
            if entity.missing_windows >= FORGET_WINDOWS:
                gone.append(key)
        for key in gone:
            del self.entities[key]
        return gone


def _fades(entity: Entity, finding: Finding, findings: tuple[Finding, ...]) -> bool:
    """
    Return whether *finding* is an echo of trouble that was inherited: it remembers, but this window is nearly well.
    """
    inherited = entity.inherited_tracks.get(finding.signal)
    if inherited is None or inherited.level < Level.YELLOW or finding.signal in entity.own_tracks:
        return False
    alike = (one for one in findings if one.trouble == finding.trouble and one.signal != finding.signal)
    return max((one.grade for one in alike), default=Grade.BLANK) < Grade.YELLOW


def _active(seen: Observation) -> bool:
    return bool(
        seen.calls.requests
        or seen.tcp.segments_sent
        or seen.tcp.opened
        or failed_connections(seen.tcp)
        or seen.attempts
    )


def _follow(tracks: dict[str, Track], signal: str, grade: Grade, start_ns: int) -> None:
    if grade <= Grade.CALM and signal not in tracks:
        return
    track = follow(tracks.get(signal, Track()), grade, start_ns)
    if track.idle:
        tracks.pop(signal, None)
    else:
        tracks[signal] = track


def _because(culprits: list[str], share: float) -> str:
    names = ", ".join(culprits[:3])
    return f"; {wording.share(share)} of it comes from {names}" if share >= HALF else f"; it came from {names}"


def _change(entity: Entity, at_ns: int) -> list[Change]:
    now = (entity.own, entity.inherited, entity.learning)
    if entity.since_ns and now == entity.shown:
        return []
    entity.shown, entity.since_ns = now, at_ns
    return [
        Change(
            entity=entity.entity,
            kind=entity.kind,
            at_ns=at_ns,
            own=entity.own,
            inherited=entity.inherited,
            learning=entity.learning,
            culprits=list(entity.culprits),
        )
    ]


def _verdict(entity: Entity, at_ns: int) -> Verdict:
    return Verdict(
        entity=entity.entity,
        kind=entity.kind,
        at_ns=at_ns,
        own=entity.own,
        inherited=entity.inherited,
        learning=entity.learning,
        reasons=sorted(entity.reasons.values(), key=lambda one: (-one.level, one.signal)),
        culprits=list(entity.culprits),
    )
