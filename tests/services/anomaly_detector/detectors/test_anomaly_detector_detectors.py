"""
Laws that every detector of the folder keeps, and what each of them sees.
"""

from __future__ import annotations

import errno
import inspect
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from services.anomaly_detector import detectors
from services.anomaly_detector.detectors._base import Detector, Judged, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import RELATION, SERVICE, Observation
from shared import histogram
from shared.discover import extensions
from shared.messages.topology import EndpointFigures, Red, Tcp
from shared.units import MS_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

DETECTORS = extensions(detectors, "DETECTOR", Detector)  # type: ignore[type-abstract]  # only used for isinstance
KNOWN = Rules()
LEARNING = Rules(learning=True)


def red(requests: int, *, errors: int = 0, silent: int = 0, ms: float = 10) -> Red:
    """
    Return requests that all took *ms*.
    """
    taken_ns = int(ms * MS_NS)
    return Red(
        requests=requests,
        errors=errors + silent,
        no_responses=silent,
        duration_sum_ns=requests * taken_ns,
        duration=histogram.to_flat({histogram.bucket_of(taken_ns): requests}) if requests else [],
    )


def seen(kind: str, *, calls: Red | None = None, tcp: Tcp | None = None, **more: Any) -> Observation:
    """
    Return an observation of a window of ten seconds.
    """
    return Observation(entity="one", kind=kind, window_s=10, calls=calls or Red(), tcp=tcp or Tcp(), **more)


def run(name: str, observations: Iterable[Observation], rules: Rules = KNOWN) -> list[Finding]:
    """
    Return the last finding of each signal after *observations*.
    """
    detector = DETECTORS[name]
    memory: Any = detector.memory()
    findings: tuple[Finding, ...] = ()
    for observation in observations:
        judged = detector.judge(observation, memory, rules)
        findings, memory = judged.findings, judged.memory
    return list(findings)


def grade(name: str, observations: Iterable[Observation], rules: Rules = KNOWN) -> Grade:
    """
    Return the worst grade of the last window.
    """
    return max((one.grade for one in run(name, observations, rules)), default=Grade.BLANK)


EVERYTHING = Tcp(
    opened=40,
    closed=10,
    failed={errno.ECONNREFUSED: 30},
    segments_sent=1000,
    retransmits=100,
    resets_received=20,
    listen_overflows=50,
    drops={"qdisc_drop": 100},
    rtt=[60, 50],
)
STRANGE = [
    seen(SERVICE),
    seen(RELATION),
    seen(SERVICE, calls=red(1)),
    seen(RELATION, calls=red(3, errors=3), tcp=EVERYTHING, attempts=30, unanswered=30),
    seen(SERVICE, calls=red(1000, errors=500, ms=90_000), tcp=EVERYTHING, attempts=99, unanswered=99, present=False),
]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("rules", [KNOWN, LEARNING, Rules(frozen=True)], ids=["known", "learning", "frozen"])
def test_laws(name: str, rules: Rules) -> None:
    """
    A detector names only its own signals, gives equal answers to equal questions, and its memory survives storing.
    """
    detector = DETECTORS[name]
    memory: Any = detector.memory()
    for observation in STRANGE * 5:
        if observation.kind not in detector.kinds:
            continue
        judged = detector.judge(observation, memory, rules)
        again = detector.judge(observation, memory, rules)
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(judged.memory), type=detector.memory)

        assert {finding.signal for finding in judged.findings} <= detector.signals
        assert again == judged
        assert judged.memory == stored
        assert all(finding.text for finding in judged.findings if finding.grade >= Grade.YELLOW)
        memory = judged.memory


@pytest.mark.parametrize("name", DETECTORS)
def test_frozen_means_that_what_is_usual_stays(name: str) -> None:
    """
    What a frozen detector is shown in trouble does not become usual: the next window scores the same.
    """
    detector = DETECTORS[name]
    kind = SERVICE if SERVICE in detector.kinds else RELATION
    memory: Any = detector.memory()
    for _ in range(40):
        memory = detector.judge(
            seen(kind, calls=red(100), tcp=Tcp(opened=5, closed=5, segments_sent=300)), memory, KNOWN
        ).memory
    trouble = seen(kind, calls=red(100, errors=50, ms=500), tcp=EVERYTHING)
    before = detector.judge(trouble, memory, Rules(frozen=True))
    later = before
    for _ in range(20):
        later = detector.judge(trouble, later.memory, Rules(frozen=True))

    if name not in ("burn_rate", "connection_leak"):  # these count what is going on, and do not compare with usual
        assert usual(before) == usual(later)


def usual(judged: Judged) -> dict[str, float]:
    """
    Return what each signal was compared with.
    """
    return {finding.signal: finding.expected for finding in judged.findings}


def test_no_two_detectors_share_a_signal() -> None:
    """
    A signal belongs to one detector.
    """
    signals = [signal for detector in DETECTORS.values() for signal in detector.signals]

    assert len(signals) == len(set(signals))


@pytest.mark.parametrize("name", DETECTORS)
def test_file_opens_with_its_question(name: str) -> None:
    """
    A detector's file opens with the question that it answers.
    """
    first = (inspect.getdoc(inspect.getmodule(DETECTORS[name].judge)) or "").splitlines()[0]

    assert first.endswith("?")


def quiet(windows: int, **more: Any) -> list[Observation]:
    """
    Return windows of a quiet service.
    """
    return [seen(SERVICE, calls=red(100), **more)] * windows


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


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        pytest.param(seen(SERVICE, attempts=5, unanswered=5, present=False), Grade.RED, id="dead"),
        pytest.param(seen(SERVICE, attempts=5, unanswered=5), Grade.RED, id="runs, and refuses or hangs"),
        pytest.param(seen(SERVICE, attempts=5, unanswered=5, unreached=5), Grade.BLANK, id="runs, out of reach"),
        pytest.param(seen(SERVICE, attempts=5, unanswered=4), Grade.CALM, id="one answer"),
        pytest.param(seen(SERVICE, attempts=4, unanswered=4), Grade.UNEASY, id="too few"),
        pytest.param(seen(SERVICE, attempts=9, unanswered=9, path_suspect=True), Grade.UNEASY, id="lossy path"),
        pytest.param(seen(SERVICE), Grade.BLANK, id="nobody asks"),
    ],
)
def test_availability(observation: Observation, expected: Grade) -> None:
    """
    A service that answers nobody is red, unless the path is as likely.
    """
    assert expected == grade("availability", [observation], LEARNING)


@pytest.mark.parametrize(
    ("requests", "expected"), [(100, Grade.CALM), (60, Grade.CALM), (30, Grade.YELLOW), (0, Grade.ORANGE)]
)
def test_traffic(requests: int, expected: Grade) -> None:
    """
    A sudden fall below a half is yellow, to almost nothing orange, and never red.
    """
    assert expected == grade("traffic", [*quiet(60), seen(SERVICE, calls=red(requests))])


def test_traffic_that_fades_in_a_wave_is_no_collapse() -> None:
    """
    The trough of a day, a tenth of its peak, is reached without a colour.
    """
    wave = [seen(SERVICE, calls=red(max(1, int(500 * 0.985**step)))) for step in range(150)]

    assert {Grade.CALM} == {grade("traffic", [*quiet(30), *wave[:length]]) for length in range(10, 150, 10)}


def test_silence_is_ten_usual_gaps_and_five_windows() -> None:
    """
    A service that is asked each half minute is silent after five minutes, one that is asked always after fifty seconds.
    """
    busy, nothing = seen(SERVICE, calls=red(100)), seen(SERVICE)
    seldom = [seen(SERVICE, calls=red(1)), nothing, nothing] * 20

    assert Grade.UNEASY == grade("silence", [*[busy] * 20, *[nothing] * 5])
    assert Grade.YELLOW == grade("silence", [*[busy] * 20, *[nothing] * 6])
    assert Grade.UNEASY == grade("silence", [*seldom, *[nothing] * 20])
    assert Grade.YELLOW == grade("silence", [*seldom, *[nothing] * 31])


def test_burn_rate_ends_with_the_trouble() -> None:
    """
    An hour at a fifth of errors is red, and calm a minute after it has ended.
    """
    bad = [seen(SERVICE, calls=red(100, errors=20))] * 360

    assert Grade.RED == grade("burn_rate", bad)
    assert Grade.CALM == grade("burn_rate", [*bad, *quiet(6)])


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


@pytest.mark.parametrize(
    ("retransmits", "rules", "expected"),
    [
        (0, KNOWN, Grade.CALM),
        (12, KNOWN, Grade.YELLOW),
        (30, KNOWN, Grade.ORANGE),
        (80, KNOWN, Grade.RED),
        (30, LEARNING, Grade.YELLOW),
        (120, LEARNING, Grade.RED),
    ],
)
def test_retransmits(retransmits: int, rules: Rules, expected: Grade) -> None:
    """
    Lost segments count against history, and without it from twice the limits on.
    """
    before = [seen(RELATION, tcp=Tcp(segments_sent=1000))] * (0 if rules.learning else 60)

    assert expected == grade(
        "retransmits", [*before, seen(RELATION, tcp=Tcp(segments_sent=1000, retransmits=retransmits))], rules
    )


def test_resets_are_compared_with_what_is_usual() -> None:
    """
    A program that always resets is calm, one that begins to is orange.
    """
    always = [seen(RELATION, tcp=Tcp(opened=30, closed=30, resets_sent=30))] * 60
    never = [seen(RELATION, tcp=Tcp(opened=30, closed=30))] * 60

    assert Grade.CALM == grade("resets", always)
    assert Grade.ORANGE == grade("resets", [*never, always[0]])


def trips(ms: float) -> Observation:
    """
    Return a relation with fifty round trips of *ms*.
    """
    return seen(RELATION, tcp=Tcp(rtt=[histogram.bucket_of(int(ms * MS_NS)), 50]))


@pytest.mark.parametrize(("ms", "expected"), [(0.3, Grade.CALM), (12, Grade.YELLOW), (60, Grade.ORANGE)])
def test_rtt(ms: float, expected: Grade) -> None:
    """
    Milliseconds matter, tenths do not.
    """
    assert expected == grade("rtt", [*[trips(0.1)] * 60, trips(ms)])


@pytest.mark.parametrize(
    ("drops", "expected"),
    [
        ({"no_socket": 500, "not_specified": 500}, Grade.CALM),
        ({"qdisc_drop": 5}, Grade.YELLOW),
        ({"qdisc_drop": 50}, Grade.ORANGE),
    ],
)
def test_drops(drops: dict[str, int], expected: Grade) -> None:
    """
    Drops for a harmful reason count, others do not.
    """
    assert expected == grade("drops", [seen(RELATION, tcp=Tcp(segments_sent=1000, drops=drops))])


@pytest.mark.parametrize(
    ("overflows", "expected"), [(0, Grade.CALM), (1, Grade.YELLOW), (10, Grade.ORANGE), (100, Grade.RED)]
)
def test_listen_queue(overflows: int, expected: Grade) -> None:
    """
    No overflow is usual.
    """
    assert expected == grade("listen_queue", [seen(SERVICE, tcp=Tcp(opened=200, listen_overflows=overflows))])


def churn(opened: int, closed: int) -> Observation:
    """
    Return a relation whose connections came and went.
    """
    return seen(RELATION, tcp=Tcp(opened=opened, closed=closed))


def test_connections_that_come_and_go_are_calm() -> None:
    """
    A hundred short connections a window, some open at its end, are no leak; nor is a pool that fills once.
    """
    short = [churn(100 + step % 7, 100 + (step + 3) % 7) for step in range(60)]

    assert {Grade.CALM} == {grade("connection_leak", short[:length]) for length in range(2, 60, 3)}
    assert Grade.BLANK == grade("connection_leak", [churn(50, 0)])


def test_connections_that_only_come_are_a_leak() -> None:
    """
    Fifty more in each window are yellow at once, and orange when hundreds are open.
    """
    before, leak = [churn(3, 3)] * 30, churn(53, 3)

    assert Grade.YELLOW == grade("connection_leak", [*before, leak])
    assert Grade.ORANGE == grade("connection_leak", [*before, *[leak] * 6])
    assert Grade.CALM == grade("connection_leak", [*before, *[leak] * 6, churn(3, 303)])
    assert Grade.YELLOW == grade("connection_leak", [churn(3, 0), leak], LEARNING)


def test_durations_are_told_in_seconds() -> None:
    """
    What people and the API read is in seconds.
    """
    (p50, _) = run("latency", quiet(30))

    assert p50.unit == "s"
    assert p50.value == pytest.approx(0.01, rel=0.07)
