"""
Connections that cannot be opened.
"""

from __future__ import annotations

import errno

from services.anomaly_detector.finding import Grade
from services.anomaly_detector.observation import RELATION
from shared.messages.topology import Tcp
from tests.services.anomaly_detector.detectors.observations import LEARNING, grade, red, seen


def test_connects_that_all_fail_are_red_without_history() -> None:
    """
    Five refused connections and no answer are red; with answers over older connections they are orange.
    """
    refused = Tcp(failed={errno.ECONNREFUSED: 5})

    assert Grade.RED == grade("connects", [seen(RELATION, tcp=refused)], LEARNING)
    assert Grade.ORANGE == grade("connects", [seen(RELATION, calls=red(50), tcp=refused)], LEARNING)


def test_an_address_that_always_refuses_is_usual() -> None:
    """
    Half of the attempts fail always (::1 before 127.0.0.1): no colour, neither before nor after learning.
    """
    half = [seen(RELATION, calls=red(50), tcp=Tcp(opened=20, failed={errno.ECONNREFUSED: 20}))] * 60

    assert Grade.UNEASY >= grade("connects", half, LEARNING)
    assert Grade.CALM == grade("connects", half)


def test_an_errno_that_did_not_occur_is_no_failure() -> None:
    """
    A count of nothing by errno changes nothing.
    """
    failed = seen(RELATION, tcp=Tcp(failed={errno.ECONNREFUSED: 5}))
    opened = seen(RELATION, calls=red(5), tcp=Tcp(opened=1, failed={errno.ECONNREFUSED: 0}))

    assert Grade.CALM == grade("connects", [failed, opened])
