"""
Looks for pieces of secrets in anything: plain, and in the encodings in which data travels.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tests.redaction.secrets import INSTEAD, PLANTED, SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterable

WORDS: Final = 8
"""So many bytes in a row of a secret of letters are a leak."""
NUMBERS: Final = 12
"""So many where all are digits, or hexadecimal: shorter pieces occur in ids and times by chance."""
DISTINCT: Final = 2
"""A digit that repeats itself occurs in numbers by chance."""
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF-")
_FRACTION: Final = re.compile(rb"(?:^|[\s:,=\"(\[])-?\d{1,19}\.\d*\Z")
"""What stands before the digits of a measured number, which repeat themselves when it was divided."""


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
    letters = {piece for piece in _cut(secret, WORDS) if not set(piece) <= _HEXADECIMAL}
    return letters | {piece for piece in _cut(secret, NUMBERS) if len(set(piece)) >= DISTINCT}


def _cut(secret: bytes, size: int) -> set[bytes]:
    size = min(len(secret), size)
    return {secret[at : at + size] for at in range(len(secret) - size + 1)}


def encoded(secret: bytes) -> set[bytes]:
    """
    Return what the first bytes of *secret* are in hexadecimal, in a URL, and in base64 at each of its three places.
    """
    start = secret[:12]
    found = {start.hex().encode(), start.hex().upper().encode(), quote(start, safe="").encode()}
    for before in range(3):
        whole = base64.b64encode(bytes(before) + start)
        found.add(whole[4 if before else 0 : len(whole) // 4 * 4 - 4])
    return found - {start}  # as it is, it is one of the pieces


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
        found = []
        for needle in self._needles:
            at = text.find(needle)
            while at >= 0 and needle.isdigit() and _FRACTION.search(text[max(0, at - 40) : at]):
                at = text.find(needle, at + 1)
            if at >= 0:
                found.append((needle, text[max(0, at - 60) : at + 60]))
        return found
