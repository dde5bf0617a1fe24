"""
Pulsar: commands and topics, errors of every kind of answer, and what must not leave the node.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.pulsar import PROTOCOL, SERVER_AT_FAULT
from tests.data.pulsar.mock import command, field

HEADER = Path(__file__).parents[3] / "bpf" / "l7" / "pulsar.h"
TOPIC = field(1, "persistent://shop/eu/orders")


@pytest.mark.parametrize(
    ("request_head", "name"),
    [
        (command(21, TOPIC, field(2, 1)), "PARTITIONED_METADATA shop/eu/orders"),
        (command(5, field(1, "non-persistent://shop/eu/orders-2024")), "PRODUCER non-persistent://shop/eu/orders-{id}"),
        (command(4, field(1, "persistent://a/b/" + "x" * 90)), "SUBSCRIBE"),
        (command(6, field(1, 1), field(2, 300), payload=b"s3cr3t"), "SEND"),
        (command(18), "PING"),
    ],
)
def test_the_command_and_its_topic_are_the_name(request_head: bytes, name: str) -> None:
    """
    Masked or not; names too long for the kernel side name nothing here either.
    """
    assert name == PROTOCOL.parse(request_head, b"").name
    assert name == PROTOCOL.parse(PROTOCOL.mask(request_head, b"")[0], b"").name


@pytest.mark.parametrize(
    ("answer", "outcome", "word"),
    [
        (command(14, field(1, 7), field(2, 11), field(3, "s3cr3t")), Outcome.CLIENT_ERROR, "TopicNotFound"),
        (command(14, field(1, 7), field(2, 0)), Outcome.SERVER_ERROR, "UnknownError"),
        (command(8, field(1, 1), field(2, 9), field(3, 2)), Outcome.SERVER_ERROR, "PersistenceError"),
        (command(24, field(3, 2), field(4, 7), field(6, 6)), Outcome.SERVER_ERROR, "ServiceNotReady"),
        (command(22, field(2, 7), field(3, 1), field(4, 4)), Outcome.CLIENT_ERROR, "AuthorizationError"),
    ],
)
def test_every_kind_of_answer_has_its_error(answer: bytes, outcome: Outcome, word: str) -> None:
    """
    Errors stand in different fields of different answers.
    """
    parsed = PROTOCOL.parse(command(23, TOPIC, field(2, 7)), answer)

    assert (outcome, word) == (parsed.outcome, parsed.attributes["error.type"])
    assert b"s3cr3t" not in PROTOCOL.mask(b"", answer)[1]


def test_a_redirect_is_no_failure() -> None:
    """
    A look-up that leads on to another broker went well.
    """
    answer = command(24, field(1, "pulsar://b:6650"), field(3, 0), field(4, 7))

    assert Outcome.OK is PROTOCOL.parse(command(23, TOPIC, field(2, 7)), answer).outcome


def test_tokens_properties_and_payloads_stay_on_the_node() -> None:
    """
    What authenticates a client, what it says about itself, and what it sends are covered.
    """
    secret = b"s3cr3t-token"
    heads = [
        command(2, field(1, "client"), field(3, secret), field(5, "token")),
        command(5, TOPIC, field(2, 1), field(6, field(1, "k") + field(2, secret))),
        command(6, field(1, 1), field(2, 1), payload=b"\x0e\x01" + secret),
    ]

    assert [] == [head for head in heads if secret in PROTOCOL.mask(head, b"")[0]]


def test_the_kernel_blames_the_same_side() -> None:
    """
    The bits in `bpf/l7/pulsar.h` are the errors that are the broker's fault here.
    """
    found = re.search(r"PULSAR_BROKERS (0x\w+)ULL", HEADER.read_text(encoding="utf-8"))

    assert found is not None
    assert set(SERVER_AT_FAULT) == {code for code in range(64) if int(found[1], 16) >> code & 1}


@pytest.mark.parametrize(
    "head",
    [
        command(18)[:11],
        command(18).replace(b"\x92\x01", b"\x9a\x01"),
        b"\0\0\0\x08\0\0\0\x09" + command(18)[8:],
        b"\x01" + command(18)[1:],
    ],
)
def test_what_does_not_repeat_its_type_is_no_command(head: bytes) -> None:
    """
    A type and a field that differ, and lengths that do not fit, are another protocol's.
    """
    with pytest.raises(Malformed):
        PROTOCOL.parse(head, b"")
    assert PROTOCOL.confidence(head, b"") < 0.6
