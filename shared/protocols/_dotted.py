"""
Names of topics, groups, subscriptions and clients: which of their parts, between - . / _ and %, are ids.

A UUID has groups of four and twelve digits that alone look like words: behind an id they are ids. The kernel side has
the same rule (`bpf/include/dotted.h`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shared.protocols._base import MASK
from shared.protocols._collapse import ID, is_id, may_stay

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 249
"""No topic of Kafka has a longer name."""

_LEGAL: Final = re.compile(rb"[A-Za-z0-9._:%|/~*-]{1,249}\Z")
_PARTS: Final = re.compile(rb"([-._/%])")
_GROUP: Final = re.compile(rb"(?:[0-9A-Fa-f]{4}|[0-9A-Fa-f]{12})\Z")


def is_name(raw: bytes) -> bool:
    """
    Return whether *raw* can be the name of a topic or of a group.
    """
    return _LEGAL.match(raw) is not None


def collapsed_name(raw: bytes) -> str:
    """
    Return *raw* with its ids collapsed, one behind the other to one.
    """
    if not is_name(raw):
        return ID
    shown: list[str] = []
    for part, stays in _judged(raw):
        word = part.decode("ascii") if stays else ID
        if word == ID and shown[-2:-1] == [ID] and shown[-1] == "-":
            del shown[-2:]
        shown.append(word)
    return "".join(shown)


def masked_name(raw: bytes) -> bytes:
    """
    Return *raw* with everything overwritten that tells more than the name of a kind of thing.
    """
    if not is_name(raw):
        return bytes([MASK]) * len(raw)
    return b"".join(
        part if stays or (may_stay(part) and part.isdigit()) else bytes([MASK]) * len(part)
        for part, stays in _judged(raw)
    )


def shown_name(raw: bytes) -> str:
    """
    Return *raw* as an attribute has it.
    """
    return masked_name(raw).decode("ascii")


def named_after(operation: str, topic: bytes | None, attributes: dict[str, str | int], *, longest: int) -> str:
    """
    Return what *operation* on *topic* is called, with a topic no longer than *longest*, and add it to *attributes*.
    """
    if not topic:
        return operation
    attributes["messaging.destination.name"] = shown_name(topic)
    shown = collapsed_name(topic).removeprefix("persistent://")
    return f"{operation} {shown}" if len(topic) <= longest else operation


def _judged(raw: bytes) -> Iterator[tuple[bytes, bool]]:
    """
    Yield the parts and separators of *raw*, and whether they are words.
    """
    after_id = False
    for number, part in enumerate(_PARTS.split(raw)):
        if number % 2:
            after_id = after_id and part == b"-"
            yield part, True
            continue
        id_ = bool(part) and (is_id(part) or (after_id and (_GROUP.match(part) is not None)))
        after_id = id_
        yield part, not id_
