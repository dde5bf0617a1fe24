"""
Verdicts on what ports speak that the kernel could not name.
"""

from __future__ import annotations

from services.protocol_parser.detect import PATIENCE, REPEAT_NS, Detector
from shared.messages.kernel import Protocol, ProtocolVerdict
from tests.services.protocol_parser.samples import START_NS, batch, sample

HTTP = {"request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "response": b"HTTP/1.1 200 OK\r\n\r\n"}
REDIS = {"request": b"*1\r\n$4\r\nPING\r\n", "response": b"+PONG\r\n"}
NOISE = {"request": b"\x80\x81\x82", "response": b"\x83\x84"}
BATCH = batch()


def test_clear_bytes_are_enough_once() -> None:
    """
    One request with its response that leave no doubt make a verdict for the instance's port.
    """
    expected = ProtocolVerdict(node="alpha", epoch=17, instance=7, port=8080, protocol=Protocol.HTTP1)

    assert expected == Detector(10).observe(BATCH, sample(protocol=Protocol.UNKNOWN, **HTTP))


def test_noise_makes_no_verdict() -> None:
    """
    Bytes that nobody recognises stay unknown, however many come.
    """
    detector = Detector(10)
    said = [detector.observe(BATCH, sample(protocol=Protocol.UNKNOWN, **NOISE)) for _ in range(50)]

    assert said == [None] * 50


def test_weak_claims_add_up() -> None:
    """
    Line-wise Redis is not sure at once, but twice is enough.
    """
    detector = Detector(10)
    line = sample(protocol=Protocol.UNKNOWN, request=b"GET cart\r\n", response=b"$-1\r\n")

    assert detector.observe(BATCH, line) is None
    said = detector.observe(BATCH, line)
    assert said is not None
    assert said.protocol is Protocol.REDIS


def test_a_tie_is_no_verdict() -> None:
    """
    A port that seems to speak two protocols is not forced into one.
    """
    detector = Detector(10)
    first = sample(protocol=Protocol.UNKNOWN, request=b"GET cart\r\n", response=b"$-1\r\n")
    said = [detector.observe(BATCH, one) for one in (first, sample(protocol=Protocol.UNKNOWN, **HTTP))]

    assert said == [None, None]


def test_what_the_kernel_knows_is_not_judged() -> None:
    """
    Samples of recognised connections need no verdict.
    """
    detector = Detector(10)

    assert detector.observe(BATCH, sample(**NOISE)) is None
    assert len(detector) == 0


def test_a_verdict_is_repeated_while_the_kernel_does_not_follow() -> None:
    """
    A lost verdict is said again after a while, not with every sample.
    """
    detector = Detector(10)
    times = [START_NS, START_NS + 1, START_NS + REPEAT_NS, START_NS + REPEAT_NS + 1]
    said = [detector.observe(BATCH, sample(protocol=Protocol.UNKNOWN, observed_ns=at, **HTTP)) for at in times]

    assert [one is not None for one in said] == [True, False, True, False]


def test_a_verdict_that_is_contradicted_is_revised() -> None:
    """
    Several samples in a row that are something else change the verdict; a single one does not.
    """
    detector = Detector(10)
    detector.observe(BATCH, sample(protocol=Protocol.UNKNOWN, **HTTP))
    detector.observe(BATCH, sample(**REDIS))
    detector.observe(BATCH, sample(**HTTP))
    said = [detector.observe(BATCH, sample(**REDIS)) for _ in range(PATIENCE)]

    assert said[:-1] == [None] * (PATIENCE - 1)
    assert said[-1] is not None
    assert said[-1].protocol is Protocol.REDIS


def test_a_verdict_that_nothing_supports_is_taken_back() -> None:
    """
    When what follows is nobody's, the port is unknown again.
    """
    detector = Detector(10)
    detector.observe(BATCH, sample(protocol=Protocol.UNKNOWN, **HTTP))
    said = [detector.observe(BATCH, sample(**NOISE)) for _ in range(PATIENCE)]

    assert said[-1] is not None
    assert said[-1].protocol is Protocol.UNKNOWN


def test_ports_are_bounded() -> None:
    """
    A flood of ports pushes out the oldest and is counted.
    """
    detector = Detector(10)
    for port in range(1, 101):
        detector.observe(BATCH, sample(protocol=Protocol.UNKNOWN, port=port, **NOISE))

    assert (len(detector), detector.forgotten) == (10, 90)
