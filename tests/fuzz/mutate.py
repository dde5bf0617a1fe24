"""
Inputs that look like protocols and are not quite: real bytes, cut, repeated, stretched, joined and disturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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


def mutated(dice: random.Random, head: bytes, pool: Sequence[bytes]) -> bytes:
    """
    Return *head* after one to five mutations; parts of *pool* may get into it.
    """
    for _ in range(dice.randrange(1, 6)):
        head = dice.choice(MUTATIONS)(dice, head, pool)[:LIMIT]
    return head
