"""
Slow requests, and requests that wait on purpose.
"""

from __future__ import annotations

import pytest

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import SERVICE, Observation
from shared import histogram
from shared.messages.topology import EndpointFigures, Red
from tests.services.anomaly_detector.detectors.observations import LEARNING, grade, quiet, red, run, seen


@pytest.mark.parametrize(
    ("ms", "expected"),
    [(10, Grade.CALM), (12, Grade.CALM), (18, Grade.ORANGE), (100, Grade.ORANGE), (150, Grade.RED)],
)
def test_latency_against_ten_milliseconds(ms: float, expected: Grade) -> None:
    """
    Half as much again is orange, three times and a tenth of a second more is red.
    """
    assert expected == grade("latency", [*quiet(360), seen(SERVICE, calls=red(100, ms=ms))])


def test_latency_below_a_millisecond_more_is_no_colour() -> None:
    """
    Five times as slow is calm when that is half a millisecond.
    """
    before = [seen(SERVICE, calls=red(100, ms=0.1))] * 60

    assert grade("latency", [*before, seen(SERVICE, calls=red(100, ms=0.5))]) == Grade.CALM


def test_latency_of_few_requests_is_pooled_or_not_judged() -> None:
    """
    Five requests say nothing, four windows of five say something.
    """
    thin = seen(SERVICE, calls=red(5, ms=900))

    assert Grade.BLANK == grade("latency", [*quiet(60), thin])
    assert Grade.RED == grade("latency", [*quiet(60), thin, thin, thin, thin])


def test_latency_while_learning_is_not_judged() -> None:
    """
    Too little history gives no colour.
    """
    assert Grade.BLANK == grade("latency", [*quiet(60), seen(SERVICE, calls=red(100, ms=900))], LEARNING)


def endpoint(name: str, requests: int, ms: float) -> EndpointFigures:
    """
    Return the figures of one endpoint.
    """
    return EndpointFigures(service="one", protocol="http", endpoint=name, name=name, provided=red(requests, ms=ms))


def with_endpoints(*endpoints: EndpointFigures) -> Observation:
    """
    Return a service that provided these endpoints.
    """
    provided = [one.provided for one in endpoints]
    durations = histogram.merged(histogram.from_flat(one.duration) for one in provided)
    calls = Red(
        requests=sum(one.requests for one in provided),
        duration_sum_ns=sum(one.duration_sum_ns for one in provided),
        duration=histogram.to_flat(durations),
    )
    return seen(SERVICE, calls=calls, endpoints=endpoints)


@pytest.mark.parametrize(
    ("name", "expected"), [("BLPOP", Grade.CALM), ("GET /poll", Grade.CALM), ("GET /fast", Grade.RED)]
)
def test_waiting_on_purpose_is_not_slow(name: str, expected: Grade) -> None:
    """
    A blocking pop, and an endpoint that was slow when it was first seen, are left out; one that was quick is not.
    """
    quick = endpoint("GET /fast", 50, 10)
    waits = endpoint(name, 50, 30_000)

    assert expected == grade(
        "latency",
        [*[with_endpoints(quick)] * 60, with_endpoints(quick, waits)]
        if name != "GET /fast"
        else [*[with_endpoints(quick)] * 60, with_endpoints(waits)],
    )


def test_durations_are_told_in_seconds() -> None:
    """
    What people and the API read is in seconds.
    """
    (p50, _) = run("latency", quiet(30))

    assert p50.unit == "s"
    assert p50.value == pytest.approx(0.01, rel=0.07)
