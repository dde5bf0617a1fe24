"""
What a Redis server says unasked: deliveries to subscribers, other pushes, and what MONITOR shows.

Version 3 of the protocol marks them; in version 2 they are arrays, as a command is, whose first word tells. Channels
collapse word by word, so that the name says the same as the kernel's hash (`bpf/l7/redis_wire.h`).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shared.protocols._collapse import ID, cover, is_id, may_stay

DELIVERIES: Final = {b"message": "MSG", b"pmessage": "PMSG", b"smessage": "SMSG"}
CHANNEL_LIMIT: Final = 96
"""Bytes of a channel's name that tell it from others."""
MONITORED: Final = re.compile(rb"\+[0-9]{10}\.[0-9]{6} \[")

_PUSH: Final = re.compile(rb"(?:>[2-9]\r\n\$([0-9]{1,2})\r\n|\*[2-9]\r\n\$([0-9]{1,2})\r\n)([a-z-]{5,40})\r\n")
_CONFIRMED: Final = re.compile(rb"[ps]?(?:un)?subscribe\Z")
_NEXT: Final = re.compile(rb"\$([0-9]{1,9})\r\n")
_SIGN: Final = re.compile(rb"(\*{2,}|[^A-Za-z0-9_-])")
"""Between the words of a channel; several stars are a word that is masked."""
_COVERED: Final = re.compile(r"\**\{id\}\**")


class Push(msgspec.Struct, frozen=True):
    """
    A push at the beginning of a head.
    """

    operation: str
    kind: str
    start: int
    """Of its channel; 0 when it has none, or it is not there."""
    end: int
    whole: bool
    """Whether the channel's end is there."""


def push(head: bytes) -> Push | None:
    """
    Return the push that *head* begins with, None when it begins with something else.
    """
    if MONITORED.match(head):
        return Push("PUSH", "monitor", 0, 0, True)
    found = _PUSH.match(head)
    if found is None or len(found[3]) != int(found[1] or found[2]):
        return None
    if found[3] not in DELIVERIES:
        known = head[:1] == b">" or _CONFIRMED.match(found[3])
        return Push("PUSH", found[3].decode("ascii"), 0, 0, True) if known else None
    channel = _NEXT.match(head, found.end())
    operation, kind = DELIVERIES[found[3]], found[3].decode("ascii")
    if channel is None:
        return Push(operation, kind, 0, 0, False)
    end = channel.end() + int(channel[1])
    return Push(operation, kind, channel.end(), min(end, len(head)), end <= len(head))


def name(head: bytes, found: Push) -> str:
    """
    Return what the push is called.
    """
    if found.operation == "PUSH":
        return f"PUSH {found.kind}"
    if not found.start or not (found.whole or found.end - found.start >= CHANNEL_LIMIT):
        return found.operation
    return f"{found.operation} {pattern(head[found.start : found.end])}"


def pattern(channel: bytes) -> str:
    """
    Return the channel's name with its ids collapsed.
    """
    return _COVERED.sub(ID, "".join(_shown(part) for part in _SIGN.split(channel[:CHANNEL_LIMIT])))


def mask(out: bytearray, head: bytes, found: Push) -> None:
    """
    Put back into *out*, in which every value is covered, what names the push.
    """
    if found.kind == "monitor":
        out[:20] = head[:20]
        return
    kind = head.index(found.kind.encode("ascii"))
    out[kind : kind + len(found.kind)] = found.kind.encode("ascii")
    at = found.start
    for part in _SIGN.split(head[found.start : found.end] if found.start else b""):
        out[at : at + len(part)] = part
        if not _stays(part):
            cover(out, at, at + len(part))
        at += len(part)


def _stays(part: bytes) -> bool:
    return may_stay(part) or part.startswith(b"**") or (len(part) == 1 and 0x20 < part[0] < 0x7F)


def _shown(part: bytes) -> str:
    if len(part) == 1:
        return ID if part.isdigit() else part.decode("ascii") if _stays(part) else "*"
    return ID if part and (part.startswith(b"**") or is_id(part)) else part.decode("ascii")
