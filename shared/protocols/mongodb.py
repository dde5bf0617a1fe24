"""
The MongoDB wire protocol: OP_MSG, what came before it, and compressed messages, of which only the outside is seen.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

from __future__ import annotations

import re
import struct
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _bson as bson
from shared.protocols import _mongodb as names
from shared.protocols._base import Parsed, WireProtocol, blank
from shared.protocols._collapse import collapsed, cover, is_id, may_stay

HEADER: Final = struct.Struct("<iiii")
HEADER_BYTES: Final = 16
MESSAGE_LIMIT: Final = 48_000_000 + 16 * 1024
"""The longest message, in bytes, that a server takes."""

REPLY: Final = 1
QUERY: Final = 2004
COMPRESSED: Final = 2012
MSG: Final = 2013
LEGACY: Final = {2001: "update", 2002: "insert", QUERY: "find", 2005: "getMore", 2006: "delete", 2007: "killCursors"}
"""What the operations before OP_MSG are called now."""
ONE_WAY: Final = frozenset({2001, 2002, 2006, 2007})

SECTIONS: Final = 8
"""The most sections that are looked at; sections of documents may come before the body."""
CHECKSUM: Final = 1
MORE_TO_COME: Final = 2
EXHAUST_ALLOWED: Final = 1 << 16

PUSH: Final = "(push)"
"""The name of replies that come without being asked for again."""
AWAIT: Final = " (await)"
"""What the name of a request ends in that the server is asked to hold back until there is something to tell."""

_WORD: Final = re.compile(rb"\$?[A-Za-z_][A-Za-z0-9_]{0,39}\Z")


class Message(msgspec.Struct, frozen=True):
    """
    The outside of a message: its header, and where its first document lies (0: nowhere in this head).
    """

    length: int
    id: int
    answers: int
    operation: int
    flags: int = 0
    namespace: bytes | None = None
    """Of the operations before OP_MSG."""
    text: int = 0
    """Where the namespace lies."""
    document: int = 0


class MongoDb(WireProtocol):
    """
    A message has a length, an id, the id that it answers, and an operation; documents are BSON.
    """

    name = "mongodb"
    number = Protocol.MONGODB
    family = "database"
    specification = "https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the operation, the document's first key, and that the response answers the request.
        """
        try:
            asked = _message(request, response=False)
            name = _asked(request, asked, {})[0]
            answered = _message(response, response=True) if response else None
        except Malformed:
            return 0.0
        if answered is None:
            return 0.9 if name and not asked.answers else 0.5
        return 0.98 if answered.answers == asked.id else 0.2

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the commands with their collections, and of replies how they ended; all values become zeros.
        """
        return _mask(request, response=_pushed(request)), _mask(response, response=True)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first command of the head, and the code of its reply.
        """
        attributes: dict[str, str | int] = {"db.system.name": "mongodb"}
        name, operation, stand_in = "", "", False
        if _pushed(request):
            _message(request, response=True)
            name = operation = PUSH
        elif request:
            asked = _message(request, response=False)
            name, operation, stand_in = _asked(request, asked, attributes)
        outcome, code = _ended(response) if response else (Outcome.NO_RESPONSE, 0)
        if response and outcome is not Outcome.OK:
            attributes["db.response.status_code"] = attributes["error.type"] = str(code)
        return Parsed(
            name=name,
            operation=operation,
            outcome=outcome,
            status=code & 0xFFFF,
            attributes=attributes,
            stand_in=stand_in,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length that the message tells.
        """
        if len(buffer) < HEADER_BYTES:
            return None
        length = _header(buffer, response=response).length
        return length if length <= len(buffer) else None


PROTOCOL: WireProtocol = MongoDb()


def _header(head: bytes, *, response: bool) -> Message:
    if len(head) < HEADER_BYTES:
        raise Malformed("mongodb: shorter than a header")
    length, number, answers, operation = HEADER.unpack_from(head)
    if not HEADER_BYTES < length <= MESSAGE_LIMIT:
        raise Malformed(f"mongodb: a message of {length} bytes")
    if operation not in (MSG, COMPRESSED) and not (operation == REPLY if response else operation in LEGACY):
        raise Malformed(f"mongodb: no operation {operation}")
    return Message(length, number, answers, operation)


def _message(head: bytes, *, response: bool) -> Message:
    """
    Return the outside of the message that *head* begins with, checked as far as it is there.
    """
    message = _header(head, response=response)
    stop = min(len(head), message.length)
    if message.operation == MSG:
        return _op_msg(head, message, stop)
    if message.operation == COMPRESSED:
        inside = int.from_bytes(head[16:20], "little")
        if stop >= 25 and (inside not in (MSG, REPLY, *LEGACY) or head[24] > 3):
            raise Malformed("mongodb: compressed in no known way")
        return message
    if message.operation == REPLY:
        return msgspec.structs.replace(message, flags=int.from_bytes(head[16:20], "little"), document=36)
    if message.operation == 2007:
        return message
    end = head.find(b"\0", 20, stop)
    text = head[20 : end if end >= 0 else stop]
    if len(text) > 255 or any(c < 0x20 for c in text):
        raise Malformed("mongodb: a namespace that is none")
    if end < 0 or not text:
        return message
    document = end + 9 if message.operation == QUERY else 0
    return msgspec.structs.replace(message, namespace=text, text=20, document=document)


def _pushed(head: bytes) -> bool:
    """
    Return whether *head* is a reply: it stands for a request when the server goes on replying.
    """
    return len(head) >= 20 and HEADER.unpack_from(head)[3] == MSG and HEADER.unpack_from(head)[2] != 0


def _op_msg(head: bytes, message: Message, stop: int) -> Message:
    flags = int.from_bytes(head[16:20], "little")
    if flags & 0xFFFF & ~(CHECKSUM | MORE_TO_COME):
        raise Malformed(f"mongodb: flags {flags:#x} that must be understood")
    at = 20
    for _ in range(SECTIONS):
        if at + 5 > stop:
            return msgspec.structs.replace(message, flags=flags)
        size = bson.I32.unpack_from(head, at + 1)[0]
        if head[at] > 1 or size < 5 or at + 1 + size > message.length:
            raise Malformed("mongodb: a section that is none")
        if head[at] == 0:
            _first_key(head, at + 1, stop)
            return msgspec.structs.replace(message, flags=flags, document=at + 1)
        at += 1 + size
    return msgspec.structs.replace(message, flags=flags)


def _first_key(head: bytes, at: int, stop: int) -> None:
    """
    Check that the document at *at* begins with a type and a word, as far as it is there.
    """
    first = head[at + 4 : min(stop, at + 6 + bson.KEY_LIMIT)]
    key, _, _ = first[1:].partition(b"\0")
    if first[:1] not in (b"", b"\0") and (first[0] not in bson.TYPES or any(c < 0x20 or c > 0x7E for c in key)):
        raise Malformed("mongodb: a document that begins with no element")


def _asked(head: bytes, message: Message, attributes: dict[str, str | int]) -> tuple[str, str, bool]:
    """
    Return name, operation, and whether they only stand in for what is not there; add to *attributes*.
    """
    if message.operation == COMPRESSED:
        return "(compressed)", "", True
    if message.namespace is not None:
        database, _, collection = message.namespace.partition(b".")
        if collection != b"$cmd":
            operation = LEGACY[message.operation]
            return _named(operation, collection, database, attributes), operation, False
    if message.operation in (MSG, QUERY) and message.document:
        return _command(head, message, attributes)
    operation = LEGACY.get(message.operation, "")
    return operation or "(unknown)", operation, message.operation != 2007


def _named(operation: str, collection: bytes, database: bytes, attributes: dict[str, str | int]) -> str:
    """
    Return the endpoint's name, and add to *attributes* what it is made of.
    """
    attributes["db.operation.name"] = operation
    if database:
        attributes["db.namespace"] = collapsed(database)
    if not collection:
        return operation
    target = ".".join(collapsed(part) for part in collection.split(b"."))[:128]
    attributes["db.collection.name"] = target
    return f"{operation} {target}"


def _command(head: bytes, message: Message, attributes: dict[str, str | int]) -> tuple[str, str, bool]:
    """
    Read a command: its first key is its name, and says what the value means.
    """
    stop = min(len(head), message.length)
    verb, collection, database, waits = b"", b"", b"", False
    for number, element in enumerate(bson.elements(head, message.document, stop)):
        if number == 0:
            verb = element.name if _is_verb(element.name) else b""
        text = bson.string(head, element) or b""
        if text and _names_collection(verb, number, element.name):
            collection = text
        if number and element.name == b"$db":
            database = text
        waits = waits or (number > 0 and _waits(verb, element.name))
    if not verb:
        return "(unknown)", "", True
    operation = verb.decode("ascii")
    name = _named(operation, collection, database, attributes)
    missing = not collection and verb in names.COLLECTION_COMMANDS and verb != b"aggregate"
    return name + AWAIT * waits, operation, missing


def _names_collection(verb: bytes, number: int, key: bytes) -> bool:
    if verb == b"getMore":
        return number > 0 and key == b"collection"
    return number == 0 and verb in names.COLLECTION_COMMANDS


def _waits(verb: bytes, key: bytes) -> bool:
    """
    Return whether *key* asks the server to hold its answer back.
    """
    return (verb in names.HELLOS and key == b"maxAwaitTimeMS") or (verb == b"getMore" and key == b"maxTimeMS")


def _is_verb(key: bytes) -> bool:
    return _WORD.match(key) is not None and not is_id(key)


def _ended(head: bytes) -> tuple[Outcome, int]:
    """
    Return how the reply says that it ended, and the code.
    """
    try:
        message = _message(head, response=True)
    except Malformed:
        return Outcome.OK, 0
    failed = message.operation == REPLY and bool(message.flags & 3)
    code = 43 if message.operation == REPLY and message.flags & 1 else 0
    if message.document:
        stop = min(len(head), message.length)
        for element in bson.elements(head, message.document, stop):
            if element.name == b"ok":
                failed = failed or bson.whole_number(head, element) == 0
            elif element.name == b"code":
                code = code or bson.whole_number(head, element) or 0
            elif element.name in (b"writeErrors", b"writeConcernError"):
                inner = _code_inside(head, element)
                failed, code = True, code or inner
    if not failed:
        return Outcome.OK, 0
    return (Outcome.CLIENT_ERROR if names.caller_at_fault(code) else Outcome.SERVER_ERROR), code


def _code_inside(head: bytes, outer: bson.Element) -> int:
    """
    Return the code of the first error that `writeErrors` or `writeConcernError` holds, 0 when it is not there.
    """
    at = outer.start
    if outer.type == bson.ARRAY:
        first = next(bson.elements(head, at, outer.end), None)
        if first is None or first.type != bson.DOCUMENT:
            return 0
        at = first.start
    for element in bson.elements(head, at, outer.end):
        if element.name == b"code":
            return bson.whole_number(head, element) or 0
    return 0


def _mask(head: bytes, *, response: bool) -> bytes:
    try:
        message = _message(head, response=response)
    except Malformed:
        return blank(head)
    stop = min(len(head), message.length)
    out = bytearray(len(head))
    fixed = min(stop, {MSG: 20, COMPRESSED: 25, REPLY: 36}.get(message.operation, 20))
    out[:fixed] = head[:fixed]
    if message.operation == MSG:
        _copy_sections(out, head, stop)
    if message.namespace is not None:
        end = message.text + len(message.namespace)
        out[message.text : end] = message.namespace
        _cover_words(out, message.text, end)
    if message.document:
        (_mask_reply if response else _mask_command)(out, head, message, stop)
    return bytes(out)


def _copy_sections(out: bytearray, head: bytes, stop: int) -> None:
    """
    Copy kind and length of each section up to the body.
    """
    at = 20
    for _ in range(SECTIONS):
        if at + 5 > stop or head[at] == 0:
            return
        out[at : at + 5] = head[at : at + 5]
        at += 1 + int(bson.I32.unpack_from(head, at + 1)[0])


def _cover_words(out: bytearray, start: int, end: int) -> None:
    """
    Cover the parts of a namespace that tell one thing from its like.
    """
    at = start
    for part in bytes(out[start:end]).split(b"."):
        if not may_stay(part):
            cover(out, at, at + len(part))
        at += len(part) + 1


def _mask_command(out: bytearray, head: bytes, message: Message, stop: int) -> None:
    first = next(bson.elements(head, message.document, stop), None)
    verb = first.name if first is not None and _is_verb(first.name) else b""

    def value(number: int, element: bson.Element) -> None:
        if number == 0:
            out[element.at + 1 : element.start] = (verb or b"*" * len(element.name)) + b"\0"
        if bson.string(head, element) is None:
            return
        if _names_collection(verb, number, element.name) or (number and element.name == b"$db"):
            start, end = element.start + 4, element.end - 1
            out[start:end] = head[start:end]
            _cover_words(out, start, end)

    bson.copy(out, head, message.document, stop, value, names.FOLLOWING)


def _mask_reply(out: bytearray, head: bytes, message: Message, stop: int) -> None:
    def value(_: int, element: bson.Element) -> None:
        number = element.whole and element.name in (b"ok", b"code") and element.type in bson.NUMBERS
        if number or (element.name == b"codeName" and _is_verb(bson.string(head, element) or b"")):
            out[element.start : element.end] = head[element.start : element.end]
        elif element.name == b"writeErrors" and element.type == bson.ARRAY:
            bson.copy(out, head, element.start, element.end, entry, names.ENTRIES)
        elif element.name == b"writeConcernError" and element.type == bson.DOCUMENT:
            bson.copy(out, head, element.start, element.end, error, names.ERROR_KEYS)

    def entry(_: int, element: bson.Element) -> None:
        if element.type == bson.DOCUMENT:
            bson.copy(out, head, element.start, element.end, error, names.ERROR_KEYS)

    def error(number: int, element: bson.Element) -> None:
        if element.name == b"code":
            value(number, element)

    bson.copy(out, head, message.document, stop, value, names.REPLY_KEYS)
