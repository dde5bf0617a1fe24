"""
Secrets do not leave: whatever protocol carries them, no message of NATS and no row holds a piece of one.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from shared.messages.kernel import Protocol
from shared.protocols import protocols
from tests.redaction.leaving import leak, leaving, sample
from tests.redaction.messages import MESSAGES
from tests.redaction.secrets import INSTEAD, PLANTED, SECRETS

DATA = Path(__file__).parents[1] / "data"
REQUEST_HEAD, RESPONSE_HEAD = 256, 128


def captures() -> list[tuple[Protocol, str, bytes, bytes]]:
    """
    Return the golden captures in which something was planted.
    """
    found = []
    for known in protocols().values():
        for path in sorted((DATA / known.name).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            request, response = (content[part].encode("latin-1") for part in ("request", "response"))
            if any(planted in request + response for planted in PLANTED):
                found.append((known.number, f"{known.name}/{path.stem}", request, response))
    return found


def replaced(data: bytes, others: tuple[bytes, ...]) -> bytes:
    """
    Return *data* with other secrets in the places of those that were planted.
    """
    for planted, other in zip(PLANTED, others, strict=True):
        data = data.replace(planted, other)
    return data


def cuts(request: bytes, response: bytes, dice: random.Random) -> list[tuple[bytes, bytes]]:
    """
    Return it whole, as the kernel cuts it, and cut anywhere.
    """
    found = [(request, response), (request[:REQUEST_HEAD], response[:RESPONSE_HEAD]), (b"", response)]
    found += [
        (request[: dice.randrange(len(request) + 1)], response[: dice.randrange(len(response) + 1)]) for _ in "1234"
    ]
    return found


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("protocol", MESSAGES, ids=lambda protocol: protocol.name)
def test_secrets_in_messages_stay(protocol: Protocol, kind: str) -> None:
    """
    A secret in any place of a message is in nothing that leaves, whether the kernel knew the protocol or not.
    """
    secret, dice = SECRETS[kind], random.Random(kind)
    for request, response in MESSAGES[protocol](secret):
        for number in {protocol, Protocol.UNKNOWN}:
            for some in cuts(request, response, dice):
                for where, said in leaving(number, *some):
                    assert b"" == leak(secret, said), (where, some, said)


@pytest.mark.parametrize("others", INSTEAD, ids=lambda others: others[0].decode())
def test_secrets_in_captures_stay(others: tuple[bytes, ...]) -> None:
    """
    What real clients sent in the places of secrets is in nothing that leaves, whatever its letters are.
    """
    dice, checked = random.Random(others[0]), 0
    for protocol, name, request, response in captures():
        for some in cuts(replaced(request, others), replaced(response, others), dice):
            for where, said in leaving(protocol, *some):
                checked += 1
                assert not [one for one in others if one in said], (name, where, some, said)
    assert checked > 1000


def test_a_leak_would_be_seen() -> None:
    """
    The search finds a secret that was not masked, and a piece of one.
    """
    secret = SECRETS["password"]
    bare = sample(Protocol.REDIS, b"AUTH %b\r\n" % secret, b"+OK\r\n")

    assert b"Tr0ub4" == leak(secret, bare.request)
    assert b"4dor&3" == leak(secret, b"...4dor&3...")
    assert b"" == leak(secret, b"Tr0u")


def test_every_protocol_has_planted_secrets() -> None:
    """
    No protocol is left out: real clients sent secrets in each.
    """
    planted = {protocol for protocol, _, _, _ in captures()}

    assert {Protocol(number) for number in protocols()} == planted
