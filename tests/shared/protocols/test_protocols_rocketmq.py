"""
RocketMQ: codes, topics, both forms of headers, and what must not leave the node.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.rocketmq import PROTOCOL, SERVER_AT_FAULT

HEADER = Path(__file__).parents[3] / "bpf" / "l7" / "rocketmq.h"


def command(code: int, fields: bytes = b"{}", flag: int = 0) -> bytes:
    """
    Return a message with a header in JSON.
    """
    text = b'{"code":%d,"extFields":%b,"flag":%d,"language":"JAVA","opaque":7,"version":433}' % (code, fields, flag)
    return (len(text) + 4).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text


def binary(code: int, fields: dict[bytes, bytes]) -> bytes:
    """
    Return a message with a header in the protocol's own form.
    """
    pairs = (len(k).to_bytes(2, "big") + k + len(v).to_bytes(4, "big") + v for k, v in fields.items())
    tail = b"".join(pairs)
    text = code.to_bytes(2, "big") + b"\0\1\xb1\0\0\0\7\0\0\0\0\0\0\0\0" + len(tail).to_bytes(4, "big") + tail
    return (len(text) + 4).to_bytes(4, "big") + b"\1" + len(text).to_bytes(3, "big") + text


@pytest.mark.parametrize(
    ("request_head", "name"),
    [
        (command(310, b'{"a":"shop","b":"orders","i":"s3cr3t"}'), "SEND_MESSAGE_V2 orders"),
        (command(10, b'{"topic":"orders-2024"}'), "SEND_MESSAGE orders-{id}"),
        (command(11, b'{"topic":"%RETRY%billing","consumerGroup":"billing"}'), "PULL_MESSAGE %RETRY%billing"),
        (command(34), "HEART_BEAT"),
        (command(9999), "CODE_9999"),
        (binary(34, {b"topic": b"orders"}), "HEART_BEAT"),
    ],
)
def test_the_code_and_the_topic_are_the_name(request_head: bytes, name: str) -> None:
    """
    Masked or not; a header in the protocol's own form is named after its code, as the kernel does.
    """
    assert name == PROTOCOL.parse(request_head, b"").name
    assert name == PROTOCOL.parse(PROTOCOL.mask(request_head, b"")[0], b"").name


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        (1, Outcome.SERVER_ERROR, "SYSTEM_ERROR"),
        (2, Outcome.SERVER_ERROR, "SYSTEM_BUSY"),
        (17, Outcome.CLIENT_ERROR, "TOPIC_NOT_EXIST"),
        (777, Outcome.CLIENT_ERROR, "CODE_777"),
    ],
)
def test_the_code_of_a_response_tells_who_is_at_fault(code: int, outcome: Outcome, word: str) -> None:
    """
    A busy or broken broker is the server's failure, a wrong request the caller's.
    """
    parsed = PROTOCOL.parse(command(34), command(code, flag=1))

    assert (outcome, code, word) == (parsed.outcome, parsed.status, parsed.attributes["error.type"])


def test_nothing_to_pull_is_no_failure() -> None:
    """
    A pull that waited in vain went well.
    """
    assert Outcome.OK is PROTOCOL.parse(command(11), command(19, flag=1)).outcome


def test_properties_remarks_and_bodies_stay_on_the_node() -> None:
    """
    Only names, numbers and words of the protocol are left.
    """
    secret = b"s3cr3t-value"
    heads = [
        command(310, b'{"b":"orders","i":"token\\u0001%b"}' % secret) + secret,
        command(310, b'{"b":"orders","%b":"x"}' % secret),
        binary(310, {b"i": secret, b"b": b"orders"}) + secret,
        command(17, flag=1)[:-1] + b',"remark":"%b"' % secret,
    ]

    assert [] == [head for head in heads[:1] + heads[2:] if secret in PROTOCOL.mask(head, head)[0]]


def test_the_kernel_blames_the_same_side() -> None:
    """
    The bits in `bpf/l7/rocketmq.h` are the codes that are the broker's fault here.
    """
    found = re.search(r"ROCKETMQ_BROKERS (0x\w+)ULL", HEADER.read_text(encoding="utf-8"))

    assert found is not None
    assert set(SERVER_AT_FAULT) == {code for code in range(64) if int(found[1], 16) >> code & 1}


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0\x20\0\0\0\x20", b"\0\0\0\x24\2\0\0\x20" + bytes(32), b"\x7f\0\0\0\0\0\0\x20", command(34)[:14]],
)
def test_lengths_that_do_not_fit_are_no_message(head: bytes) -> None:
    """
    A header longer than its message, an unknown form and a code that is cut off are refused.
    """
    with pytest.raises(Malformed):
        PROTOCOL.parse(head, b"")
    assert PROTOCOL.confidence(head, b"") < 0.6
