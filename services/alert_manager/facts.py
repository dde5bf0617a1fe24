"""
From windows and verdicts to the facts that templates are evaluated over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.alert_manager.durations import seconds
from services.alert_manager.figures import Figures, Series, of_window
from shared import histogram
from shared.errors import Malformed
from shared.messages.topology import Red, Tcp
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from services.alert_manager.template import Facts, Template
    from shared.messages.anomaly import Verdict, Verdicts
    from shared.messages.topology import TopologyWindow

STALE_NS: Final = 60 * S_NS
"""Verdicts older than this say nothing about now."""
FORGET_NS: Final = 3600 * S_NS

SIGNALS: Final[dict[str, Callable[[Figures, float], float | None]]] = {
    "requests": lambda f, _: f.requests,
    "errors": lambda f, _: f.errors,
    "error_ratio": lambda f, _: _ratio(f.errors, f.requests),
    "burn_rate": lambda f, objective: _ratio(f.errors, f.requests * (1 - objective)),
    "no_responses": lambda f, _: f.no_responses,
    "no_response_ratio": lambda f, _: _ratio(f.no_responses, f.requests),
    "p99_s": lambda f, _: _seconds(histogram.quantile_ns(f.durations, 0.99)),
    "attempts": lambda f, _: f.requests + f.failed,
    "unanswered_ratio": lambda f, _: _ratio(f.no_responses + f.failed, f.requests + f.failed),
    "connects": lambda f, _: f.opened + f.failed,
    "connects_failed": lambda f, _: f.failed,
    "connect_failure_ratio": lambda f, _: _ratio(f.failed, f.opened + f.failed),
    "refused": lambda f, _: f.refused,
    "connections": lambda f, _: max(f.opened, f.closed, f.resets),
    "reset_ratio": lambda f, _: _ratio(f.resets, max(f.opened, f.closed, f.resets)),
    "segments": lambda f, _: f.segments,
    "retransmit_ratio": lambda f, _: _ratio(f.retransmits, max(f.segments, f.retransmits)),
    "listen_overflows": lambda f, _: f.listen_overflows,
}
"""Signals that are taken over a span."""

POINT_SIGNALS: Final = frozenset(
    {
        "own_level",
        "deviation_latency",
        "latency_times",
        "deviation_traffic",
        "traffic_share",
        "silent_s",
        "silent_gaps",
        "instances",
    }
)
"""Signals without a span: of the verdict, and of silence."""
WORST_SIGNALS: Final = frozenset(
    {
        "worst_endpoint_error_ratio",
        "worst_endpoint_requests",
        "other_endpoints_error_ratio",
        "worst_instance_error_ratio",
        "worst_instance_requests",
        "other_instances_requests",
        "instance_error_gap",
    }
)
"""Signals over a span that compare the parts of a service."""


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / S_NS


class _Kept(msgspec.Struct):
    entities: dict[str, Series] = {}
    endpoints: dict[str, dict[str, Series]] = {}
    instances: dict[str, dict[str, Series]] = {}


class FactBook:
    """
    The last hour of all entities; pure: time comes with the windows.
    """

    def __init__(self, templates: Iterable[Template], objective_ratio: float) -> None:
        self._objective: Final = objective_ratio
        self._spans: Final[dict[str, dict[str, set[str]]]] = {"service": {}, "relation": {}}
        for template in templates:
            for condition in (template.condition, *template.also):
                wanted = self._spans[template.kind].setdefault(condition.over, set())
                wanted |= {condition.signal, *condition.evidence}
        self._kept = _Kept()
        self._verdicts: dict[str, Verdict] = {}
        self._verdicts_ns = 0

    def hear(self, verdicts: Verdicts) -> None:
        """
        Take the newest verdicts.
        """
        if verdicts.window_end_ns > self._verdicts_ns:
            self._verdicts_ns = verdicts.window_end_ns
            self._verdicts = {f"{one.kind} {one.entity}": one for one in verdicts.verdicts}

    def take(self, window: TopologyWindow) -> dict[tuple[str, str], Facts]:
        """
        Add *window* and return the facts of each entity, by kind and name.
        """
        end_ns = window.end_ns
        figures = {one.service: one for one in window.service_figures}
        for service in window.services:
            own = figures.get(service.id)
            red, tcp = (own.provided, own.tcp) if own else (Red(), Tcp())
            self._add(self._kept.entities, f"service {service.id}", end_ns, red, tcp, durations=True)
        for relation in window.relations:
            self._add(self._kept.entities, f"relation {relation.id}", end_ns, relation.client, relation.tcp)
        for endpoint in window.endpoint_figures:
            parts = self._kept.endpoints.setdefault(endpoint.service, {})
            self._add(parts, endpoint.name or endpoint.endpoint, end_ns, endpoint.provided, Tcp())
        for instance in window.instance_figures:
            parts = self._kept.instances.setdefault(instance.service, {})
            self._add(parts, instance.instance, end_ns, instance.provided, Tcp())
        self._forget(end_ns)
        facts: dict[tuple[str, str], Facts] = {}
        for service in window.services:
            facts["service", service.id] = self._service_facts(service.id, service.instances, end_ns)
        for relation in window.relations:
            known = self._facts("relation", relation.id, end_ns)
            facts["relation", relation.id] = {**known, "source": relation.source, "target": relation.target}
        return facts

    def _add(
        self, series: dict[str, Series], key: str, end_ns: int, red: Red, tcp: Tcp, *, durations: bool = False
    ) -> None:
        if key not in series:
            series[key] = Series()
        series[key].add(end_ns, of_window(red, tcp, with_durations=durations))

    def _facts(self, kind: str, entity: str, end_ns: int) -> Facts:
        series = self._kept.entities[f"{kind} {entity}"]
        facts: Facts = {"entity": entity}
        for over, signals in self._spans[kind].items():
            if not over:
                continue
            figures = series.over(end_ns, seconds(over))
            for signal in signals & SIGNALS.keys():
                value = SIGNALS[signal](figures, self._objective)
                if value is not None:
                    facts[f"{signal}_{over}"] = value
        facts |= self._verdict_facts(kind, entity, end_ns)
        if series.asked >= 10 and series.asked_ns:
            silent_s = (end_ns - series.asked_ns) / S_NS
            facts["silent_s"] = silent_s
            facts["silent_gaps"] = silent_s / max(series.gap_s, 1.0)
        return facts

    def _service_facts(self, service: str, instances: int, end_ns: int) -> Facts:
        facts = self._facts("service", service, end_ns)
        facts["instances"] = instances
        for over, signals in self._spans["service"].items():
            if not over or not signals & WORST_SIGNALS:
                continue
            span_s = seconds(over)
            facts |= _worst("endpoint", self._kept.endpoints.get(service, {}), end_ns, span_s, over)
            facts |= _worst("instance", self._kept.instances.get(service, {}), end_ns, span_s, over)
        return facts

    def _verdict_facts(self, kind: str, entity: str, end_ns: int) -> Facts:
        verdict = self._verdicts.get(f"{kind} {entity}")
        if verdict is None or end_ns - self._verdicts_ns > STALE_NS:
            return {}
        facts: Facts = {"own_level": int(verdict.own)}
        for reason in verdict.reasons:
            if reason.level > verdict.own:  # inherited: the culprit has an alert of its own
                continue
            if reason.signal.startswith("latency_"):
                facts["deviation_latency"] = max(int(reason.level), int(facts.get("deviation_latency", 0)))
                facts["latency_times"] = reason.value / max(reason.expected, 1e-9)
            if reason.signal == "request_rate":
                facts["deviation_traffic"] = int(reason.level)
                facts["traffic_share"] = reason.value / max(reason.expected, 1e-9)
        return facts

    def _forget(self, end_ns: int) -> None:
        """
        Drop what has not been seen for an hour.
        """
        for parts in (self._kept.entities, *self._kept.endpoints.values(), *self._kept.instances.values()):
            for key in [key for key, one in parts.items() if one.windows[-1][0] < end_ns - FORGET_NS]:
                del parts[key]

    def save(self) -> bytes:
        """
        Return what `restore` takes.
        """
        return msgspec.msgpack.encode(self._kept)

    def restore(self, data: bytes) -> None:
        """
        Take up the last hour where *data* left it.

        Raises:
            Malformed: *data* is damaged, or of another form.
        """
        try:
            self._kept = msgspec.msgpack.decode(data, type=_Kept)
        except msgspec.DecodeError as error:
            raise Malformed(f"the stored facts are damaged: {error}") from error


def _worst(part: str, series: dict[str, Series], end_ns: int, span_s: int, over: str) -> dict[str, Any]:
    """
    Return facts on the part that fails most, beside the others together.
    """
    sums = {name: one.over(end_ns, span_s) for name, one in series.items()}
    sums = {name: figures for name, figures in sums.items() if figures.requests}
    if not sums:
        return {}
    worst = max(sums, key=lambda name: (sums[name].errors / sums[name].requests, sums[name].requests))
    others = [figures for name, figures in sums.items() if name != worst]
    requests, errors = sum(one.requests for one in others), sum(one.errors for one in others)
    ratio = sums[worst].errors / sums[worst].requests
    facts: dict[str, Any] = {
        f"worst_{part}": worst,
        f"worst_{part}_error_ratio_{over}": ratio,
        f"worst_{part}_requests_{over}": sums[worst].requests,
        f"other_{part}s_requests_{over}": requests,
    }
    if requests:
        facts[f"other_{part}s_error_ratio_{over}"] = errors / requests
        facts[f"{part}_error_gap_{over}"] = ratio - errors / requests
    return facts
