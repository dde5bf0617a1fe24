"""
ZooKeeper's client protocol: jute records behind a length.

https://github.com/apache/zookeeper/blob/master/zookeeper-jute/src/main/resources/zookeeper.jute
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol, blank
from shared.protocols._collapse import collapsed, cover, may_stay

REQUEST: Final = struct.Struct(">iii")
REPLY: Final = struct.Struct(">iiqi")
REPLY_BYTES: Final = 20
LENGTH_LIMIT: Final = 4 * 1024 * 1024
"""The longest record, in bytes; servers refuse more than 1 MiB unless told otherwise."""
PATH_LIMIT: Final = 128
"""The longest path, in characters, that a name holds."""

WATCH: Final = -1
"""The xid of what the server says unasked."""
PING: Final = -2
CONNECT: Final = "connect"
CONNECT_LENGTHS: Final = (44, 45)
CONNECTED_LENGTHS: Final = (36, 37)
CONNECTED_BYTES: Final = 24
_CONNECTED: Final = {length: length.to_bytes(4, "big") + bytes(4) for length in CONNECTED_LENGTHS}
SESSION_EXPIRED: Final = 112
RESULT_BYTES: Final = 13
"""Of a transaction that failed, for each of its operations."""

PATHS: Final = {
    1: "create", 2: "delete", 3: "exists", 4: "getData", 5: "setData", 6: "getACL", 7: "setACL", 8: "getChildren",
    9: "sync", 12: "getChildren2", 13: "check", 15: "create2", 17: "checkWatches", 18: "removeWatches",
    19: "createContainer", 20: "deleteContainer", 21: "createTTL", 103: "getEphemerals", 104: "getAllChildrenNumber",
    106: "addWatch",
}  # fmt: skip
"""Operations whose first field is a path."""
OTHERS: Final = {
    11: "ping", 14: "multi", 16: "reconfig", 22: "multiRead", 100: "auth", 101: "setWatches", 102: "sasl",
    105: "setWatches2", 107: "whoAmI", -10: "createSession", -11: "closeSession",
}  # fmt: skip

CODES: Final = {
    1: "SYSTEMERROR", 2: "RUNTIMEINCONSISTENCY", 3: "DATAINCONSISTENCY", 4: "CONNECTIONLOSS", 5: "MARSHALLINGERROR",
    6: "UNIMPLEMENTED", 7: "OPERATIONTIMEOUT", 8: "BADARGUMENTS", 13: "NEWCONFIGNOQUORUM", 14: "RECONFIGINPROGRESS",
    101: "NONODE", 102: "NOAUTH", 103: "BADVERSION", 108: "NOCHILDRENFOREPHEMERALS", 110: "NODEEXISTS", 111: "NOTEMPTY",
    112: "SESSIONEXPIRED", 113: "INVALIDCALLBACK", 114: "INVALIDACL", 115: "AUTHFAILED", 118: "SESSIONMOVED",
    119: "NOTREADONLY", 120: "EPHEMERALONLOCALSESSION", 121: "NOWATCHER", 122: "REQUESTTIMEOUT",
    123: "RECONFIGDISABLED", 124: "SESSIONCLOSEDREQUIRESASLAUTH", 125: "QUOTAEXCEEDED", 127: "THROTTLEDOP",
}  # fmt: skip
CALLER_AT_FAULT: Final = frozenset((5, 6, 8, *range(101, 117), 119, 120, 121, 123, 124, 125))


class Asked(msgspec.Struct, frozen=True):
    """
    What a request asks: its operation, and where its path lies.
    """

    xid: int
    operation: str
    start: int = 0
    end: int = 0
    whole: bool = False
    """Whether the path is all there."""


class ZooKeeper(WireProtocol):
    """
    A request has a number, which its reply repeats; connecting has none, and watches fire with -1.
    """

    name = "zookeeper"
    number = Protocol.ZOOKEEPER
    specification = "https://github.com/apache/zookeeper/blob/master/zookeeper-jute/src/main/resources/zookeeper.jute"
    family = "directory"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the operation, a path that begins with a slash, and the same number in the reply.
        """
        try:
            asked = _asked(request)
        except Malformed:
            return 0.0
        path = request[asked.start : asked.end]
        strict = asked.operation == CONNECT or (asked.operation == "ping" and asked.xid == PING) or path[:1] == b"/"
        sure = 0.9 if strict else 0.62
        if not response:
            return sure
        if asked.operation == CONNECT:
            cut = len(response) < CONNECTED_BYTES and any(
                _CONNECTED[kind].startswith(response[:8]) for kind in CONNECTED_LENGTHS
            )
            return 0.98 if _is_connected(response) else sure - 0.02 if cut else 0.0
        if len(response) < REPLY_BYTES:
            fits = len(response) < 4 or _is_long(response)
            return sure if fits and request[4:8].startswith(response[4:8]) else 0.0
        length, xid, _, error = REPLY.unpack_from(response)
        fits = 16 <= length <= LENGTH_LIMIT and (error == 0 or -error in CODES)
        return sure + 0.08 if fits and xid == asked.xid else 0.0

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return operations with their paths, and how they ended; sessions, data and rights become zeros.
        """
        return _mask_request(request), _mask_reply(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the operation with its path, and the code of its reply.
        """
        attributes: dict[str, str | int] = {"db.system.name": "zookeeper"}
        name, operation, stand_in = "", "", False
        if request:
            asked = _asked(request)
            name = operation = asked.operation
            stand_in = asked.start > 0 and not asked.whole
            attributes["db.operation.name"] = operation
            if asked.whole:
                path = _path_name(request[asked.start : asked.end])
                name = f"{operation} {path}".rstrip()
                attributes["zookeeper.path"] = path
        outcome, code = _ended(response)
        if code:
            attributes["db.response.status_code"] = str(-code)
            attributes["error.type"] = CODES.get(code, str(-code))
        return Parsed(
            name=name, operation=operation, outcome=outcome, status=code, attributes=attributes, stand_in=stand_in
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length that stands before the record.
        """
        if len(buffer) < 12:
            return None
        length = int.from_bytes(buffer[:4], "big")
        least = 16 if response else 8
        if not least <= length <= LENGTH_LIMIT:
            raise Malformed(f"zookeeper: a record of {length} bytes")
        return 4 + length if 4 + length <= len(buffer) else None


PROTOCOL: WireProtocol = ZooKeeper()


def _asked(head: bytes) -> Asked:
    if len(head) < 12:
        raise Malformed("zookeeper: shorter than a header")
    length, xid, number = REQUEST.unpack_from(head)
    if length in CONNECT_LENGTHS and xid == 0 and len(head) >= 32 and head[28:32] == b"\0\0\0\x10":
        return Asked(0, CONNECT)
    if not 8 <= length <= LENGTH_LIMIT:
        raise Malformed(f"zookeeper: a record of {length} bytes")
    if xid == WATCH:
        return _fired(head, length)
    operation = PATHS.get(number) or OTHERS.get(number)
    if operation is None or (xid < 0 and xid not in (PING, -4, -8)) or (number in (11, -11)) != (length == 8):
        raise Malformed(f"zookeeper: operation {number} with number {xid}")
    return _with_path(head, Asked(xid, operation), 12, length) if number in PATHS else Asked(xid, operation)


def _fired(head: bytes, length: int) -> Asked:
    """
    Return the path of a watch that fired.
    """
    if length < 28 or head[8:20] != b"\xff" * 8 + bytes(4):
        raise Malformed("zookeeper: no notification")
    return _with_path(head, Asked(WATCH, "watch"), 28, length)


def _with_path(head: bytes, asked: Asked, at: int, length: int) -> Asked:
    """
    Add the path whose length stands at *at*.
    """
    if at + 4 > len(head):
        return msgspec.structs.replace(asked, start=at + 4, end=at + 4)
    size = int.from_bytes(head[at : at + 4], "big")
    start = at + 4
    path = head[start : start + size]
    whole = len(path) == size
    wrong = path[:1] not in (b"", b"/") or any(c < 0x20 or c == 0x7F for c in path)
    if start + size > 4 + length or (whole and wrong):
        raise Malformed("zookeeper: a path that is none")
    return msgspec.structs.replace(asked, start=start, end=start + len(path), whole=whole)


def _path_name(path: bytes) -> str:
    return "/".join(collapsed(part) for part in path.split(b"/"))[:PATH_LIMIT]


def _is_connected(head: bytes) -> bool:
    if len(head) < CONNECTED_BYTES:
        return False
    return (
        int.from_bytes(head[:4], "big") in CONNECTED_LENGTHS and head[4:8] == bytes(4) and head[20:24] == b"\0\0\0\x10"
    )


def _is_reply(head: bytes) -> bool:
    return len(head) >= REPLY_BYTES and _is_long(head)


def _is_long(head: bytes) -> bool:
    """
    Return whether the length before a reply is one.
    """
    return len(head) >= 4 and 16 <= int.from_bytes(head[:4], "big") <= LENGTH_LIMIT


def _ended(head: bytes) -> tuple[Outcome, int]:
    """
    Return how the reply says that it ended, and its code without the sign.
    """
    if not head:
        return Outcome.NO_RESPONSE, 0
    if _is_connected(head):
        expired = head[8:12] == bytes(4)
        return (Outcome.CLIENT_ERROR, SESSION_EXPIRED) if expired else (Outcome.OK, 0)
    if not _is_reply(head):
        return Outcome.OK, 0
    code = -int(REPLY.unpack_from(head)[3]) or next((code for code in _results(head) if code), 0)
    if code not in CODES:
        return Outcome.OK, 0
    return (Outcome.CLIENT_ERROR if code in CALLER_AT_FAULT else Outcome.SERVER_ERROR), code


def _results(head: bytes) -> list[int]:
    """
    Return the codes of a transaction that failed: each operation's, as its result and as its error.
    """
    found: list[int] = []
    at = REPLY_BYTES
    while at + RESULT_BYTES <= len(head) and head[at : at + 5] == b"\xff\xff\xff\xff\0":
        code, again = struct.unpack_from(">ii", head, at + 5)
        if code != again:
            break
        found.append(-code)
        at += RESULT_BYTES
    return found


def _mask_request(head: bytes) -> bytes:
    try:
        asked = _asked(head)
    except Malformed:
        return blank(head)
    out = bytearray(len(head))
    if asked.operation == CONNECT:
        out[:8] = head[:8]
        out[16:20] = head[16:20]
        out[28:32] = head[28:32]
        return bytes(out)
    kept = asked.start or 12
    out[:kept] = head[:kept]
    if asked.whole:
        out[asked.start : asked.end] = head[asked.start : asked.end]
        at = asked.start
        for part in head[asked.start : asked.end].split(b"/"):
            if not may_stay(part):
                cover(out, at, at + len(part))
            at += len(part) + 1
    return bytes(out)


def _mask_reply(head: bytes) -> bytes:
    out = bytearray(len(head))
    if _is_connected(head):
        out[:12] = head[:12]
        out[20:24] = head[20:24]
        return bytes(out)
    if not _is_reply(head):
        kept = 8 if len(head) < REPLY_BYTES and _is_long(head) else 0
        out[:kept] = head[:kept]
        return bytes(out)
    out[:8] = head[:8]
    kept = REPLY_BYTES + RESULT_BYTES * len(_results(head))
    out[16:kept] = head[16:kept]
    return bytes(out)
