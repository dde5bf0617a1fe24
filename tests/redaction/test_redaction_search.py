"""
What is looked for is found wherever it stands, and never in what a healthy meshlens says by itself.
"""

from __future__ import annotations

import json
import random
import uuid
from typing import Final

import pytest

from tests.redaction.search import Search, secrets

AMOUNT: Final = 10_000
NOW_NS: Final = 1_780_000_000_000_000_000
LOOKED_FOR: Final = Search(secrets())


def numbers(dice: random.Random) -> list[float]:
    """
    Return numbers as they are measured: anything, and what is left when counts are divided by times and counts.
    """
    found = []
    for _ in range(AMOUNT):
        seconds, scale = dice.choice((9, 10, 60, 90, 900, 3600)), dice.choice((1, 10**3, 10**6, 10**9))
        found += [dice.random(), dice.expovariate(1e-6), dice.randrange(10**6) / seconds]
        found += [dice.randrange(10**9) / dice.randrange(1, 1000) / scale]
    return found


def identifiers(dice: random.Random) -> list[object]:
    """
    Return times in nanoseconds, large counts, and ids as numbers, in hexadecimal and as UUIDs.
    """
    found: list[object] = []
    for _ in range(AMOUNT):
        bits = dice.getrandbits(128)
        found += [NOW_NS + dice.randrange(10**17), dice.getrandbits(64), f"{bits:032x}", f"{bits:032X}"]
        found += [f"{bits >> 64:016x}", str(uuid.UUID(int=bits)), f"{dice.random():.15f}"]
    return found


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=("tight", "spaced"))
def test_numbers_and_ids_are_no_secrets(separators: tuple[str, str]) -> None:
    """
    Measured numbers, times and ids are never taken for a piece of a secret.
    """
    dice = random.Random("numbers and ids")
    items = [{"value": one, "list": [one]} for one in (*numbers(dice), *identifiers(dice))]

    assert [] == LOOKED_FOR.found(json.dumps(items, separators=separators).encode())


@pytest.mark.parametrize("value", ["4012888888888889", "4111111111111111", "0000111122223333"])
def test_digits_of_fractions_are_no_secrets(value: str) -> None:
    """
    The digits of a card are none behind the point of a measured number, wherever that stands.
    """
    for text in (f'{{"p50_s":0.0000{value}}}', f"[-17.{value}, 0.{value}]", f"requests 3.{value}\n", f"0.{value}"):
        assert [] == LOOKED_FOR.found(text.encode())


@pytest.mark.parametrize("secret", secrets())
def test_secrets_are_found(secret: bytes) -> None:
    """
    Each secret is found behind a name, within a path, beside a number, as a host, and behind a fraction of its own.
    """
    for before in (b"", b'{"name":"', b"GET /cards/", b"0.5 ", b"x.", b"10.0.0.1:", b"v1.2=", b"[0.25,"):
        assert LOOKED_FOR.found(before + secret + b'","rate":0.4012888888888889'), before


def test_a_fraction_hides_no_secret() -> None:
    """
    What stands in a fraction does not keep the same digits from being found after it.
    """
    assert LOOKED_FOR.found(b'{"rate":0.4012888888888889,"name":"card 4012888888881881"}')
    assert LOOKED_FOR.found(b'{"rate":4012888888881881.5}')
