"""
Failed requests against history and against the objective.
"""

from __future__ import annotations

import errno

import pytest

from services.anomaly_detector.detectors._base import Rules
from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION, SERVICE
from shared.messages.topology import Red, Tcp
from tests.services.anomaly_detector.detectors.observations import KNOWN, LEARNING, grade, quiet, red, run, seen


@pytest.mark.parametrize(
    ("calls", "rules", "expected"),
    [
        pytest.param(red(200, errors=1), KNOWN, Grade.CALM, id="one error is nothing"),
        pytest.param(red(200, errors=6), KNOWN, Grade.ORANGE, id="3 % against nothing"),
        pytest.param(red(200, errors=12), KNOWN, Grade.RED, id="6 % with 12 errors"),
        pytest.param(red(20, errors=4), LEARNING, Grade.ORANGE, id="20 % with 4 errors while learning"),
        pytest.param(red(200, errors=12), LEARNING, Grade.RED, id="the objective needs no history"),
        pytest.param(red(5, errors=5), LEARNING, Grade.RED, id="all of five"),
        pytest.param(red(4, errors=4), LEARNING, Grade.BLANK, id="all of four"),
    ],
)
def test_failures(calls: Red, rules: Rules, expected: Grade) -> None:
    """
    Failures count against the objective and against history.
    """
    assert expected == grade("failures", [*([] if rules.learning else quiet(60)), seen(SERVICE, calls=calls)], rules)


def test_error_replies_that_are_usual_are_no_trouble_for_a_database() -> None:
    """
    A tenth of SQL errors is normal work for one program, and a rise to a third is not.
    """
    normal = [seen(SERVICE, calls=red(200, errors=20), objective=False)] * 60
    rise = seen(SERVICE, calls=red(200, errors=66), objective=False)

    assert Grade.CALM == grade("failures", normal)
    assert Grade.RED == grade("failures", [*normal, rise])
    assert Grade.CALM == grade("failures", normal, LEARNING)


def test_failed_connections_of_a_dead_callee_count_as_failed_calls() -> None:
    """
    Where no connection can be opened no request is made, yet all calls fail.
    """
    refused = seen(RELATION, tcp=Tcp(failed={errno.ECONNREFUSED: 30}))
    (finding,) = run("failures", [refused], LEARNING)

    assert Grade.RED == finding.grade
    assert 30 == finding.excess


def test_calls_that_a_circuit_breaker_holds_back_are_missed() -> None:
    """
    A hundred calls were usual; one is refused and the rest is not tried: a hundred calls are missing.
    """
    before = [seen(RELATION, calls=red(100))] * 60
    refused = seen(RELATION, tcp=Tcp(failed={errno.ECONNREFUSED: 5}))
    (finding,) = run("failures", [*before, *[refused] * 7])

    assert 95 < finding.excess < 105


def test_what_the_pool_still_holds_is_no_trouble_once_requests_succeed() -> None:
    """
    Thin traffic is pooled over a minute, but a window in which all succeed is calm at once.
    """
    bad, good = seen(SERVICE, calls=red(10, errors=10)), seen(SERVICE, calls=red(10))

    assert Grade.RED == grade("failures", [bad, bad])
    assert Grade.CALM == grade("failures", [bad, bad, good])
