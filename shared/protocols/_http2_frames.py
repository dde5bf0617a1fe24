"""
HTTP/2's frames, one after the other, and the header blocks that lie in them.

https://www.rfc-editor.org/rfc/rfc9113
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.protocols import _hpack

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER: Final = 9
LENGTH_LIMIT: Final = 1 << 20
"""No frame is longer: nobody is known to raise the limit from 16384 bytes that far."""
FIELDS_LIMIT: Final = 512

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PROMISE, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIORITISED = 1, 4, 8, 0x20

_FLAGS: Final = {
    DATA: END_STREAM | PADDED,
    HEADERS: END_STREAM | END_HEADERS | PADDED | PRIORITISED,
    PRIORITY: 0,
    RESET: 0,
    SETTINGS: 1,
    PROMISE: END_HEADERS | PADDED,
    PING: 1,
    GOAWAY: 0,
    WINDOW: 0,
    CONTINUATION: END_HEADERS,
    0xA: 0,  # ALTSVC
    0xC: 0,  # ORIGIN
    0x10: 0,  # PRIORITY_UPDATE
}
"""Kinds of frames, and the flags that they may have."""
_OF_STREAMS: Final = {DATA, HEADERS, PRIORITY, RESET, PROMISE, CONTINUATION}
_OF_CONNECTIONS: Final = {SETTINGS, PING, GOAWAY, 0xC, 0x10}
_SIZES: Final = {PRIORITY: 5, RESET: 4, PING: 8, WINDOW: 4}


class Frame(msgspec.Struct, frozen=True):
    """
    A frame, perhaps cut off.
    """

    kind: int
    flags: int
    stream: int
    start: int
    """Where its payload begins."""
    end: int
    """Where its payload ends, perhaps behind the end of the head."""


class Block(msgspec.Struct, frozen=True):
    """
    A header block, put together from the frames that it is spread over.
    """

    stream: int
    promised: bool
    raw: bytes
    places: list[tuple[int, int]]
    """Where its parts lie in the head: start and end."""
    whole: bool


class Fields(msgspec.Struct, frozen=True):
    """
    A block with what it says.
    """

    block: Block
    fields: list[_hpack.Field]
    sound: bool
    """Whether nothing in it contradicts HPACK."""


def frame_at(head: bytes, at: int) -> Frame:
    """
    Return the frame whose nine bytes lie at *at*.

    Raises:
        Malformed: they begin no frame.
    """
    length, kind, flags = int.from_bytes(head[at : at + 3], "big"), head[at + 3], head[at + 4]
    stream = int.from_bytes(head[at + 5 : at + HEADER], "big")
    allowed = _FLAGS.get(kind)
    if allowed is None or flags & ~allowed or stream >> 31 or length > LENGTH_LIMIT:
        raise Malformed("http2: these bytes begin no frame")
    if (stream == 0 and kind in _OF_STREAMS) or (stream and kind in _OF_CONNECTIONS):
        raise Malformed(f"http2: a frame of kind {kind} on stream {stream}")
    if length != _SIZES.get(kind, length) or (kind == SETTINGS and (length % 6 or (flags and length))):
        raise Malformed(f"http2: a frame of kind {kind} with {length} bytes")
    if kind == GOAWAY and length < 8:
        raise Malformed("http2: a farewell that is too short")
    return Frame(kind, flags, stream, at + HEADER, at + HEADER + length)


def frames(head: bytes) -> Iterator[Frame]:
    """
    Give the frames of *head*, the last perhaps cut off.

    Raises:
        Malformed: a frame is none.
    """
    at = len(PREFACE) if head.startswith(PREFACE) else 0
    while at + HEADER <= len(head):
        frame = frame_at(head, at)
        yield frame
        at = frame.end


def sound_frames(head: bytes) -> tuple[list[Frame], bool]:
    """
    Return the frames of *head* up to the first that is none, and whether there was such a one.
    """
    found: list[Frame] = []
    try:
        for frame in frames(head):
            _payload(head, frame)
            found.append(frame)
    except Malformed:
        return found, False
    return found, True


def _payload(head: bytes, frame: Frame) -> tuple[int, int]:
    """
    Return where a part of a header block lies in *frame*, without padding and priority.
    """
    start, end = frame.start, frame.end
    if frame.kind in (DATA, HEADERS, PROMISE) and frame.flags & PADDED:
        padding = head[start] if start < len(head) else 0
        start, end = start + 1, end - padding
    if frame.kind == HEADERS and frame.flags & PRIORITISED:
        start += 5
    if frame.kind == PROMISE:
        start += 4
    if start > end:
        raise Malformed("http2: more padding than payload")
    return min(start, len(head)), min(end, len(head))


def blocks(head: bytes, found: list[Frame]) -> Iterator[Block]:
    """
    Give the header blocks of the frames that were *found* in *head*; a block that lacks its beginning is none.
    """
    places: list[tuple[int, int]] = []
    stream = opened = 0
    for frame in found:
        if frame.kind in (HEADERS, PROMISE):
            places, stream, opened = [_payload(head, frame)], frame.stream, frame.kind
        elif frame.kind == CONTINUATION and places and frame.stream == stream:
            places.append(_payload(head, frame))
        else:
            continue
        cut = frame.end > len(head)
        if frame.flags & END_HEADERS or cut:
            raw = b"".join(head[start:end] for start, end in places)
            yield Block(stream, opened == PROMISE, raw, places, not cut)
            places = []
    if places:
        yield Block(stream, opened == PROMISE, b"".join(head[a:b] for a, b in places), places, False)


def read(head: bytes, found: list[Frame]) -> list[Fields]:
    """
    Return what the header blocks in *head* say.
    """
    table: _hpack.Table = []
    said, left = [], FIELDS_LIMIT
    for block in blocks(head, found):
        fields: list[_hpack.Field] = []
        sound = True
        try:
            for field in _hpack.fields(block.raw, table, whole=block.whole):
                fields.append(field)
                left -= 1
                if left <= 0:
                    raise Malformed(f"http2: more than {FIELDS_LIMIT} fields")
        except Malformed:
            sound = False
        said.append(Fields(block, fields, sound))
        if left <= 0:
            break
    return said
