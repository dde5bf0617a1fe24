"""
From windows and verdicts to facts.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest

from services.alert_manager.facts import FactBook
from services.alert_manager.template import Condition, Template, load
from shared import histogram
from shared.errors import Malformed
from shared.messages.anomaly import Level, Reason, Verdict, Verdicts
from shared.messages.topology import (
    EndpointFigures,
    InstanceFigures,
    Red,
    RelationFigures,
    Service,
    ServiceFigures,
    Tcp,
    TopologyWindow,
)
from shared.units import S_NS, WINDOW_NS

BEGIN_NS = 1_700_000_000 * S_NS // WINDOW_NS * WINDOW_NS


def red(requests: int, errors: int = 0, ms: int = 10) -> Red:
    """
    Return requests that all took *ms*.
    """
    bucket = histogram.bucket_of(ms * 1_000_000)
    return Red(requests=requests, errors=errors, duration=[bucket, requests] if requests else [])


def window(number: int, provided: Red, **more: Any) -> TopologyWindow:
    """
    Return the window *number* of a map with the one service `web`.
    """
    fields: dict[str, Any] = {
        "services": [Service(id="web", name="web", kind="service", instances=2)],
        "service_figures": [ServiceFigures(service="web", provided=provided)],
        **more,
    }
    start_ns = BEGIN_NS + number * WINDOW_NS
    return TopologyWindow(start_ns=start_ns, end_ns=start_ns + WINDOW_NS, final=True, **fields)


def book(*wanted: tuple[str, str, str]) -> FactBook:
    """
    Return a book for templates that want these (kind, signal, over).
    """
    templates = [
        Template(
            name=signal,
            title="",
            family="",
            kind=kind,
            severity="info",
            for_s=0,
            keep_firing_s=0,
            meaning="",
            next_steps=[],
            not_when=[],
            condition=Condition(signal=signal, over=over, comparison="above", threshold=0),
            also=[],
            examples=[],
        )
        for kind, signal, over in wanted
    ]
    return FactBook(templates, objective_ratio=0.99)


def test_spans_hold_as_many_windows_as_they_are_long() -> None:
    """
    A minute holds six windows, five minutes thirty.
    """
    facts = book(("service", "requests", "1m"), ("service", "requests", "5m"))
    for number in range(40):
        found = facts.take(window(number, red(10)))["service", "web"]

    assert (60, 300) == (found["requests_1m"], found["requests_5m"])


def test_an_hour_is_kept_by_minutes() -> None:
    """
    An hour holds at most an hour and a minute, and burn rates come of it.
    """
    facts = book(("service", "burn_rate", "1h"), ("service", "requests", "1h"))
    for number in range(500):
        found = facts.take(window(number, red(10, errors=1)))["service", "web"]

    assert 3600 <= float(found["requests_1h"]) <= 3660
    assert found["burn_rate_1h"] == pytest.approx(10.0)


def test_quantiles_are_over_all_windows_of_the_span() -> None:
    """
    One slow window in ten makes the 99th percentile slow.
    """
    facts = book(("service", "p99_s", "5m"))
    for number in range(10):
        found = facts.take(window(number, red(100, ms=2000 if number == 4 else 10)))["service", "web"]

    assert found["p99_s_5m"] == pytest.approx(2.0, rel=0.07)


def test_relation_has_both_names_and_counts_attempts() -> None:
    """
    A relation without an answer is unanswered for each failed connection and each request without a response.
    """
    facts = book(("relation", "unanswered_ratio", "1m"), ("relation", "attempts", "1m"), ("relation", "refused", "1m"))
    relation = RelationFigures(
        id="web->db:postgresql",
        source="web",
        target="db",
        protocol="postgresql",
        client=Red(requests=3, errors=3, no_responses=3),
        tcp=Tcp(failed={errno.ECONNREFUSED: 4}),
    )
    found = facts.take(window(0, red(0), relations=[relation]))["relation", relation.id]

    assert ("web", "db") == (found["source"], found["target"])
    assert (1.0, 7, 4) == (found["unanswered_ratio_1m"], found["attempts_1m"], found["refused_1m"])


def test_the_worst_endpoint_and_instance_stand_beside_the_others() -> None:
    """
    One endpoint and one instance fail; the facts name them, and how the others do.
    """
    facts = FactBook(load(), objective_ratio=0.99)
    found = facts.take(
        window(
            0,
            red(100, errors=10),
            endpoint_figures=[
                EndpointFigures(service="web", protocol="http", endpoint="1", name="GET /a", provided=red(10, 10)),
                EndpointFigures(service="web", protocol="http", endpoint="2", name="GET /b", provided=red(90)),
            ],
            instance_figures=[
                InstanceFigures(instance="n/1/1", service="web", provided=red(50)),
                InstanceFigures(instance="n/1/2", service="web", provided=red(50, 10)),
            ],
        )
    )["service", "web"]

    assert ("GET /a", 1.0, 0.0) == (
        found["worst_endpoint"], found["worst_endpoint_error_ratio_2m"], found["other_endpoints_error_ratio_2m"]
    )  # fmt: skip
    assert found["worst_instance"] == "n/1/2"
    assert found["instance_error_gap_2m"] == pytest.approx(0.2)


def verdict(own: Level, *reasons: Reason) -> Verdict:
    """
    Return a verdict on web.
    """
    return Verdict(entity="web", kind="service", at_ns=0, own=own, inherited=Level.RED, reasons=list(reasons))


def slow(level: Level) -> Reason:
    """
    Return the reason that p95 is four times as usual.
    """
    return Reason(signal="latency_p95", detector="latency", level=level, value=0.4, expected=0.1, unit="s")


@pytest.mark.parametrize(
    ("own", "level", "age", "expected"),
    [
        pytest.param(Level.RED, Level.RED, 0, 4, id="its own"),
        pytest.param(Level.GREEN, Level.RED, 0, None, id="inherited: the culprit has the alert"),
        pytest.param(Level.RED, Level.RED, 20, None, id="too old"),
    ],
)
def test_verdicts_become_facts(own: Level, level: Level, age: int, expected: int | None) -> None:
    """
    A deviation counts when it is the entity's own and fresh.
    """
    facts = book()
    end_ns = BEGIN_NS + 100 * WINDOW_NS
    facts.hear(Verdicts(window_start_ns=0, window_end_ns=end_ns, verdicts=[verdict(own, slow(level))]))
    found = facts.take(window(100 + age, red(10)))["service", "web"]

    assert expected == found.get("deviation_latency")
    assert (pytest.approx(4.0) if expected else None) == found.get("latency_times")


def test_silence_is_known_once_there_was_regular_traffic() -> None:
    """
    The time since the last request is a fact after ten windows with requests.
    """
    facts = book()
    for number in range(20):
        found = facts.take(window(number, red(5 if number < 12 else 0)))["service", "web"]
        assert ("silent_s" in found) == (number >= 9)

    assert found["silent_s"] == 80
    assert found["silent_gaps"] == pytest.approx(8.0)


def test_facts_survive_storing() -> None:
    """
    A book that is made of another's stored form goes on with the same sums; rubbish is refused.
    """
    wanted = [("service", "burn_rate", "1h"), ("service", "p99_s", "5m")]
    first, second = book(*wanted), book(*wanted)
    for number in range(20):
        first.take(window(number, red(10, errors=1)))
    second.restore(first.save())

    assert first.take(window(20, red(1))) == second.take(window(20, red(1)))
    with pytest.raises(Malformed):
        second.restore(b"rubbish")


def test_what_is_not_seen_for_an_hour_is_forgotten() -> None:
    """
    The book does not grow with what is gone.
    """
    facts = book(("service", "requests", "1m"))
    facts.take(window(0, red(10)))
    empty = window(400, red(0), services=[], service_figures=[])
    size = len(facts.save())
    facts.take(empty)

    assert len(facts.save()) < size
