"""
Who is at fault, and who only suffers.
"""

from __future__ import annotations

from services.anomaly_detector.finding import Finding, Grade, Trouble
from services.anomaly_detector.ranking import Edge, Scene
from shared.messages.anomaly import Level

WEB, SHOP, PAY = "web", "shop", "pay"
WEB_SHOP, SHOP_PAY = Edge("web->shop", WEB, SHOP), Edge("shop->pay", SHOP, PAY)


def errors(excess: float, *, grade: Grade = Grade.RED, beyond: float = 0.0) -> tuple[Finding, ...]:
    """
    Return a finding of so many errors beyond the usual.
    """
    return (Finding(signal="error_ratio", grade=grade, trouble=Trouble.ERRORS, excess=excess, beyond=beyond),)


def waiting(excess: float, *, grade: Grade = Grade.RED, beyond: float = 0.0) -> tuple[Finding, ...]:
    """
    Return a finding of so much time beyond the usual.
    """
    return (Finding(signal="latency_p95", grade=grade, trouble=Trouble.LATENCY, excess=excess, beyond=beyond),)


def local(grade: Grade = Grade.RED) -> tuple[Finding, ...]:
    """
    Return evidence that cannot be inherited.
    """
    return (Finding(signal="retransmit_ratio", grade=grade),)


def scene(findings: dict[str, tuple[Finding, ...]], **levels: Level) -> Scene:
    """
    Return web asking shop asking pay, with these findings.
    """
    return Scene(findings, [WEB_SHOP, SHOP_PAY], levels, dict.fromkeys(levels, 1))


def test_errors_are_followed_to_where_they_begin() -> None:
    """
    Web and shop fail because pay fails, and so do the relations between.
    """
    seen = scene(
        {
            WEB: errors(100),
            "web->shop": errors(100, beyond=98),
            SHOP: errors(98),
            "shop->pay": errors(95, beyond=95),
            PAY: errors(95),
        }
    )

    assert {("pay",)} == {
        tuple(seen.culprits(one, Trouble.ERRORS)) for one in (WEB, "web->shop", SHOP, "shop->pay", PAY)
    }
    assert 0.0 == seen.explain(PAY, Trouble.ERRORS).share


def test_a_service_with_errors_of_its_own_is_at_fault_itself() -> None:
    """
    Pay's few errors do not explain shop's many.
    """
    seen = scene({SHOP: errors(100), "shop->pay": errors(20, beyond=20), PAY: errors(20)})

    assert 0.3 > seen.explain(SHOP, Trouble.ERRORS).share
    assert [SHOP] == seen.culprits(SHOP, Trouble.ERRORS)


def test_a_callee_that_is_well_explains_nothing() -> None:
    """
    Retries give a healthy relation more errors, but no bad grade: shop stays at fault.
    """
    seen = scene({SHOP: errors(100), "shop->pay": errors(100, grade=Grade.CALM), PAY: ()})

    assert 0.0 == seen.explain(SHOP, Trouble.ERRORS).share


def test_a_slow_wire_is_the_relations_own_fault() -> None:
    """
    The callee answers as quickly as ever, and segments are lost: the relation is the cause for shop and web.
    """
    seen = scene(
        {WEB: waiting(100), "web->shop": waiting(100, beyond=99), SHOP: waiting(99), "shop->pay": waiting(98) + local()}
    )

    assert ["shop->pay"] == seen.culprits(WEB, Trouble.LATENCY)


def test_a_relation_to_a_dead_service_names_the_service() -> None:
    """
    Nothing answers: the dead service is the better name than the way to it.
    """
    dead = (Finding(signal="unanswered_ratio", grade=Grade.RED),)
    seen = scene({SHOP: errors(50), "shop->pay": errors(50) + local(), PAY: dead})

    assert [PAY] == seen.culprits(SHOP, Trouble.ERRORS)


def test_a_pool_that_runs_full_is_explained_by_the_red_callee_before_it() -> None:
    """
    Shop waits for a free connection five times as long as for pay itself; pay was red first, so it is the cause.
    """
    findings = {SHOP: waiting(600), "shop->pay": waiting(100, beyond=100), PAY: waiting(100)}
    first = Scene(findings, [SHOP_PAY], {PAY: Level.RED, SHOP: Level.GREEN}, {PAY: 1, SHOP: 2})
    later = Scene(findings, [SHOP_PAY], {PAY: Level.RED, SHOP: Level.RED}, {PAY: 3, SHOP: 2})

    assert [PAY] == first.culprits(SHOP, Trouble.LATENCY)
    assert [SHOP] == later.culprits(SHOP, Trouble.LATENCY)


def test_less_traffic_is_inherited_from_a_caller_in_trouble() -> None:
    """
    Pay is asked less because shop fails before it asks.
    """
    fall = (Finding(signal="request_rate", grade=Grade.YELLOW, trouble=Trouble.TRAFFIC),)
    seen = scene({SHOP: errors(50), PAY: fall})
    quiet = scene({SHOP: (), PAY: fall})

    assert [SHOP] == seen.culprits(PAY, Trouble.TRAFFIC)
    assert [PAY] == quiet.culprits(PAY, Trouble.TRAFFIC)


def test_circles_end() -> None:
    """
    Two services that ask each other and both fail are both named, and the search ends.
    """
    edges = [Edge("a->b", "a", "b"), Edge("b->a", "b", "a")]
    findings = {one: errors(10, beyond=10) for one in ("a", "b", "a->b", "b->a")}
    seen = Scene(findings, edges, {}, {})

    assert [] == seen.culprits("a", Trouble.ERRORS)


def test_a_longer_round_trip_to_a_slow_callee_is_no_evidence_of_the_wire() -> None:
    """
    An acknowledgement that waits for the answer makes the round trip longer; the slow callee is the cause all the same.
    """
    trip = (Finding(signal="rtt", grade=Grade.ORANGE, trouble=Trouble.LATENCY),)
    seen = scene({SHOP: waiting(100), "shop->pay": waiting(100, beyond=20) + trip, PAY: waiting(20)})

    assert [PAY] == seen.culprits(SHOP, Trouble.LATENCY)
    assert [PAY] == seen.culprits("shop->pay", Trouble.LATENCY)
