"""
Which bytes of MySQL's packets may leave the node.
"""

from __future__ import annotations

from shared.protocols import _sql
from shared.protocols._collapse import cover
from shared.protocols._mysql_packets import (
    CLOSE,
    COMMANDS,
    COMPRESSED_HEADER_BYTES,
    EVENT_HEAD,
    EXECUTE,
    HEADER_BYTES,
    INIT_DB,
    LOGIN_BYTES,
    LONG_DATA,
    NAME,
    STATE,
    TEXT,
    VERSION,
    Packet,
    answers,
    begins,
    database_at,
    is_compressed,
    is_plain_ok,
    packets,
    pushed,
    sql_at,
    text_end,
    told_statement,
)


def mask_request(head: bytes) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    if is_compressed(head):
        kept = COMPRESSED_HEADER_BYTES + 5
        out[:kept] = head[:kept]
        return bytes(out)
    for index, packet in enumerate(packets(head)):
        push = pushed(head, packet) if index == 0 else ""
        if index == 0 and not push and not begins(head, packet):
            return bytes(out)
        out[packet.start - HEADER_BYTES : packet.start] = head[packet.start - HEADER_BYTES : packet.start]
        if push:
            _mask_pushed(head, out, packet)
            return bytes(out)
        if packet.sequence:
            if index == 0:
                _mask_login(head, out, packet)
        elif packet.start < packet.end and head[packet.start] in COMMANDS:
            _mask_command(head, out, packet)
    return bytes(out)


def _mask_pushed(head: bytes, out: bytearray, packet: Packet) -> None:
    if head[packet.start]:
        _mask_answer(head, out, packet, 0)
    else:
        out[packet.start : packet.start + EVENT_HEAD] = head[packet.start : packet.start + EVENT_HEAD]


def _mask_command(head: bytes, out: bytearray, packet: Packet) -> None:
    start, end = packet.start, packet.end
    command = out[start] = head[start]
    if command in TEXT:
        at, plain = sql_at(head, packet)
        if plain:
            out[start:end] = head[start:end]
            _sql.mask(out, at, end, _sql.MYSQL)
        elif end - start > 1:
            out[start + 1] = head[start + 1]
    elif command == EXECUTE and told_statement(head[start + 1 : end]):
        out[start:end] = head[start:end]
        _sql.mask(out, start + 1, end, _sql.MYSQL)
    elif command in (EXECUTE, LONG_DATA, CLOSE, 0x1A, 0x1C):
        kept = min(start + (10 if command == EXECUTE else 5), end)
        out[start:kept] = head[start:kept]
    elif command == INIT_DB and NAME.match(head, start + 1, end):
        out[start:end] = head[start:end]


def _mask_login(head: bytes, out: bytearray, packet: Packet) -> None:
    start, end = packet.start, packet.end
    fixed = min(start + LOGIN_BYTES, end)
    out[start:fixed] = head[start:fixed]
    user = text_end(head, fixed, end)
    out[fixed:user] = head[fixed:user]
    if not NAME.match(head, fixed, user):
        cover(out, fixed, user)
    database = database_at(head, start, user + 1, end)
    if database < end:
        out[user + 1] = head[user + 1]
        stop = text_end(head, database, end)
        out[database:stop] = head[database:stop]
        if not NAME.match(head, database, stop):
            cover(out, database, stop)


def mask_response(head: bytes) -> bytes:
    """
    Build the masked response; what begins as none can stays NUL.
    """
    out = bytearray(len(head))
    for index, packet in enumerate(answers(head)):
        start = packet.start
        out[start - HEADER_BYTES : start] = head[start - HEADER_BYTES : start]
        if start < packet.end:
            _mask_answer(head, out, packet, index)
    return bytes(out)


def _mask_answer(head: bytes, out: bytearray, packet: Packet, index: int) -> None:
    """
    Keep what kind of packet this is, the number of an error and the flags of an end.
    """
    start, end = packet.start, packet.end
    kind = head[start]
    if kind == 0xFF:
        kept = min(start + 3, end)
        out[start:kept] = head[start:kept]
        if STATE.match(head, kept, end):
            out[kept : kept + 6] = head[kept : kept + 6]
            kept += 6
        cover(out, kept, end)
    elif kind == 0xFE and packet.length == 5:
        out[start:end] = head[start:end]
    elif index == 0:
        out[start] = kind
        if kind == 0 and packet.length >= 7:
            kept = min(start + 7, end)
            out[start:kept] = b"\0\0\0" + head[start + 3 : kept] if is_plain_ok(head, packet) else bytes(kept - start)
        found = VERSION.match(head, start + 1, end) if kind == 10 and not packet.sequence else None
        if found:
            out[start + 1 : found.end()] = head[start + 1 : found.end()]
