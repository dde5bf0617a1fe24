"""
Dubbo 2: calls of Java services, many at a time on one connection.

https://dubbo.apache.org/en/overview/reference/protocols/tcp/

The call's body begins with strings (of Hessian 2, or of JSON a line each): protocol version, service, service version,
method. Where another serialisation hides them, the endpoint is only `call`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import MASK, Parsed, WireProtocol

MAGIC: Final = b"\xda\xbb"
HEADER_BYTES: Final = 16
BODY_LIMIT: Final = 256 * 1024 * 1024
REQUEST: Final = 0x80
TWO_WAY: Final = 0x40
EVENT: Final = 0x20
SERIALISATION: Final = 0x1F
HESSIAN: Final = 2
FASTJSON: Final = 6
SERIALISATIONS: Final = frozenset((2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 21, 22, 23, 24, 25, 26, 27))
OK: Final = 20
STATUSES: Final[dict[int, str]] = {
    20: "OK",
    25: "SERIALIZATION_ERROR",
    30: "CLIENT_TIMEOUT",
    31: "SERVER_TIMEOUT",
    35: "CHANNEL_INACTIVE",
    40: "BAD_REQUEST",
    50: "BAD_RESPONSE",
    60: "SERVICE_NOT_FOUND",
    70: "SERVICE_ERROR",
    80: "SERVER_ERROR",
    90: "CLIENT_ERROR",
    100: "SERVER_THREADPOOL_EXHAUSTED_ERROR",
}
CALLERS_FAULT: Final = (40, 60, 90)
THROWN: Final = {HESSIAN: (0x90, 0x93), FASTJSON: (ord("0"), ord("3"))}
"""First bytes of a response's body that holds an exception, by serialisation; nothing else is known of the others."""
STAND_IN: Final = "call"
HEARTBEAT: Final = "$heartbeat"
STRINGS: Final = 4

_VERSION: Final = re.compile(rb"[0-9]{1,5}(?:\.[0-9]{1,5}){1,3}\Z")
_SERVICE: Final = re.compile(rb"[A-Za-z_$][A-Za-z0-9_$]{0,79}(?:[./:-][A-Za-z0-9_$]{1,80}){0,15}\Z")
_METHOD: Final = re.compile(rb"[A-Za-z_$][A-Za-z0-9_$]{0,99}\Z")
_QUOTED: Final = re.compile(rb'"([^"\\\r\n]{0,255})"\r?\n')


class Header(msgspec.Struct, frozen=True):
    """
    The first four bytes of a message, and the length of its body.
    """

    flags: int
    status: int
    body: int

    @property
    def serialisation(self) -> int:
        """
        How the body is written.
        """
        return self.flags & SERIALISATION


class Dubbo(WireProtocol):
    """
    A message is a header of 16 bytes and a body.
    """

    name = "dubbo"
    family = "rpc"
    number = Protocol.DUBBO
    specification = "https://dubbo.apache.org/en/overview/reference/protocols/tcp/"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: a header of a request, a body that begins with a version, and a header of a response.
        """
        header = _header(request, 0, request=True)
        answer = _header(response, 0, request=False)
        if header is None or (response and answer is None):
            return 0.0
        if header.flags & EVENT or header.serialisation not in THROWN:
            return 0.95 if answer else 0.8
        strings = _strings(request, 0, header)
        if not strings or not _VERSION.match(request[slice(*strings[0])]):
            return 0.3
        return 0.98 if answer else 0.95

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return headers, services, methods and classes of exceptions; arguments, results and ids are overwritten.
        """
        return _mask(request, request=True), _mask(response, request=False)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first call of the head, and the status of its answer.
        """
        attributes: dict[str, str | int] = {"rpc.system": self.name}
        name, one_way = _asked(request, attributes) if request else ("", False)
        answer = _header(response, 0, request=False)
        if answer is None:
            status, outcome = 0, Outcome.OK if response or one_way else Outcome.NO_RESPONSE
        else:
            status, outcome = answer.status, _judge(response, answer, attributes)
        operation = str(attributes.get("rpc.method", name))
        return Parsed(
            name=name,
            operation=operation,
            outcome=outcome,
            status=status,
            attributes=attributes,
            stand_in=name == STAND_IN,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first message.
        """
        if not buffer.startswith(MAGIC[: len(buffer)]):
            raise Malformed("dubbo: no magic number")
        if len(buffer) < HEADER_BYTES:
            return None
        header = _header(buffer, 0, request=not response)
        if header is None:
            raise Malformed("dubbo: a header that contradicts itself")
        length = HEADER_BYTES + header.body
        return length if length <= len(buffer) else None


PROTOCOL: WireProtocol = Dubbo()


def _header(head: bytes, at: int, *, request: bool) -> Header | None:
    """
    Return the header at *at*, None when there is none or not all of it.
    """
    if head[at : at + 2] != MAGIC or len(head) - at < HEADER_BYTES:
        return None
    header = Header(head[at + 2], head[at + 3], int.from_bytes(head[at + 12 : at + 16], "big"))
    if bool(header.flags & REQUEST) is not request or header.body > BODY_LIMIT:
        return None
    if header.serialisation not in SERIALISATIONS or header.status not in ((0,) if request else STATUSES):
        return None
    return header if header.body or header.flags & EVENT else None


def _strings(head: bytes, at: int, header: Header) -> list[tuple[int, int]]:
    """
    Return from where to where the first strings of the body reach, as far as they are there.
    """
    place = at + HEADER_BYTES
    stop = min(place + header.body, len(head))
    found: list[tuple[int, int]] = []
    while len(found) < STRINGS and header.serialisation in THROWN:
        span = _hessian(head, place) if header.serialisation == HESSIAN else _json(head, place)
        if span is None or span[1] > stop:
            break
        found.append(span)
        place = span[1] if header.serialisation == HESSIAN else head.index(b"\n", span[1]) + 1
    return found


def _hessian(head: bytes, at: int) -> tuple[int, int] | None:
    """
    Return from where to where the text of the Hessian string at *at* reaches; all its characters are ASCII.
    """
    lead = head[at] if at < len(head) else 0xFF
    if lead < 0x20:
        start, size = at + 1, lead
    elif 0x30 <= lead <= 0x33 and at + 1 < len(head):
        start, size = at + 2, (lead - 0x30) << 8 | head[at + 1]
    elif lead == ord("S") and at + 2 < len(head):
        start, size = at + 3, int.from_bytes(head[at + 1 : at + 3], "big")
    else:
        return None
    return start, start + size


def _json(head: bytes, at: int) -> tuple[int, int] | None:
    quoted = _QUOTED.match(head, at)
    return quoted.span(1) if quoted else None


def _kept(head: bytes, strings: list[tuple[int, int]]) -> list[bytes]:
    """
    Return those of the strings that are what they should be, up to the first that is not.
    """
    kept: list[bytes] = []
    for (start, end), shape in zip(strings, (_VERSION, _SERVICE, _VERSION, _METHOD), strict=False):
        text = head[start:end]
        if not shape.match(text) and not (shape is _VERSION and kept and not text):
            break
        kept.append(text)
    return kept


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, bool]:
    """
    Return the endpoint, and whether no answer is wanted; add to *attributes*.
    """
    header = _header(request, 0, request=True)
    if header is None:
        raise Malformed("dubbo: no request")
    one_way = not header.flags & TWO_WAY
    if header.flags & EVENT:
        return HEARTBEAT, one_way
    texts = [text.decode("ascii") for text in _kept(request, _strings(request, 0, header))]
    if len(texts) < STRINGS:
        return STAND_IN, one_way
    _, service, version, method = texts
    attributes |= {"rpc.service": service, "rpc.method": method}
    if version not in ("", "0.0.0"):
        attributes["dubbo.service.version"] = version
    return f"{service}/{method}", one_way


def _judge(response: bytes, answer: Header, attributes: dict[str, str | int]) -> Outcome:
    """
    Return how the call ended, and add to *attributes*.
    """
    attributes["rpc.dubbo.status_code"] = answer.status
    if answer.status != OK:
        attributes["error.type"] = STATUSES[answer.status]
        return Outcome.CLIENT_ERROR if answer.status in CALLERS_FAULT else Outcome.SERVER_ERROR
    if not _thrown(response, 0, answer):
        return Outcome.OK
    start, end = _exception(response, 0, answer)
    attributes["error.type"] = response[start:end].decode("ascii") or "exception"
    return Outcome.SERVER_ERROR


def _thrown(head: bytes, at: int, answer: Header) -> bool:
    first = head[at + HEADER_BYTES : at + HEADER_BYTES + 1]
    thrown = not answer.flags & EVENT and answer.status == OK and first
    return bool(thrown) and first[0] in THROWN.get(answer.serialisation, ())


def _exception(head: bytes, at: int, answer: Header) -> tuple[int, int]:
    """
    Return from where to where the class of a Hessian exception reaches; nowhere when it is not to be seen.
    """
    place = at + HEADER_BYTES + 1
    if answer.serialisation == HESSIAN and head[place : place + 1] == b"C":
        span = _hessian(head, place + 1)
        if span and span[1] <= min(len(head), at + HEADER_BYTES + answer.body) and _SERVICE.match(head[slice(*span)]):
            return span
    return place, place


def _mask(head: bytes, *, request: bool) -> bytes:
    out = bytearray(len(head))
    at = 0
    while (header := _header(head, at, request=request)) is not None:
        start, end = at + HEADER_BYTES, min(at + HEADER_BYTES + header.body, len(head))
        out[at : at + 4] = head[at : at + 4]
        out[at + 12 : start] = head[at + 12 : start]
        out[start:end] = bytes([MASK]) * (end - start)
        if header.flags & EVENT:
            stop = start
        elif request:
            strings = _strings(head, at, header)
            kept = len(_kept(head, strings))
            stop = strings[kept - 1][1] if kept else start
        else:
            stop = _exception(head, at, header)[1] if _thrown(head, at, header) else start
        out[start:stop] = head[start:stop]
        if stop < end and request and header.serialisation == FASTJSON and stop > start:
            out[stop : head.index(b"\n", stop) + 1] = head[stop : head.index(b"\n", stop) + 1]
        at = start + header.body
    return bytes(out)
