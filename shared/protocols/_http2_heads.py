"""
What the heads of one HTTP/2 stream say, and how they are masked.

A masked text keeps its length on the wire. Where nothing of it may stay it becomes asterisks without a Huffman code; a
path is written anew with the same code, `%` (a short code that no plain word holds) in place of what is masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.protocols import _hpack, _trace_context
from shared.protocols import _http2_frames as wire
from shared.protocols._base import MASK
from shared.protocols._http2_frames import Fields, Frame
from shared.protocols.http1 import METHODS

COVER: Final = ord("%")
LAST_RESET: Final = 13
SETTING_LIMIT: Final = 16

_KEPT: Final[dict[bytes, re.Pattern[bytes]]] = {
    b":method": re.compile(rb"[A-Z][A-Z-]{0,31}\Z"),
    b":status": re.compile(rb"[1-5][0-9]{2}\Z"),
    b"content-type": re.compile(
        rb"(?:application|text|image|audio|video|font|multipart)/[a-z][a-z.+-]{0,31}[0-9]?"
        rb"(?:; ?charset=(?i:utf-?8|iso-8859-1))?\Z"
    ),
    b"grpc-status": re.compile(rb"[0-9]{1,2}\Z"),
    b"traceparent": re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z"),
}
"""The only headers, with the path, whose values leave the node, and how these look."""
NAMES: Final = frozenset(_KEPT) | {name for name, _ in _hpack.STATIC}
_STOP: Final = re.compile(rb"[?#]")
_OF_REQUESTS: Final = {b":method", b":path"}
_OF_RESPONSES: Final = {b":status", b"grpc-status"}
_SHAPES: Final = {
    b":path": re.compile(rb"(?:[*/][!-~\x80-\xff]*)?\Z"),
    b":method": re.compile(rb"[A-Z*-]*\Z"),
    b":status": re.compile(rb"[0-9*]*\Z"),
    b":authority": re.compile(rb"[!-~]*\Z"),
}
"""What these may hold, whole or cut off, masked or not."""


Stays = Callable[[list[bytes]], list[bool]]
"""Tells which segments of a path may stay."""


class Heads(msgspec.Struct):
    """
    What is known of one stream.
    """

    stream: int = 0
    fields: dict[bytes, bytes] = {}
    """Of the request, as far as they are whole and plausible; the path as it is."""
    path_whole: bool = True
    answer: dict[bytes, bytes] = {}
    """Of the response: `:status`, `content-type` and `grpc-status`."""
    reset: int = -1
    """The code with which the stream was reset, -1 when it was not."""


def kept(name: bytes | None, value: bytes | None) -> bool:
    """
    Return whether the *value* of the header *name* may leave the node as it is.
    """
    if name is None or value is None:
        return False
    if name == b":method":
        return value in METHODS
    if name == b"traceparent":
        return _trace_context.of_traceparent(value.decode("latin-1")) != _trace_context.NONE and bool(
            _KEPT[name].match(value)
        )
    pattern = _KEPT.get(name)
    return pattern is not None and pattern.match(value) is not None


def heads(request: bytes, response: bytes) -> Heads:
    """
    Return what both say of the first stream that has headers.
    """
    found = Heads()
    frames = wire.sound_frames(request)[0]
    for said in wire.read(request, frames):
        if said.block.promised or (found.stream and said.block.stream != found.stream):
            continue
        found.stream = said.block.stream
        for field in said.fields:
            _request_field(found, field)
    found.reset = _reset(request, frames, found.stream)
    frames = wire.sound_frames(response)[0]
    for said in wire.read(response, frames):
        if said.block.promised or (found.stream and said.block.stream != found.stream):
            continue
        found.stream = said.block.stream
        answer = {name: value for name, value in _plain(said) if kept(name, value)}
        if not found.answer.get(b":status", b"1").startswith(b"1"):
            answer.pop(b":status", None)
        found.answer.update(answer)
    found.reset = max(found.reset, _reset(response, frames, found.stream))
    return found


def _plain(said: Fields) -> list[tuple[bytes, bytes]]:
    return [(f.name, f.value) for f in said.fields if f.name is not None and f.value is not None]


def _request_field(found: Heads, field: _hpack.Field) -> None:
    name, value = field.name, field.value
    if name == b":path" and name not in found.fields:
        if value is None and field.value_text is not None:
            value, found.path_whole = field.value_text.text, False
        if value is not None:
            found.fields[name] = value
    elif name is not None and value is not None and name not in found.fields and kept(name, value):
        found.fields[name] = value


def _reset(head: bytes, frames: list[Frame], stream: int) -> int:
    for frame in frames:
        if frame.kind == wire.RESET and frame.stream == stream and frame.end <= len(head):
            code = int.from_bytes(head[frame.start : frame.end], "big")
            return code if code <= LAST_RESET else 2
    return -1


def path_of(found: Heads) -> bytes | None:
    """
    Return the path, without its query; a segment that is cut off is an asterisk. None when it is not known.
    """
    path = found.fields.get(b":path")
    if path is None:
        return None
    stop = _STOP.search(path)
    if stop:
        return path[: stop.start()]
    return path if found.path_whole else path[: path.rfind(b"/") + 1] + b"*"


def masked(head: bytes, stays: Stays) -> bytes:
    """
    Return *head* with everything overwritten that could be a secret.

    Args:
        head: frames of a request or of a response.
        stays: which segments of a path may stay.
    """
    frames = wire.sound_frames(head)[0]
    out = bytearray(len(head))
    if head.startswith(wire.PREFACE):
        out[: len(wire.PREFACE)] = wire.PREFACE
    for frame in frames:
        out[frame.start - wire.HEADER : frame.start] = head[frame.start - wire.HEADER : frame.start]
        _keep_payload(out, head, frame)
    for said in wire.read(head, frames):
        block = _masked_block(said, stays)
        for start, end in said.block.places:
            out[start:end] = block[: end - start]
            del block[: end - start]
    return bytes(out)


def _keep_payload(out: bytearray, head: bytes, frame: Frame) -> None:
    start, end = frame.start, min(frame.end, len(head))
    if frame.flags & wire.PADDED and frame.kind in (wire.DATA, wire.HEADERS, wire.PROMISE) and start < end:
        out[start] = head[start]
    if frame.kind == wire.RESET and frame.end <= len(head):
        code = int.from_bytes(head[start:end], "big")
        out[start:end] = (code if code <= LAST_RESET else 2).to_bytes(4, "big")
    if frame.kind == wire.SETTINGS:
        for at in range(start, end - 5, 6):
            number = int.from_bytes(head[at : at + 2], "big")
            out[at : at + 2] = (number if number <= SETTING_LIMIT else 0).to_bytes(2, "big")


def _masked_block(said: Fields, stays: Stays) -> bytearray:
    raw, out = said.block.raw, bytearray(said.block.raw)
    for field in said.fields:
        for text, keep in ((field.name_text, field.name in NAMES), (field.value_text, kept(field.name, field.value))):
            if text is None or (text.whole and keep):
                continue
            end = min(text.end, len(raw))
            if field.name == b":path" and text is field.value_text:
                out[text.at : end] = _masked_path(raw[text.at : end], text, stays)
            elif text.at < end:
                out[text.at : end] = bytes([MASK]) * (end - text.at)
                out[text.start] &= 0x7F
    if not said.sound:
        done = said.fields[-1].end if said.fields else 0
        out[done:] = bytes(len(out) - done)
    return out


def _masked_path(raw: bytes, text: _hpack.Text, stays: Stays) -> bytes:
    """
    Return as many bytes as *raw* that say the same path, without what may not stay.
    """
    found = _STOP.search(text.text)
    stop = found.start() if found else len(text.text)
    segments = text.text[:stop].split(b"/")
    stay = stays(segments)
    if not found and not text.whole:
        segments[-1], stay[-1] = b"", True
    elif all(stay) and not found:
        return raw
    segments = [segment if may else bytes([COVER]) for segment, may in zip(segments, stay, strict=True)]
    size = _hpack.bits(b"/".join(segments)) if text.huffman else 8 * len(b"/".join(segments))
    tail = b"?" if found else b""
    unit = _hpack.bits(bytes([COVER])) if text.huffman else 8
    size += (_hpack.bits(tail) if text.huffman else 8) * len(tail)
    filler = bytes([COVER]) * ((8 * len(raw) - size) // unit)
    if found or not text.whole:
        tail += filler
    else:
        last = max(number for number, may in enumerate(stay) if not may)
        segments[last] += filler
    path = b"/".join(segments) + tail
    return _hpack.packed(path) if text.huffman else path


def claim(request: bytes, response: bytes) -> float:
    """
    Return how sure it is, 0 to 1, that both heads are frames of HTTP/2.
    """
    asked, answered = _claim(request, response=False), _claim(response, response=True)
    if not request or not response:
        return asked if request else answered * 0.95
    return max(asked, answered) if asked and answered else min(0.2, asked)


def _claim(head: bytes, *, response: bool) -> float:
    if not response and len(head) > 14 and wire.PREFACE.startswith(head):
        return 0.9
    found, sound = wire.sound_frames(head)
    if not found or not sound:
        return 0.0
    said = wire.read(head, found)
    names = {field.name for block in said for field in block.fields}
    if not all(block.sound and _is_said(block.fields) for block in said) or names & (
        _OF_REQUESTS if response else _OF_RESPONSES
    ):
        return 0.0
    if names & (_OF_RESPONSES if response else _OF_REQUESTS):
        return 0.95
    if head.startswith(wire.PREFACE):
        return 0.9
    return 0.7 if _is_opening(head, found[0]) else 0.3


def _is_said(fields: list[_hpack.Field]) -> bool:
    """
    Return whether paths, methods and statuses are such, as far as they are known.
    """
    return all(
        field.value is None or field.name not in _SHAPES or _SHAPES[field.name].match(field.value) for field in fields
    )


def _is_opening(head: bytes, frame: Frame) -> bool:
    """
    Return whether *frame* is the first of a connection: settings, all of which have a number that exists.
    """
    whole = frame.kind == wire.SETTINGS and frame.end <= len(head) and frame.start < frame.end
    numbers = [int.from_bytes(head[at : at + 2], "big") for at in range(frame.start, frame.end, 6)] if whole else [0]
    return all(0 < number <= SETTING_LIMIT for number in numbers)


def frame_length(buffer: bytes, *, response: bool) -> int | None:
    """
    Return how many bytes the first frame, or the preface, takes in *buffer*; None when its end is not there.

    Raises:
        Malformed: it is no frame.
    """
    if not response and buffer.startswith(wire.PREFACE[:4]):
        if not wire.PREFACE.startswith(buffer[: len(wire.PREFACE)]):
            raise Malformed("http2: a preface that is none")
        return len(wire.PREFACE) if len(buffer) >= len(wire.PREFACE) else None
    if len(buffer) < wire.HEADER:
        return None
    frame = wire.frame_at(buffer, 0)
    return frame.end if frame.end <= len(buffer) else None
