"""
LDAP, version 3: BER messages with a number, which every answer repeats.

https://www.rfc-editor.org/rfc/rfc4511
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol, blank

LENGTH_LIMIT: Final = 16 * 1024 * 1024
"""The longest message, in bytes."""
SHORTEST: Final = 7
"""Bytes of a message without content."""
ID_BYTES: Final = 4
START_TLS: Final = b"1.3.6.1.4.1.1466.20037"

REQUESTS: Final = {
    0x60: "bind", 0x42: "unbind", 0x63: "search", 0x66: "modify", 0x68: "add", 0x4A: "delete", 0x6C: "modifyDN",
    0x6E: "compare", 0x50: "abandon", 0x77: "extended",
}  # fmt: skip
RESULTS: Final = frozenset((0x61, 0x65, 0x67, 0x69, 0x6B, 0x6D, 0x6F, 0x78))
"""Answers that end an operation, and hold a result code."""
OTHERS: Final = frozenset((0x64, 0x73, 0x79))
"""Entries, references and intermediate answers: more comes."""
SCOPES: Final = ("base", "one", "subtree", "children")
NOT_A_FAILURE: Final = frozenset((0, 5, 6, 10, 14))
"""Success, both answers of a comparison, a referral, and a bind that goes on."""
SERVER_AT_FAULT: Final = frozenset((1, 3, 11, 51, 52, 53, 54, 80))
"""Operations error, limits, busy, unavailable, unwilling, a loop, other; all other codes are the caller's."""


class Message(msgspec.Struct, frozen=True):
    """
    The outside of a message: its number, its operation's tag, and where the operation's content lies.
    """

    id: int
    tag: int
    start: int
    end: int


class Ldap(WireProtocol):
    """
    A sequence of a number and an operation; a search is answered by entries and, at last, by a result.
    """

    name = "ldap"
    number = Protocol.LDAP
    specification = "https://www.rfc-editor.org/rfc/rfc4511"
    family = "directory"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the lengths must nest, the operation fit its content, and the numbers agree.
        """
        try:
            asked = _message(request)
            fits = asked.tag in REQUESTS and _fits(request, asked)
            answered = _message(response) if response else None
        except Malformed:
            return 0.0
        if not fits:
            return 0.0
        if answered is None:
            return 0.85
        return 0.98 if answered.id == asked.id and answered.tag in RESULTS | OTHERS else 0.1

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return operations and result codes; names, filters, attributes and credentials become zeros.
        """
        return _mask(request, response=False), _mask(response, response=True)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the operation, and the result code if the head holds it.
        """
        attributes: dict[str, str | int] = {"db.system.name": "ldap"}
        name = ""
        if request:
            name = _asked(request)
            attributes["db.operation.name"] = name
        code = _code(response)
        outcome = Outcome.OK if response else Outcome.NO_RESPONSE
        if code not in NOT_A_FAILURE:
            outcome = Outcome.SERVER_ERROR if code in SERVER_AT_FAULT else Outcome.CLIENT_ERROR
            attributes["db.response.status_code"] = attributes["error.type"] = str(code)
        return Parsed(name=name, operation=name.split(" ")[0], outcome=outcome, status=code, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the sequence.
        """
        del response
        if len(buffer) < SHORTEST:
            return None
        if buffer[0] != 0x30:
            raise Malformed("ldap: no sequence")
        length, start = _length(buffer, 1)
        if start + length < SHORTEST:
            raise Malformed(f"ldap: a message of {length} bytes")
        return start + length if start + length <= len(buffer) else None


PROTOCOL: WireProtocol = Ldap()


def _length(head: bytes, at: int) -> tuple[int, int]:
    """
    Return the length that stands at *at*, and what lies behind it.
    """
    first = head[at] if at < len(head) else 0xFF
    if first < 0x80:
        return first, at + 1
    size = first & 0x7F
    if not 1 <= size <= 4 or at + 1 + size > len(head):
        raise Malformed("ldap: a length that is none")
    length = int.from_bytes(head[at + 1 : at + 1 + size], "big")
    if length > LENGTH_LIMIT:
        raise Malformed(f"ldap: a message of {length} bytes")
    return length, at + 1 + size


def _message(head: bytes) -> Message:
    if len(head) < SHORTEST or head[0] != 0x30:
        raise Malformed("ldap: no sequence")
    length, at = _length(head, 1)
    stop = at + length
    if head[at : at + 1] != b"\2" or not 1 <= head[at + 1] <= ID_BYTES:
        raise Malformed("ldap: no message number")
    size = head[at + 1]
    number = int.from_bytes(head[at + 2 : at + 2 + size], "big")
    at += 2 + size
    tag = head[at] if at < len(head) else 0
    if tag not in REQUESTS and tag not in RESULTS and tag not in OTHERS:
        raise Malformed(f"ldap: no operation {tag:#x}")
    inside, start = _length(head, at + 1)
    if start + inside > stop:
        raise Malformed("ldap: an operation beyond its message")
    return Message(number, tag, start, start + inside)


def _fits(head: bytes, message: Message) -> bool:
    """
    Return whether an operation begins as it must, as far as it is there.
    """
    first = head[message.start : message.start + 1]
    match REQUESTS[message.tag]:
        case "unbind":
            return message.start == message.end
        case "delete" | "abandon":
            return message.start <= message.end
        case "bind":
            return head[message.start : message.start + 3] in (b"\2\1\3", b"\2\1\2", b"\2\1", b"\2", b"")
        case "extended":
            return first in (b"\x80", b"")
    return first in (b"\4", b"")


def _asked(head: bytes) -> str:
    message = _message(head)
    operation = REQUESTS.get(message.tag)
    if operation is None:
        return "notice" if message.id == 0 and message.tag == 0x78 else _refuse(message)
    if operation == "search":
        scope = _scope(head, message)
        return f"search {scope}" if scope else operation
    if operation == "extended" and _oid(head, message) == START_TLS:
        return "extended StartTLS"
    if operation == "bind":
        mechanism = _mechanism(head, message)
        return f"bind {mechanism}" if mechanism else operation
    return operation


def _refuse(message: Message) -> str:
    raise Malformed(f"ldap: {message.tag:#x} is no request")


def _oid(head: bytes, message: Message) -> bytes:
    if head[message.start : message.start + 1] != b"\x80" or message.start + 2 > len(head):
        return b""
    size = head[message.start + 1]
    return head[message.start + 2 : min(message.start + 2 + size, message.end)]


def _behind_name(head: bytes, at: int, end: int) -> int:
    """
    Return what lies behind the name at *at*; *end* when that is not there.
    """
    if head[at : at + 1] != b"\4":
        return end
    try:
        length, start = _length(head, at + 1)
    except Malformed:
        return end
    return min(start + length, end)


def _scope(head: bytes, message: Message) -> str:
    """
    Return the scope of a search, empty when it is not in the head.
    """
    at = _behind_name(head, message.start, message.end)
    if not _tells(head, message, at):
        return ""
    return SCOPES[head[at + 2]] if head[at + 2] < len(SCOPES) else ""


def _mechanism(head: bytes, message: Message) -> str:
    """
    Return how a bind proves who asks: with a password, or by SASL.
    """
    at = _behind_name(head, message.start + 3, message.end)
    tag = head[at : at + 1] if at < message.end else b""
    return {b"\x80": "simple", b"\xa3": "sasl"}.get(tag, "")


def _code(head: bytes) -> int:
    """
    Return the result code, 0 when the head holds none.
    """
    try:
        message = _message(head)
    except Malformed:
        return 0
    if message.tag not in RESULTS or not _tells(head, message, message.start):
        return 0
    return head[message.start + 2]


def _tells(head: bytes, message: Message, at: int) -> bool:
    """
    Return whether a small number lies at *at*, and wholly in *message* and in *head*.
    """
    return head[at : at + 2] == b"\x0a\1" and at + 3 <= min(len(head), message.end)


def _mask(head: bytes, *, response: bool) -> bytes:
    try:
        message = _message(head)
        known = message.tag in RESULTS | OTHERS if response else message.tag in REQUESTS or message.tag == 0x78
    except Malformed:
        return blank(head)
    if not known:
        return blank(head)
    out = bytearray(len(head))
    out[: message.start] = head[: message.start]
    stop = min(message.end, len(head))
    if message.tag in RESULTS:
        kept = [(message.start, message.start + 3)] if _tells(head, message, message.start) else []
    else:
        kept = _kept(head, message)
    for start, end in kept:
        out[start : min(end, stop)] = head[start : min(end, stop)]
    return bytes(out)


def _kept(head: bytes, message: Message) -> list[tuple[int, int]]:
    """
    Return what of a request may stay: tags and lengths up to what its name is made of.
    """
    at = message.start
    match REQUESTS.get(message.tag):
        case "search":
            behind = _behind_name(head, at, message.end)
            return [(at, _front(head, at)), (behind, behind + 3 * _tells(head, message, behind))]
        case "bind":
            behind = _behind_name(head, at + 3, message.end)
            return [(at, _front(head, at + 3)), (behind, behind + 1)]
        case "extended":
            known = _oid(head, message) == START_TLS
            return [(at, at + 2 + len(START_TLS) * known)]
        case "modify" | "add" | "modifyDN" | "compare":
            return [(at, at + 1)]
    return []


def _front(head: bytes, at: int) -> int:
    """
    Return where the content of the name at *at* begins.
    """
    try:
        return _length(head, at + 1)[1]
    except Malformed:
        return at + 1
