"""
What conversations are made of: words, numbers and hosts out of seeded dice.
"""

from __future__ import annotations

import random
from typing import Final

Talk = tuple[bytes, bytes, bytes]
"""Greeting, request, answer."""
Dice = random.Random

WORDS: Final = (
    *("order", "user", "cart", "item", "price", "total", "city", "street", "note", "status", "open"),
    *("closed", "red", "green", "blue", "alpha", "beta", "get", "set", "delete"),
)


def word(dice: Dice) -> str:
    """
    Return some word.
    """
    return dice.choice(WORDS)


def number(dice: Dice, most: int = 99999) -> int:
    """
    Return some number.
    """
    return dice.randrange(1, most)


def host(dice: Dice) -> str:
    """
    Return some host's name.
    """
    return f"{word(dice)}{number(dice, 99)}.example.org"


def text(*lines: str) -> bytes:
    """
    Return lines as they stand on the wire.
    """
    return "".join(f"{line}\r\n" for line in lines).encode()
