"""
Whose a certificate is and how long it holds: the few fields of X.509 that tell it, from the start of its encoding.

https://www.rfc-editor.org/rfc/rfc5280
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_SEQUENCE, _CONTEXT_0, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18
_COMMON_NAME: Final = b"\x55\x04\x03"
_NAMES_LIMIT: Final = 32
_HOST: Final = re.compile(rb"[A-Za-z0-9*._-]{1,253}\Z")
_DIGITS: Final = re.compile(rb"[0-9]{12}(?:[0-9]{2})?Z\Z")


class Certificate(msgspec.Struct, frozen=True):
    """
    What is known of a certificate; empty where the bytes ended first.
    """

    common_name: str = ""
    not_before: str = ""
    not_after: str = ""
    open: tuple[tuple[int, int], ...] = ()
    """Where the bytes lie that may leave the node: the fields above, and the headers on the way to them."""


class _Walk:
    # Reads one value after the other; the headers that were read may stay visible.
    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end
        self.seen: list[tuple[int, int]] = []

    def header(self) -> tuple[int, int, int] | None:
        # Tag, start and end of the content; None when the header is not whole.
        if self.at + 2 > self.end:
            return None
        tag, length, start = self.data[self.at], self.data[self.at + 1], self.at + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 3 or start + count > self.end:
                return None
            length = int.from_bytes(self.data[start : start + count], "big")
            start += count
        self.seen.append((self.at, start))
        self.at = start
        return tag, start, start + length

    def skip(self) -> int | None:
        # Passes over one value and returns its tag.
        found = self.header()
        if found is None:
            return None
        self.at = found[2]
        return found[0]


def certificate(data: bytes, start: int, end: int) -> Certificate:
    """
    Return what the certificate tells that lies in *data* from *start* to *end*, where it may be cut off.
    """
    walk = _Walk(data, start, end)
    for _ in range(2):  # the certificate, and what of it is signed
        if (outer := walk.header()) is None or outer[0] != _SEQUENCE:
            return Certificate(open=tuple(walk.seen))
    if walk.skip() == _CONTEXT_0:  # a version, then the serial number
        walk.skip()
    walk.skip()  # the algorithm
    walk.skip()  # the issuer
    dates = _validity(walk)
    return Certificate(_subject(walk), *dates, tuple(walk.seen))


def _validity(walk: _Walk) -> tuple[str, str]:
    both = walk.header()
    if both is None or both[0] != _SEQUENCE:
        return "", ""
    return _time(walk), _time(walk)


def _time(walk: _Walk) -> str:
    found = walk.header()
    if found is None or found[0] not in (_UTC_TIME, _TIME) or found[2] > walk.end:
        return ""
    walk.at = found[2]
    text = walk.data[found[1] : found[2]]
    if not _DIGITS.match(text):
        return ""
    walk.seen.append((found[1], found[2]))
    year = text[:-11].decode() if found[0] == _TIME else ("19" if text[:2] >= b"50" else "20") + text[:2].decode()
    rest = text[-11:-1].decode()
    return f"{year}-{rest[:2]}-{rest[2:4]}T{rest[4:6]}:{rest[6:8]}:{rest[8:10]}Z"


def _subject(walk: _Walk) -> str:
    names = walk.header()
    if names is None or names[0] != _SEQUENCE:
        return ""
    limit = min(names[2], walk.end)
    for _ in range(_NAMES_LIMIT):
        if walk.at >= limit or walk.header() is None or walk.header() is None:
            return ""
        kind = walk.header()
        if kind is None or kind[2] > limit:
            return ""
        walk.at = kind[2]
        value = walk.header()
        if value is None or value[2] > limit:
            return ""
        walk.at = value[2]
        text = walk.data[value[1] : value[2]]
        if walk.data[kind[1] : kind[2]] == _COMMON_NAME:
            walk.seen.append((kind[1], kind[2]))
            if not _HOST.match(text):
                return ""
            walk.seen.append((value[1], value[2]))
            return text.decode()
    return ""
