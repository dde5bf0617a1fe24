"""
What holds for every protocol of the folder, and for every capture of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import protocols, recognise

if TYPE_CHECKING:
    from shared.protocols import WireProtocol
    from tests.shared.protocols.conftest import Capture

REQUEST_HEAD = 256
RESPONSE_HEAD = 128
SECRET = re.compile(rb"s3cr3t|4111111111111111|alice@")


def heads(capture: Capture) -> tuple[bytes, bytes]:
    """
    Return what the kernel would send up of *capture*.
    """
    return capture.request[:REQUEST_HEAD], capture.response[:RESPONSE_HEAD]


def test_every_number_has_its_protocol() -> None:
    """
    Each protocol that the kernel tells apart has one file, and it says so.
    """
    expected = {number: number for number in Protocol if number is not Protocol.UNKNOWN}

    assert expected == {number: protocol.number for number, protocol in protocols().items()}


def test_every_protocol_names_its_specification(protocol: WireProtocol) -> None:
    """
    Whoever doubts a parser knows where to look.
    """
    assert protocol.specification.startswith("https://")


def test_captures_are_read_as_they_should(capture: Capture) -> None:
    """
    The masked capture tells the endpoint, the outcome, the status and the trace context that were really sent.
    """
    parsed = capture.protocol.parse(*capture.protocol.mask(capture.request, capture.response))
    expected = {"outcome": "OK", "status": 0, "trace_id": "", "parent_span_id": "", **capture.expected}
    state = expected.pop("sqlstate", None)

    assert expected == {
        "name": parsed.name,
        "outcome": parsed.outcome.name,
        "status": parsed.status,
        "trace_id": parsed.trace_id,
        "parent_span_id": parsed.parent_span_id,
    }
    assert state == (parsed.attributes.get("db.response.status_code") if state else None)


def test_masking_keeps_the_length(capture: Capture) -> None:
    """
    Offsets and lengths in masked bytes are those that were on the wire.
    """
    request, response = capture.protocol.mask(capture.request, capture.response)

    assert (len(capture.request), len(capture.response)) == (len(request), len(response))


def test_masking_twice_changes_nothing(capture: Capture) -> None:
    """
    Masked bytes have nothing left to mask.
    """
    once = capture.protocol.mask(*heads(capture))

    assert once == capture.protocol.mask(*once)


def test_no_secret_survives(capture: Capture) -> None:
    """
    What was planted as a secret is not in the masked bytes, however little of the message was seen.
    """
    for cut in range(len(capture.request) + 1):
        masked = capture.protocol.mask(capture.request[:cut], capture.response[:cut])

        assert SECRET.search(b"\n".join(masked)) is None


def test_masking_keeps_the_name(capture: Capture) -> None:
    """
    The masked head has the same endpoint, operation, outcome and status as the head itself, wherever it is cut.
    """
    for cut in range(1, len(capture.request) + 1):
        request = capture.request[:cut]
        try:
            before = capture.protocol.parse(request, capture.response)
        except Malformed:
            continue
        after = capture.protocol.parse(*capture.protocol.mask(request, capture.response))

        assert (before.name, before.operation) == (after.name, after.operation)
        assert (before.outcome, before.status) == (after.outcome, after.status)


def test_captures_are_recognised_before_and_after_masking(capture: Capture) -> None:
    """
    Its own protocol is surest of a capture, also when only its masked head is left.
    """
    request, response = heads(capture)

    assert capture.protocol.number is recognise(request, response)[0]
    assert capture.protocol.number is recognise(*capture.protocol.mask(request, response))[0]


def test_confidence_is_a_ratio(capture: Capture, protocol: WireProtocol) -> None:
    """
    Every protocol's claim on everybody's bytes lies between 0 and 1, and a stranger's claim is no recognition.
    """
    claim = protocol.confidence(*heads(capture))

    assert 0.0 <= claim <= 1.0
    assert protocol is capture.protocol or claim < capture.protocol.confidence(*heads(capture))


def test_a_response_without_its_request_is_no_error(capture: Capture) -> None:
    """
    Of pipelined requests the kernel keeps one head: the others have an empty name and still their outcome.
    """
    parsed = capture.protocol.parse(b"", capture.response)

    assert parsed.name == ""
    assert capture.expected.get("outcome", "OK") == parsed.outcome.name


def test_a_request_without_response_has_no_outcome(capture: Capture) -> None:
    """
    Nothing is made up about an answer that nobody saw.
    """
    parsed = capture.protocol.parse(capture.request, b"")

    assert parsed.outcome is Outcome.NO_RESPONSE
    assert capture.expected["name"] == parsed.name


def test_frames_read_whole_byte_by_byte_and_with_more_behind(capture: Capture) -> None:
    """
    A frame's end is found at its last byte, not before, and what lies behind it does not matter.
    """
    for buffer, response in ((capture.request, False), (capture.response, True)):
        if capture.case == "tls_request" and response:
            continue  # one bare byte, which is no message
        length = capture.protocol.frame(buffer, response=response)
        assert length is not None
        for cut in range(length):
            assert capture.protocol.frame(buffer[:cut], response=response) is None

        assert length == capture.protocol.frame(buffer[:length], response=response)
        assert length == capture.protocol.frame(buffer[:length] + b"\x00\xffmore", response=response)


def test_what_nobody_understands_is_blanked(protocol: WireProtocol) -> None:
    """
    Bytes that are not of the protocol leave the node as NULs.
    """
    strange = b"\xfe\xed s3cr3t \x01\x02 s3cr3t"

    assert (bytes(len(strange)),) * 2 == protocol.mask(strange, strange)
