"""
Whose fault is it? What is wrong with an entity itself, and what it only suffers.

Trouble that can be inherited is compared with what the callees show in the same window, as differences from the usual:

- errors: the share of a service's additional failures that its calls to one callee failed;
- latency: the share of its additional time that it spent waiting for one callee;
- traffic: the other way round; a service that is asked less suffers from a caller in trouble.

A service whose remainder (the product of what each callee leaves unexplained) is under a half only suffers. It also
only suffers when a callee was red no later than it, and explains a seventh: a pool of connections or of threads that
runs full turns a small wait into a long one. A relation is at fault itself when the wire says so, or when nothing is
wrong with its target; otherwise it passes on what its target does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from services.anomaly_detector.finding import Finding, Grade, Trouble
from shared.messages.anomaly import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HALF: Final = 0.5
AMPLIFIED: Final = 1 / 7
LATER: Final = 1 << 63
"""Trouble that begins with this window."""


class Edge(msgspec.Struct, frozen=True):
    """
    A relation as the search for causes sees it.
    """

    id: str
    source: str
    target: str


class Explanation(msgspec.Struct, frozen=True):
    """
    Why an entity shows a kind of trouble.
    """

    share: float
    """How much of it is explained, 0 to 1."""
    through: tuple[str, ...] = ()
    """The entities that it comes from directly, the greatest share first."""


class Scene:
    """
    All findings of one window, and who asks whom.
    """

    def __init__(
        self,
        findings: Mapping[str, tuple[Finding, ...]],
        edges: Iterable[Edge],
        levels: Mapping[str, Level],
        since_ns: Mapping[str, int],
    ) -> None:
        """
        Take what was found, and the colour that each entity had before this window, with the start of its trouble.
        """
        self._findings: Final = findings
        self._levels: Final = levels
        self._since_ns: Final = since_ns
        self._edges: Final[dict[str, Edge]] = {}
        self._out: Final[dict[str, list[Edge]]] = {}
        self._in: Final[dict[str, list[Edge]]] = {}
        for edge in edges:
            self._edges[edge.id] = edge
            self._out.setdefault(edge.source, []).append(edge)
            self._in.setdefault(edge.target, []).append(edge)

    def explain(self, entity: str, trouble: Trouble) -> Explanation:
        """
        Return how far the trouble of *entity* comes from others.
        """
        if trouble == Trouble.LOCAL:
            return Explanation(0.0)
        edge = self._edges.get(entity)
        if edge is not None:
            return self._explain_relation(edge, trouble)
        if trouble == Trouble.TRAFFIC:
            return self._explain_traffic(entity)
        return self._explain_service(entity, trouble)

    def culprits(self, entity: str, trouble: Trouble) -> list[str]:
        """
        Return where the trouble of *entity* begins: itself, or others through as many steps as it takes.
        """
        roots: dict[str, None] = {}
        seen: set[tuple[str, Trouble]] = set()
        open_ends = [(entity, trouble)]
        while open_ends:
            one = open_ends.pop(0)
            if one in seen:
                continue
            seen.add(one)
            explanation = self.explain(*one)
            if explanation.share < HALF:
                roots[one[0]] = None
                continue
            open_ends += [(other, self._main_trouble(other, one[1])) for other in explanation.through]
        return list(dict.fromkeys(self._better_name(root) for root in roots))

    def _better_name(self, root: str) -> str:
        """
        Return the target of a relation that fails because its target is dead, or has just been.
        """
        edge = self._edges.get(root)
        if edge is None:
            return root
        dead = self._worst(edge.target, Trouble.LOCAL) == Grade.RED
        return edge.target if dead or self._levels.get(edge.target, Level.GREEN) >= Level.ORANGE else root

    def _explain_relation(self, edge: Edge, trouble: Trouble) -> Explanation:
        if self._worst(edge.id, Trouble.LOCAL) >= Grade.YELLOW:
            return Explanation(0.0)
        finding = self._finding(edge.id, trouble)
        share = min(1.0, finding.beyond / finding.excess) if finding and finding.excess > 0 else 0.0
        if share < HALF and not self._is_bad(edge.target):
            return Explanation(share)
        return Explanation(max(share, HALF), (edge.target,))

    def _explain_service(self, service: str, trouble: Trouble) -> Explanation:
        own = self._finding(service, trouble)
        parts: list[tuple[float, str]] = []
        for edge in self._out.get(service, ()):
            if not self._is_bad(edge.id) and not self._is_bad(edge.target):
                continue
            theirs = self._finding(edge.id, trouble)
            share = 0.0
            if own and own.excess > 0 and theirs:
                share = min(1.0, theirs.excess / own.excess)
            if self._may_be_amplified(edge.id, trouble, share) and self._came_first(edge, service):
                share = max(share, HALF)
            if share > 0:
                parts.append((share, edge.id))
        left = 1.0
        for share, _ in parts:
            left *= 1 - share
        parts.sort(reverse=True)
        return Explanation(1 - left, tuple(name for share, name in parts if share >= AMPLIFIED))

    def _explain_traffic(self, service: str) -> Explanation:
        for edge in self._in.get(service, ()):
            if self._worst(edge.source) >= Grade.YELLOW or self._levels.get(edge.source, Level.GREEN) >= Level.YELLOW:
                return Explanation(1.0, (edge.source,))
        return Explanation(0.0)

    def _came_first(self, edge: Edge, service: str) -> bool:
        """
        Return whether a callee is red, and got into trouble no later than *service*.
        """
        began = self._since_ns.get(service, 0) or LATER
        return any(
            (self._worst(one) == Grade.RED or self._levels.get(one, Level.GREEN) == Level.RED)
            and (self._since_ns.get(one, 0) or LATER) <= began
            for one in (edge.id, edge.target)
        )

    def _may_be_amplified(self, relation: str, trouble: Trouble, share: float) -> bool:
        """
        Return whether waiting for *relation* may have led to more waiting, or to giving up, beyond what it explains.
        """
        if trouble == Trouble.LATENCY:
            return share >= AMPLIFIED
        return self._worst(relation, Trouble.LATENCY) >= Grade.ORANGE

    def _main_trouble(self, entity: str, before: Trouble) -> Trouble:
        """
        Return the trouble of *entity* that others may have caused, the same kind as *before* when it has that.
        """
        if before in (Trouble.ERRORS, Trouble.LATENCY) and self._worst(entity, before) >= Grade.YELLOW:
            return before
        return max(
            (Trouble.ERRORS, Trouble.LATENCY, Trouble.TRAFFIC, Trouble.LOCAL),
            key=lambda trouble: self._worst(entity, trouble),
        )

    def _is_bad(self, entity: str) -> bool:
        """
        Return whether *entity* is in any trouble of its own making or inherited, traffic apart.
        """
        return max(self._worst(entity, kind) for kind in Trouble if kind != Trouble.TRAFFIC) >= Grade.YELLOW or (
            self._levels.get(entity, Level.GREEN) >= Level.ORANGE
        )

    def _worst(self, entity: str, trouble: Trouble | None = None) -> Grade:
        return max(
            (one.grade for one in self._findings.get(entity, ()) if trouble is None or one.trouble == trouble),
            default=Grade.BLANK,
        )

    def _finding(self, entity: str, trouble: Trouble) -> Finding | None:
        """
        Return the finding of *entity* that tells how much there is beyond the usual.
        """
        return max(
            (one for one in self._findings.get(entity, ()) if one.trouble == trouble),
            key=lambda one: one.excess,
            default=None,
        )
