"""
WebSocket: what flows on an HTTP connection after it was handed over.

https://www.rfc-editor.org/rfc/rfc6455

A head is one message from either side. The client's frames carry a masking key and the server's do not, so a frame
tells who sent it: `send text` went to the server, `push text` to the client. A masked head keeps its key, and its
payload becomes stars under that key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import MASK, Parsed, WireProtocol, blank

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
WORDS: Final = {CONTINUATION: "more", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}

FINAL, COMPRESSED, OTHER_RESERVED, MASKED = 0x80, 0x40, 0x30, 0x80
CONTROL_LIMIT: Final = 125
"""The longest payload of a control frame, in bytes."""
NORMAL_CLOSES: Final = frozenset({0, 1000, 1001, 1005})
CODE_LIMIT: Final = 5000
CERTAIN: Final = 4
"""The shortest payload, in bytes, that says something."""
FRAMES_LOOKED_AT: Final = 32

_PRINTABLE: Final = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*\Z")
_CUT: Final = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")


class Frame(msgspec.Struct, frozen=True):
    """
    A frame in a head, perhaps cut off behind its header.
    """

    opcode: int
    final: bool
    compressed: bool
    key: bytes
    """Four bytes when the client sent it, else none."""
    start: int
    body: int
    """Where the payload begins."""
    end: int
    """Where the frame ends, perhaps behind the head."""


class WebSocket(WireProtocol):
    """
    Messages in either direction; their payload is never looked at.
    """

    name = "websocket"
    number = Protocol.WEBSOCKET
    specification = "https://www.rfc-editor.org/rfc/rfc6455"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: frames have no mark of their own, so all of both heads has to fit.
        """
        asked, answered = _judge(request), _judge(response)
        if asked is None or answered is None or not (request or response):
            return 0.0
        if request and response:
            sides = bool(_first(request).key), bool(_first(response).key)
            return 0.0 if sides[0] == sides[1] else 0.95 if asked + answered > 1 else 0.7
        return 0.65 if asked + answered >= 1 and _first(request or response).key else 0.62 if _exact(request) else 0.3

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the frames' headers, close codes and stars.
        """
        return _mask_head(request), _mask_head(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return who sent what kind of message; the code of a close is its status.
        """
        attributes: dict[str, str | int] = {"network.protocol.name": "websocket"}
        name, operation, status = "", "", 0
        if request:
            frame = _first(request)
            operation = WORDS[frame.opcode]
            name = f"{'send' if frame.key else 'push'} {operation}"
            attributes["websocket.message.type"] = operation
            attributes["websocket.frame.size"] = frame.end - frame.body
            status = _close_code(request, frame)
        if status:
            attributes["websocket.close.code"] = status
        if status not in NORMAL_CLOSES:
            attributes["error.type"] = str(status)
        outcome = Outcome.OK if response else Outcome.NO_RESPONSE
        return Parsed(name=name, operation=operation, outcome=outcome, status=status, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:  # noqa: ARG002  # the frame tells its side itself
        """
        Return the length of the first frame, of either side.
        """
        frame = _frame(buffer, 0)
        return frame.end if frame is not None and frame.end <= len(buffer) else None


PROTOCOL: WireProtocol = WebSocket()


def _frame(head: bytes, at: int) -> Frame | None:
    """
    Return the frame at *at*, None when its header is cut off.

    Raises:
        Malformed: no frame begins like this.
    """
    first = head[at : at + 2]
    if not first:
        return None
    opcode, final = first[0] & 0x0F, bool(first[0] & FINAL)
    control = opcode >= CLOSE
    if first[0] & OTHER_RESERVED or opcode not in WORDS or (control and (not final or first[0] & COMPRESSED)):
        raise Malformed("websocket: no such frame")
    if len(first) < 2:
        return None
    length, wide = first[1] & 0x7F, {126: 2, 127: 8}.get(first[1] & 0x7F, 0)
    if control and (wide or (opcode == CLOSE and length == 1)):
        raise Malformed(f"websocket: a control frame longer than {CONTROL_LIMIT} bytes, or half a code")
    body = at + 2 + wide + (4 if first[1] & MASKED else 0)
    if len(head) < body:
        return None
    if wide:
        length = int.from_bytes(head[at + 2 : at + 2 + wide], "big")
        if length <= (CONTROL_LIMIT if wide == 2 else 0xFFFF) or length >> 63:
            raise Malformed("websocket: a length that is not in its shortest form")
    key = head[body - 4 : body] if first[1] & MASKED else b""
    return Frame(opcode, final, bool(first[0] & COMPRESSED), key, at, body, body + length)


def _first(head: bytes) -> Frame:
    frame = _frame(head, 0)
    if frame is None:
        raise Malformed("websocket: a header that is cut off")
    return frame


def _frames(head: bytes) -> Iterator[Frame]:
    """
    Yield the frames of *head*, the last one perhaps cut off; end where none begins.
    """
    at = 0
    while at < len(head):
        try:
            frame = _frame(head, at)
        except Malformed:
            return
        if frame is None:
            return
        yield frame
        at = frame.end


def _judge(head: bytes) -> float | None:
    """
    Return how much speaks for *head*, 0 to 1, None when it is not made of frames of one side.
    """
    at, score, keyed = 0, 0.0, False
    for number, frame in enumerate(_frames(head)):
        if number >= FRAMES_LOOKED_AT:
            return 1.0
        if (at and bool(frame.key) != keyed) or (not at and frame.opcode == CONTINUATION):
            return None
        keyed = bool(frame.key)
        evidence = _evidence(head, frame)
        if evidence is None:
            return None
        score, at = max(score, evidence), frame.end
    return score if at >= len(head) else None


def _exact(head: bytes) -> bool:
    """
    Return whether *head* is one whole frame with text in it, or with the code and the reason of a close.
    """
    frame = _first(head) if head else None
    if frame is None or not frame.final or frame.end != len(head) or frame.end - frame.body < CERTAIN:
        return False
    payload = _plain(head[frame.body :], frame.key)
    if frame.opcode == CLOSE:
        return _close_code(head, frame) >= 1000 and _is_text(payload[2:], cut=False)
    return frame.opcode == TEXT and not frame.compressed and _evidence(head, frame) == 1.0


def _evidence(head: bytes, frame: Frame) -> float | None:
    payload = _plain(head[frame.body : frame.end], frame.key)
    if frame.opcode == CLOSE:
        code = int.from_bytes(payload[:2], "big")
        if len(payload) >= 2 and not 1000 <= code < CODE_LIMIT:
            return None
        return 0.6 if len(payload) >= 2 else 0.5
    if frame.opcode != TEXT or frame.compressed:
        return 0.5
    cut = frame.end > len(head) or not frame.final
    if not _PRINTABLE.match(payload) or not _is_text(payload, cut):
        return None
    return 1.0 if len(payload) >= 4 else 0.5


def _is_text(payload: bytes, cut: bool) -> bool:
    try:
        (_CUT.sub(b"", payload) if cut else payload).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _plain(payload: bytes, key: bytes) -> bytes:
    if not key or not payload:
        return payload
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def _close_code(head: bytes, frame: Frame) -> int:
    if frame.opcode != CLOSE:
        return 0
    payload = _plain(head[frame.body : min(frame.body + 2, frame.end)], frame.key)
    code = int.from_bytes(payload, "big")
    return code if len(payload) == 2 and code < CODE_LIMIT else 0


def _mask_head(head: bytes) -> bytes:
    """
    Cover the payloads; what does not belong to a frame is blanked, half a header too.
    """
    out = bytearray(blank(head))
    for frame in _frames(head):
        out[frame.start : frame.body] = head[frame.start : frame.body]
        end = min(frame.end, len(head))
        kept = min(frame.body + 2, end) if _close_code(head, frame) else frame.body
        out[frame.body : kept] = head[frame.body : kept]
        stars = _plain(bytes([MASK]) * (end - frame.body), frame.key)
        out[kept:end] = stars[kept - frame.body :]
    return bytes(out)
