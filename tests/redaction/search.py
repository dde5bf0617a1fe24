"""
Looks for pieces of secrets in anything: plain, and in the encodings in which data travels.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tests.redaction.secrets import INSTEAD, PLANTED, SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterable

WORDS: Final = 8
"""So many bytes in a row of a secret of letters are a leak."""
NUMBERS: Final = 12
"""So many of one that is all digits, or hexadecimal: shorter ones occur in ids and times by chance."""
DISTINCT: Final = 3
"""Fewer different digits in a row occur in fractions by chance."""
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF-")


def secrets() -> list[bytes]:
    """
    Return everything that was planted and is long enough to be told from chance.
    """
    return [
        one for one in [*SECRETS.values(), *(o for others in INSTEAD for o in others), *PLANTED] if len(one) >= WORDS
    ]


def pieces(secret: bytes) -> set[bytes]:
    """
    Return all pieces of *secret* that would be a leak.
    """
    person, at, _ = secret.partition(b"@")
    secret = person + at if at else secret  # the domain is no secret
    size = min(len(secret), NUMBERS if set(secret) <= _HEXADECIMAL else WORDS)
    found = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    return {piece for piece in found if len(set(piece)) >= DISTINCT}


def encoded(secret: bytes) -> set[bytes]:
    """
    Return what the first bytes of *secret* are in hexadecimal, in a URL, and in base64 at each of its three places.
    """
    start = secret[:12]
    found = {start.hex().encode(), start.hex().upper().encode(), quote(start, safe="").encode()} - {start}  # as it is: pieces
    for before in range(3):
        whole = base64.b64encode(bytes(before) + start)
        found.add(whole[4 if before else 0 : len(whole) // 4 * 4 - 4])
    return found


class Search:
    """
    All needles, made once.
    """

    def __init__(self, looked_for: Iterable[bytes]) -> None:
        self._needles: Final = sorted({needle for one in looked_for for needle in pieces(one) | encoded(one)})
        self.bytes_read = 0

    def found(self, text: bytes) -> list[tuple[bytes, bytes]]:
        """
        Return the pieces that are in *text*, each with what stands around it.
        """
        self.bytes_read += len(text)
        return [
            (needle, text[max(0, (at := text.find(needle)) - 60) : at + 60])
            for needle in self._needles
            if needle in text
        ]
