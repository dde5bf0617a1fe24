"""
Which words of a path, a host or a key name the endpoint, and which are ids, tokens or people.

The kernel collapses ids too, before it hashes an endpoint (`bpf/include/text.h`). Whatever is an id there is one here,
so all requests of one hash have one name; here a few more words are ids, so several hashes may share a name.
"""

from __future__ import annotations

import re
from typing import Final

from shared.protocols._base import MASK

ID: Final = "{id}"

LONG: Final = 40
"""No word of a route is longer."""
TOKEN: Final = 16
"""A word of this length with a digit in it is a token, not a word."""
MIXED: Final = 20
"""A word of this length with upper and lower case mixed against the rules of camel case is a token."""
HEX: Final = 8
DIGITS: Final = 4

_PLAIN: Final = re.compile(rb"[A-Za-z0-9._~!$'()+,:=-]*\Z")
_HEX: Final = re.compile(rb"[0-9A-Fa-f-]+\Z")
_WORDS: Final = re.compile(rb"[A-Z]*[a-z]*(?:[A-Z][a-z]+)*\Z")
_CAPITALS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBER: Final = re.compile(rb"[0-9]{1,9}\Z")


def is_id(word: bytes) -> bool:
    """
    Return whether *word* tells one thing from its like, instead of naming what is asked for.
    """
    if len(word) > LONG or not _PLAIN.match(word):
        return True
    digits = len(word) - len(word.translate(None, b"0123456789"))
    if digits == 0:
        return len(word) >= MIXED and any(len(part) >= MIXED and _is_mixed(part) for part in _parts(word))
    return (
        digits == len(word)
        or digits >= DIGITS
        or len(word) >= TOKEN
        or (len(word) >= HEX and _HEX.match(word) is not None)
    )


def may_stay(word: bytes) -> bool:
    """
    Return whether *word* may leave the node: it names something, or is a number shorter than a card's.
    """
    return _NUMBER.match(word) is not None or not is_id(word)


def collapsed(word: bytes) -> str:
    """
    Return what *word* is called in an endpoint's name.
    """
    return ID if is_id(word) else word.decode("ascii")


def cover(out: bytearray, start: int, end: int, keep: bytes = b"") -> None:
    """
    Overwrite *out* from *start* to *end*, but for the bytes in *keep*.
    """
    if keep:
        out[start:end] = bytes(c if c in keep else MASK for c in out[start:end])
    else:
        out[start:end] = b"*" * (end - start)


def _is_mixed(part: bytes) -> bool:
    capitals = len(part) - len(part.translate(None, _CAPITALS))
    return not _WORDS.match(part) or capitals * 3 > len(part) > capitals


def _parts(word: bytes) -> list[bytes]:
    return re.split(rb"[-_.~!$'()+,:=]", word)
