"""
Inputs that look like protocols and are not quite: real bytes, cut, repeated, stretched, joined and disturbed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

LIMIT: Final = 1024
"""The longest input, in bytes: four times what the kernel sends up."""

NUMBERS: Final = (
    *(b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\3", b"\1\0\0\0"),
    *(b"\xff\xff", b"\x7f\xff", b"\x80\0", b"\0\0", b"\0\1", b"\xff", b"\x80", b"\x7f", b"\0", b"\xc0\x0c"),
)
TOKENS: Final = (
    *(b"\r\n", b"\n", b" ", b"\0", b"*", b"$", b":", b"'", b'"', b"/*", b"--", b"{", b"}", b"[", b"]", b"?", b"%2e"),
    *(b"-1", b"0", b"4294967296", b"9" * 20, b"\xc3\x28", b"\xe2\x82", b"\xf0\x9f\x92\xa9", b"\x1b"),
    *(b"HTTP/1.1", b"AUTH", b"select", b"get ", b"END\r\n"),
    *(b"http://a/b?", b"/graphql?query=query+A{", b"/_search", b"/_doc/", b"?a=b&", b"#"),
    *(b"$$", b"`", b"\\'", b"/*!", b"set a = ", b"_INBOX.a", b"NATS/1.0 503\r\n", b"+", b"a@b.c"),
)


def cut(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Keep the beginning.
    """
    return head[: dice.randrange(len(head) + 1)]


def skip(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Keep the end.
    """
    return head[dice.randrange(len(head) + 1) :]


def remove(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Take out a few bytes.
    """
    at = dice.randrange(len(head) + 1)
    return head[:at] + head[at + dice.randrange(1, 9) :]


def repeat(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Say a part several times.
    """
    at, size = dice.randrange(len(head) + 1), dice.randrange(1, 64)
    return head[:at] + head[at : at + size] * dice.randrange(2, 12) + head[at:]


def number(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Put an extreme number somewhere.
    """
    at, value = dice.randrange(len(head) + 1), dice.choice(NUMBERS)
    return head[:at] + value + head[at + len(value) :]


def token(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Put in a word that means something to somebody.
    """
    at = dice.randrange(len(head) + 1)
    return head[:at] + dice.choice(TOKENS) + head[at:]


def flip(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Disturb a bit.
    """
    if not head:
        return head
    at = dice.randrange(len(head))
    return head[:at] + bytes([head[at] ^ 1 << dice.randrange(8)]) + head[at + 1 :]


def noise(dice: random.Random, head: bytes, _pool: Sequence[bytes]) -> bytes:
    """
    Put in what means nothing.
    """
    at = dice.randrange(len(head) + 1)
    return head[:at] + dice.randbytes(dice.randrange(1, 17)) + head[at + dice.randrange(17) :]


def splice(dice: random.Random, head: bytes, pool: Sequence[bytes]) -> bytes:
    """
    Go on with a part of another input.
    """
    other = dice.choice(pool)
    return head[: dice.randrange(len(head) + 1)] + other[dice.randrange(len(other) + 1) :]


MUTATIONS: Final = (cut, skip, remove, repeat, number, number, token, flip, flip, noise, splice)
TIMES: Final = (1, 1, 1, 1, 2, 2, 3, 5)
ORDERS: Final[tuple[Literal["big", "little"], ...]] = ("big", "little")
WIDTHS: Final = tuple((size, order) for size in (1, 2, 3, 4) for order in ORDERS)
FIRST_BYTES: Final = 16


def mutated(dice: random.Random, head: bytes, pool: Sequence[bytes]) -> bytes:
    """
    Return *head* after one to five mutations; parts of *pool* may get into it. Often its length is put right again.
    """
    result = head
    for _ in range(dice.choice(TIMES)):
        result = dice.choice(MUTATIONS)(dice, result, pool)[:LIMIT]
    return fitted(head, result) if dice.random() < 0.5 else result


@functools.lru_cache(maxsize=10_000)
def lengths(head: bytes) -> tuple[tuple[int, int, Literal["big", "little"], int], ...]:
    """
    Return the numbers near the beginning of *head* that tell its length: place, width, order, and bytes not counted.
    """
    found: list[tuple[int, int, Literal["big", "little"], int]] = []
    for at in range(min(FIRST_BYTES, len(head))):
        for width, order in WIDTHS:
            value = int.from_bytes(head[at : at + width], order)
            without = len(head) - value
            if value > 3 and 0 <= without <= at + width + 4 and at + width <= len(head):
                found.append((at, width, order, without))
    return tuple(found)


def fitted(before: bytes, after: bytes) -> bytes:
    """
    Return *after* with a length that fits it, where *before* had one.
    """
    for at, width, order, without in lengths(before):
        value = len(after) - without
        if 0 <= value < 1 << 8 * width and len(after) >= at + width:
            after = after[:at] + value.to_bytes(width, order) + after[at + width :]
    return after
