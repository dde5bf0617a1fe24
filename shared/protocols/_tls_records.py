"""
The parts of TLS that travel in the clear: records, handshake messages, and the extensions of both hellos.

Everything works on heads that are cut off anywhere: what is not there is left out.

https://www.rfc-editor.org/rfc/rfc8446
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGE_CIPHER, ALERT, HANDSHAKE, APPLICATION = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE = 1, 2, 11
SERVER_NAME, PROTOCOLS, VERSIONS = 0, 16, 43
HEADER_BYTES: Final = 5
RECORD_LIMIT: Final = 16384 + 2048
_OPEN_EXTENSIONS: Final = frozenset({SERVER_NAME, 10, 11, 13, PROTOCOLS, VERSIONS, 45})
"""Names, groups, algorithms and versions; every other extension may hold keys, tickets or cookies."""
_PARTS_LIMIT: Final = 256


class Part(msgspec.Struct, frozen=True):
    """
    A record, a message or an extension: its number, and where its content lies, as far as it is there.
    """

    kind: int
    start: int
    end: int
    whole: bool


class Hello(msgspec.Struct, frozen=True):
    """
    A ClientHello or a ServerHello as far as it is there.
    """

    client: bool
    version: int
    ciphers: tuple[int, ...]
    """Of a server the one that it chose."""
    extensions: tuple[Part, ...]
    open: tuple[tuple[int, int], ...]
    """Where the bytes lie that may leave the node."""
    sound: bool
    """Whether the lengths in it fit each other."""


def is_record(head: bytes, at: int = 0) -> bool:
    """
    Return whether a record's header may begin at *at*, as far as it is there.
    """
    header = head[at : at + HEADER_BYTES]
    if not header or not CHANGE_CIPHER <= header[0] <= APPLICATION:
        return False
    if header[1:2] not in (b"", b"\3") or header[2:3] > b"\4":
        return False
    length = int.from_bytes(header[3:5], "big")
    return len(header) < HEADER_BYTES or 0 < length <= RECORD_LIMIT


def records(head: bytes) -> Iterator[Part]:
    """
    Yield the records of *head*, up to the first bytes that are none.
    """
    at = 0
    for _ in range(_PARTS_LIMIT):
        if not is_record(head, at) or len(head) < at + HEADER_BYTES:
            return
        end = at + HEADER_BYTES + int.from_bytes(head[at + 3 : at + 5], "big")
        yield Part(head[at], at + HEADER_BYTES, min(end, len(head)), end <= len(head))
        at = end


def messages(head: bytes) -> Iterator[Part]:
    """
    Yield the handshake messages that travel in the clear.
    """
    for record in records(head):
        if record.kind in (CHANGE_CIPHER, APPLICATION):
            return
        at = record.start
        while record.kind == HANDSHAKE and at + 4 <= record.end:
            end = at + 4 + int.from_bytes(head[at + 1 : at + 4], "big")
            yield Part(head[at], at + 4, min(end, record.end), end <= record.end)
            at = end


def alert(head: bytes) -> int | None:
    """
    Return the description of the first fatal alert in the clear, None when there is none.
    """
    for record in records(head):
        if record.kind in (CHANGE_CIPHER, APPLICATION):
            return None
        if record.kind == ALERT and record.whole and record.end - record.start == 2 and head[record.start] == 2:
            return head[record.start + 1]
    return None


def hello(head: bytes) -> Hello | None:
    """
    Return the hello with which *head* begins, None when it does not begin with one.
    """
    first = next(messages(head), None)
    if first is None or first.kind not in (CLIENT_HELLO, SERVER_HELLO) or first.start != HEADER_BYTES + 4:
        return None
    return _hello(head, first)


def _hello(head: bytes, part: Part) -> Hello:
    client, start, end = part.kind == CLIENT_HELLO, part.start, part.end
    version = int.from_bytes(head[start : start + 2], "big")
    kept = [(0, min(start + 2, end))]
    session_at = start + 34
    session = head[session_at] if session_at < end else 0
    kept.append((session_at, session_at + 1))
    at = session_at + 1 + session
    sound = version in range(0x0300, 0x0304) and session <= 32
    width = 2 + int.from_bytes(head[at : at + 2], "big") if client else 2
    ciphers = head[at + 2 * client : min(at + width, end)]
    sound = sound and (len(head) < at + 2 or (width % 2 == 0 and width >= 2 + 2 * client))
    kept.append((at, at + width))
    at += width
    width = 1 + (head[at] if client and at < end else 0)
    sound = sound and width <= 1 + 16
    kept.append((at, at + width))
    at += width
    extensions = list(_extensions(head, at + 2, end))
    kept.append((at, at + 2))
    for extension in extensions:
        kept.append((extension.start - 4, extension.start))
        if extension.kind in _OPEN_EXTENSIONS:
            kept.append((extension.start, extension.end))
    return Hello(
        client=client,
        version=version,
        ciphers=tuple(int.from_bytes(ciphers[n : n + 2], "big") for n in range(0, len(ciphers) - 1, 2)),
        extensions=tuple(extensions),
        open=tuple((low, min(high, end)) for low, high in kept if low < end),
        sound=sound,
    )


def _extensions(head: bytes, at: int, end: int) -> Iterator[Part]:
    for _ in range(_PARTS_LIMIT):
        if at + 4 > end:
            return
        kind, length = int.from_bytes(head[at : at + 2], "big"), int.from_bytes(head[at + 2 : at + 4], "big")
        yield Part(kind, at + 4, min(at + 4 + length, end), at + 4 + length <= end)
        at += 4 + length
