"""
What the detectors look at, and that no sound figures break a judgement.
"""

from __future__ import annotations

import errno

from hypothesis import given, settings
from hypothesis import strategies as st

from services.anomaly_detector import detectors
from services.anomaly_detector.detectors._base import Detector
from services.anomaly_detector.judge import Judge, Limits
from services.anomaly_detector.observation import RELATION, SERVICE, Observation, observe
from shared.discover import extensions
from shared.messages.soundness import check_window
from shared.messages.topology import Red, RelationFigures, Service, ServiceFigures, Tcp, TopologyWindow
from shared.units import WINDOW_NS

DETECTORS = extensions(detectors, "DETECTOR", Detector)  # type: ignore[type-abstract]  # only used for isinstance


def looked_at(window: TopologyWindow) -> dict[tuple[str, str], Observation]:
    """
    Return the observations by kind and entity.
    """
    return {(one.kind, one.entity): one for one in observe(window)}


def asks(source: str, target: str, *, client: Red | None = None, tcp: Tcp | None = None) -> RelationFigures:
    """
    Return a relation.
    """
    return RelationFigures(
        id=f"{source}->{target}",
        source=source,
        target=target,
        protocol="http",
        client=client or Red(),
        tcp=tcp or Tcp(),
    )


def test_a_service_is_seen_through_all_its_callers() -> None:
    """
    Requests and failed connections of all callers are its attempts; what was not even refused is told apart.
    """
    window = TopologyWindow(
        start_ns=0,
        end_ns=WINDOW_NS,
        final=True,
        services=[Service(id="db", name="db", kind="database", instances=0)],
        relations=[
            asks("a", "db", client=Red(requests=5, errors=2, no_responses=2)),
            asks("b", "db", tcp=Tcp(failed={errno.ECONNREFUSED: 3, errno.ETIMEDOUT: 4})),
        ],
    )
    seen = looked_at(window)[SERVICE, "db"]

    assert (12, 9, 4) == (seen.attempts, seen.unanswered, seen.unreached)
    assert not seen.present
    assert not seen.objective
    assert 7 == looked_at(window)[RELATION, "b->db"].attempts


def test_a_relation_is_seen_by_its_caller_or_else_by_its_callee() -> None:
    """
    Where the caller is out of sight, the callee's figures stand for the relation.
    """
    server = Red(requests=7)
    window = TopologyWindow(
        start_ns=0,
        end_ns=WINDOW_NS,
        final=True,
        relations=[RelationFigures(id="x", source="external:1", target="a", protocol="http", server=server)],
    )
    seen = looked_at(window)[RELATION, "x"]

    assert (server, Red()) == (seen.calls, seen.answered)


def test_lost_segments_make_the_path_suspect() -> None:
    """
    A fifth of the segments sent again: silence may be the path's fault.
    """
    for again, suspect in ((19, False), (20, True)):
        window = TopologyWindow(
            start_ns=0,
            end_ns=WINDOW_NS,
            final=True,
            services=[Service(id="b", name="b", kind="service", instances=1)],
            relations=[asks("a", "b", tcp=Tcp(segments_sent=100, retransmits=again))],
        )
        assert suspect == looked_at(window)[SERVICE, "b"].path_suspect


COUNTS = st.integers(0, 1 << 40)


@st.composite
def requests(draw: st.DrawFn) -> Red:
    """
    Return requests that can be.
    """
    silent, errors, fine = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    buckets = draw(st.dictionaries(st.integers(0, 199), COUNTS, max_size=4))
    return Red(
        requests=silent + errors + fine,
        errors=silent + errors,
        no_responses=silent,
        duration_sum_ns=draw(COUNTS),
        duration=[number for pair in sorted(buckets.items()) for number in pair],
    )


@st.composite
def connections(draw: st.DrawFn) -> Tcp:
    """
    Return connections that can be.
    """
    return Tcp(
        opened=draw(COUNTS),
        closed=draw(COUNTS),
        failed=draw(st.dictionaries(st.sampled_from([110, 111, 113, 99999]), COUNTS, max_size=2)),
        segments_sent=draw(COUNTS),
        retransmits=draw(COUNTS),
        resets_sent=draw(COUNTS),
        resets_received=draw(COUNTS),
        listen_overflows=draw(COUNTS),
        drops=draw(st.dictionaries(st.sampled_from(["no_socket", "qdisc_drop", ""]), COUNTS, max_size=2)),
        rtt=[3, draw(COUNTS)],
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(requests(), requests(), connections(), st.integers(0, 3)), min_size=1, max_size=14))
def test_no_sound_figures_break_a_judgement(drawn: list[tuple[Red, Red, Tcp, int]]) -> None:
    """
    Whatever the figures, as long as they can be, there is a verdict on every entity of each window.
    """
    judge = Judge(DETECTORS, Limits(learning_s=30, minimum_windows=3))
    for number, (client, server, tcp, instances) in enumerate(drawn):
        window = TopologyWindow(
            start_ns=number * WINDOW_NS,
            end_ns=(number + 1) * WINDOW_NS,
            final=True,
            services=[
                Service(id="a", name="a", kind="service", instances=1),
                Service(id="b", name="b", kind="database", instances=instances),
            ],
            service_figures=[ServiceFigures(service="b", provided=server, tcp=tcp)],
            relations=[
                RelationFigures(
                    id="a->b", source="a", target="b", protocol="redis", client=client, server=server, tcp=tcp
                ),
                RelationFigures(id="b->a", source="b", target="a", protocol="http", client=server),
            ],
        )
        check_window(window)

        assert {"a", "b", "a->b", "b->a"} == {one.entity for one in judge.judge(window).verdicts.verdicts}
